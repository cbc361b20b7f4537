"""The XOR gate on chips no two devices of which are alike, and what re-tuning takes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, kelvin, linspace, mV, ohm, volt
from scipy.stats import binomtest

from neuromod.chip.variation import Deviations, Mismatch, at_corner, at_temperature, draw
from neuromod.chip.xor import ROW_NAMES, Gates, computes, join, pick, retune
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.inputs.noise import noisy_supply, thermal
from neuromod.models.circuit import CORNERS
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import GateProtocol, keep
from neuromod.protocols.mismatch import page
from neuromod.recording import Recording
from neuromod.support.text import say

# Study, condition, number of chips, and how they deviate.
Batch = tuple[str, Any, int, Deviations]
# What rounding may add to a supply at the end of its range.
SLACK = 1e-6 * volt
SOURCES = {
    "vto": "threshold voltages",
    "beta": "transconductance factors",
    "R_S": "load resistors",
    "C": "capacitors",
    "R_leak": "pseudo-resistors",
    "v_offset": "comparators' thresholds",
    "t_spike": "widths of spikes",
}


@dataclass(frozen=True, eq=False)
class ChipMismatch(GateProtocol):
    """Yield of the XOR gate under mismatch, corners, temperature and noise, and re-tuned.

    What yield has the XOR gate under mismatch, corners, temperature and noise, and after re-tuning?

    Nominally identical devices differ on a chip. Two XOR gates, found as in the protocol xor,
    are made several hundred times with devices drawn at random, at several sizes of the mismatch,
    and with one kind of device varying at a time; then at process corners, at temperatures, and
    under noise. Where a gate fails, each of its neurons gets a supply voltage of its own, as a
    neuromodulator gives each neuron a gain of its own: how much yield does this recover?
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "sources", "conditions", "noise")
    small: ClassVar[Mapping[str, Any]] = {
        "vdd": [0.9] * volt,
        "trim": [-40, 0, 40] * mV,
        "chips": 7,
        "sizes": np.array([1, 4]),
        "supply_noise": [3] * mV,
    }

    mismatch: Mismatch = parameter(Mismatch(), "one standard deviation", "see its own")
    trim: Quantity = parameter(
        linspace(-100, 100, 11) * mV,
        "changes of a neuron's supply that re-tuning may make, as far as its range allows",
        "chosen here: steps of about 4 % of a current",
    )
    chips: int = parameter(
        200, "chips at each size of the mismatch", "chosen here: +-7 % at worst", low=1
    )
    sizes: np.ndarray = not_negative(
        np.array([0.5, 1, 2, 3, 4, 6]),
        "sizes of the mismatch, in the standard deviations given",
        "chosen here: from a better process to a yield below a half",
    )
    source_size: float = not_negative(
        4.0,
        "size of the mismatch where one kind of device varies alone",
        "chosen here: where up to half of the gates fail when all vary",
    )
    temperature: Quantity = positive(
        [233, 273, 300, 333, 358, 398] * kelvin,
        "temperatures",
        "chosen here: -40 to 125 degrees Celsius",
    )
    supply_noise: Quantity = not_negative(
        [0, 4, 8] * mV,
        "standard deviations of the noise on every neuron's supply, beside thermal noise; a new "
        "value every period",
        "chosen here",
    )
    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        why = "chips are re-tuned in closed form"
        keep(self.circuit, why, leak="linear", output="ideal", R_supply=0 * ohm)
        if not np.any(np.isclose(self.trim / mV, 0)):
            raise UserError(f"trim = {say(self.trim)} must contain 0 mV, the supply of the design.")

    def experiments(self) -> dict[str, Experiment]:
        """Every chip as made and re-tuned; and the designs under noise."""
        chips = join([part for _, made, tuned in self.gates for part in (made, tuned)])
        return {"chips": self._experiment(chips), "noise": self._noisy()}

    def measure(self, recordings: Recordings) -> Tables:
        """Yields by size and by kind of device, rows right by condition, and under noise."""
        counts = _output(recordings["chips"])
        parts = []
        for labels, _, _ in self.gates:
            made, tuned, counts = np.split(counts, [len(labels), 2 * len(labels)])
            right, retuned = computes(made).sum(axis=1), computes(tuned).sum(axis=1)
            spikes = {f"spikes_{row}": made[:, k] for k, row in enumerate(ROW_NAMES)}
            parts.append(labels.assign(right=right, right_retuned=retuned, **spikes))
        gates = pd.concat(parts, ignore_index=True)
        sizes, sources, conditions = (
            gates[gates.study == study].drop(columns="study").reset_index(drop=True)
            for study in ("size", "source", "condition")
        )
        works = computes(_output(recordings["noise"])).all(axis=1)
        works = works.reshape(len(self.designs), len(self.supply_noise), self.chips).sum(axis=2)
        noise = [
            {
                "design": design,
                "supply_noise_mV": float(spread / mV),
                "trials": self.chips,
                **_share("right", right, self.chips),
            }
            for design, of_design in zip(self.designs.design, works, strict=True)
            for spread, right in zip(self.supply_noise, of_design, strict=True)
        ]
        return {
            "table": _yields(sizes, "size_sigma"),
            "sources": _yields(sources, "source"),
            "conditions": conditions,
            "noise": pd.DataFrame(noise),
        }

    @cached_property
    def gates(self) -> list[tuple[pd.DataFrame, Gates, Gates]]:
        """Of each design the labels of its chips, these as made, and re-tuned."""
        generator = np.random.default_rng(self.seed)
        found = []
        for place, design in enumerate(self.designs.design):
            gate = Gates.of(self.designs.iloc[[place]])
            batches = self._batches(gate.codes[0], generator)
            supplies = gate.values["vdd"][0, 0] + self.trim
            low, high = self.circuit.vdd_low, self.circuit.vdd_high
            trims = self.trim[(supplies > low - SLACK) & (supplies < high + SLACK)]
            levels = []
            for trim in trims:
                vdd = np.clip(gate.values["vdd"] + trim, low, high)
                designed = replace(gate, values={"vdd": vdd})
                made = [
                    designed.take(np.zeros(n, dtype=int)).made(self.circuit, deviations)
                    for *_, n, deviations in batches
                ]
                levels.append(join(made))
            home = int(np.argmin(np.abs(trims)))
            tuned = pick(levels, retune(self.circuit, self.train, levels, home))
            labels = [
                {"design": design, "study": study, "condition": condition}
                for study, condition, n, _ in batches
                for _ in range(n)
            ]
            found.append((pd.DataFrame(labels), levels[home], tuned))
        return found

    def _batches(self, codes: np.ndarray, generator: np.random.Generator) -> list[Batch]:
        """Chips to make: at sizes of the mismatch, of one kind of device, and at conditions."""
        circuit, chips = self.circuit, self.chips
        drawn = draw(circuit, self.mismatch, (chips, 3), 2, generator)
        alone = {name: drawn.only(kind) * self.source_size for kind, name in SOURCES.items()}
        corners = {corner: at_corner(circuit, corner, codes) for corner in CORNERS}
        warm = {say(t, kelvin): at_temperature(circuit, t) for t in self.temperature}
        return [
            *(("size", size, chips, drawn * size) for size in self.sizes),
            *(("source", name, chips, deviations) for name, deviations in alone.items()),
            *(("condition", name, 1, shared) for name, shared in (corners | warm).items()),
        ]

    def _noisy(self) -> Experiment:
        """The gates as designed, under thermal noise and noise of supplies."""
        design, size, _ = np.indices((len(self.designs), len(self.supply_noise), self.chips))
        quiet = self._experiment(Gates.of(self.designs.iloc[design.ravel()]))
        generator = np.random.default_rng([self.seed, 1])
        noise = []
        for population in quiet.populations:
            spread = self.supply_noise[size.ravel()].repeat(population.size // design.size)
            times = (self.period, quiet.duration, self.dt, generator)
            noise += [noisy_supply(population, spread, *times), thermal(population, *times)]
        return quiet.add(*noise)

    def _experiment(self, gates: Gates) -> Experiment:
        return gates.experiment(self.circuit, self.train, self.seed, np.array([0]))


def _output(recording: Recording) -> np.ndarray:
    """Output spikes of every gate, shape (gates, 4)."""
    return recording.spikes["output"].counts().reshape(-1, len(ROW_NAMES))


def _share(name: str, successes: int, trials: int) -> dict[str, float]:
    """A share and its 95 % confidence interval (Wilson's), percent; nan of no trials."""
    shares = [np.nan] * 3
    if trials:
        interval = binomtest(int(successes), trials).proportion_ci(method="wilson")
        shares = [100 * successes / trials, 100 * interval.low, 100 * interval.high]
    ends = ("percent", "low_percent", "high_percent")
    return {f"{name}_{end}": share for end, share in zip(ends, shares, strict=True)}


def _yields(gates: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Yield before and after re-tuning, and the share of failing chips that it rescues."""
    rows = []
    for (design, value), group in gates.groupby(["design", "condition"], sort=False):
        works, tuned = group.right == len(ROW_NAMES), group.right_retuned == len(ROW_NAMES)
        rows.append(
            {
                "design": design,
                condition: value,
                "chips": len(group),
                **_share("yield", works.sum(), len(group)),
                **_share("retuned", tuned.sum(), len(group)),
                **_share("rescued", (tuned & ~works).sum(), (~works).sum()),
            }
        )
    return pd.DataFrame(rows)
