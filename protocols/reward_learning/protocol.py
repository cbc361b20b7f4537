"""The distal reward problem: which of many stimuli did a late dopamine release reward?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, get_dimensions, ms, second, um, umolar
from brian2.units.fundamentalunits import DIMENSIONLESS

from neuromod.checks import check_unit, steps_in
from neuromod.errors import UserError, unknown
from neuromod.experiment import (
    Connection,
    Experiment,
    Input,
    PlasticConnection,
    Population,
    Spikes,
    Trace,
)
from neuromod.inputs.modulators import volume
from neuromod.models.own_equations import read_equations
from neuromod.models.postsynaptic import IZHIKEVICH, LIGAND, Postsynaptic, with_plasticity
from neuromod.models.receptive import Receptive
from neuromod.models.three_factor import PlasticLIF, ThreeFactor
from neuromod.parameters import not_negative, parameter, positive, refuse_changed, unit_of
from neuromod.protocol import Protocol, Recordings, Tables
from neuromod.protocols.reward_learning import page
from neuromod.protocols.reward_learning.cells import (
    Kick,
    PlasticNeurons,
    at_rest,
    current_dimensions,
    dimensions,
    kick,
    weakest_volley,
)
from neuromod.recording import Recording
from neuromod.support.text import say

SYNAPSES = "synapses"
# Makes a modulatory neuron fire in the next step, in its thresholds.
KICK = 2.0
# Of one raster of input spikes, in whole time steps, whatever the neuron.
RASTER = 1 * ms
QUARTERS = 4


@dataclass(frozen=True, eq=False)
class RewardLearning(Protocol):
    """Synapses that lead to reward grow, though it comes seconds late and others fire meanwhile.

    Can three-factor synapses tell which of many stimuli a late dopamine reward was for?

    Isolated pairs of spikes are rewarded once, after various delays, and the gain of their synapses
    is compared with its closed form. Then stimuli come at random, each a volley of its own inputs.
    Only one of them is followed by a release of dopamine, after a random delay in which other
    stimuli come. Modulatory neurons at random places release into the tissue (volume transmission).
    Every cell subtracts the mean concentration, as a reward that it expects.

    The cells may be any neuron. Weights without unit onto a variable that has one are then in units
    of the summed weight of a volley that just makes a resting cell fire, its spikes spread evenly
    over the jitter; this is measured beforehand, as is the step that drives isolated pairs. A cell
    that fires by itself is silenced by a current that holds it, as in experiments.
    """

    small: ClassVar[Mapping[str, Any]] = {
        "stimuli": 3,
        "cells": 4,
        "duration": 13 * second,
        "interval": 210 * ms,
        "lags": [-7, 11] * ms,
        "delays": [0.13] * second,
    }

    neuron: Postsynaptic = parameter(
        PlasticLIF(),
        "the cells",
        "see its own",
        named=PlasticNeurons(),
        kinds=(Postsynaptic, Receptive),
    )
    holding: Any = parameter(
        0.0,
        "current that holds every cell, in its unit; a negative one silences a cell that fires by "
        "itself",
        "chosen here: none",
        any_unit=True,
    )
    synapse: ThreeFactor = parameter(
        ThreeFactor(rule="stdp", gate="eligibility", w=0.11, alpha=0.11),
        "from inputs to cells",
        "rule of Izhikevich 2007; weights chosen here: a volley makes cells fire once before "
        "learning",
    )
    stimuli: int = parameter(10, "stimuli; the first is rewarded", "chosen here", low=2)
    volley: int = parameter(10, "inputs of each stimulus", "chosen here", low=1)
    jitter: Quantity = not_negative(10 * ms, "spread of a volley's spikes", "chosen here")
    noise: Quantity = not_negative(1 * Hz, "background rate of the inputs", "chosen here")
    cells: int = parameter(20, "cells, at random places", "chosen here", low=1)
    interval: Quantity = positive(400 * ms, "mean time between two stimuli", "chosen here")
    least_interval: Quantity = not_negative(100 * ms, "least time between two stimuli", IZHIKEVICH)
    reward_delays: Quantity = not_negative(
        [0.2, 1] * second, "shortest and longest delay of a reward", f"{IZHIKEVICH}: up to 1 s"
    )
    expected: float = not_negative(
        1.0,
        "share of the mean concentration that a cell subtracts as expected",
        "chosen here, after Schultz, Dayan & Montague 1997, Science 275:1593-1599",
    )
    duration: Quantity = positive(120 * second, "length of conditioning", "chosen here")
    releasing: int = parameter(5, "modulatory neurons, at random places", "chosen here", low=1)
    side: Quantity = positive(200 * um, "side of the square of tissue", "chosen here")
    amount: Quantity = positive(
        0.5 * umolar,
        "rise of the concentration at the place of one release",
        "chosen here: releases sum to around 1 µM",
    )
    length: Quantity = positive(100 * um, "space constant of a release", "chosen here")
    lags: Quantity = parameter(
        [-60, -30, -15, -5, -1, 1, 5, 15, 30, 60] * ms,
        "isolated pairs: time from the presynaptic to the postsynaptic spike",
        "chosen here",
    )
    delays: Quantity = positive(
        [0.1, 0.5, 1, 2, 3] * second, "isolated pairs: time from pair to release", "chosen here"
    )
    dt: Quantity = not_negative(
        0 * ms,
        "time step; 0: 1 ms for the plastic-neuron, 0.1 ms for others",
        "chosen here: a twentieth of its tau_m; as usual for neurons with a fast upstroke",
    )

    text_columns: ClassVar[tuple[str, ...]] = ("variable", "unit")
    shown: ClassVar[tuple[str, ...]] = ("table",)
    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.neuron, Postsynaptic):
            object.__setattr__(self, "neuron", with_plasticity(self.neuron))
        self._check_cells()
        refuse_changed("neuron", self.neuron, ["tonic"], "set expected")
        if self.synapse.rule != "stdp":
            raise UserError(
                "synapse.rule must be 'stdp', for which the credit of a pair is known in closed "
                f"form, not {self.synapse.rule!r}."
            )
        steps_in("duration", self.duration, self.step)
        for name in ("lags", "delays"):
            for time in np.abs(getattr(self, name)):
                steps_in(name, time, self.step)
        if np.any(np.abs(self.lags) < self.step):
            raise UserError(f"lags must be at least one time step of {say(self.step)} either way.")
        if len(self.reward_delays) != 2 or self.reward_delays[1] < self.reward_delays[0]:
            raise UserError(
                "reward_delays must be the shortest and the longest, not "
                f"{say(self.reward_delays)}."
            )
        if self.least_interval < self.jitter or self.interval <= self.least_interval:
            raise UserError(
                f"interval = {say(self.interval)} must be above least_interval = "
                f"{say(self.least_interval)}, and that at least jitter = {say(self.jitter)}."
            )
        if self.duration < 20 * self.stimuli * self.interval:
            raise UserError(
                f"duration = {say(self.duration)} must be at least 20 presentations of each "
                f"stimulus, {say(20 * self.stimuli * self.interval)}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """Isolated pairs, one for each lag and delay, and conditioning."""
        return {"pairs": self._pairs(), "conditioning": self._conditioning()}

    def measure(self, recordings: Recordings) -> Tables:
        """Gain of every stimulus and every cell, responses over time, and credit of pairs."""
        traces = np.asarray(recordings["conditioning"].totals[SYNAPSES]["E"])
        plastic = traces.reshape(self.stimuli, self.volley, self.cells)
        responses = self._responses(recordings["conditioning"])
        cells = {
            "cell": np.arange(self.cells),
            "release_uM": np.asarray(self._released / umolar),
            "plastic_rewarded": plastic[0].mean(axis=0),
            "plastic_others": plastic[1:].mean(axis=(0, 1)),
        }
        return {
            "table": self._gains(plastic, responses),
            "cells": pd.DataFrame(cells),
            "responses": responses,
            "credit": self._credit(recordings["pairs"]),
            "firing": self._firing(),
        }

    @property
    def step(self) -> Quantity:
        """Time step."""
        if self.dt > 0 * second:
            return self.dt
        return 1 * ms if isinstance(self.neuron, PlasticLIF) else 0.1 * ms

    @property
    def relative(self) -> bool:
        """Whether weights are in units of what makes a cell fire."""
        plain = get_dimensions(self.synapse.w) is DIMENSIONLESS
        return plain and dimensions(self.neuron, self.synapse.variable) is not DIMENSIONLESS

    @cached_property
    def _unit(self) -> Any:
        """A weight of 1."""
        if not self.relative:
            return 1.0
        spread = np.linspace(0, float(self.jitter / self.step), self.volley, endpoint=False)
        arrivals = spread.astype(int) * self.step
        entered = self.neuron, self._rest, self.synapse.variable
        return self.volley * weakest_volley(*entered, arrivals, self.step)

    @cached_property
    def _kick(self) -> Kick:
        """What makes a cell fire in isolated pairs."""
        return kick(self.neuron, self._rest, self.synapse.variable, self.step)

    @cached_property
    def _rest(self) -> dict[str, Any]:
        """State of a cell at the start, and the current that holds it."""
        return at_rest(self.neuron, self.holding, self.step)

    @property
    def _weighted(self) -> ThreeFactor:
        """The synapse with weights in the unit of its variable."""
        weights = {name: getattr(self.synapse, name) * self._unit for name in ("w", "alpha")}
        return replace(self.synapse, **weights)

    @property
    def _raster(self) -> int:
        """Time steps between two at which inputs may spike, the same for all neurons."""
        return max(1, round(float(RASTER / self.step)))

    def _check_cells(self) -> None:
        """Refuse cells that do not spike, and synapses or receptors that do nothing to them."""
        neuron, synapse = self.neuron, self.synapse
        if not neuron.threshold:
            raise UserError("This neuron never spikes: give it a threshold.")
        equations = read_equations(neuron.equations)
        states = equations.diff_eq_names | equations.parameter_names
        if synapse.variable not in states:
            raise unknown("variable of the neuron for synapse.variable", synapse.variable, states)
        dim = dimensions(neuron, synapse.variable)
        if get_dimensions(synapse.w) is not DIMENSIONLESS:
            check_unit("synapse.w", synapse.w, dim)
        if self.holding:
            current = current_dimensions(neuron)
            if current is None:
                raise UserError("This neuron takes no current: leave holding at 0.")
            check_unit("holding", self.holding, current)
        for receptor in getattr(neuron, "sites", ()):
            if receptor.ligand != LIGAND:
                raise UserError(
                    f"Nothing releases {receptor.ligand} here: give {receptor.name} the ligand "
                    f"{LIGAND}, which modulatory neurons release."
                )

    @property
    def _grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Lag and delay of every isolated pair in steps."""
        grid = np.meshgrid(self.lags / self.step, self.delays / self.step, indexing="ij")
        return np.round(grid[0].ravel()).astype(int), np.round(grid[1].ravel()).astype(int)

    @property
    def _shown(self) -> int:
        """The isolated pair whose course is drawn: shortest lag, middle delay."""
        lag, delay = self._grid
        middle = np.sort(np.unique(delay))[len(self.delays) // 2]
        candidates = np.flatnonzero((delay == middle) & (lag > 0))
        return int(candidates[lag[candidates].argmin()]) if len(candidates) else 0

    @property
    def _schedule(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the presynaptic spike and of the release of every isolated pair."""
        lag, delay = self._grid
        first = np.maximum(-lag, 0) + max(10, self._kick.latency)
        return first, first + np.maximum(lag, 0) + delay

    def _pairs(self) -> Experiment:
        lag, _ = self._grid
        first, releases = self._schedule
        each, shown = {"i": np.arange(len(lag)), "j": np.arange(len(lag))}, np.array([self._shown])
        synapse, conc = self._weighted, f"conc_{LIGAND}"
        unchanging = {"w": 0 * synapse.w, "alpha": 0 * synapse.w}
        # Until a release at the last has acted, to a thousandth.
        slowest = 1 / (1 / self.synapse.tau_e + 1 / self.neuron.tau_clear)
        end = int(releases.max()) + int(np.ceil(7 * float(slowest / self.step))) + 2
        driving = first + lag - self._kick.latency
        times = {"inputs": first, "driving": driving, "modulatory": releases}
        plastic = PlasticConnection(SYNAPSES, "inputs", "cells", synapse, **each, values=unchanging)
        return Experiment(
            populations=[Population("cells", self.neuron, len(lag), self._rest)],
            sources=[self._at(name, steps) for name, steps in times.items()],
            connections=[
                Connection("driving", "cells", synapse.variable, **each, weight=self._kick.size),
                Connection("modulatory", "cells", conc, **each, weight=1 * umolar),
            ],
            plastic=[plastic],
            traces=[Trace(SYNAPSES, ("eligibility", "E"), shown), Trace("cells", (conc,), shown)],
            duration=end * self.step,
            dt=self.step,
            seed=self.seed,
        )

    def _at(self, name: str, steps: np.ndarray) -> Spikes:
        """One spike of every neuron."""
        order = np.argsort(steps, kind="stable")
        return Spikes(name, len(steps), order, steps[order] * self.step)

    @cached_property
    def _drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Step and stimulus of presentations, steps of releases, and the raster of the inputs."""
        draw, raster = np.random.default_rng(self.seed), self._raster * self.step
        end = steps_in("duration", self.duration, self.step) // self._raster
        least, mean = (float(t / raster) for t in (self.least_interval, self.interval))
        gaps = least + draw.exponential(mean - least, int(2 * end / mean) + 20)
        onsets = np.cumsum(gaps).astype(int)
        onsets = onsets[onsets < end - mean]
        # In random order, each as often as the others.
        shown = draw.permutation(np.arange(len(onsets)) % self.stimuli)
        low, high = np.asarray(self.reward_delays / raster)
        late = draw.uniform(low, high, len(onsets)).astype(int)
        releases = np.unique((onsets + late)[shown == 0])
        size = self.stimuli * self.volley
        spikes = draw.random((end, size)) < float(self.noise * raster)
        inputs = shown[:, None] * self.volley + np.arange(self.volley)
        spread = max(1, int(self.jitter / raster))
        spikes[onsets[:, None] + draw.integers(0, spread, inputs.shape), inputs] = True
        releases = releases[releases < end]
        return onsets * self._raster, shown, releases * self._raster, spikes

    @cached_property
    def _tissue(self) -> tuple[Quantity, Quantity]:
        """Places of cells and modulatory neurons."""
        draw = np.random.default_rng([self.seed, 1])
        places = draw.uniform(0, 1, (self.cells, 2)) * self.side
        return places, draw.uniform(0, 1, (self.releasing, 2)) * self.side

    @cached_property
    def _delivery(self) -> Input:
        places, sites = self._tissue
        cells = Population("cells", self.neuron, self.cells)
        kernel = self.amount, self.length, self.neuron.tau_clear
        return volume(LIGAND, cells, "modulatory", sites, places, *kernel)

    @property
    def _released(self) -> Quantity:
        """Rise of the concentration at every cell when all modulatory neurons release."""
        (reached,) = self._delivery.connections
        sums = np.bincount(reached.j, np.asarray(reached.weight / umolar), self.cells)
        return sums * umolar

    def _conditioning(self) -> Experiment:
        _, _, releases, spikes = self._drawn
        at, neuron = np.nonzero(spikes)
        inputs = Spikes("inputs", spikes.shape[1], neuron, at * self._raster * self.step)
        reward = Spikes("reward", 1, np.zeros(len(releases), int), releases * self.step)
        synapse = self._weighted
        mean = self._released * len(releases) * self.neuron.tau_clear / self.duration
        tonic = np.asarray(-self.expected * self.neuron.sensitivity * mean)
        i, j = (side.ravel() for side in np.indices((inputs.size, self.cells)))
        drawn = np.random.default_rng([self.seed, 2]).uniform(0.5, 1.5, len(i))
        weights = {"w": drawn * synapse.w}
        every = {"i": np.zeros(self.releasing, int), "j": np.arange(self.releasing)}
        plastic = PlasticConnection(SYNAPSES, "inputs", "cells", synapse, i=i, j=j, values=weights)
        return Experiment(
            populations=[
                Population("cells", self.neuron, self.cells, self._rest | {"tonic": tonic}),
                Population("modulatory", PlasticLIF(), self.releasing),
            ],
            sources=[inputs, reward],
            connections=[Connection("reward", "modulatory", "v", **every, weight=KICK)],
            plastic=[plastic],
            duration=self.duration,
            dt=self.step,
            seed=self.seed,
        ).add(self._delivery)

    def _credit(self, recording: Recording) -> pd.DataFrame:
        """Change by every isolated pair, and its closed form: a sum over the cell's spikes."""
        lag, delay = (steps * self.step for steps in self._grid)
        first, releases = self._schedule
        spikes = recording.spikes["cells"]
        at, cell = np.round(np.asarray(spikes.times / self.step)).astype(int), spikes.neurons
        since, later = at - first[cell], np.maximum(at, first[cell])
        gained = self.synapse.credit(
            self.neuron, since * self.step, (releases[cell] - later) * self.step, 1 * umolar
        )
        credit = {
            "lag_ms": lag / ms,
            "delay_s": delay / second,
            "credit": np.asarray(recording.totals[SYNAPSES]["E"]),
            "closed_form": np.bincount(cell, gained, len(lag)),
        }
        return pd.DataFrame(credit)

    def _firing(self) -> pd.DataFrame:
        """What makes a cell fire, in base units."""
        found = {
            "variable": self.synapse.variable,
            "unit": unit_of(self._kick.size),
            "weight_of_1": float(self._unit),
            "kick": float(self._kick.size),
            "latency_ms": self._kick.latency * float(self.step / ms),
            "spikes": self._kick.spikes,
        }
        return pd.DataFrame([found])

    def _responses(self, recording: Recording) -> pd.DataFrame:
        """Spikes per cell in answer to every presentation, until the next may come."""
        onsets, shown, _, _ = self._drawn
        at = np.sort(np.round(np.asarray(recording.spikes["cells"].times / self.step)))
        window = int(self.least_interval / self.step)
        found = np.searchsorted(at, onsets + window) - np.searchsorted(at, onsets)
        times = onsets * float(self.step / second)
        return pd.DataFrame({"time_s": times, "stimulus": shown, "response": found / self.cells})

    def _gains(self, plastic: np.ndarray, responses: pd.DataFrame) -> pd.DataFrame:
        """Plastic traces and responses of every stimulus."""
        onsets = self._drawn[0]
        quarter = onsets * QUARTERS // steps_in("duration", self.duration, self.step)
        found = responses.groupby("stimulus").response
        first, last = (
            responses[quarter == number].groupby("stimulus").response.mean()
            for number in (0, QUARTERS - 1)
        )
        table = {
            "stimulus": range(self.stimuli),
            "rewarded": np.arange(self.stimuli) == 0,
            "presentations": found.size(),
            "plastic": plastic.mean(axis=(1, 2)),
            "plastic_sd": plastic.std(axis=(1, 2)),
            "response_first": first,
            "response_last": last,
        }
        return pd.DataFrame(table).reset_index(drop=True)
