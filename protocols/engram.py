"""A memory that homeostatic rewiring stores without any Hebbian rule, and loses again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, ms, pA, second
from scipy.sparse import csr_matrix
from scipy.stats import mannwhitneyu

from neuromod.analysis.spike_trains import between, count_correlation, interval_cvs
from neuromod.checks import steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.inputs.spikes import fixed_indegree, poisson
from neuromod.models.gain_lif import GainLIF
from neuromod.models.structural import CODE, StructuralPlasticity, Wiring
from neuromod.parameters import parameter, refuse_changed
from neuromod.plasticity.rewiring import (
    RewiredNetwork,
    develop,
    homeostatic_indegree,
    synapses_between,
)
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, RED, SKY, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOMENTS = {"naive": SKY, "learned": RED, "forgotten": GREEN}
RASTER = 0.5 * second
SAMPLE = 100
GROUPS = ("cued", "uncued", "others", "inhibitory")


@dataclass(frozen=True, eq=False)
class Engram(Protocol):
    """Silent memory of a network whose synapses only hold firing rates.

    Excitatory neurons create and delete the synapses among themselves to hold a target rate
    (Gallinaro, Gašparović & Rotter 2022). A group that is stimulated loses synapses while it fires
    too much and, once the stimulus is over, regrows them with whoever grows at the same time: with
    itself. Its rate then is everyone's again, and the memory silent, until a cue to some of the
    group excites the others. Rewiring is computed on the rates of mean-field theory, one for each
    neuron; networks of spiking neurons with the synapses of three moments are simulated under
    cues, and tested against that theory.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "wirings")

    neuron: GainLIF = parameter(GainLIF(modulated=False), "every neuron", source="see its own")
    plasticity: StructuralPlasticity = parameter(
        StructuralPlasticity(), "rule of the excitatory neurons", source="see its own"
    )
    n_excitatory: int = parameter(
        800, "excitatory neurons", source="chosen here: 1000 neurons in all", low=4
    )
    n_inhibitory: int = parameter(
        200, "inhibitory neurons", source=f"{CODE}: a quarter as many", low=2
    )
    n_outside: int = parameter(
        4000,
        "neurons outside",
        source="chosen here: two neurons have 2 % of their input from there in common",
        low=1,
    )
    indegree: int = parameter(
        80,
        "excitatory synapses onto every inhibitory neuron, as many from outside onto every "
        "neuron, and inhibitory ones in the proportion of the populations",
        source=f"{CODE}: a tenth of the possible ones",
        low=1,
    )
    weight: Quantity = parameter(
        125 * pA,
        "step of the synaptic current after an excitatory spike",
        source="chosen here: its charge would lift the membrane by 0.5 mV; 0.1 mV at 12.5 times "
        f"the neurons in the {CODE}",
        low=0 * amp,
        low_excluded=True,
    )
    g: float = parameter(8.0, "inhibitory over excitatory weight", source=CODE, low=0)
    drive: Quantity = parameter(
        27.5 * Hz,
        "rate of every neuron outside",
        source="chosen here: 1.1 times what alone brings the mean to threshold, so that some 70 "
        "synapses are left to grow",
        low=0 * Hz,
        low_excluded=True,
    )
    delay: Quantity = parameter(1 * ms, "delay of every synapse", source=CODE, low=0 * second)
    irregularity: float = parameter(
        0.7,
        "coefficient of variation of the intervals between spikes, as calcium sees it",
        source="calibrated here: what the spiking network has; the table says how near it is",
        low=0,
        low_excluded=True,
    )
    engram: float = parameter(
        0.1, "share of the excitatory neurons that is stimulated", source=CODE, low=0, high=0.5,
        low_excluded=True,
    )  # fmt: skip
    stimulus: float = parameter(
        1.25,
        "drive of stimulated or cued neurons over that of the others",
        source=f"chosen here; 1.05 to 1.4 in the {CODE}",
        low=1,
        low_excluded=True,
    )
    repeats: int = parameter(2, "stimuli", source="chosen here", low=1)
    growing: Quantity = parameter(
        500 * second, "time to grow from no synapses", source=CODE, low=0 * second
    )
    stimulation: Quantity = parameter(
        150 * second, "length of a stimulus", source=CODE, low=0 * second, low_excluded=True
    )
    rest: Quantity = parameter(
        300 * second,
        "time after each stimulus",
        source=f"chosen here: until rates have returned; 150 s in the {CODE}",
        low=0 * second,
    )
    forgetting: Quantity = parameter(
        7200 * second, "time without stimulus at the end", source="chosen here: two hours",
        low=0 * second, low_excluded=True,
    )  # fmt: skip
    cues: np.ndarray = parameter(
        np.array([0, 0.25, 0.5, 0.75, 1]),
        "shares of the engram that a cue stimulates",
        source="chosen here",
        low=0,
        high=1,
    )
    dwell: Quantity = parameter(
        2 * second, "measured time of a cue", source=f"{CODE}: 2 s", low=0 * second,
        low_excluded=True,
    )  # fmt: skip
    transient: Quantity = parameter(
        0.2 * second,
        "time of a cue before that",
        source="chosen here: ten membrane time constants",
        low=0 * second,
    )
    dt: Quantity = parameter(
        0.1 * ms,
        "time step",
        source="chosen here: a twentieth of tau_syn",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed("neuron", self.neuron, ["I_ext"], "set drive")
        refuse_changed("neuron", self.neuron, ["trained_gain"], "set weight")
        refuse_changed("neuron", self.neuron, ["synapse"], "synapses are exponential")
        if self.neuron.modulated:
            raise UserError("neuron.modulated must be false: no modulator is in this network.")

    def experiments(self) -> dict[str, Experiment]:
        """Networks with the synapses of each moment, side by side one for each cue."""
        # Not when made: settings change one at a time, and need to fit only when all have.
        self._check()
        generator = self._generators[2]
        duration = self.transient + self.dwell
        names = {"outside": self.drive, "cue": (self.stimulus - 1) * self.drive}
        sources = tuple(
            poisson(name, self.n_outside, rate, self.dt, duration, self.dt, generator)
            for name, rate in names.items()
        )
        rise = np.tile(generator.uniform(0, 1, self._size), len(self.cues))
        start = {"v": self.neuron.v_rest + rise * (self.neuron.v_th - self.neuron.v_rest)}
        cells = Population("cells", self.neuron, len(rise), start)
        return {
            moment: Experiment(
                populations=(cells,),
                sources=sources,
                connections=self._connections(wiring),
                duration=duration,
                dt=self.dt,
                seed=self.seed,
            )
            for moment, wiring in self._wirings.items()
        }

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Rates and recall under every cue, the synapses of each moment, and their history."""
        rows = [
            self._row(moment, number, recordings[moment])
            for moment in MOMENTS
            for number in range(len(self.cues))
        ]
        return {
            "table": pd.DataFrame(rows),
            "wirings": self._moments,
            "history": self._development[0],
        }

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Rates and connectivity while learning, forgetting, recall, and spikes of a recall."""
        layout = [["rates", "synapses", "forgetting"], ["recalled", "quality", "raster"]]
        figure, axes = panels(layout, width=11, height=6.5)
        table, history = tables["table"], tables["history"]
        end = tables["wirings"].time_s[1]
        self._plot_learning(axes, history[history.time_s <= end])
        self._plot_forgetting(axes["forgetting"], self._forgetting(history, end))
        _plot_recalled(axes["recalled"], table[table.moment == "learned"])
        _plot_quality(axes["quality"], table)
        self._plot_raster(axes["raster"], recordings["learned"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What was stored, that it is silent, how it is recalled, and how it is lost."""
        table, wirings = tables["table"], tables["wirings"].set_index("moment")
        return [
            Section("Learning", self._on_learning(wirings), "wirings"),
            Section("Silence and recall", self._on_recall(table), "table"),
            Section("Forgetting", self._on_forgetting(tables), ""),
            Section("What is computed how", self._on_theory(table), ""),
        ]

    @property
    def _size(self) -> int:
        return self.n_excitatory + self.n_inhibitory

    @property
    def _members(self) -> int:
        """Neurons of the engram: the first."""
        return round(self.engram * self.n_excitatory)

    @property
    def _indegrees(self) -> np.ndarray:
        """Synapses onto an inhibitory neuron from excitatory and inhibitory ones and outside."""
        inhibitory = self.indegree * self.n_inhibitory // self.n_excitatory
        return np.array([self.indegree, inhibitory, self.indegree])

    @property
    def _weights(self) -> Quantity:
        return np.array([1, -self.g, 1]) * self.weight

    @property
    def _steps(self) -> dict[str, int]:
        """Rewirings in every phase."""
        phases = ("growing", "stimulation", "rest", "forgetting")
        interval = self.plasticity.interval
        return {phase: steps_in(phase, getattr(self, phase), interval) for phase in phases}

    @cached_property
    def _generators(self) -> list[np.random.Generator]:
        """Of fixed synapses, of rewiring, and of the simulations."""
        return np.random.default_rng(self.seed).spawn(3)

    @cached_property
    def _fixed(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Source and target of the synapses that do not rewire, by the name of their source."""
        excitatory, cells = np.arange(self.n_excitatory), np.arange(self._size)
        inhibitory, generator = cells[self.n_excitatory :], self._generators[0]
        among, off, outside = self._indegrees
        there = np.arange(self.n_outside)
        return {
            "excitatory": fixed_indegree(excitatory, inhibitory, among, generator),
            "inhibitory": fixed_indegree(inhibitory, cells, off, generator, recurrent=True),
            "outside": fixed_indegree(there, cells, outside, generator),
            "cue": fixed_indegree(there, np.arange(self._members), outside, generator),
        }

    @cached_property
    def _network(self) -> RewiredNetwork:
        kinds = [self._fixed[name] for name in ("excitatory", "inhibitory")]
        weights = np.asarray(self._weights / amp)
        values = np.repeat(weights[:2], [len(pre) for pre, _ in kinds])
        pre, post = (np.concatenate(side) for side in zip(*kinds, strict=True))
        fixed = csr_matrix((values, (post, pre)), (self._size, self._size))
        groups = (np.arange(self.n_excitatory) < self._members).astype(int)
        return RewiredNetwork(
            self.neuron, self.plasticity, self.weight, fixed, groups, self.irregularity
        )

    @cached_property
    def _development(self) -> tuple[pd.DataFrame, dict[str, tuple[int, Wiring]]]:
        """History, and each moment's rewiring and synapses."""
        steps = self._steps
        lesson = np.repeat([1, 0], [steps["stimulation"], steps["rest"]])
        parts = [np.zeros(steps["growing"], int), *[lesson] * self.repeats]
        ends = [len(parts[0]), sum(map(len, parts))]
        schedule = np.concatenate([*parts, np.zeros(steps["forgetting"], int)])
        kept = dict(zip(MOMENTS, [*ends, len(schedule)], strict=True))
        inputs = [self._outside(0), self._outside(1)]
        history, wirings = develop(
            self._network, inputs, schedule, kept.values(), self._generators[1]
        )
        return history, {moment: (step, wirings[step]) for moment, step in kept.items()}

    @property
    def _wirings(self) -> dict[str, Wiring]:
        return {moment: wiring for moment, (_, wiring) in self._development[1].items()}

    def _check(self) -> None:
        if self.indegree * self.n_inhibitory % self.n_excitatory:
            raise UserError(
                f"indegree = {self.indegree} must be such that indegree*n_inhibitory/n_excitatory "
                "inhibitory synapses are a whole number."
            )
        if self._members < 2:
            raise UserError(f"engram = {self.engram} must be at least 2 neurons.")
        if np.any(np.diff(self.cues) <= 0) or self.cues[0] != 0:
            raise UserError("cues must be in ascending order, and begin with 0: no cue.")
        for name in ("dwell", "transient", "delay"):
            steps_in(name, getattr(self, name), self.dt)

    def _cued(self, cue: float) -> int:
        """Neurons under a cue: the first of the engram."""
        return round(cue * self._members)

    def _outside(self, cue: float) -> np.ndarray:
        """Mean and variance of the input from outside under a cue."""
        over = np.where(np.arange(self._size) < self._cued(cue), self.stimulus, 1)
        weight, drive = float(self.weight / amp), float(self.drive / Hz)
        return self._network.rates.outside(self._indegrees[2] * over, weight, drive)

    def _connections(self, wiring: Wiring) -> tuple[Connection, ...]:
        """Of one network for each cue, all with the same synapses and input."""
        excitatory = np.array(self._fixed["excitatory"])
        excitatory = np.append([wiring.pre, wiring.post], excitatory, axis=1)
        kinds: list[Any] = [excitatory, self._fixed["inhibitory"]]
        first = self._size * np.arange(len(self.cues))[:, None]
        made = [
            Connection("cells", "cells", "I_syn", i=(pre + first).ravel(), j=(post + first).ravel(),
                       weight=weight, delay=self.delay)
            for (pre, post), weight in zip(kinds, self._weights, strict=False)
        ]  # fmt: skip
        reached = {
            "outside": np.full(len(self.cues), self._size),
            "cue": np.array([self._cued(cue) for cue in self.cues]),
        }
        for name, below in reached.items():
            pre, post = self._fixed[name]
            copy, synapse = np.nonzero(post < below[:, None])
            targets = post[synapse] + first[copy, 0]
            made.append(
                Connection(
                    name,
                    "cells",
                    "I_syn",
                    i=pre[synapse],
                    j=targets,
                    weight=self.weight,
                    delay=self.delay,
                )
            )
        return tuple(made)

    def _groups(self, cue: float) -> dict[str, np.ndarray]:
        """Neurons by what they are under a cue."""
        ends = [self._cued(cue), self._members, self.n_excitatory]
        return dict(zip(GROUPS, np.split(np.arange(self._size), ends), strict=True))

    def _row(self, moment: str, number: int, recording: Recording) -> dict[str, Any]:
        """Rates of the groups, simulated and by theory, and recall under one cue."""
        cue = float(self.cues[number])
        spikes = between(recording.spikes["cells"], self.transient, recording.duration, self.dt)
        first = number * self._size
        own = (spikes.neurons >= first) & (spikes.neurons < first + self._size)
        spikes = Spikes("cells", self._size, spikes.neurons[own] - first, spikes.times[own])
        simulated = spikes.counts() / float(self.dwell / second)
        weights = self._network.weights(self._wirings[moment])
        theory = self._network.rates.settled(weights, self._outside(cue), simulated)
        groups = self._groups(cue)
        row = {"moment": moment, "cue": cue}
        row |= {f"{name}_Hz": _mean(simulated[group]) for name, group in groups.items()}
        row |= {f"mean_field_{name}_Hz": _mean(theory[group]) for name, group in groups.items()}
        recall, chance = _recall(simulated[groups["uncued"]], simulated[groups["others"]])
        cvs = interval_cvs(spikes, groups["others"][:SAMPLE])
        correlation = count_correlation(
            spikes, groups["others"][:SAMPLE], self.neuron.tau_m, self.dwell
        )
        return row | {
            "recall": recall,
            "chance_sd": chance,
            "cv": _mean(cvs[np.isfinite(cvs)]),
            "correlation": correlation,
        }

    @property
    def _moments(self) -> pd.DataFrame:
        """The synapses of each moment, and how many theory asks for."""
        wanted = homeostatic_indegree(
            self.neuron, self.plasticity.target, self._indegrees, self._weights, self.drive
        )
        rows = []
        for moment, (step, wiring) in self._development[1].items():
            state = synapses_between(self._network.groups, wiring)
            rows.append(
                {
                    "moment": moment,
                    "time_s": float(step * self.plasticity.interval / second),
                    "homeostatic_indegree": wanted,
                    **state,
                }
            )
        return pd.DataFrame(rows)

    def _forgetting(self, history: pd.DataFrame, learned: float) -> pd.DataFrame:
        """Synapses within the engram after learning, and what random turnover leaves of them."""
        after = history[history.time_s >= learned]
        everyone = after.indegree / (self.n_excitatory - 1)
        excess = after.within_engram.iloc[0] - everyone.iloc[0]
        left = np.exp(after.turnover.iloc[0] - after.turnover)
        hours = (after.time_s - learned) / 3600
        return pd.DataFrame(
            {
                "time_h": hours,
                "within_engram": after.within_engram,
                "everyone": everyone,
                "predicted": everyone + excess * left,
            }
        )

    def _plot_learning(self, axes: Any, learning: pd.DataFrame) -> None:
        """Rates, and synapses within and between the groups, up to the end of learning."""
        minutes = learning.time_s / 60
        looks = {
            "rates": {"engram_Hz": RED, "others_Hz": BLUE, "inhibitory_Hz": ORANGE},
            "synapses": {
                "within_engram": RED, "onto_engram": SKY, "from_engram": ORANGE,
                "among_others": BLUE,
            },
        }  # fmt: skip
        for panel, columns in looks.items():
            for column, color in columns.items():
                # Engram and others exchange as many synapses one way as the other.
                dashed = "--" if column == "from_engram" else "-"
                label = column.removesuffix("_Hz").replace("_", " ")
                axes[panel].plot(minutes, learning[column], dashed, color=color, label=label)
            _shade(axes[panel], minutes, learning.input)
            axes[panel].set(xlabel="time (min)", ylim=(0, None))
            axes[panel].legend(loc="upper left")
        target = float(self.plasticity.target / Hz)
        axes["rates"].axhline(target, color=BLACK, lw=0.5, ls=":")
        axes["rates"].set(ylabel="rate (Hz)", title="a  Rates, stimuli shaded (theory)")
        axes["synapses"].set(ylabel="synapses per pair", title="b  Connectivity")

    def _plot_forgetting(self, axes: Any, forgetting: pd.DataFrame) -> None:
        looks = {
            "within_engram": ("within engram", RED, "-"),
            "predicted": ("by turnover alone", BLACK, "--"),
            "everyone": ("all pairs", BLUE, "-"),
        }
        for column, (label, color, line) in looks.items():
            axes.plot(forgetting.time_h, forgetting[column], line, color=color, label=label)
        axes.set(xlabel="time after learning (h)", ylabel="synapses per pair", ylim=(0, None),
                 title="c  Forgetting")  # fmt: skip
        axes.legend()

    def _plot_raster(self, axes: Any, recording: Recording) -> None:
        """The engram and as many others under the cue nearest to a half."""
        number = int(np.argmin(np.abs(self.cues - 0.5)))
        end, shown = recording.duration, min(self.dwell, RASTER)
        spikes = between(recording.spikes["cells"], end - shown, end, self.dt)
        neurons, times = spikes.neurons - number * self._size, np.asarray(spikes.times / ms)
        cued = self._cued(self.cues[number])
        limits = {"cued": (0, cued, RED), "uncued": (cued, self._members, ORANGE),
                  "others": (self._members, 2 * self._members, BLUE)}  # fmt: skip
        for low, high, color in limits.values():
            inside = (neurons >= low) & (neurons < high)
            axes.plot(times[inside], neurons[inside], ".", color=color, ms=2)
        middles = {name: (low + high) / 2 for name, (low, high, _) in limits.items() if high > low}
        axes.set_yticks(list(middles.values()), list(middles), rotation=90, va="center")
        axes.set(xlabel="time (ms)", xlim=(0, shown / ms), ylim=(-1, 2 * self._members),
                 title=f"f  Learned network, {100 * self.cues[number]:.3g} % cued")  # fmt: skip

    def _on_learning(self, wirings: pd.DataFrame) -> str:
        naive, learned = wirings.loc["naive"], wirings.loc["learned"]
        return (
            "Excitatory neurons start without synapses among themselves and grow them until they "
            f"fire at {float(self.plasticity.target / Hz):.3g} Hz. Theory asks for "
            f"{naive.homeostatic_indegree:.3g} synapses per neuron; the network has "
            f"{naive.indegree:.3g} before and "
            f"{learned.indegree:.3g} after learning. Where they are has changed: within the "
            f"engram there were {naive.within_engram:.3g} per pair of neurons and are "
            f"{learned.within_engram:.3g}, between engram and others {naive.onto_engram:.3g} and "
            f"{learned.onto_engram:.3g}. No synapse knows both of its neurons' activity."
        )

    def _on_recall(self, table: pd.DataFrame) -> str:
        learned = table[table.moment == "learned"]
        silent = learned[learned.cue == 0].iloc[0]
        found = "; ".join(
            f"with {100 * row.cue:.3g} % of it cued the rest fires at {row.uncued_Hz:.3g} Hz, the "
            f"others at {row.others_Hz:.3g} Hz (recall {row.recall:.3g})"
            for row in learned.itertuples()
            if 0 < row.cue < 1
        )
        return (
            f"Without a cue the engram fires at {silent.uncued_Hz:.3g} Hz after learning and the "
            f"others at {silent.others_Hz:.3g} Hz: recall {silent.recall:.3g}. "
            + (f"In the same network {found}. " if found else "")
            + "Recall is the probability that a neuron of the engram that is not cued fires more "
            f"spikes in {float(self.dwell / second):.3g} s than one outside (the area under the "
            "ROC curve): 0.5 is chance, give or take chance_sd. These rates are of spiking "
            "networks; columns that begin with mean_field are theory's for the same synapses."
        )

    def _on_forgetting(self, tables: dict[str, pd.DataFrame]) -> str:
        wirings = tables["wirings"]
        course = self._forgetting(tables["history"], wirings.time_s[1])
        first, last = course.iloc[0], course.iloc[-1]
        left, predicted = (
            (last[column] - last.everyone) / (first.within_engram - first.everyone)
            for column in ("within_engram", "predicted")
        )
        return (
            "Synapses turn over while nothing happens, because calcium follows single spikes. "
            "Deleted ones come back between neurons drawn at random, so that what the engram has "
            "more than others decays with the share deleted. After "
            f"{last.time_h:.3g} h {100 * left:.3g} % of it is left in the network, and "
            f"{100 * predicted:.3g} % would be by turnover alone."
        )

    def _on_theory(self, table: pd.DataFrame) -> str:
        off = pd.concat([table[f"{name}_Hz"] / table[f"mean_field_{name}_Hz"] - 1
                         for name in GROUPS])  # fmt: skip
        return (
            "Rewiring is computed on the rates of mean-field theory, one for each neuron from its "
            "own synapses, and on spike counts drawn with these rates and the variance of trains "
            f"whose intervals have a CV of {self.irregularity:.3g}; correlations between neurons "
            "are left out. Spiking networks are simulated with the synapses of three moments: "
            f"their groups fire {100 * off.abs().mean():.2g} % off theory on average and "
            f"{100 * off.abs().max():.2g} % at most, with CVs of {table.cv.min():.2g} to "
            f"{table.cv.max():.2g} and correlations of {table.correlation.min():.2g} to "
            f"{table.correlation.max():.2g} over {float(self.neuron.tau_m / ms):.3g} ms. "
            "Homeostasis of the spikes themselves would remove what is off at rest."
        )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _recall(uncued: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and its standard deviation where both are alike."""
    pairs = uncued.size * others.size
    if not pairs:
        return float("nan"), float("nan")
    area = mannwhitneyu(uncued, others).statistic / pairs
    return float(area), float(np.sqrt((uncued.size + others.size + 1) / 12 / pairs))


def _shade(axes: Any, minutes: pd.Series, stimulated: pd.Series) -> None:
    """Mark the stimuli."""
    axes.fill_between(minutes, 0, 1, where=stimulated == 1, step="post", color=BLACK, alpha=0.1,
                      lw=0, transform=axes.get_xaxis_transform())  # fmt: skip


def _plot_recalled(axes: Any, rows: pd.DataFrame) -> None:
    """Rates under cues: spikes as points, theory as lines."""
    for name, color in (("cued", RED), ("uncued", ORANGE), ("others", BLUE)):
        axes.plot(rows.cue, rows[f"mean_field_{name}_Hz"], "-", color=color, lw=1)
        axes.plot(rows.cue, rows[f"{name}_Hz"], "o", color=color, ms=4, label=name)
    axes.set(xlabel="cued share of the engram", ylabel="rate (Hz)", ylim=(0, None),
             title="d  Learned network; theory (lines)")  # fmt: skip
    axes.legend()


def _plot_quality(axes: Any, table: pd.DataFrame) -> None:
    """Recall against the cue at each moment, and where chance would have it."""
    cues = table[table.recall.notna()]
    for moment, rows in cues.groupby("moment", sort=False):
        axes.plot(rows.cue, rows.recall, "o-", color=MOMENTS[moment], label=moment)
    chance = cues[cues.moment == "learned"]
    axes.fill_between(chance.cue, 0.5 - 2 * chance.chance_sd, 0.5 + 2 * chance.chance_sd,
                      color=BLACK, alpha=0.1, lw=0, label="chance, 2 SD")  # fmt: skip
    axes.set(xlabel="cued share of the engram", ylabel="area under ROC curve", ylim=(0.3, 1.03),
             title="e  Recall: uncued against others")  # fmt: skip
    axes.legend()
