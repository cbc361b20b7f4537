"""f-I curves of the gain-LIF neuron under a modulator, against the closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, nA, second, umolar
from scipy.optimize import curve_fit

from neuromod.analysis.spike_trains import slope_ratio, steady_rates
from neuromod.errors import UserError
from neuromod.experiment import Spikes
from neuromod.parameters import not_negative, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import BathProtocol
from neuromod.protocols.families.timing import time
from neuromod.protocols.gain_curve import page

GAINS = ["conc_uM", "gain", "fitted_gain", "fitted_gain_se", "gain_over_control", "slope_ratio"]


@dataclass(frozen=True, eq=False)
class GainCurve(BathProtocol):
    """Firing rate against input current for several concentrations of a modulator.

    Do f-I curves under a modulator follow the closed form?

    A modulator in the bath binds a metabotropic receptor, whose second messenger sets the
    neuron's gain. A gain on the input rescales the f-I curve along the current axis: at equal
    rates the slope is multiplied by the gain. The simulated curves are compared with the closed
    form of the leaky integrate-and-fire neuron, and the gain is recovered from them. Of a neuron
    without closed form the gain is measured by its own curve without modulator.
    """

    shown: ClassVar[tuple[str, ...]] = ("gains", "excitability")
    small: ClassVar[Mapping[str, Any]] = {
        "conc": [0, 1.7] * umolar,
        "I": np.linspace(0.4, 1.3, 5) * nA,
        "duration": 0.3 * second,
    }

    conc: Quantity = not_negative(
        [0, 0.3, 1, 3, 10] * umolar,
        "concentrations of the modulator in the bath",
        "chosen here: up to ten times K_D",
    )
    I: Quantity = positive(  # noqa: E741
        linspace(0.1, 1.5, 36) * nA, "injected currents", "chosen here: around rheobase"
    )
    duration: Quantity = time(2 * second, "length of the run", "dozens of spikes at most currents")

    plot = page.plot
    report = page.report

    @property
    def doses(self) -> dict[str, Quantity]:
        """Concentrations of what the first receptor binds."""
        return {self.ligand: self.conc}

    def rates(self, spikes: Spikes) -> Quantity:
        """Rate of every cell in the whole run."""
        return steady_rates(spikes)

    def measure(self, recordings: Recordings) -> Tables:
        """Rates by concentration and current, and the gain recovered for each concentration."""
        cells = self.by_cell(recordings)
        table = cells.rename(columns={f"conc_{self.ligand}_uM": "conc_uM"})
        if not self.closed:
            return self._measured_gains(table)
        table = table.drop(columns="recovered_gain")
        control = table[table.conc_uM == table.conc_uM.min()]
        rows = []
        for conc, curve in table.groupby("conc_uM"):
            gain, (fitted, error) = curve.gain.iloc[0], self._fit(curve)
            ratio = _slope_ratio(control, curve)
            rows.append((conc, gain, fitted, error, gain / control.gain.iloc[0], ratio))
        return {"table": table, "gains": pd.DataFrame(rows, columns=GAINS)}

    def _measured_gains(self, table: pd.DataFrame) -> Tables:
        """Gains of a neuron without closed form, as its rates and the slopes of its curves tell."""
        control = table[table.conc_uM == table.conc_uM.min()]
        rows = []
        for conc, curve in table.groupby("conc_uM"):
            known = {"gain": curve.gain.iloc[0]} if self.neuron.has_gain else {}
            measured = {
                "recovered_gain": curve.recovered_gain.mean(),
                "recovered_gain_se": curve.recovered_gain.sem(),
                "slope_ratio": _slope_ratio(control, curve),
            }
            rows.append({"conc_uM": conc} | known | measured)
        excitability = self.excitability(table)
        return {"table": table, "gains": pd.DataFrame(rows), "excitability": excitability}

    def _fit(self, curve: pd.DataFrame) -> tuple[float, float]:
        """Gain and its standard error by least squares over the firing part of a curve.

        On a grid of time steps a crossing is noticed up to one step late and dated at the start of
        its step: intervals are half a step short on average, and so are those of the fitted curve.
        """
        firing = curve[curve.rate_Hz > 0]
        if len(firing) < 2:
            return np.nan, np.nan
        current, rate = firing.current_nA.to_numpy(), firing.rate_Hz.to_numpy()
        rheobase = float((self.lif.v_th - self.lif.v_rest) / self.lif.R / nA)
        # Below this gain the weakest current that fired could not have.
        least = rheobase / current.min() * (1 + 1e-9)

        def on_grid(injected: np.ndarray, g: float) -> np.ndarray:
            rate = self.lif.rate(injected * nA, g)
            return np.asarray(rate / (1 - rate * self.dt / 2) / Hz)

        bounds = (least, np.inf)
        (gain,), variance = curve_fit(on_grid, current, rate, p0=least * 1.01, bounds=bounds)
        return float(gain), float(np.sqrt(variance[0, 0]))


def _slope_ratio(control: pd.DataFrame, curve: pd.DataFrame) -> float:
    """Slope over that of control at equal rates; nan where curves share no rates."""
    try:
        return slope_ratio(curve.current_nA, control.rate_Hz, curve.rate_Hz)
    except UserError:
        return float("nan")
