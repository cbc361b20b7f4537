"""Gain and firing rate against a modulator's concentration, with Hill functions fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, nA, second, umolar

from neuromod.analysis.dose_response import fit_hill, half_effect
from neuromod.analysis.rates import closed_form_rates
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.parameters import not_negative
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.dose_response import page
from neuromod.protocols.families.cells import BathProtocol, check_ascending, robust_fits
from neuromod.protocols.families.measured import (
    TEXTS,
    Compared,
    fitted,
    measured_points,
    read,
    steady,
)

FIT = (
    *("ec50_uM", "ec50_low_uM", "ec50_high_uM"),
    *("hill_slope", "hill_slope_low", "hill_slope_high"),
    "misfit_percent",
)
# How far beyond the doses a curve is followed for its closed-form EC50.
BEYOND = 1e9


@dataclass(frozen=True, eq=False)
class DoseResponse(BathProtocol):
    """Steady gain and firing rate against the concentration of a modulator.

    How do gain and firing rate depend on the concentration of a modulator?

    Cells whose receptors have settled in baths of the modulator fire to constant currents. The
    gain is recovered from their rates alone, by inverting the f-I curve, in closed form or, where
    a neuron has none, as simulated without modulator. A Hill function is fitted to it, as to the
    rate at each current. The fits are compared with what the receptor's equations say.
    """

    shown: ClassVar[tuple[str, ...]] = (
        "doses",
        "gain_fit",
        "rate_fits",
        "excitability",
        "receptor_fit",
    )
    text_columns: ClassVar[tuple[str, ...]] = TEXTS
    small: ClassVar[Mapping[str, Any]] = {
        "conc": [0, 0.13, 0.7, 2.9, 31] * umolar,
        "I": [0.7, 1.3] * nA,
        "duration": 0.3 * second,
    }

    conc: Quantity = not_negative(
        [0, 1e-4, 3e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100] * umolar,
        "concentrations of what the first receptor binds",
        "chosen here: both ends of the curve for a K_D from 10 nM to 10 uM",
    )
    bath: Quantity = not_negative(
        0 * umolar,
        "concentration of every other ligand, such as an antagonist",
        "chosen here: none",
    )

    robust: bool = robust_fits()
    data: str = measured_points("steady responses: columns conc_uM, gain or another response")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc=5)
        self.check_effect(self.conc)
        self.check_rheobase()

    @cached_property
    def compared(self) -> Compared:
        """What was measured, and the receptor fitted to it."""
        if not self.data:
            return Compared()
        points = read(self.data)
        sets = steady(self.data, points, self.receptor, self.bath)
        # One concentration of an antagonist shifts the curve as another affinity would.
        known = [] if "antagonist_uM" in points.values else ["K_B"]
        return fitted(self.data, points, sets, self.receptor, known)

    def experiments(self) -> dict[str, Experiment]:
        """One network, one neuron for every bath and current; a file is refused before it runs."""
        _ = self.compared
        return super().experiments()

    @property
    def doses(self) -> dict[str, Quantity]:
        """All concentrations of the first ligand, one of every other."""
        others = {ligand: [self.bath / umolar] * umolar for ligand in self.neuron.ligands[1:]}
        return {self.ligand: self.conc} | others

    def steady_gain(self, conc: Any) -> np.ndarray:
        """Steady gain at concentrations of the first ligand in uM, the others in the bath."""
        others = dict.fromkeys(self.neuron.ligands, self.bath)
        return self.neuron.steady_gain(others | {self.ligand: conc * umolar})

    def steady_rate(self, conc: np.ndarray, current: float) -> np.ndarray:
        """Closed form of the rate in Hz at concentrations in uM and a current in nA."""
        return closed_form_rates(self.neuron, current * nA, self.steady_gain(conc))

    def measure(self, recordings: Recordings) -> Tables:
        """Every cell, the gain at every dose, and the fits of gain and rates."""
        cells = self.by_cell(recordings)
        others = [f"conc_{ligand}_uM" for ligand in self.neuron.ligands[1:]]
        table = cells.rename(columns={f"conc_{self.ligand}_uM": "conc_uM"}).drop(columns=others)
        known = {"gain": ("gain", "first")} if self.neuron.has_gain else {}
        doses = table.groupby("conc_uM", as_index=False).agg(
            **known,
            recovered_gain=("recovered_gain", "mean"),
            recovered_gain_se=("recovered_gain", "sem"),
            cells_firing=("rate_Hz", np.count_nonzero),
        )
        gain = self._fitted(doses, "recovered_gain", self.steady_gain if self.gain_alone else None)
        rates = []
        for current, curve in table.groupby("current_nA"):
            exact = partial(self.steady_rate, current=current) if self.closed else None
            rates.append({"current_nA": current} | self._fitted(curve, "rate_Hz", exact))
        fits = {"gain_fit": pd.DataFrame([gain]), "rate_fits": pd.DataFrame(rates)}
        if not self.closed:
            excitable = self.excitability(cells.drop(columns=others))
            fits["excitability"] = excitable.rename(columns={f"conc_{self.ligand}_uM": "conc_uM"})
        return {"table": table, "doses": doses, **fits} | self.compared.told()

    def _fitted(self, curve: pd.DataFrame, column: str, closed_form: Any) -> dict[str, float]:
        """A Hill fit, nan where doses do not determine one, and what a closed form says."""
        conc, response = curve.conc_uM.to_numpy(), curve[column].to_numpy()
        unit = column.rpartition("_")[2]
        names = (f"bottom_{unit}", f"top_{unit}", *FIT)
        counted: dict[str, float] = {"down_weighted": 0} if self.robust else {}
        try:
            fit = fit_hill(conc, response, robust=self.robust)
            misfit = 100 * np.nanmax(np.abs(fit(conc) - response)) / abs(fit.top - fit.bottom)
            values = (fit.bottom, fit.top, *astuple(fit.ec50), *astuple(fit.hill_slope), misfit)
            counted = dict.fromkeys(counted, fit.down_weighted)
        except UserError:
            values = (np.nan,) * len(names)
        found = dict(zip(names, values, strict=True)) | counted
        if closed_form is None:
            return found
        ec50, slope = half_effect(closed_form, conc[conc > 0].min() / BEYOND, conc.max() * BEYOND)
        return found | {"exact_ec50_uM": ec50, "exact_hill_slope": slope}
