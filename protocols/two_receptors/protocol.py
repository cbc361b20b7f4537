"""Two modulators at once on a cell with a receptor for each: gains multiply, rates do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, linspace, nA, second, umolar

from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptive import Receptive
from neuromod.models.receptor_library import library
from neuromod.parameters import not_negative, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import BathProtocol, check_ascending
from neuromod.protocols.families.neurons import neuron_setting
from neuromod.protocols.two_receptors import page


@dataclass(frozen=True, eq=False)
class TwoReceptors(BathProtocol):
    """Co-application of two modulators: gain and rate over both concentrations.

    Do the gains of two modulators multiply?

    Each modulator has a receptor of its own, and the gain is the product of the gains that they
    set: their logarithms add, and the interaction index ln(g_ab g_00/(g_a0 g_0b)) is 0. The gain
    in every bath is recovered from simulated rates, by inverting the f-I curve, in closed form or
    as simulated without modulators. Rates are not proportional to the gain, so that the same index
    of rates is not 0.
    """

    shown: ClassVar[tuple[str, ...]] = ("surface",)
    small: ClassVar[Mapping[str, Any]] = {
        "conc_first": [0, 0.7, 3.1] * umolar,
        "conc_second": [0, 0.03, 0.7] * umolar,
        "I": [0.9, 1.3] * nA,
        "duration": 0.3 * second,
    }

    neuron: Receptive = neuron_setting(
        GainLIF(receptors=(library["D1"], library["alpha2"])),
        "the neuron, with two receptors: a Gs and a Gi receptor of prefrontal pyramidal cells",
    )
    conc_first: Quantity = not_negative(
        [0, 0.1, 0.3, 1, 3, 10] * umolar,
        "concentrations of what the first receptor binds, none first",
        "chosen here: around a K_D of 1 uM",
    )
    conc_second: Quantity = not_negative(
        [0, 0.01, 0.03, 0.1, 0.3, 1] * umolar,
        "concentrations of what the second receptor binds, none first",
        "chosen here: around a K_D of 0.06 uM",
    )
    I: Quantity = positive(  # noqa: E741
        linspace(0.75, 1.35, 7) * nA,
        "injected currents, one cell each in every bath",
        "chosen here: above rheobase for gains from 0.7, and near it, where rates bend",
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc_first=3, conc_second=3)
        for name in ("conc_first", "conc_second"):
            if getattr(self, name)[0] > 0 * umolar:
                raise UserError(f"{name} must begin with 0, where the other modulator is alone.")
        if len(self.neuron.receptors) != 2 or len(self.neuron.acting) != 2:
            raise UserError(
                f"The neuron must have two receptors, not {len(self.neuron.receptors)}, such as "
                "D1 and alpha2."
            )
        one, other = self.neuron.receptors
        for ligand in one.ligands:
            if ligand in other.ligands:
                raise UserError(
                    f"{ligand} binds to both receptors, {one.name} and {other.name}: take two "
                    "that share no ligand."
                )
        self.check_rheobase()

    @property
    def ligands(self) -> tuple[str, ...]:
        """What the two receptors bind."""
        return tuple(receptor.ligands[0] for receptor in self.neuron.receptors)

    @property
    def doses(self) -> dict[str, Quantity]:
        """Every concentration of the one with every one of the other."""
        return dict(zip(self.ligands, (self.conc_first, self.conc_second), strict=True))

    def measure(self, recordings: Recordings) -> Tables:
        """Every cell, and the surface over both concentrations."""
        table = self.by_cell(recordings)
        theory = {"gain": ("gain", "first")} if self.neuron.has_gain else {}
        closed = {"closed_form_Hz": ("closed_form_Hz", "mean")} if self.closed else {}
        surface = table.groupby(
            [f"conc_{ligand}_uM" for ligand in self.ligands], as_index=False
        ).agg(
            **theory,
            recovered_gain=("recovered_gain", "mean"),
            recovered_gain_se=("recovered_gain", "sem"),
            rate_Hz=("rate_Hz", "mean"),
            **closed,
        )
        gain, rate, *exact = (
            _interaction(self.grid_of(surface[name])).ravel()
            for name in ("recovered_gain", "rate_Hz", *closed)
        )
        surface = surface.assign(
            single_gains_product=surface.recovered_gain * np.exp(-gain),
            gain_interaction=gain,
            rate_interaction=rate,
            **dict(zip(("exact_rate_interaction",), exact, strict=False)),
        )
        found = {"table": table, "surface": surface}
        return found if self.closed else found | {"excitability": self.excitability(table)}

    def grid_of(self, column: pd.Series) -> np.ndarray:
        """A column of the surface over the first and the second concentration."""
        return np.asarray(column).reshape(len(self.conc_first), -1)

    def closed_form(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gain, and interaction of the mean rates, over concentrations in uM, none first."""
        pairs = np.meshgrid(first, second, indexing="ij")
        conc = zip(self.ligands, (side.ravel() * umolar for side in pairs), strict=True)
        gain = self.lif.steady_gain(dict(conc))
        rates = [self.lif.rate(injected, gain) / Hz for injected in self.I]
        shape = pairs[0].shape
        return gain.reshape(shape), _interaction(np.mean(rates, axis=0).reshape(shape))


def _interaction(values: np.ndarray) -> np.ndarray:
    """Logarithm of each value over what the first column's and row's multiply to."""
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.log(values * values[0, 0] / (values[:, :1] * values[:1, :]))
    return np.where(np.isfinite(index), index, np.nan)
