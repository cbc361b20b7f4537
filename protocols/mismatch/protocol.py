"""The XOR gate on chips no two devices of which are alike, and what re-tuning takes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, kelvin, linspace, mV, nsecond, second, volt
from brian2.units.constants import boltzmann_constant
from scipy.stats import binomtest

from neuromod.chip.conversion import VDD_HIGH, VDD_LOW
from neuromod.chip.variation import (
    CORNERS,
    Deviations,
    Mismatch,
    Process,
    at_corner,
    at_temperature,
    draw,
)
from neuromod.chip.volleys import Volleys
from neuromod.chip.xor import ROW_NAMES, Gates, computes, designs, join, pick, retune, search
from neuromod.errors import UserError
from neuromod.experiment import Experiment
from neuromod.inputs.noise import add, noisy_supply, thermal
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLUE, ORANGE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Study, condition, number of chips, and how they deviate.
Study = tuple[str, Any, int, Deviations]
# What rounding may add to a supply at the end of its range.
SLACK = 1e-6 * volt
COLOURS = {"widest": BLUE, "paper": ORANGE}
NAMES = {"widest": "with the widest margin", "paper": "with the paper's spikes"}
SOURCES = {
    "vto": "threshold voltages",
    "beta": "transconductance factors",
    "R_S": "load resistors",
    "C": "capacitors",
    "R_leak": "pseudo-resistors",
    "v_th": "comparators' thresholds",
    "t_spike": "widths of spikes",
}


@dataclass(frozen=True, eq=False)
class ChipMismatch(Protocol):
    """Yield of the XOR gate under mismatch, corners, temperature and noise, and re-tuned.

    Devices that were drawn alike differ on a chip. Here two XOR gates, found as in the protocol
    xor, are made several hundred times with devices drawn at random, at several sizes of the
    mismatch, and with one kind of device varying at a time; then at process corners, at
    temperatures, and under noise. Where a gate fails, each of its neurons gets a supply voltage of
    its own, as a neuromodulator gives each neuron a gain of its own: what that takes back is the
    question.
    """

    shown = ("table", "sources", "conditions", "noise")

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    mismatch: Mismatch = parameter(Mismatch(), "one standard deviation", source="see its own")
    process: Process = parameter(Process(), "corners and temperature", source="see its own")
    vdd: Quantity = parameter(
        linspace(0.5, 1.0, 11) * volt,
        "supplies at which codes are searched",
        source="Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
        low=0.5 * volt,
        high=1.0 * volt,
    )
    trim: Quantity = parameter(
        linspace(-100, 100, 11) * mV,
        "changes of a neuron's supply that re-tuning may make, as far as 0.5 to 1 V allow",
        source="chosen here: steps of about 4 % of a current",
    )
    chips: int = parameter(
        200, "chips at each size of the mismatch", source="chosen here: +-7 % at worst", low=1
    )
    sizes: np.ndarray = parameter(
        np.array([0.5, 1, 2, 3, 4, 6]),
        "sizes of the mismatch, in the standard deviations given",
        source="chosen here: from a better process to a yield below a half",
        low=0,
    )
    source_size: float = parameter(
        4.0,
        "size of the mismatch where one kind of device varies alone",
        source="chosen here: where up to half of the gates fail when all vary",
        low=0,
    )
    temperature: Quantity = parameter(
        [233, 273, 300, 333, 358, 398] * kelvin,
        "temperatures",
        source="chosen here: -40 to 125 degrees Celsius",
        low=0 * kelvin,
        low_excluded=True,
    )
    supply_noise: Quantity = parameter(
        [0, 4, 8] * mV,
        "standard deviations of the noise on every neuron's supply, beside thermal noise; a new "
        "value every period",
        source="chosen here",
        low=0 * mV,
    )
    spikes: int = parameter(
        10, "input spikes of a 1", source="Barton et al. 2022, section 6.2", low=1, high=64
    )
    period: Quantity = parameter(
        370 * nsecond,
        "from one input spike to the next; at least a neuron's dead time, 300 ns",
        source="chosen here: off the dead time, far below the membrane's 20 us",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        10 * nsecond,
        "time step",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed(
            "circuit", self.circuit,
            ["vdd", "synapse", "domains", "comparator", "leak", "output", "R_supply"],
            "codes and supplies are found in closed form, with linear leaks, ideal sources and a "
            "clocked comparator",
        )  # fmt: skip
        if not np.any(np.isclose(self.trim / mV, 0)):
            raise UserError(f"trim = {self.trim} must contain 0 mV, the supply of the design.")
        self._volleys.check(self.circuit)

    def experiments(self) -> dict[str, Experiment]:
        """Every chip as made and re-tuned; and the designs under noise."""
        made = join([part for both in self._chips for part in both[1:]])
        shown = np.zeros(1, dtype=int)
        return {
            "chips": made.experiment(self.circuit, self._volleys, self.seed, shown),
            "noise": self._noisy(),
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Yields by size and by kind of device, rows right by condition, and under noise."""
        counts = recordings["chips"].spikes["output"].counts().reshape(-1, len(ROW_NAMES))
        parts, at = [], 0
        for labels, before, _ in self._chips:
            n = len(before.codes)
            made, tuned = counts[at : at + n], counts[at + n : at + 2 * n]
            part = labels.assign(right=computes(made).sum(axis=1),
                                 right_retuned=computes(tuned).sum(axis=1))  # fmt: skip
            part[[f"spikes_{row}" for row in ROW_NAMES]] = made
            parts.append(part)
            at += 2 * n
        gates = pd.concat(parts, ignore_index=True)
        conditions = gates[gates.study == "condition"].drop(columns="study")
        return {
            "table": _yields(gates[gates.study == "size"], "size_sigma"),
            "sources": _yields(gates[gates.study == "source"], "source"),
            "conditions": conditions.reset_index(drop=True),
            "noise": self._measure_noise(recordings["noise"]),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Yields before and after re-tuning: by size, by kind of device, and by condition."""
        del recordings
        layout = [["sizes", "sources"], ["sizes", "sources"], ["conditions", "conditions"]]
        figure, axes = panels(layout, width=10, height=7.5)
        for design, rows in tables["table"].groupby("design", sort=False):
            color = COLOURS[str(design)]
            for name, line, label in (("yield", "o--", "as made"), ("retuned", "s-", "re-tuned")):
                _with_intervals(axes["sizes"], rows.size_sigma, rows, name, fmt=line, color=color,
                                label=f"{NAMES[str(design)]}, {label}")  # fmt: skip
        axes["sizes"].set(
            xlabel="size of the mismatch (standard deviations)", ylabel="gates that work (%)",
            ylim=(0, 103), xlim=(0, None), title="a  Yield, with 95 % intervals",
        )  # fmt: skip
        axes["sizes"].legend(loc="lower left")
        self._plot_sources(axes["sources"], tables["sources"])
        _plot_conditions(axes["conditions"], tables["conditions"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """Yield, what matters most, what re-tuning takes back and what it cannot."""
        return [
            Section("Yield under mismatch", _say_sizes(tables["table"]), "table"),
            Section("Which devices matter", self._say_sources(tables["sources"]), "sources"),
            Section("Corners and temperature", _say_conditions(tables["conditions"]), "conditions"),
            Section("Noise", self._say_noise(tables["noise"]), "noise"),
        ]

    @property
    def _volleys(self) -> Volleys:
        return Volleys(self.spikes, self.period, self.dt)

    @cached_property
    def _designs(self) -> pd.DataFrame:
        found = [search(self.circuit, self._volleys, vdd) for vdd in np.atleast_1d(self.vdd)]
        return designs(pd.concat(found, ignore_index=True))

    @cached_property
    def _chips(self) -> list[tuple[pd.DataFrame, Gates, Gates]]:
        """Of each design the labels of its chips, these as made, and re-tuned."""
        generator = np.random.default_rng(self.seed)
        found = []
        for place, design in enumerate(self._designs.design):
            gate = Gates.of(self._designs.iloc[[place]])
            drawn = draw(self.circuit, self.mismatch, (self.chips, 3), 2, generator)
            studies = [*self._drawn(drawn), *self._shared(gate.codes[0])]
            supplies = gate.vdd[0, 0] + self.trim
            trims = self.trim[(supplies > VDD_LOW - SLACK) & (supplies < VDD_HIGH + SLACK)]
            levels = [
                join([self._made(gate, trim, deviations, n) for *_, n, deviations in studies])
                for trim in trims
            ]
            home = int(np.argmin(np.abs(trims)))
            tuned = pick(levels, retune(self.circuit, self._volleys, levels, home))
            labels = [
                {"design": design, "study": study, "condition": condition}
                for study, condition, n, _ in studies
                for _ in range(n)
            ]
            found.append((pd.DataFrame(labels), levels[home], tuned))
        return found

    def _drawn(self, drawn: Deviations) -> list[Study]:
        """Mismatch at several sizes, and of one kind of device at a time."""
        sizes: list[Study] = [("size", size, self.chips, drawn * size) for size in self.sizes]
        return sizes + [
            ("source", name, self.chips, drawn.only(kind) * self.source_size)
            for kind, name in SOURCES.items()
        ]

    def _shared(self, codes: np.ndarray) -> list[Study]:
        """Corners and temperatures."""
        corners: list[Study] = [
            ("condition", corner, 1, at_corner(self.circuit, self.process, corner, codes))
            for corner in CORNERS
        ]
        return corners + [
            ("condition", f"{t / kelvin:.4g} K", 1, at_temperature(self.circuit, self.process, t))
            for t in np.atleast_1d(self.temperature)
        ]

    def _made(self, gate: Gates, trim: Quantity, deviations: Deviations, n: int) -> Gates:
        """Copies of a gate on chips, all supplies changed alike."""
        vdd = np.clip(gate.vdd + trim, VDD_LOW, VDD_HIGH)
        copies = replace(gate, vdd=vdd).take(np.zeros(n, dtype=int))
        return copies.made(self.circuit, deviations)

    @property
    def _trials(self) -> pd.DataFrame:
        """Design and noise of each gate of the experiment with noise."""
        design, noise, _ = np.indices(
            (len(self._designs), len(self.supply_noise), self.chips)
        ).reshape(3, -1)
        return pd.DataFrame({"design": design, "noise": noise})

    def _noisy(self) -> Experiment:
        """The gates as designed, under thermal noise and noise of supplies."""
        trials = self._trials
        gates = Gates.of(self._designs.iloc[trials.design])
        quiet = gates.experiment(self.circuit, self._volleys, self.seed, np.zeros(1, dtype=int))
        generator = np.random.default_rng([self.seed, 1])
        spread = self.supply_noise[trials.noise.to_numpy()]
        schedules = []
        for population in quiet.populations:
            copies = population.size // len(trials)
            times = (self.period, quiet.duration, self.dt, generator)
            own = np.repeat(spread / volt, copies) * volt
            schedules += [noisy_supply(population, own, *times), thermal(population, *times)]
        return add(quiet, schedules)

    def _plot_sources(self, axes: Any, sources: pd.DataFrame) -> None:
        names = list(SOURCES.values())
        for k, (design, rows) in enumerate(sources.groupby("design", sort=False)):
            height = -np.arange(len(rows)) + 0.14 - 0.28 * k
            color = COLOURS[str(design)]
            axes.hlines(height, rows.yield_percent, rows.retuned_percent, color=color, lw=1)
            axes.plot(rows.yield_percent, height, "o", color=color, mfc="white", ms=5)
            axes.plot(rows.retuned_percent, height, "s", color=color, ms=4)
        axes.set_yticks(-np.arange(len(names)), names)
        axes.set(
            xlabel="gates that work (%)",
            title=f"b  One kind of device alone, at {self.source_size:.3g} standard deviations\n"
            "     (circles as made, squares re-tuned)",
        )

    def _say_sources(self, sources: pd.DataFrame) -> str:
        said = []
        for design, rows in sources.groupby("design", sort=False):
            worst = rows.sort_values("yield_percent").head(2)
            most = " and ".join(f"{r.source} ({r.yield_percent:.3g} %)" for r in worst.itertuples())
            said.append(f"For the gate {NAMES[str(design)]} these are {most}.")
        return (
            f"At {self.source_size:.3g} standard deviations each kind of device varied alone; the "
            f"lowest yields say what to draw larger first. {' '.join(said)} The order follows from "
            "the standard deviations given, which are estimates. A wider spike of a hidden neuron "
            "is a larger charge into the output; where two charges of opposite sign are to cancel, "
            "the difference adds up over a train."
        )

    def _say_noise(self, noise: pd.DataFrame) -> str:
        worst = noise.sort_values("right_percent").iloc[0]
        trials = int(noise.trials.iloc[0])
        thermal_mV = float(
            (boltzmann_constant * self.circuit.temperature / self.circuit.C) ** 0.5 / mV
        )
        return (
            f"The gates as designed, {trials} times at each noise. Thermal noise alone has a "
            f"standard deviation of {thermal_mV:.2g} mV on the membrane, far below the margins; "
            f"the supplies' noise comes on top, a new value for every volley of spikes. The "
            f"lowest share of gates with all four rows right is {worst.right_percent:.3g} % "
            f"({worst.right_low_percent:.3g} to {worst.right_high_percent:.3g} %), for the gate "
            f"{NAMES[worst.design]} at {worst.supply_noise_mV:.3g} mV."
        )

    def _measure_noise(self, recording: Recording) -> pd.DataFrame:
        counts = recording.spikes["output"].counts().reshape(-1, len(ROW_NAMES))
        trials = self._trials.assign(works=computes(counts).all(axis=1))
        rows = []
        for (design, noise), group in trials.groupby(["design", "noise"]):
            rows.append(
                {
                    "design": self._designs.design[design],
                    "supply_noise_mV": float(self.supply_noise[noise] / mV),
                    "trials": len(group),
                    **_share("right", int(group.works.sum()), len(group)),
                }
            )
        return pd.DataFrame(rows)


def _with_intervals(axes: Any, x: Any, rows: pd.DataFrame, name: str, **style: Any) -> None:
    middle = rows[f"{name}_percent"]
    below, above = middle - rows[f"{name}_low_percent"], rows[f"{name}_high_percent"] - middle
    # Rounding may leave an end a hair inside the point.
    axes.errorbar(x, middle, yerr=np.maximum([below, above], 0), ms=4, capsize=2, **style)


def _plot_conditions(axes: Any, conditions: pd.DataFrame) -> None:
    names = list(dict.fromkeys(conditions.condition))
    for k, (design, rows) in enumerate(conditions.groupby("design", sort=False)):
        place, color = np.arange(len(rows)) - 0.12 + 0.24 * k, COLOURS[str(design)]
        axes.vlines(place, rows.right, rows.right_retuned, color=color, lw=1)
        axes.plot(place, rows.right, "o", color=color, mfc="white", ms=6, label=NAMES[str(design)])
        axes.plot(place, rows.right_retuned, "s", color=color, ms=4)
    axes.set_xticks(np.arange(len(names)), names)
    axes.set(
        ylabel="rows right of 4", ylim=(0, 4.4),
        title="c  Process corners (n-type, p-type) and temperature, without mismatch",
    )  # fmt: skip


def _say_sizes(table: pd.DataFrame) -> str:
    said = []
    for design, rows in table.groupby("design", sort=False):
        one = rows.iloc[np.argmin(np.abs(rows.size_sigma.astype(float) - 1))]
        last = rows.iloc[-1]
        said.append(
            f"Of the gate {NAMES[str(design)]}, {one.yield_percent:.3g} % "
            f"({one.yield_low_percent:.3g} to {one.yield_high_percent:.3g} %) work at "
            f"{one.size_sigma:.3g} times the mismatch given, and {last.yield_percent:.3g} % at "
            f"{last.size_sigma:.3g} times. With a supply for each neuron these become "
            f"{one.retuned_percent:.3g} % and {last.retuned_percent:.3g} %."
        )
    return (
        " ".join(said) + "\n\nThe same draws are used at every size. A gate that works is left "
        "alone; for one that fails all combinations of supplies are tried, in closed form, by "
        "what could be seen on a chip, the number of output spikes. The gates are then simulated "
        "as made and as re-tuned, and the yields are those of the simulation. The four rows "
        "tuned on are all there are; noise was left out of both. What is rescued is the share of "
        "failing gates. Intervals are Wilson's at 95 %, for chips like these: they do not cover "
        "that the standard deviations themselves are estimates. One supply feeds both synapses "
        "of a neuron, so that re-tuning cannot restore the balance of two currents that ought to "
        "cancel."
    )


def _say_conditions(conditions: pd.DataFrame) -> str:
    wrong = conditions[conditions.right < len(ROW_NAMES)]
    if wrong.empty:
        return "Both gates work at all of these corners and temperatures."
    said = [
        f"{row.condition} ({NAMES[row.design]}): {row.right} of 4 rows as made, "
        f"{row.right_retuned} re-tuned"
        for row in wrong.itertuples()
    ]
    return (
        f"Of {len(conditions)} cases {len(wrong)} fail: {'; '.join(said)}. Heat makes the "
        "pseudo-resistor leak exponentially more, since it conducts below threshold; a slow n-type "
        "beside a fast p-type transistor upsets charges that ought to cancel. How far corners lie "
        "from typical is an estimate."
    )


def _share(name: str, successes: int, trials: int) -> dict[str, float]:
    """A share and its 95 % confidence interval (Wilson's), percent; nan of no trials."""
    if not trials:
        return {f"{name}_percent": np.nan, f"{name}_low_percent": np.nan,
                f"{name}_high_percent": np.nan}  # fmt: skip
    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return {
        f"{name}_percent": 100 * successes / trials,
        f"{name}_low_percent": 100 * interval.low,
        f"{name}_high_percent": 100 * interval.high,
    }


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
                **_share("yield", int(works.sum()), len(group)),
                **_share("retuned", int(tuned.sum()), len(group)),
                **_share("rescued", int((tuned & ~works).sum()), int((~works).sum())),
            }
        )
    return pd.DataFrame(rows)
