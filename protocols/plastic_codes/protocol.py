"""What a circuit's synapse keeps of a learned plasticity rule: codes, and a supply as gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from brian2 import Quantity, ms, second, umolar, volt

from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.coded_synapse import CodedSynapse
from neuromod.parameters import parameter, refuse_changed
from neuromod.plasticity.export import PLASTIC, readout, to_experiment
from neuromod.plasticity.learning import Learned, Recipe, learn
from neuromod.plasticity.network import NETWORKS, PlasticNetwork, Shape
from neuromod.plasticity.rules import BOUND
from neuromod.plasticity.tasks import Difficulty, Episodes, PatternRecall
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, RED, SKY, panels
from neuromod.support.log import stage
from neuromod.support.progress import task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODULATIONS = {"ideal": BLUE, "supply": ORANGE, "held": GREEN}
"""What sets the third factor: the network's modulator; a supply that follows it; one that stays."""

TASK = PatternRecall()
NOISES, DELAYS_S = (0.0, 1 / 6, 1 / 3), (0.0, 0.05, 0.1, 0.15)
"""Difficulties to learn from, as in `pattern-recall`."""

FINE = 20
"""Bits that stand for none being lost."""
SHOWN = 3


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a network's plastic part and third factor do in episodes apart from the test.

    Attributes
    ----------
    full : ndarray, shape (hidden,)
        Largest plastic weight onto every cell.
    modulation : ndarray, shape (batch, steps, hidden)
        Third factor.
    sign, highest, mean : ndarray, shape (hidden,)
        Of every cell's third factor: its sign on average, its largest value of that sign, and its
        mean over time of that sign.
    """

    full: np.ndarray
    modulation: np.ndarray

    @property
    def sign(self) -> np.ndarray:
        return np.where(self.modulation.mean(axis=(0, 1)) < 0, -1.0, 1.0)

    @property
    def highest(self) -> np.ndarray:
        return np.asarray(np.maximum((self.sign * self.modulation).max(axis=(0, 1)), 1e-9))

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.modulation.mean(axis=(0, 1)))


@dataclass(frozen=True, eq=False)
class PlasticCodes(Protocol):
    """Task success of a learned, modulated rule against the bits of its plastic weights.

    Networks learn to recall patterns that they were shown once, by a modulated plasticity rule
    whose parameters are learned too. Their plastic weights are then rounded to the signed codes of
    a circuit's synapse, one scale for each cell, and their third factor becomes a supply: the
    mirror's current at a VDD between 0.5 and 1 V, or none when it is off, sets how fast plastic
    traces change. All variants run in Brian2 on the same new episodes.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)

    network: str = parameter(
        "modulated-oja",
        "rule",
        source="chosen here: Oja's; Schmidgall et al. 2021 have both",
        choices=tuple(name for name, (_, modulated) in NETWORKS.items() if modulated),
    )
    gate: str = parameter(
        "direct",
        "what the modulator gates",
        source="chosen here: a change of a code, which an eligibility trace is not",
        choices=("direct", "eligibility"),
    )
    seeds: int = parameter(3, "networks", source="chosen here", low=1)
    hidden: int = parameter(20, "cells", source="chosen here: as in pattern-recall", low=1)
    steps: int = parameter(
        200, "steps of learning", source="chosen here: as in pattern-recall", low=1
    )
    bits: tuple[int, ...] = parameter(
        (0, 1, 2, 3, 4, 5),
        "bits of a code besides its sign; 0: no plastic part",
        source="chosen here; the circuit of Barton et al. 2022 has 3",
        low=0,
        high=16,
    )
    noise: float = parameter(
        1 / 6, "share of a pattern that is exchanged", source="chosen here", low=0, high=1
    )
    delay: Quantity = parameter(
        50 * ms, "before the question", source="chosen here", low=0 * second
    )
    episodes: int = parameter(100, "test episodes", source="chosen here", low=1)
    calibration: int = parameter(
        50, "episodes from which scales are taken", source="chosen here", low=1
    )
    circuit: CircuitNeuron = parameter(CircuitNeuron(), "whose mirror gates", source="see its own")
    supplies: Quantity = parameter(
        [0.5, 1] * volt,
        "lowest and highest supply",
        source="Barton et al. 2022, section 5.2.1",
        low=0.5 * volt,
        high=1 * volt,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("circuit", self.circuit, ["vdd"], "set supplies")
        refuse_changed("circuit", self.circuit, ["bits"], "set bits")
        if len(self.supplies) != 2 or self.supplies[1] <= self.supplies[0]:
            raise UserError(f"supplies must be the lowest and the highest, not {self.supplies}.")
        if len(set(self.bits)) < len(self.bits):
            raise UserError(f"bits name one twice: {', '.join(map(str, self.bits))}.")

    def experiments(self) -> dict[str, Experiment]:
        """For every network all variants side by side, each on the same episodes."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        steps_in("delay", self.delay, self._shape.dt_s * second)
        if self.circuit.unit_current(self.supplies[0]) <= 0:
            raise UserError(
                f"supplies must begin where the mirror conducts, above {self.circuit.vto}."
            )
        return {f"network-{number}": self._variants(number) for number in range(self.seeds)}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Success of every variant, what the supply cuts off, codes used, and an episode's VDD."""
        table = pd.concat([self._success(number, recordings) for number in range(self.seeds)])
        return {
            "table": table,
            "summary": _summary(table),
            "supply": pd.DataFrame([self._cut(number) for number in range(self.seeds)]),
            "codes": self._codes(recordings),
            "course": self._course(),
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:  # noqa: ARG002
        """Success against bits, codes used, and the supply over an episode."""
        figure, axes = panels([["success", "codes"], ["wanted", "vdd"]], width=9, height=6.5)
        _plot_success(axes["success"], tables["summary"])
        _plot_codes(axes["codes"], tables["codes"])
        _plot_course(axes["wanted"], axes["vdd"], tables["course"], self.supplies)
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """How many bits suffice, what the supply does, and what a circuit's synapse lacks."""
        return [
            Section("Bits", self._on_bits(tables["summary"]), "summary"),
            Section("A supply as the gate", self._on_supply(tables), "supply"),
            Section("What the circuit's synapse would support", LIMITS, ""),
            Section("All networks", "Success of every network on the same episodes.", "table"),
        ]

    @property
    def _shape(self) -> Shape:
        return Shape(TASK.inputs, self.hidden, TASK.outputs, self.network, self.gate)

    @cached_property
    def _learned(self) -> list[Learned]:
        bar, found = task("learning"), []
        with stage("learning"):
            for number in range(self.seeds):
                recipe = Recipe(
                    self._shape, TASK, NOISES, DELAYS_S, self.steps, seed=self.seed + number
                )

                def progress(own: int, steps: int, done: int = number) -> None:
                    bar(done * steps + own, self.seeds * steps)

                found.append(learn(recipe, progress))
        return found

    def _network(self, number: int) -> PlasticNetwork:
        return self._learned[number].network.double()

    def _alpha(self, number: int) -> np.ndarray:
        """Coefficients of all synapses, shape (hidden, inputs)."""
        plasticity = self._network(number).plasticity
        assert plasticity is not None
        return np.asarray(plasticity.alpha.detach())

    def _drawn(self, number: int, part: int, episodes: int) -> Episodes:
        """Episodes of the test (part 0) or for calibration (1)."""
        rng = np.random.default_rng([self.seed + number, 7, part])
        difficulty = Difficulty(self.noise, float(self.delay / second))
        drawn = TASK.draw(rng, episodes, difficulty, self._shape.dt_s)
        return drawn._replace(spikes=drawn.spikes.double())

    @cached_property
    def _calibrations(self) -> list[Calibration]:
        return [self._calibrated(number) for number in range(self.seeds)]

    def _calibrated(self, number: int) -> Calibration:
        network = self._network(number)
        spikes = self._drawn(number, 1, self.calibration).spikes
        alpha = self._alpha(number)
        full, modulation = np.zeros(self.hidden), []
        with torch.no_grad():
            for state in network.steps(spikes):
                assert state.traces is not None
                assert state.modulator is not None
                weights = np.abs(alpha * state.traces.plastic.numpy())
                full = np.maximum(full, weights.max(axis=(0, 2)))
                modulation.append(network.modulation(state.modulator.concentration))
        return Calibration(full, torch.stack(modulation, 1).numpy())

    @property
    def _every(self) -> list[tuple[str, int]]:
        """Modulation and bits of every variant."""
        return [(modulation, bits) for modulation in MODULATIONS for bits in (*self.bits, FINE)]

    @property
    def _reach(self) -> float:
        """Current at the lowest supply over that at the highest."""
        low, high = self.circuit.unit_current(self.supplies)
        return float(low / high)

    def _variants(self, number: int) -> Experiment:
        network, found = self._network(number), self._calibrations[number]
        spikes = self._drawn(number, 0, self.episodes).spikes
        base = to_experiment(network, spikes.repeat(len(self._every), 1, 1))
        (synapses,), (cells, *others) = base.plastic, base.populations
        values = self._values(found, synapses.j, synapses.values["alpha"])
        model = CodedSynapse(**vars(synapses.model))
        coded = replace(synapses, model=model, values={**synapses.values, **values})
        return replace(
            base, populations=(self._held(cells, found), *others), plastic=(coded,), seed=self.seed
        )

    def _values(self, found: Calibration, j: np.ndarray, alpha: np.ndarray) -> dict[str, Any]:
        """Of the coded synapses: scale and bound of the code, sign and range of the gate."""
        cell, variant = j % self.hidden, j // (self.hidden * self.episodes)
        bits = np.array([bits for _, bits in self._every])[variant]
        supplied = np.array([kind == "supply" for kind, _ in self._every])[variant]
        full = np.maximum(found.full[cell], 1e-9)
        # Of 0 bits no step is ever taken; beyond its largest code a trace cannot go.
        lsb = np.where(bits == 0, 1e6, full / np.maximum(2.0**bits - 1, 1))
        largest = np.minimum(BOUND, full / np.maximum(np.abs(alpha), 1e-12))
        highest = found.highest[cell]
        return {
            "lsb": lsb,
            "bound": np.where((bits == 0) | (bits == FINE), BOUND, largest),
            "polarity": np.where(supplied, found.sign[cell], 1.0),
            "M_low": np.where(supplied, highest * self._reach, -1e9),
            "M_high": np.where(supplied, highest, 1e9),
        }

    def _held(self, cells: Population, found: Calibration) -> Population:
        """Cells whose third factor stays at its mean, in the variants that ask for it."""
        number = np.arange(cells.size)
        held = np.array([kind == "held" for kind, _ in self._every])
        here = held[number // (self.hidden * self.episodes)]
        values = {
            "tonic": np.where(here, found.mean[number % self.hidden], cells.values["tonic"]),
            "sensitivity": np.where(here, 0, cells.values["sensitivity"] * umolar) / umolar,
        }
        return replace(cells, values={**cells.values, **values})

    def _success(self, number: int, recordings: Mapping[str, Recording]) -> pd.DataFrame:
        network, drawn = self._network(number), self._drawn(number, 0, self.episodes)
        labels = drawn.labels.numpy()
        outputs = readout(network, recordings[f"network-{number}"])
        answers = outputs[:, -drawn.response :].mean(axis=1).argmax(axis=1)
        right = (answers.reshape(len(self._every), -1) == labels).mean(axis=1)
        with torch.no_grad():
            ours = network(drawn.spikes)[:, -drawn.response :].mean(1).argmax(1)
        rows = [
            {
                "network": number,
                "modulation": kind,
                # Without rounding there is no number of bits.
                "bits": np.inf if bits == FINE else bits,
                "success": success,
                "success_in_torch": float((ours.numpy() == labels).mean()),
            }
            for (kind, bits), success in zip(self._every, right, strict=True)
        ]
        return pd.DataFrame(rows)

    def _cut(self, number: int) -> dict[str, Any]:
        """What a supply loses of the third factor, as shares of its integral."""
        found = self._calibrations[number]
        wanted = found.sign * found.modulation
        given = self._given(found)
        total = np.abs(wanted).sum()
        return {
            "network": number,
            "reach": self._reach,
            "against_sign": np.abs(np.minimum(wanted, 0)).sum() / total,
            "changed": np.abs(given - wanted)[wanted > 0].sum() / total,
            "cells_reversed": int((found.sign < 0).sum()),
        }

    def _given(self, found: Calibration) -> np.ndarray:
        """The third factor's size as the supply gives it."""
        wanted, low = found.sign * found.modulation, found.highest * self._reach
        limited = np.clip(wanted, low, found.highest)
        return np.where(wanted > low / 2, limited, 0)

    def _codes(self, recordings: Mapping[str, Recording]) -> pd.DataFrame:
        """How often each code stands at the end of an episode, with the bits nearest to 3."""
        bits = min((b for b in self.bits if b), key=lambda b: abs(b - 3), default=0)
        levels = np.arange(-(2**bits) + 1, 2**bits)
        counts = np.zeros(len(levels))
        for number in range(self.seeds):
            found = self._calibrations[number]
            traces = np.asarray(recordings[f"network-{number}"].totals[PLASTIC]["E"])
            traces = traces.reshape(len(self._every), -1, TASK.inputs, self.hidden)
            kept = traces[self._every.index(("supply", bits))]
            alpha = self._alpha(number).T
            lsb = np.maximum(found.full, 1e-9) / max(2**bits - 1, 1)
            code = np.floor(alpha * kept / lsb + 0.5).astype(int)
            counts += np.bincount((code - levels[0]).ravel(), minlength=len(levels))
        return pd.DataFrame({"bits": bits, "code": levels, "share": counts / counts.sum()})

    def _course(self) -> pd.DataFrame:
        """Third factor wanted and given, and VDD, in an episode of the first network."""
        found = self._calibrations[0]
        reference = self.circuit.unit_current(self.supplies[1])
        given = self._given(found)[0]
        vdd = np.asarray(self.circuit.vdd_for(reference * given / found.highest) / volt)
        moving = np.argsort(-np.ptp(given, axis=0), kind="stable")[:SHOWN]
        times = (np.arange(len(given)) + 1) * self._shape.dt_s * 1e3
        rows = [
            {
                "cell": cell,
                "time_ms": times[step],
                "wanted": found.modulation[0, step, cell],
                "given": found.sign[cell] * given[step, cell],
                "vdd_V": vdd[step, cell] if given[step, cell] > 0 else 0.0,
            }
            for cell in moving
            for step in range(len(given))
        ]
        return pd.DataFrame(rows)

    def _on_bits(self, summary: pd.DataFrame) -> str:
        ideal = summary[summary.modulation == "ideal"].set_index("bits")
        full = ideal.success_mean[np.inf]
        enough = [b for b in ideal.index if ideal.success_mean[b] >= full - 0.02 and b < np.inf]
        least = (
            f"{min(enough):g} bits and a sign are within 2 points of that."
            if enough
            else "No number of bits that was tried comes within 2 points of that."
        )
        none = (
            f" Without the plastic part it is {100 * ideal.success_mean[0]:.0f} %."
            if 0 in ideal.index
            else ""
        )
        return (
            f"With unrounded plastic weights, Brian2's networks answer {100 * full:.0f} ± "
            f"{100 * ideal.success_sd[np.inf]:.0f} % of the questions right (torch: "
            f"{100 * ideal.torch_mean[np.inf]:.0f} %; guessing: {100 / TASK.outputs:.0f} %). "
            f"{least}{none} Every cell has a scale of its own, which its largest plastic weight in "
            "other episodes sets; the trace itself stays analog, and what a spike sees is rounded."
        )

    def _on_supply(self, tables: dict[str, pd.DataFrame]) -> str:
        rows = tables["summary"].query("bits == inf").set_index("modulation")
        right = {
            kind: f"{100 * row.success_mean:.0f} ± {100 * row.success_sd:.0f} %"
            for kind, row in rows.iterrows()
        }
        cut = tables["supply"].mean(numeric_only=True)
        return (
            f"From {self.supplies[1]} down to {self.supplies[0]} the mirror's current falls to "
            f"{cut.reach:.3f} of itself; below half of that the supply is off. The exact inverse "
            "of the mirror gives the supply for every value of the third factor in between. "
            f"{100 * cut.against_sign:.1f} % of the third factor (its integral) has the sign that "
            f"a cell's supply cannot give, and {100 * cut.changed:.1f} % is changed by the ends of "
            f"the range. Success is {right['ideal']} with the modulator itself, "
            f"{right['supply']} with the supply in its role, and {right['held']} with a third "
            "factor that stays at its mean (± is the standard deviation over networks)."
        )


LIMITS = (
    "It supports signed codes for the plastic weights and a gate between nothing and the highest "
    "supply's current. It does not support: both signs of the third factor in one cell, which "
    "would take a second mirror of the other type with a supply of its own; changes smaller than "
    "a step of the code, unless an analog trace stands behind it, as is assumed here; the trace's "
    "own decay and an eligibility trace, which need a leak for each synapse; and coefficients of "
    "single synapses, for the scale is one for each cell. Fixed weights are left unrounded, to "
    "see the plastic part alone."
)


def _summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over networks."""
    found = table.groupby(["modulation", "bits"], sort=False)
    return found.agg(
        success_mean=("success", "mean"),
        success_sd=("success", lambda values: values.std(ddof=0)),
        torch_mean=("success_in_torch", "mean"),
    ).reset_index()


def _plot_success(axes: Any, summary: pd.DataFrame) -> None:
    finite = summary.bits[np.isfinite(summary.bits)]
    end = (finite.max() if len(finite) else 0) + 1
    for number, (kind, color) in enumerate(MODULATIONS.items()):
        rows = summary[summary.modulation == kind]
        at = np.where(np.isfinite(rows.bits), rows.bits, end) + 0.08 * (number - 1)
        axes.errorbar(at, rows.success_mean, rows.success_sd, color=color, marker="o", ms=4,
                      capsize=2, label=kind)  # fmt: skip
    axes.axhline(1 / TASK.outputs, color=BLACK, lw=0.8, ls="--")
    axes.set_xticks([*sorted(set(finite)), end], [*(f"{b:g}" for b in sorted(set(finite))), "∞"])
    axes.set(xlabel="bits of a plastic weight besides its sign", ylabel="success", ylim=(0, 1.03),
             title="a  Success (dashed: guessing)")  # fmt: skip
    axes.legend(title="modulation", loc="lower right")


def _plot_codes(axes: Any, codes: pd.DataFrame) -> None:
    axes.bar(codes.code, codes.share, color=SKY)
    axes.set(yscale="log", xlabel="code", ylabel="share of synapses",
             title=f"b  Codes of {codes.bits.iloc[0]} bits after an episode")  # fmt: skip


def _plot_course(wanted: Any, vdd: Any, course: pd.DataFrame, supplies: Quantity) -> None:
    for color, (cell, rows) in zip((BLUE, ORANGE, RED), course.groupby("cell"), strict=False):
        wanted.plot(rows.time_ms, rows.wanted, color=color, lw=1, label=f"cell {cell}")
        wanted.plot(rows.time_ms, rows.given, ":", color=color)
        vdd.step(rows.time_ms, rows.vdd_V, where="mid", color=color)
    wanted.plot([], [], ":", color=BLACK, label="by supply")
    wanted.set(xlabel="time (ms)", ylabel="third factor M", title="c  Gate of three cells")
    # Room for the legend below the lines.
    low, high = wanted.get_ylim()
    wanted.set_ylim(low - 0.3 * (high - low), high)
    wanted.legend(loc="lower center", ncols=2)
    for level in supplies / volt:
        vdd.axhline(level, color=BLACK, lw=0.8, ls="--")
    vdd.set(xlabel="time (ms)", ylabel="VDD (V)", ylim=(-0.03, 1.08), title="d  Their supplies")
