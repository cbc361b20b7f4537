"""XOR by three circuit neurons: which codes compute it, and four rows simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, linspace, mV, nsecond, second, usecond, volt
from brian2.units.allunits import pjoule

from neuromod.chip.conversion import Costs, by_supply, energies
from neuromod.chip.volleys import Volleys
from neuromod.chip.xor import (
    CODES,
    READS_ONE,
    ROW_NAMES,
    ROWS,
    TRUTH,
    Gates,
    designs,
    like_the_paper,
    search,
)
from neuromod.experiment import Experiment
from neuromod.models.circuit import CircuitNeuron
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINS = ["input a", "input b", "hidden 1", "hidden 2", "output"]
COLOURS = (GREEN, ORANGE, BLUE)
NAMES = {
    "widest": "with the widest margin",
    "paper": "with the widest margin of those that answer as the paper's",
}


@dataclass(frozen=True, eq=False)
class Xor(Protocol):
    """XOR by three circuit neurons with 3-bit codes, found by exhaustive search.

    Two inputs, two hidden neurons, one output neuron. A 1 is a train of ten spikes on an input, a
    0 none, and fewer than three output spikes read 0, as in section 6.2 of Barton et al. 2022,
    which does not print the codes. Here every set of six codes is tried at every supply, and two
    networks are simulated: the one whose decisions have the widest margin, and the widest of
    those that give 4 output spikes for a 1 and 2 for a 0, as the paper's simulation did.
    """

    shown = ("designs", "table", "supplies")

    circuit: CircuitNeuron = parameter(
        CircuitNeuron(),
        "the neuron; the search takes its leak as linear and its sources as ideal, the simulation "
        "as they are",
        source="see its own",
    )
    costs: Costs = parameter(Costs(), "energy of the core's events", source="see its own")
    vdd: Quantity = parameter(
        linspace(0.5, 1.0, 11) * volt,
        "supplies to search, each for all three neurons of a network",
        source="Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
        low=0.5 * volt,
        high=1.0 * volt,
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
        refuse_changed("circuit", self.circuit, ["vdd"], "set vdd, which is searched")
        refuse_changed(
            "circuit", self.circuit, ["synapse", "domains", "comparator"],
            "the search is for mirrors of one supply and a clocked comparator",
        )  # fmt: skip
        self._volleys.check(self.circuit)

    def experiments(self) -> dict[str, Experiment]:
        """The four rows of the truth table of the networks found."""
        every = np.arange(len(self._designs))
        gates = Gates.of(self._designs)
        return {"rows": gates.experiment(self.circuit, self._volleys, self.seed, every)}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Rows of the networks simulated, their codes, and what the search found."""
        return {
            "table": self._rows(recordings["rows"]),
            "designs": self._designs,
            "supplies": self._supplies,
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Rasters and membranes of the four rows; networks and margins against the supply."""
        below = ["networks"] * 2 + ["margin"] * 2
        membranes = [f"v{name}" for name in ROW_NAMES]
        layout = [[*ROW_NAMES], membranes, membranes, below, below, below]
        figure, axes = panels(layout, width=10, height=8)
        shown = len(tables["designs"]) - 1
        for row, name in enumerate(ROW_NAMES):
            self._plot_spikes(axes[name], recordings["rows"], shown, row)
            self._plot_membranes(axes[f"v{name}"], recordings["rows"], shown, row)
        axes["v00"].set_ylabel("membrane (mV)")
        supplies = tables["supplies"]
        for column, color, marker, label in (
            ("networks", BLACK, "s-", "all"),
            ("within_rails", BLUE, "o-", "membranes within the rails"),
            ("like_paper", ORANGE, "^-", "of these, 4 spikes for 1, 2 for 0"),
        ):
            found = supplies[column].where(supplies[column] > 0)
            axes["networks"].plot(supplies.vdd_V, found, marker, color=color, ms=4, label=label)
        axes["networks"].set(
            xlabel="synapse supply VDD (V)", ylabel="networks", yscale="log",
            ylim=(1, 30 * max(supplies.networks.max(), 1)),
            title="e  Sets of codes that compute XOR",
        )  # fmt: skip
        axes["networks"].legend(loc="upper left")
        for column, color, marker in (
            ("margin_mV", BLUE, "o-"),
            ("like_paper_margin_mV", ORANGE, "^-"),
        ):
            axes["margin"].plot(supplies.vdd_V, supplies[column], marker, color=color, ms=4)
        axes["margin"].set(
            xlabel="synapse supply VDD (V)", ylabel="widest margin (mV)", ylim=(0, None),
            title="f  Least distance of a decision from threshold",
        )  # fmt: skip
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What was found, what the simulation gave, and where the two differ."""
        return [
            Section("The gates simulated", self._say_rows(tables["table"]), "table"),
            Section(
                "Their codes",
                "Codes a and b are those of the synapses from the two inputs to a hidden neuron, "
                "codes 1 and 2 those from the two hidden neurons to the output. The margin is the "
                "least distance from threshold of any of the three membranes, in any row, at the "
                "moment of a decision.",
                "designs",
            ),
            Section("What the search found", _say_supplies(tables["supplies"]), "supplies"),
        ]

    @property
    def _volleys(self) -> Volleys:
        return Volleys(self.spikes, self.period, self.dt)

    @cached_property
    def _found(self) -> list[pd.DataFrame]:
        return [search(self.circuit, self._volleys, vdd) for vdd in np.atleast_1d(self.vdd)]

    @cached_property
    def _designs(self) -> pd.DataFrame:
        return designs(pd.concat(self._found, ignore_index=True))

    @property
    def _supplies(self) -> pd.DataFrame:
        """One row per supply."""
        rows = []
        for vdd, found in zip(np.atleast_1d(self.vdd), self._found, strict=True):
            within = found[found.within_rails]
            paper = within[like_the_paper(within)]
            rows.append(
                {
                    "vdd_V": float(vdd / volt),
                    "step_mV": float(self.circuit.step(vdd) / mV),
                    "tried": (2 * self.circuit.code_max + 1) ** len(CODES),
                    "networks": found.networks.sum(),
                    "within_rails": within.networks.sum(),
                    "like_paper": paper.networks.sum(),
                    "margin_mV": within.margin_mV.max(),
                    "like_paper_margin_mV": paper.margin_mV.max(),
                }
            )
        return pd.DataFrame(rows)

    def _rows(self, recording: Recording) -> pd.DataFrame:
        """One row per network and row of the truth table."""
        hidden = recording.spikes["hidden"].counts().reshape(-1, 2)
        output = recording.spikes["output"].counts()
        spent = {supply: self._energy(recording, supply) for supply in ("core", "synapse")}
        return pd.DataFrame(
            {
                "design": np.repeat(self._designs.design.to_numpy(), len(ROWS)),
                "row": np.tile(ROW_NAMES, len(self._designs)),
                "hidden_1_spikes": hidden[:, 0],
                "hidden_2_spikes": hidden[:, 1],
                "output_spikes": output,
                "searched_spikes": Gates.of(self._designs)
                .answers(self.circuit, self._volleys)
                .ravel(),
                "reads": (output >= READS_ONE).astype(int),
                "right": (output >= READS_ONE) == np.tile(TRUTH, len(self._designs)),
                "energy_core_pJ": spent["core"],
                "energy_synapse_pJ": spent["synapse"],
                "energy_pJ": spent["core"] + spent["synapse"],
            }
        )

    def _energy(self, recording: Recording, supply: str) -> np.ndarray:
        """Energy of the three neurons of each row, pJ."""
        spent = {
            name: by_supply(
                energies(
                    self.circuit, self.costs, recording.totals[name],
                    recording.spikes[name].counts(), recording.duration,
                )
            )[supply]
            for name in ("hidden", "output")
        }  # fmt: skip
        whole = spent["hidden"].reshape(-1, 2).sum(axis=1) + spent["output"]
        return np.asarray(whole / pjoule)

    def _say_rows(self, table: pd.DataFrame) -> str:
        said = []
        for design, rows in table.groupby("design", sort=False):
            counts = ", ".join(f"{r.output_spikes} for {r.row}" for r in rows.itertuples())
            energy = rows[rows.row != "00"].energy_pJ
            said.append(
                f"The network {NAMES[str(design)]} gives {counts} output spikes: "
                f"{rows.right.sum()} of 4 rows right, at {energy.min():.3g} to "
                f"{energy.max():.3g} pJ for a row with input, both supplies together."
            )
        if "paper" not in set(table.design):
            said.append("No network within the rails gives 4 output spikes for a 1 and 2 for a 0.")
        differing = int((table.output_spikes != table.searched_spikes).sum())
        said.append(
            "In every row the simulation gives as many output spikes as the search had found in "
            "closed form."
            if not differing
            else f"In {differing} of {len(table)} rows the simulation gives another number of "
            "output spikes than the search, which takes the leak as linear and the sources as "
            "ideal."
        )
        said.append(
            "With no input there is no spike, no decision of a comparator and no energy but "
            "leakage: the paper's 2 spikes for a 0 can only be those of the row with both inputs "
            "on. What flows through the synapses follows from the mirror equation; the core's "
            "entries are calibrated here, and their split is an estimate."
        )
        return " ".join(said)

    def _plot_spikes(self, axes: Any, recording: Recording, gate: int, row: int) -> None:
        source = self._volleys.spikes("inputs", 2)
        trains = [source.times[(source.neurons == k) & (ROWS[row, k] == 1)] for k in (0, 1)]
        for population, neuron, _ in _neurons(gate, row):
            spikes = recording.spikes[population]
            trains.append(spikes.times[spikes.neurons == neuron])
        for line, (times, color) in enumerate(zip(trains, (BLACK, BLACK, *COLOURS), strict=True)):
            axes.plot(times / usecond, np.full(len(times), -line), "|", color=color, ms=7)
        axes.set_yticks(-np.arange(len(trains)), TRAINS if row == 0 else [""] * len(trains))
        a, b = ROWS[row]
        axes.set(
            xlim=(0, recording.duration / usecond), ylim=(-4.6, 0.6), xticklabels=[],
            title=f"{'abcd'[row]}  Inputs {a} and {b}",
        )  # fmt: skip

    def _plot_membranes(self, axes: Any, recording: Recording, gate: int, row: int) -> None:
        for population, neuron, color in _neurons(gate, row):
            v = recording.trace(population, "v", neuron)
            axes.plot(recording.times / usecond, v / mV, color=color, lw=1)
        axes.axhline(float(self.circuit.v_th / mV), color=BLACK, lw=0.8, ls=":")
        highest = max(np.max(signals["v"].values / mV) for signals in recording.signals.values())
        lowest = min(np.min(signals["v"].values / mV) for signals in recording.signals.values())
        axes.set(
            xlabel="time (µs)", xlim=(0, recording.duration / usecond),
            ylim=(lowest - 20, highest + 20),
        )  # fmt: skip
        if row:
            axes.set_yticklabels([])


def _neurons(gate: int, row: int) -> list[tuple[str, int, str]]:
    """Population, number and colour of the neurons of a gate in a row of the truth table."""
    copy = gate * len(ROWS) + row
    places = [("hidden", copy * 2), ("hidden", copy * 2 + 1), ("output", copy)]
    return [(*place, color) for place, color in zip(places, COLOURS, strict=True)]


def _say_supplies(supplies: pd.DataFrame) -> str:
    solved = supplies[supplies.networks > 0]
    paper = supplies[supplies.like_paper > 0]
    said = (
        f"At each supply all {supplies.tried[0]} sets of six codes were tried. Networks that "
        f"compute XOR exist from {solved.vdd_V.min():.3g} to {solved.vdd_V.max():.3g} V, most of "
        f"them, {solved.networks.max()}, at {solved.vdd_V[solved.networks.idxmax()]:.3g} V. "
    )
    silent = supplies[(supplies.networks == 0) & (supplies.vdd_V < solved.vdd_V.min())]
    if len(silent):
        worst = silent.iloc[-1]
        said += (
            f"At {worst.vdd_V:.3g} V and below one unit moves the membrane by at most "
            f"{worst.step_mV:.3g} mV, too little for three output spikes. "
        )
    said += (
        "Many of them pull a membrane below ground or push it above its supply, which ideal "
        "sources do and transistors do not: only networks that stay within the rails are built. "
    )
    return said + (
        f"Of these, {paper.like_paper.sum()} give 4 output spikes for a 1 and 2 for a 0, at "
        f"{len(paper)} of {len(supplies)} supplies, with margins of "
        f"{paper.like_paper_margin_mV.min():.2g} to {paper.like_paper_margin_mV.max():.2g} mV."
        if len(paper)
        else "None of these gives 4 output spikes for a 1 and 2 for a 0."
    )
