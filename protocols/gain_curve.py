"""f-I curves of the gain-LIF neuron under a modulator, against the closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, nA, second, umolar
from scipy.optimize import curve_fit

from neuromod.analysis.spike_trains import slope_ratio, steady_rates
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class GainCurve(Protocol):
    """Firing rate against input current for several concentrations of a modulator.

    A modulator in the bath binds a metabotropic receptor, whose second messenger sets the
    neuron's gain. A gain on the input stretches the f-I curve along the current axis: at equal
    rates the slope is multiplied by the gain. The simulated curves are laid over the closed form
    of the leaky integrate-and-fire neuron, and the gain is recovered from them.
    """

    neuron: GainLIF = parameter(GainLIF(), "the neuron", source="see its own")
    conc: Quantity = parameter(
        [0, 0.3, 1, 3, 10] * umolar,
        "concentrations of the modulator in the bath",
        source="chosen here: from none to ten times the receptor's K_D",
        low=0 * umolar,
    )
    I: Quantity = parameter(  # noqa: E741
        linspace(0.1, 1.5, 36) * nA, "injected currents", source="chosen here: around rheobase"
    )
    duration: Quantity = parameter(
        2 * second,
        "length of the run",
        source="chosen here",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        0.05 * ms,
        "time step",
        source="chosen here: intervals are off by half a step on average",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if np.any(np.diff(self.I) <= 0 * nA):
            raise UserError(f"I must be currents in ascending order, not {self.I}.")
        refuse_changed("neuron", self.neuron, ["I_ext", "conc"], "set I and conc, which are swept")
        refuse_changed("neuron", self.neuron, ["delivery"], "the bath is constant")

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per concentration and current."""
        conc, current = self._grid()
        values = {"I_ext": current} | self.neuron.steady(self._bath(conc))
        population = Population("neurons", self.neuron, len(conc), values)
        return {
            "bath": Experiment(
                populations=(population,), duration=self.duration, dt=self.dt, seed=self.seed
            ),
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Rates by concentration and current, and the gain recovered for each concentration."""
        conc, current = self._grid()
        gain = self._gain(conc)
        table = pd.DataFrame(
            {
                "conc_uM": np.asarray(conc / umolar),
                "current_nA": np.asarray(current / nA),
                "gain": gain,
                "rate_Hz": np.asarray(steady_rates(recordings["bath"].spikes["neurons"]) / Hz),
                "closed_form_Hz": np.asarray(self.neuron.rate(current, gain) / Hz),
            }
        )
        return {"table": table, "gains": self._recover(table)}

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Curves over the closed form, and gain against concentration."""
        del recordings
        figure, axes = panels([["curves", "gain"]], width=9, height=4)
        colors = (BLACK, SKY, BLUE, GREEN, ORANGE, RED, PURPLE)
        for number, (conc, rows) in enumerate(tables["table"].groupby("conc_uM")):
            color = colors[number % len(colors)]
            fine = np.linspace(rows.current_nA.min(), rows.current_nA.max(), 400)
            exact = self.neuron.rate(fine * nA, rows.gain.iloc[0]) / Hz
            axes["curves"].plot(fine, exact, color=color, lw=1)
            axes["curves"].plot(rows.current_nA, rows.rate_Hz, "o", color=color, ms=3.5,
                                label=f"{conc:.3g} µM, gain {rows.gain.iloc[0]:.2f}")  # fmt: skip
        axes["curves"].set(xlabel="injected current (nA)", ylabel="firing rate (Hz)",
                           title="a  Simulated (dots), closed form (lines)")  # fmt: skip
        axes["curves"].legend()
        self._plot_gains(axes["gain"], tables["gains"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """How near simulation and closed form are, and the gains recovered."""
        table, gains = tables["table"], tables["gains"]
        off = (table.rate_Hz - table.closed_form_Hz).abs().max()
        recovered = gains.dropna(subset="fitted_gain")
        worst = (recovered.fitted_gain / recovered.gain - 1).abs().max()
        return [
            Section(
                "Gain recovered from the curves",
                "The gain that the receptor's steady state predicts, the gain fitted to the "
                "simulated rates with the closed form (with its standard error, from rates that "
                "time steps round), and the ratio of slopes at equal rates, which assumes no "
                f"model. The fitted gain is off by at most {100 * worst:.2g} %.",
                "gains",
            ),
            Section(
                "Rates",
                f"Simulated and closed-form rates differ by at most {off:.3g} Hz; the time step "
                f"of {self.dt} makes every interval a whole number of steps.",
                "table",
            ),
        ]

    def _grid(self) -> tuple[Quantity, Quantity]:
        """Concentration and current of every neuron."""
        conc, current = np.meshgrid(
            np.asarray(self.conc / umolar), np.asarray(self.I / nA), indexing="ij"
        )
        return conc.ravel() * umolar, current.ravel() * nA

    def _gain(self, conc: Quantity) -> np.ndarray:
        """Steady gain of every neuron."""
        return self.neuron.steady_gain(self._bath(conc)) * np.ones(len(conc))

    def _bath(self, conc: Quantity) -> dict[str, Quantity]:
        """The concentration is that of what the first receptor binds."""
        return dict.fromkeys(self.neuron.ligands[:1], conc)

    def _recover(self, table: pd.DataFrame) -> pd.DataFrame:
        control = table[table.conc_uM == table.conc_uM.min()]
        rows = []
        for conc, curve in table.groupby("conc_uM"):
            fitted, error = self._fit(curve)
            try:
                ratio = slope_ratio(
                    curve.current_nA.to_numpy(),
                    control.rate_Hz.to_numpy(),
                    curve.rate_Hz.to_numpy(),
                )
            except UserError:
                # Curves that share no rates have no ratio of slopes.
                ratio = float("nan")
            gain = curve.gain.iloc[0]
            rows.append((conc, gain, fitted, error, gain / control.gain.iloc[0], ratio))
        columns = ["conc_uM", "gain", "fitted_gain", "fitted_gain_se", "gain_over_control",
                   "slope_ratio"]  # fmt: skip
        return pd.DataFrame(rows, columns=columns)

    def _fit(self, curve: pd.DataFrame) -> tuple[float, float]:
        """Gain and its standard error by least squares over the firing part of a curve.

        On a grid of time steps the refractory period ends on time but the crossing is noticed up
        to one step late and dated at the start of its step: intervals are half a step short on
        average, and so are those of the curve that is fitted.
        """
        firing = curve[curve.rate_Hz > 0]
        if len(firing) < 2:
            return float("nan"), float("nan")
        rheobase = float((self.neuron.v_th - self.neuron.v_rest) / self.neuron.R / nA)
        # Below this gain the weakest current that fired could not have.
        least = rheobase / firing.current_nA.min() * (1 + 1e-9)

        def on_grid(current: np.ndarray, g: float) -> np.ndarray:
            rate = self.neuron.rate(current * nA, g)
            return np.asarray(rate / (1 - rate * self.dt / 2) / Hz)

        gain, variance = curve_fit(
            on_grid,
            firing.current_nA.to_numpy(),
            firing.rate_Hz.to_numpy(),
            p0=least * 1.01,
            bounds=(least, np.inf),
        )
        return float(gain[0]), float(np.sqrt(variance[0, 0]))

    def _plot_gains(self, axes: Any, gains: pd.DataFrame) -> None:
        positive = gains.conc_uM[gains.conc_uM > 0]
        least = positive.min() / 10 if len(positive) else 0.01
        fine = np.geomspace(least, max(gains.conc_uM.max(), least) * 3, 300)
        axes.plot(fine, self._gain(fine * umolar), color=BLACK, lw=1, label="receptor, steady")
        # A logarithmic axis has no zero: control stands at its left end.
        shown = gains.conc_uM.clip(lower=least)
        axes.errorbar(shown, gains.fitted_gain, gains.fitted_gain_se, fmt="o", color=BLUE, ms=5,
                      label="fitted to the rates")  # fmt: skip
        axes.plot(shown, gains.slope_ratio * gains.gain.iloc[0], "x", color=RED, ms=7,
                  label="ratio of slopes")  # fmt: skip
        axes.set(xscale="log", ylim=(0, None), xlabel="concentration (µM; none at the left end)",
                 ylabel="gain", title="b  Gain")  # fmt: skip
        axes.legend()
