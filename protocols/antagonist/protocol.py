"""Dose-response curves under a competitive antagonist, and the Schild plot of their shifts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, molar, nA, second, umolar

from neuromod.analysis.dose_response import HillFit, fit_hill
from neuromod.analysis.rates import closed_form_rates
from neuromod.analysis.schild import gaddum_schild, schild
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptive import Receptive
from neuromod.models.receptors import Receptor
from neuromod.parameters import not_negative, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.antagonist import page
from neuromod.protocols.families.cells import BathProtocol, check_ascending, robust_fits
from neuromod.protocols.families.measured import (
    TEXTS,
    Compared,
    fitted,
    measured_points,
    read,
    steady,
)
from neuromod.protocols.families.neurons import neuron_setting
from neuromod.support.text import say

SCHILD = ["slope", "slope_low", "slope_high", "pA2", "pA2_low", "pA2_high", "exact_pA2"]


@dataclass(frozen=True, eq=False)
class Antagonist(BathProtocol):
    """Shift of the dose-response curve by a competitive antagonist, and its Schild plot.

    How far does a competitive antagonist shift a dose-response curve?

    An antagonist that competes for the binding site shifts the curve of a response against the
    agonist's concentration to the right by the dose ratio 1 + [B]/K_B (Gaddum 1937). The response
    here is a firing rate: equal responses mean equal occupancies, whatever lies between receptor
    and spikes. Schild's regression of log(dose ratio - 1) on log [B] has slope 1 and gives K_B; so
    does one fit of Gaddum's and Schild's equation to all curves.
    """

    shown: ClassVar[tuple[str, ...]] = ("curves", "schild", "global_fit", "receptor_fit")
    text_columns: ClassVar[tuple[str, ...]] = TEXTS
    small: ClassVar[Mapping[str, Any]] = {
        "antagonist": [0.3, 1.1, 4.7] * umolar,
        "conc": [0, 0.17, 1.3, 19, 170] * umolar,
        "I": [1.3] * nA,
        "duration": 0.3 * second,
    }

    neuron: Receptive = neuron_setting(
        GainLIF(receptors=(Receptor(antagonist="antagonist"),)),
        "the neuron, with one receptor that has an antagonist",
    )
    conc: Quantity = not_negative(
        [0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000] * umolar,
        "concentrations of the agonist",
        "chosen here: both ends of every curve, the most shifted one included",
    )
    antagonist: Quantity = positive(
        [0.1, 0.3, 1, 3, 10] * umolar,
        "concentrations of the antagonist, besides none",
        "chosen here: 1 to 100 K_B",
    )
    I: Quantity = positive(  # noqa: E741
        linspace(0.9, 1.5, 5) * nA,
        "injected currents; the response is the mean rate of the cells, one at each",
        "chosen here: above rheobase at gain 1; several, because time steps round intervals",
    )

    robust: bool = robust_fits()
    data: str = measured_points(
        "steady responses: columns conc_uM, antagonist_uM, gain or another response"
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc=5, antagonist=3)
        if len(self.neuron.receptors) > 1 or not self.receptor.antagonist:
            raise UserError(
                "The neuron must have one receptor, and that an antagonist: set "
                f"receptors.{self.receptor.name}.antagonist to a name."
            )
        least = 0.1 * self.k_b
        if self.antagonist[0] < least:
            raise UserError(
                f"antagonist = {say(self.antagonist[0])} hardly shifts a curve: use at "
                f"least {say(least)}, a tenth of K_B."
            )
        first = self.receptor.ec50
        last = first * (1 + self.antagonist[-1] / self.k_b)
        if self.conc[self.conc > 0 * umolar][0] > first or self.conc[-1] < last:
            raise UserError(
                f"conc must reach from below {say(first)} to above {say(last)}, the EC50 without "
                "and with the most antagonist."
            )
        self.check_effect(self.conc)
        if not self.closed:
            return
        gain = self.neuron.steady_gain({self.ligand: self.conc})
        if np.ptp(closed_form_rates(self.neuron, self.I[-1], gain)) == 0:
            raise UserError(
                f"{self.ligand} does not change the rate of any cell: set a gain_max other than "
                "1, and currents I above rheobase."
            )

    @property
    def k_b(self) -> Quantity:
        """The antagonist's dissociation constant."""
        return self.receptor.k_off_antagonist / self.receptor.k_on_antagonist

    @property
    def doses(self) -> dict[str, Quantity]:
        """Every concentration of the antagonist, none first, with every one of the agonist."""
        return {self.receptor.antagonist: self._baths * umolar, self.ligand: self.conc}

    def measure(self, recordings: Recordings) -> Tables:
        """Every cell, the mean rates, their curves, and the regression."""
        names = {self.receptor.antagonist: "antagonist_uM", self.ligand: "conc_uM"}
        columns = {f"conc_{ligand}_uM": name for ligand, name in names.items()}
        cells = self.by_cell(recordings).rename(columns=columns)
        rates = ["rate_Hz", *(["closed_form_Hz"] if self.closed else [])]
        table = cells[[*names.values(), "current_nA", *rates]]
        responses = table.groupby([*names.values()], as_index=False)[rates].mean()
        points = responses.conc_uM.to_numpy(), responses.rate_Hz.to_numpy()
        number = np.searchsorted(self._baths, responses.antagonist_uM)
        fit = fit_hill(*points, number, robust=self.robust)
        found = np.ravel(astuple(schild(self.antagonist, fit)))
        regression = pd.DataFrame([[*found, self._exact_affinity]], columns=SCHILD)
        curves = self._curves(fit)
        if self.robust:
            curves["down_weighted"] = np.bincount(number, fit.weights < 0.5).astype(int)
        joint = self._global(points, responses.antagonist_uM.to_numpy() * umolar)
        tables = {"table": table, "responses": responses, "curves": curves}
        return tables | {"schild": regression, "global_fit": joint} | self.compared.told()

    @cached_property
    def compared(self) -> Compared:
        """What was measured, and the receptor fitted to it."""
        if not self.data:
            return Compared()
        points = read(self.data)
        if "antagonist_uM" not in points.values:
            raise UserError(f"{self.data} needs a column antagonist_uM, 0 where there was none.")
        sets = steady(self.data, points, self.receptor, 0 * umolar)
        return fitted(self.data, points, sets, self.receptor)

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron for every bath and current; a file is refused before it runs."""
        _ = self.compared
        return super().experiments()

    @property
    def _baths(self) -> np.ndarray:
        """The antagonist's concentrations in uM, none first."""
        return np.concatenate([[0], self.antagonist / umolar])

    @property
    def _exact_affinity(self) -> float:
        """The pA2 of the receptor's own constant."""
        return float(-np.log10(self.k_b / molar))

    def _global(self, points: tuple[np.ndarray, np.ndarray], antagonist: Quantity) -> pd.DataFrame:
        """Gaddum and Schild's fit to all curves, with any Schild slope and with 1."""
        rows = []
        for slope in (None, 1.0):
            fit = gaddum_schild(*points, antagonist, schild_slope=slope, robust=self.robust)
            found = [*astuple(fit.schild_slope), *astuple(fit.pA2), self._exact_affinity]
            counted = {"down_weighted": fit.down_weighted} if self.robust else {}
            rows.append(dict(zip(SCHILD, found, strict=True)) | counted)
        return pd.DataFrame(rows)

    def _curves(self, fit: HillFit) -> pd.DataFrame:
        """One row for each concentration of the antagonist."""
        ratio, low, high = np.transpose([(1, np.nan, np.nan), *map(astuple, fit.dose_ratios)])
        return pd.DataFrame(
            {
                "antagonist_uM": self._baths,
                "ec50_uM": fit.ec50.value * ratio,
                "dose_ratio": ratio,
                "dose_ratio_low": low,
                "dose_ratio_high": high,
                "exact_dose_ratio": 1 + self._baths * umolar / self.k_b,
                "hill_slope": fit.hill_slope.value,
                "bottom_Hz": fit.bottom,
                "top_Hz": fit.top,
            }
        )
