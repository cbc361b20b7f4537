"""Gain and firing rate against a modulator's concentration, with Hill functions fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, ms, nA, second, umolar

from neuromod.analysis.dose_response import (
    fit_hill,
    for_log_axis,
    gain_from_rate,
    half_effect,
    has_closed_form,
    settled_rates,
)
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.gain_lif import GainLIF
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = (BLACK, SKY, BLUE, GREEN, ORANGE, RED, PURPLE)
FIT = ("ec50_uM", "ec50_low_uM", "ec50_high_uM", "hill_slope", "hill_slope_low",
       "hill_slope_high", "misfit_percent")  # fmt: skip
# How far beyond the doses a curve is followed for its closed-form EC50.
BEYOND = 1e9


@dataclass(frozen=True, eq=False)
class DoseResponse(Protocol):
    """Steady gain and firing rate against the concentration of a modulator.

    Cells lie in baths of the modulator for so long that their receptors are in the steady state,
    and fire to constant currents. The gain is recovered from their rates alone, by inverting the
    closed form of the f-I curve, and a Hill function is fitted to it, as to the rate at each
    current. What the fits say is laid beside what the receptor's equations say.
    """

    shown: ClassVar[tuple[str, ...]] = ("doses", "gain_fit", "rate_fits")

    neuron: GainLIF = parameter(GainLIF(), "the neuron", source="see its own")
    conc: Quantity = parameter(
        [0, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100] * umolar,
        "concentrations of what the first receptor binds",
        source="chosen here: both ends of the curve for a K_D from 10 nM to 10 uM",
        low=0 * umolar,
    )
    bath: Quantity = parameter(
        0 * umolar,
        "concentration of every other ligand, such as an antagonist",
        source="chosen here: none",
        low=0 * umolar,
    )
    I: Quantity = parameter(  # noqa: E741
        linspace(0.6, 2.4, 7) * nA,
        "injected currents, one cell each at every concentration",
        source="chosen here: above rheobase for gains from 0.3",
        low=0 * nA,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        1 * second,
        "length of the run; rates are those of its second half",
        source="chosen here: an after-spike current of 200 ms has settled by half of it",
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
        for name, least in (("conc", 5), ("I", 1)):
            values = getattr(self, name)
            if len(values) < least or np.any(np.diff(values) <= 0 * values[0]):
                raise UserError(f"{name} must be at least {least} values in ascending order.")
        refuse_changed("neuron", self.neuron, ["I_ext"], "set I")
        refuse_changed("neuron", self.neuron, ["conc"], "set conc, which is swept, or bath")
        refuse_changed("neuron", self.neuron, ["delivery"], "the bath is constant")
        refuse_changed("neuron", self.neuron, ["modulated"], "receptors are what is measured")

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron per concentration and current."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        self._check_effect()
        conc, current = self._grid()
        values = {"I_ext": current} | self.neuron.steady(self._bath(conc))
        population = Population("neurons", self.neuron, len(conc), values)
        return {
            "bath": Experiment(
                populations=(population,), duration=self.duration, dt=self.dt, seed=self.seed
            ),
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Every cell, the gain at every dose, and the fits of gain and rates."""
        conc, current = self._grid()
        rate = settled_rates(recordings["bath"].spikes["neurons"], self.duration)
        cells = {
            "conc_uM": np.asarray(conc / umolar),
            "current_nA": np.asarray(current / nA),
            "gain": self._gain(conc / umolar),
            "rate_Hz": np.asarray(rate / Hz),
            "closed_form_Hz": np.nan,
            "recovered_gain": np.nan,
        }
        if self._closed:
            cells["closed_form_Hz"] = self.neuron.rate(current, cells["gain"]) / Hz
            cells["recovered_gain"] = gain_from_rate(self.neuron, current, rate, self.dt)
        table = pd.DataFrame(cells)
        doses = table.groupby("conc_uM", as_index=False).agg(
            gain=("gain", "first"),
            recovered_gain=("recovered_gain", "mean"),
            recovered_gain_se=("recovered_gain", "sem"),
            cells_firing=("rate_Hz", np.count_nonzero),
        )
        return {
            "table": table,
            "doses": doses,
            "gain_fit": self._fit_gain(doses),
            "rate_fits": self._fit_rates(table),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Gain and rates over the closed forms, and the EC50 of each."""
        del recordings
        figure, axes = panels([["gain", "rates", "ec50"]], width=13, height=4)
        shown = for_log_axis(self.conc / umolar)
        fine = np.geomspace(self.conc[self.conc > 0 * umolar][0] / umolar, shown.max(), 300)
        self._plot_gain(axes["gain"], tables["doses"], tables["gain_fit"], fine)
        for number, (current, rows) in enumerate(tables["table"].groupby("current_nA")):
            color = COLORS[number % len(COLORS)]
            axes["rates"].plot(fine, self._rate(fine, float(current)), color=color, lw=1)
            axes["rates"].plot(shown, rows.rate_Hz, "o", color=color, ms=3.5,
                               label=f"{current:.3g} nA")  # fmt: skip
        axes["rates"].set(ylabel="firing rate (Hz)", title="b  Rate: closed form (lines)")
        axes["rates"].legend(loc="center left", bbox_to_anchor=(1, 0.5))
        for name in ("gain", "rates"):
            axes[name].set(xscale="log", ylim=(0, None),
                           xlabel=f"{self._ligand} (µM; none at the left end)")  # fmt: skip
        self._plot_ec50(axes["ec50"], tables["gain_fit"], tables["rate_fits"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Gains recovered, and what the fits are worth."""
        return [
            self._report_gain(tables["doses"]),
            self._report_fit(tables["gain_fit"].iloc[0]),
            Section(
                "Rates",
                "A rate is no linear function of the gain: its EC50 is the receptor's only by "
                "chance, and depends on the current at which it is measured. Below rheobase a "
                "dose has no effect on the rate, and no Hill function follows such a curve. "
                "Intervals are 95 % Student's t intervals from the covariance of the fit.",
                "rate_fits",
            ),
            Section("All cells", "Rates as simulated, in closed form, and their gains.", "table"),
        ]

    @property
    def _closed(self) -> bool:
        return has_closed_form(self.neuron)

    @property
    def _ligand(self) -> str:
        return self.neuron.ligands[0]

    def _grid(self) -> tuple[Quantity, Quantity]:
        """Concentration and current of every neuron."""
        conc, current = np.meshgrid(
            np.asarray(self.conc / umolar), np.asarray(self.I / nA), indexing="ij"
        )
        return conc.ravel() * umolar, current.ravel() * nA

    def _bath(self, conc: Quantity) -> dict[str, Quantity]:
        return dict.fromkeys(self.neuron.ligands, self.bath) | {self._ligand: conc}

    def _gain(self, conc: Any) -> np.ndarray:
        """Steady gain at concentrations in uM."""
        return self.neuron.steady_gain(self._bath(conc * umolar))

    def _rate(self, conc: np.ndarray, current: float) -> np.ndarray:
        """Closed form of the rate in Hz at concentrations in uM and a current in nA."""
        if not self._closed:
            return np.full(len(conc), np.nan)
        return np.asarray(self.neuron.rate(current * nA, self._gain(conc)) / Hz)

    def _check_effect(self) -> None:
        """Refuse what cannot show a dose's effect, as far as the closed form tells."""
        gain = self._gain(self.conc / umolar)
        if not self._closed:
            return
        if np.ptp(gain) == 0:
            raise UserError(
                f"{self._ligand} does not change the gain of this neuron: set a gain_max other "
                "than 1."
            )
        rheobase = (self.neuron.v_th - self.neuron.v_rest) / self.neuron.R
        if self.I[0] * gain.max() <= rheobase:
            raise UserError(
                f"I = {self.I[0]} is below rheobase at every concentration: more than "
                f"{rheobase / gain.max()} was expected."
            )

    def _fit_gain(self, doses: pd.DataFrame) -> pd.DataFrame:
        fitted = _fitted(doses.conc_uM.to_numpy(), doses.recovered_gain.to_numpy(), "gain")
        return pd.DataFrame([fitted | self._exact(self._gain)])

    def _fit_rates(self, table: pd.DataFrame) -> pd.DataFrame:
        rows = []
        for current, curve in table.groupby("current_nA"):
            fitted = _fitted(curve.conc_uM.to_numpy(), curve.rate_Hz.to_numpy(), "Hz")
            exact = self._exact(lambda conc, current=current: self._rate(conc, current))
            rows.append({"current_nA": current} | fitted | exact)
        return pd.DataFrame(rows)

    def _exact(self, response: Any) -> dict[str, float]:
        """EC50 and slope of a closed form."""
        conc = np.asarray(self.conc / umolar)
        ec50, slope = half_effect(response, conc[conc > 0].min() / BEYOND, conc.max() * BEYOND)
        return {"exact_ec50_uM": ec50, "exact_hill_slope": slope}

    def _report_gain(self, doses: pd.DataFrame) -> Section:
        off = (doses.recovered_gain / doses.gain - 1).abs().max()
        text = (
            "The receptor's steady state predicts the gain; inverting the closed form of the f-I "
            "curve recovers one from every cell's rate. Recovered gains are means over the "
            "currents at which cells fired, with the standard error that rounding intervals to "
            f"time steps of {self.dt} leaves, and are off by at most {100 * off:.2g} %."
            if self._closed
            else "With an after-spike current or a K+ conductance the rate has no closed form "
            "here: columns for it are empty, and no gain can be recovered. Rates as such are "
            "fitted below."
        )
        return Section("Gain recovered from the rates", text, "doses")

    def _report_fit(self, fit: pd.Series) -> Section:
        if np.isnan(fit.ec50_uM):
            text = "No Hill function could be fitted to the gain."
        elif np.isnan(fit.exact_ec50_uM):
            text = (
                f"In closed form the gain turns back as {self._ligand} rises, because receptors "
                "act against each other: it has no EC50, and the Hill function fitted to it, off "
                f"by {fit.misfit_percent:.2g} % of its span, means nothing."
            )
        else:
            text = (
                f"A Hill function puts the EC50 at {fit.ec50_uM:.3g} µM "
                f"({fit.ec50_low_uM:.3g} to {fit.ec50_high_uM:.3g} µM) and its slope at "
                f"{fit.hill_slope:.3g} ({fit.hill_slope_low:.3g} to {fit.hill_slope_high:.3g}). "
                f"The receptor's equations give half the greatest effect at "
                f"{fit.exact_ec50_uM:.3g} µM, with slope {fit.exact_hill_slope:.3g} there. The "
                f"fit is off by up to {fit.misfit_percent:.2g} % of the effect.\n\n"
                "Binding followed by a Hill function of exponent n is itself a Hill function of "
                "concentration for n = 1 alone; otherwise the curve is steeper below the EC50 "
                "than above, and fits are off by as much as they have to be."
            )
        return Section("Hill fit of the gain", text, "gain_fit")

    def _plot_gain(
        self, axes: Any, doses: pd.DataFrame, fits: pd.DataFrame, fine: np.ndarray
    ) -> None:
        fit = fits.iloc[0]
        axes.plot(fine, self._gain(fine), color=BLACK, lw=1, label="receptor, steady")
        axes.set(ylabel="gain", title="a  Gain")
        if not self._closed:
            axes.legend()
            return
        axes.errorbar(for_log_axis(doses.conc_uM), doses.recovered_gain, doses.recovered_gain_se,
                      fmt="o", color=BLUE, ms=4.5, label="recovered from the rates")  # fmt: skip
        hill = fine**fit.hill_slope / (fine**fit.hill_slope + fit.ec50_uM**fit.hill_slope)
        axes.plot(fine, fit.bottom_gain + (fit.top_gain - fit.bottom_gain) * hill, "--",
                  color=RED, lw=1, label="Hill fit")  # fmt: skip
        axes.legend()

    def _plot_ec50(self, axes: Any, gain: pd.DataFrame, rates: pd.DataFrame) -> None:
        """EC50 of the rate at every current, and of the gain."""
        for rows, color, name in ((rates, BLUE, "rate, Hill fit"), (gain, GREEN, "gain, Hill fit")):
            at = rows.get("current_nA", pd.Series([0.0]))
            # An interval that is open to the right has no bar there.
            right = (rows.ec50_high_uM - rows.ec50_uM).replace(np.inf, 0)
            reach = [rows.ec50_uM - rows.ec50_low_uM, right]
            axes.errorbar(rows.ec50_uM, at, xerr=reach, fmt="o", color=color, ms=4.5, label=name)
            axes.plot(rows.exact_ec50_uM, at, "x", color=BLACK, ms=7,
                      label="closed form" if rows is gain else None)  # fmt: skip
        ticks, top = rates.current_nA, rates.current_nA.max()
        axes.set_yticks([0, *ticks], ["gain", *(f"{current:.3g}" for current in ticks)])
        # Room for the legend above the highest current.
        axes.set(xlabel=f"EC50 of {self._ligand} (µM)", ylabel="rate at injected current (nA)",
                 ylim=(-0.1 * top, 1.4 * top), title="c  EC50, 95 % interval")  # fmt: skip
        axes.legend()


def _fitted(conc: np.ndarray, response: np.ndarray, unit: str) -> dict[str, float]:
    """One row of a table of Hill fits; empty where the doses do not determine one."""
    columns = (f"bottom_{unit}", f"top_{unit}", *FIT)
    try:
        fit = fit_hill(conc, response)
    except UserError:
        return dict.fromkeys(columns, float("nan"))
    misfit = 100 * np.nanmax(np.abs(fit(conc) - response)) / abs(fit.top - fit.bottom)
    ec50, slope = fit.ec50, fit.hill_slope
    values = (fit.bottom, fit.top, ec50.value, ec50.low, ec50.high, slope.value, slope.low,
              slope.high, float(misfit))  # fmt: skip
    return dict(zip(columns, values, strict=True))
