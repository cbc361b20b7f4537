"""A memory that homeostatic rewiring stores without any Hebbian rule, and loses again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, amp, ms, pA, second
from scipy.sparse import csr_matrix
from scipy.stats import mannwhitneyu

from neuromod.analysis.mean_field import LIFRates, NeuronRates
from neuromod.analysis.rates import has_closed_form
from neuromod.analysis.spike_trains import count_correlation, interval_cvs
from neuromod.analysis.transfer_function import MeasuredRates, Probe
from neuromod.checks import steps_in
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.inputs.spikes import fixed_indegree, poisson
from neuromod.models.gain_lif import GainLIF
from neuromod.models.structural import CODE, StructuralPlasticity, Wiring
from neuromod.parameters import not_negative, parameter, positive
from neuromod.plasticity import rewiring
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.engram import page
from neuromod.protocols.families.random_networks import RandomNetwork
from neuromod.protocols.families.timing import time
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.machine import check_time
from neuromod.support.text import say

MOMENTS = ("naive", "learned", "forgotten")
PHASES = ("growing", "stimulation", "rest", "forgetting")
# Neurons whose trains are compared (chosen here).
SAMPLE = 100
# Least wall time of one.
REWIRING_S = 1e-3
# Chosen here: how far rates of other neurons are measured. Inhibitory ones may fire at so many
# times the target, and the net drive be so many times that of stimulated neurons from outside.
RATES, DRIVES = 5, 2
# In which spikes are counted for correlations, as the membrane time constant of `GainLIF`.
BIN = 20 * ms


@dataclass(frozen=True, eq=False)
class Engram(RandomNetwork):
    """Silent memory of a network whose synapses only hold firing rates.

    How does rewiring for a target rate store a silent memory, recall it from a cue, and lose it?

    Excitatory neurons create and delete the synapses among themselves to hold a target rate
    (Gallinaro, Gašparović & Rotter 2022). A stimulated group fires too much and loses synapses.
    After the stimulus it regrows them with the neurons that grow at the same time: with itself. Its
    rate is then that of all others, and the memory is silent until a cue to some of the group
    excites the rest. Rewiring runs on rates of single neurons: by mean-field theory, or by the
    transfer function, measured first, of a neuron without any. Spiking networks with the synapses
    of three moments are simulated under cues and compared with these rates. No modulator reaches
    the neurons.
    """

    shown: ClassVar[tuple[str, ...]] = ("table", "wirings")
    small: ClassVar[Mapping[str, Any]] = {
        "n_excitatory": 160,
        "n_inhibitory": 40,
        "n_outside": 400,
        "indegree": 20,
        "weight": 400 * pA,
        "growing": 20 * second,
        "stimulation": 20 * second,
        "rest": 20 * second,
        "forgetting": 20 * second,
        "cues": np.array([0, 0.5]),
        "dwell": 0.15 * second,
    }

    plasticity: StructuralPlasticity = parameter(
        StructuralPlasticity(), "rule of the excitatory neurons", "see its own"
    )
    n_outside: int = parameter(
        4000,
        "neurons outside",
        "chosen here: two neurons share 2 % of their input from there",
        low=1,
    )
    drive: Quantity = positive(
        27.5 * Hz,
        "rate of every neuron outside",
        "chosen here: 1.1 times the rate that alone brings the mean to threshold, so that some 70 "
        "synapses are left to grow",
    )
    irregularity: float = positive(
        0.7,
        "coefficient of variation of inter-spike intervals, for the noise of calcium",
        "calibrated here: that of the spiking network, as the table shows",
    )
    engram: float = positive(0.1, "share of the excitatory neurons stimulated", CODE, high=0.5)
    stimulus: float = parameter(
        1.25,
        "drive of stimulated or cued neurons over that of others",
        f"chosen here; 1.05 to 1.4 in the {CODE}",
        low=1,
        low_excluded=True,
    )
    repeats: int = parameter(2, "stimuli", "chosen here", low=1)
    growing: Quantity = not_negative(500 * second, "time to grow from no synapses", CODE)
    stimulation: Quantity = positive(150 * second, "length of a stimulus", CODE)
    rest: Quantity = not_negative(
        300 * second,
        "time after each stimulus",
        f"chosen here: until rates have returned; 150 s in the {CODE}",
    )
    forgetting: Quantity = positive(
        7200 * second, "time without stimulus at the end", "chosen here: two hours"
    )
    cues: np.ndarray = not_negative(
        np.array([0, 0.25, 0.5, 0.75, 1]), "shares of the engram cued", "chosen here", high=1
    )

    probing: Quantity = time(
        2 * second,
        "time over which rates of a neuron without closed form are measured",
        "chosen here: eight neurons tell a rate of 8 Hz to 5 %, and a surface through many better",
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.members < 2:
            raise UserError(f"engram = {self.engram} must be at least 2 neurons.")
        if np.any(np.diff(self.cues) <= 0) or self.cues[0] != 0:
            raise UserError("cues must be in ascending order and begin with 0: no cue.")
        if isinstance(self.neuron, GainLIF) and self.plasticity.target * self.neuron.t_ref >= 1:
            raise UserError(
                f"plasticity.target = {say(self.plasticity.target)} must be below "
                f"{say(1 / self.neuron.t_ref)}, which neuron.t_ref allows at the most."
            )
        steps_in("probing", self.probing, self.dt)
        for phase in PHASES:
            steps_in(phase, getattr(self, phase), self.plasticity.interval)

    def experiments(self) -> dict[str, Experiment]:
        """Networks with the synapses of each moment, one copy for each cue side by side."""
        # What cannot reach its target is refused before it develops.
        _ = self._wanted
        generator = self._generators[2]
        duration = self.transient + self.dwell
        rates = {"outside": self.drive, "cue": (self.stimulus - 1) * self.drive}
        sources = [
            poisson(name, self.n_outside, rate, self.dt, duration, self.dt, generator)
            for name, rate in rates.items()
        ]
        rise = np.tile(generator.uniform(0, 1, self.size), len(self.cues))
        cells = Population("cells", self.neuron, len(rise), self.below_threshold(rise))
        about: Any = {"populations": [cells], "sources": sources, "duration": duration}
        about |= {"dt": self.dt, "seed": self.seed}
        return {
            moment: Experiment(connections=self._connections(wiring), **about)
            for moment, (_, wiring) in self._development[1].items()
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Rates and recall under every cue, the synapses of each moment, and their history."""
        cues = range(len(self.cues))
        rows = [self._row(moment, cue, recordings[moment]) for moment in MOMENTS for cue in cues]
        history, moments = self._development
        interval = float(self.plasticity.interval / second)
        wirings = [
            {"moment": moment, "time_s": step * interval, "homeostatic_indegree": self._wanted}
            | rewiring.synapses_between(self._network.groups, wiring)
            for moment, (step, wiring) in moments.items()
        ]
        tables = {"table": pd.DataFrame(rows), "wirings": pd.DataFrame(wirings), "history": history}
        if isinstance(self._rates, MeasuredRates):
            tables["transfer_function"] = self._rates.table
        return tables

    @property
    def prediction(self) -> str:
        """What gives the rates that spiking networks are compared with, as columns name it."""
        return "mean_field" if has_closed_form(self.neuron) else "transfer_function"

    @property
    def bin(self) -> Quantity:
        """Width in which spikes are counted for correlations."""
        return self.neuron.tau_m if isinstance(self.neuron, GainLIF) else BIN

    @property
    def members(self) -> int:
        """Neurons of the engram: the first."""
        return round(self.engram * self.n_excitatory)

    def groups(self, cue: float) -> dict[str, np.ndarray]:
        """Neurons by their role under a cue to a share of the engram."""
        ends = [round(cue * self.members), self.members, self.n_excitatory]
        names = ("cued", "uncued", "others", "inhibitory")
        return dict(zip(names, np.split(np.arange(self.size), ends), strict=True))

    def forgotten(self, tables: Tables) -> pd.DataFrame:
        """Synapses within the engram after learning, and what random turnover leaves of them."""
        history, learned = tables["history"], tables["wirings"].time_s[1]
        after = history[history.time_s >= learned]
        everyone = after.indegree / (self.n_excitatory - 1)
        excess = after.within_engram.iloc[0] - everyone.iloc[0]
        left = np.exp(after.turnover.iloc[0] - after.turnover)
        time_h, predicted = (after.time_s - learned) / 3600, everyone + excess * left
        return after[["within_engram"]].assign(
            time_h=time_h, everyone=everyone, predicted=predicted
        )

    @cached_property
    def _generators(self) -> list[np.random.Generator]:
        """Of fixed synapses, of rewiring, of the simulations, and of the probe."""
        return np.random.default_rng(self.seed).spawn(4)

    @cached_property
    def _rates(self) -> NeuronRates:
        """Rates of single neurons, measured where no theory has them.

        They are measured on Brian2's runtime whatever the device, which then gives all devices the
        same synapses.
        """
        if has_closed_form(self.neuron):
            return LIFRates(self.neuron)
        with stage("measuring rates of the neuron"):
            recording = simulate(self._probe.experiment(self._generators[3]))
        return MeasuredRates(self._probe, recording)

    @cached_property
    def _probe(self) -> Probe:
        """Neurons under all input that may occur in the network."""
        outside = float(self.indegree * self.drive / Hz)
        # Without inhibition, which has no weight then, that of another weight stands for noise.
        g = self.g or 1.0
        inhibition = float(self.indegrees[1] * RATES * self.plasticity.target / Hz)
        return Probe(
            neuron=self.neuron,
            weight=self.weight,
            g=g,
            lowest=outside - g * inhibition,
            highest=DRIVES * self.stimulus * outside,
            inhibition=inhibition,
            duration=self.probing,
            dt=self.dt,
        )

    @cached_property
    def _wanted(self) -> float:
        """Plastic synapses per neuron that hold all at their target."""
        target = self.plasticity.target
        return rewiring.homeostatic_indegree(
            self._rates, target, self.indegrees, self.weights, self.drive
        )

    @cached_property
    def _fixed(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Source and target of the synapses that do not rewire, by the name of their source."""
        cells, there, draw = np.arange(self.size), np.arange(self.n_outside), self._generators[0]
        excitatory, inhibitory = np.split(cells, [self.n_excitatory])
        among, off, outside = self.indegrees
        return {
            "excitatory": fixed_indegree(excitatory, inhibitory, among, draw),
            "inhibitory": fixed_indegree(inhibitory, cells, off, draw, recurrent=True),
            "outside": fixed_indegree(there, cells, outside, draw),
            "cue": fixed_indegree(there, cells[: self.members], outside, draw),
        }

    @cached_property
    def _network(self) -> rewiring.RewiredNetwork:
        kinds = [self._fixed[name] for name in ("excitatory", "inhibitory")]
        values = np.repeat(np.asarray(self.weights / amp)[:2], [len(pre) for pre, _ in kinds])
        pre, post = (np.concatenate(side) for side in zip(*kinds, strict=True))
        fixed = csr_matrix((values, (post, pre)), (self.size, self.size))
        groups = (np.arange(self.n_excitatory) < self.members).astype(int)
        return rewiring.RewiredNetwork(
            self._rates, self.plasticity, self.weight, fixed, groups, self.irregularity
        )

    @cached_property
    def _development(self) -> tuple[pd.DataFrame, dict[str, tuple[int, Wiring]]]:
        """History, and each moment's rewiring and synapses."""
        interval, draw = self.plasticity.interval, self._generators[1]
        growing, on, off, forgetting = (
            steps_in(phase, getattr(self, phase), interval) for phase in PHASES
        )
        rewirings = growing + self.repeats * (on + off) + forgetting
        check_time(f"A development of {rewirings:.4g} rewirings", rewirings * REWIRING_S)
        lessons = np.tile(np.repeat([1, 0], [on, off]), self.repeats)
        schedule = np.pad(lessons, (growing, forgetting))
        kept = growing, growing + len(lessons), len(schedule)
        inputs = [self._outside(0), self._outside(1)]
        history, wirings = rewiring.develop(self._network, inputs, schedule, kept, draw)
        return history, {m: (step, wirings[step]) for m, step in zip(MOMENTS, kept, strict=True)}

    def _outside(self, cue: float) -> np.ndarray:
        """Mean and variance of the input from outside under a cue."""
        over = np.where(np.arange(self.size) < len(self.groups(cue)["cued"]), self.stimulus, 1)
        weight, drive = float(self.weight / amp), float(self.drive / Hz)
        return self._rates.outside(self.indegrees[2] * over, weight, drive)

    def _connections(self, wiring: Wiring) -> list[Connection]:
        """Of one network for each cue, all with the same synapses and input."""
        rewired = np.append([wiring.pre, wiring.post], self._fixed["excitatory"], axis=1)
        cued = np.array([len(self.groups(cue)["cued"]) for cue in self.cues])
        everyone = np.full(len(cued), self.size)
        kinds: list[tuple[str, Any, np.ndarray]] = [
            ("cells", rewired, everyone),
            ("cells", self._fixed["inhibitory"], everyone),
            ("outside", self._fixed["outside"], everyone),
            ("cue", self._fixed["cue"], cued),
        ]
        connections = []
        weights = [*self.weights, self.weight]
        for (source, (pre, post), reached), weight in zip(kinds, weights, strict=True):
            copy, synapse = np.nonzero(post < reached[:, None])
            first = self.size * copy
            i, j = pre[synapse] + first * (source == "cells"), post[synapse] + first
            about: Any = {"i": i, "j": j, "weight": weight, "delay": self.delay}
            connections.append(Connection(source, "cells", "I_syn", **about))
        return connections

    def _row(self, moment: str, number: int, recording: Recording) -> dict[str, Any]:
        """Rates of the groups, simulated and predicted, and recall under one cue."""
        cue, first = float(self.cues[number]), number * self.size
        spikes = self.window(recording, recording.duration, self.dwell)
        own = (spikes.neurons >= first) & (spikes.neurons < first + self.size)
        spikes = Spikes("cells", self.size, spikes.neurons[own] - first, spikes.times[own])
        simulated = spikes.counts() / float(self.dwell / second)
        weights = self._network.weights(self._development[1][moment][1])
        predicted = self._rates.settled(weights, self._outside(cue), simulated)
        groups = self.groups(cue)
        some = groups["others"][:SAMPLE]
        recall, chance = _recall(simulated[groups["uncued"]], simulated[groups["others"]])
        cvs = interval_cvs(spikes, some)
        return {
            "moment": moment,
            "cue": cue,
            **{f"{name}_Hz": _mean(simulated[group]) for name, group in groups.items()},
            **{
                f"{self.prediction}_{name}_Hz": _mean(predicted[group])
                for name, group in groups.items()
            },
            "recall": recall,
            "chance_sd": chance,
            "cv": _mean(cvs[np.isfinite(cvs)]),
            "correlation": count_correlation(spikes, some, self.bin, self.dwell),
        }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _recall(uncued: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, and its standard deviation where both are alike."""
    pairs = uncued.size * others.size
    if not pairs:
        return float("nan"), float("nan")
    area = mannwhitneyu(uncued, others).statistic / pairs
    return float(area), float(np.sqrt((uncued.size + others.size + 1) / 12 / pairs))
