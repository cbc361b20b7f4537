"""f-I curves of the gain-LIF neuron under a modulator, against the closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, nA, second, umolar
from scipy.optimize import curve_fit

from neuromod.analysis.spike_trains import slope_ratio, steady_rates
from neuromod.errors import UserError
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import BathProtocol, concentrations, current
from neuromod.protocols.families.timing import time
from neuromod.protocols.gain_curve import page


@dataclass(frozen=True, eq=False)
class GainCurve(BathProtocol):
    """Firing rate against input current for several concentrations of a modulator.

    A modulator in the bath binds a metabotropic receptor, whose second messenger sets the
    neuron's gain. A gain on the input rescales the f-I curve along the current axis: at equal
    rates the slope is multiplied by the gain. The simulated curves are compared with the closed
    form of the leaky integrate-and-fire neuron, and the gain is recovered from them.
    """

    conc: Quantity = concentrations(
        [0, 0.3, 1, 3, 10] * umolar,
        "concentrations of the modulator in the bath",
        "from none to ten times the receptor's K_D",
    )
    I: Quantity = current(linspace(0.1, 1.5, 36) * nA, "around rheobase", "injected currents")  # noqa: E741
    duration: Quantity = time(2 * second, "length of the run", "dozens of spikes at most currents")

    plot = page.plot
    report = page.report

    @property
    def doses(self) -> dict[str, Quantity]:
        """Concentrations of what the first receptor binds."""
        return {self.ligand: self.conc}

    def measure(self, recordings: Recordings) -> Tables:
        """Rates by concentration and current, and the gain recovered for each concentration."""
        conc, injected = self.grid()
        gain = self.neuron.steady_gain(conc)
        table = pd.DataFrame(
            {
                "conc_uM": np.asarray(conc[self.ligand] / umolar),
                "current_nA": np.asarray(injected / nA),
                "gain": gain,
                "rate_Hz": np.asarray(steady_rates(recordings["bath"].spikes["neurons"]) / Hz),
                "closed_form_Hz": np.asarray(self.neuron.rate(injected, gain) / Hz),
            }
        )
        return {"table": table, "gains": self._recover(table)}

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
            rows.append(
                {
                    "conc_uM": conc,
                    "gain": gain,
                    "fitted_gain": fitted,
                    "fitted_gain_se": error,
                    "gain_over_control": gain / control.gain.iloc[0],
                    "slope_ratio": ratio,
                }
            )
        return pd.DataFrame(rows)

    def _fit(self, curve: pd.DataFrame) -> tuple[float, float]:
        """Gain and its standard error by least squares over the firing part of a curve.

        On a grid of time steps the refractory period ends on time, but the crossing is noticed up
        to one step late and dated at the start of its step: intervals are half a step short on
        average, and so are those of the curve that is fitted.
        """
        firing = curve[curve.rate_Hz > 0]
        if len(firing) < 2:
            return float("nan"), float("nan")
        rheobase = float((self.neuron.v_th - self.neuron.v_rest) / self.neuron.R / nA)
        # Below this gain the weakest current that fired could not have.
        least = rheobase / firing.current_nA.min() * (1 + 1e-9)

        def on_grid(injected: np.ndarray, g: float) -> np.ndarray:
            rate = self.neuron.rate(injected * nA, g)
            return np.asarray(rate / (1 - rate * self.dt / 2) / Hz)

        gain, variance = curve_fit(
            on_grid,
            firing.current_nA.to_numpy(),
            firing.rate_Hz.to_numpy(),
            p0=least * 1.01,
            bounds=(least, np.inf),
        )
        return float(gain[0]), float(np.sqrt(variance[0, 0]))
