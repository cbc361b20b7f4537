"""Response gain of a recurrent network whose cells have their gain set by a modulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Hz, Quantity, ms, pA, second, umolar
from scipy.stats import linregress, sem

from neuromod.analysis.mean_field import network_rates
from neuromod.analysis.rates import has_closed_form
from neuromod.analysis.spike_trains import count_correlation, interval_cvs
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.inputs.modulators import bath
from neuromod.inputs.spikes import fixed_indegree, staircase
from neuromod.parameters import not_negative, parameter, positive
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.cells import CellProtocol, check_ascending
from neuromod.protocols.families.random_networks import RandomNetwork
from neuromod.protocols.families.timing import time
from neuromod.protocols.network_gain import page
from neuromod.recording import Recording
from neuromod.support.text import say

BRUNEL = "Brunel 2000, J. Comput. Neurosci. 8:183-208"
POPULATIONS = ("excitatory", "inhibitory")
# Chosen here: parts of the measured time, whose correlations give the error of the whole.
PARTS = 5


@dataclass(frozen=True, eq=False)
class NetworkGain(CellProtocol, RandomNetwork):
    """Response gain of a recurrent network under a modulator.

    What is the response gain of a recurrent network under a modulator?

    Excitatory and inhibitory cells are connected at random, with as many synapses onto every cell.
    Inhibition is the stronger, so they fire asynchronously and irregularly (Brunel 2000). A
    modulator in the bath sets the gain of all cells or of one population. The response gain is the
    slope of the network's rate against the rate of the neurons outside that drive it; recurrent
    inhibition decides how much of a cell's gain is left in it. Mean-field theory predicts rates.
    """

    shown: ClassVar[tuple[str, ...]] = ("response",)
    small: ClassVar[Mapping[str, Any]] = {
        "n_excitatory": 160,
        "n_inhibitory": 40,
        "indegree": 20,
        "weight": 400 * pA,
        "drive": [40, 70] * Hz,
        "conc": [0, 1.3] * umolar,
        "dwell": 0.15 * second,
        "transient": 0.05 * second,
        "sample": 20,
    }

    target: str = parameter(
        "all", "cells with the receptors", "chosen here", choices=("all", *POPULATIONS)
    )
    conc: Quantity = not_negative(
        [0, 0.3, 1] * umolar,
        "concentrations of the modulator in the bath",
        "chosen here: gains of 1, 1.35 and 2 with the generic receptor",
    )
    drive: Quantity = positive(
        [6, 8, 10, 12, 14] * Hz,
        "rates of every neuron outside, one after another",
        "chosen here: about 1 to 2.2 times the rate that alone brings the mean to threshold",
    )
    n_excitatory: int = parameter(
        8000,
        "excitatory neurons; there are as many outside",
        "chosen here: 10 000 neurons in all",
        low=2,
    )
    n_inhibitory: int = parameter(2000, "inhibitory neurons", f"{BRUNEL}: a quarter as many", low=2)
    indegree: int = parameter(
        400,
        "excitatory synapses onto every neuron, as many from outside, and inhibitory ones in the "
        "proportion of the populations",
        f"chosen here: sparse, 5 % of the possible ones; 10 % in {BRUNEL}",
        low=1,
    )
    weight: Quantity = positive(
        100 * pA,
        "step of the synaptic current after an excitatory spike",
        "chosen here: its charge would lift the membrane by 0.4 mV, enough for irregular firing "
        f"with these synapses; 0.1 mV with 1000 in {BRUNEL}",
    )
    g: float = not_negative(
        6.0, "inhibitory over excitatory weight; above 4 it prevails", f"{BRUNEL}, figure 8B"
    )
    delay: Quantity = not_negative(1.5 * ms, "delay of every synapse", BRUNEL)
    dwell: Quantity = positive(1.5 * second, "measured time at each drive", "chosen here")
    sample: int = parameter(
        100, "neurons of each population that are compared", "chosen here: 4950 pairs", low=2
    )
    bin: Quantity = time(
        20 * ms, "width in which spikes are counted for correlations", "the membrane time constant"
    )

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending(self, conc=1, drive=2)
        if self.dwell < 2 * self.bin:
            raise UserError(
                f"dwell = {say(self.dwell)} must be at least two bins of {say(self.bin)}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """The same network and input in every bath, the drives one after another."""
        generator = np.random.default_rng(self.seed)
        connections = self._connections(generator)
        stair = self.transient + self.dwell
        outside = staircase("outside", self.n_excitatory, self.drive, stair, self.dt, generator)
        start = self.below_threshold(generator.uniform(0, 1, self.size))
        cells = Population("cells", self.neuron, self.size)
        experiments = {}
        for conc in self.conc:
            bathed = bath(cells, self._bath(conc, self.n_excitatory, self.n_inhibitory)).values
            experiments[self.name_of(conc)] = Experiment(
                populations=[Population("cells", self.neuron, self.size, {**bathed, **start})],
                sources=[outside],
                connections=connections,
                duration=len(self.drive) * stair,
                dt=self.dt,
                seed=self.seed,
            )
        return experiments

    def measure(self, recordings: Recordings) -> Tables:
        """Rates, irregularity and correlations, and the slopes of the rates."""
        rows = [
            row
            for conc in self.conc
            for number in range(len(self.drive))
            for row in self._rows(conc, number, recordings[self.name_of(conc)])
        ]
        table = pd.DataFrame(rows)
        return {"table": table, "response": _response(table)}

    @staticmethod
    def name_of(conc: Quantity) -> str:
        """Name of the experiment in a bath."""
        return f"bath of {float(conc / umolar):g} uM"

    @property
    def populations(self) -> dict[str, np.ndarray]:
        """Neurons by population."""
        parts = np.split(np.arange(self.size), [self.n_excitatory])
        return dict(zip(POPULATIONS, parts, strict=True))

    def _connections(self, generator: np.random.Generator) -> tuple[Connection, ...]:
        """Random synapses from within and from outside; none from a neuron to itself."""
        sources = [("cells", neurons) for neurons in self.populations.values()]
        sources.append(("outside", np.arange(self.n_excitatory)))
        everyone, made = np.arange(self.size), []
        for (name, neurons), n, w in zip(sources, self.indegrees, self.weights, strict=True):
            i, j = fixed_indegree(neurons, everyone, n, generator, name == "cells")
            made.append(Connection(name, "cells", "I_syn", i=i, j=j, weight=w, delay=self.delay))
        return tuple(made)

    def _bath(self, conc: Quantity, *sizes: int) -> dict[str, Quantity]:
        """What reaches so many excitatory and inhibitory cells of what the first receptor binds."""
        reached = [self.target in ("all", population) for population in self.populations]
        return {self.ligand: np.repeat(reached, sizes) * conc}

    def _rows(self, conc: Quantity, number: int, recording: Recording) -> Iterator[dict[str, Any]]:
        """Measures of both populations at one drive."""
        end = (number + 1) * (self.transient + self.dwell)
        spikes = self.window(recording, end, self.dwell)
        counts, drive = spikes.counts(), self.drive[number]
        gains = self.neuron.steady_gain(self._bath(conc, 1, 1))
        rates: dict[str, Any] = {}
        if has_closed_form(self.neuron):
            exact = network_rates(self.neuron, gains, self.indegrees, self.weights, drive)
            rates = {"mean_field_Hz": exact / Hz}
        for k, (population, neurons) in enumerate(self.populations.items()):
            some = neurons[: self.sample]
            cv, cv_error = pd.Series(interval_cvs(spikes, some)).agg(["mean", "sem"])
            yield {
                "conc_uM": float(conc / umolar),
                "drive_Hz": float(drive / Hz),
                "population": population,
                **({"gain": gains[k]} if self.neuron.has_gain else {}),
                "rate_Hz": float(counts[neurons].mean() / self.dwell / Hz),
                **{name: both[k] for name, both in rates.items()},
                "cv": cv,
                "cv_se": cv_error,
                "correlation": count_correlation(spikes, some, self.bin, self.dwell),
                "correlation_se": self._correlation_error(spikes, some),
            }

    def _correlation_error(self, spikes: Spikes, neurons: np.ndarray) -> float:
        """Standard error of the correlation, from parts of the time; nan where they are short."""
        length = int(self.dwell / self.bin / PARTS + 1e-9) * self.bin
        found = []
        for start in np.arange(PARTS) * length:
            inside = (spikes.times >= start) & (spikes.times < start + length)
            times = spikes.times[inside] - start
            part = Spikes(spikes.name, spikes.size, spikes.neurons[inside], times)
            found.append(count_correlation(part, neurons, self.bin, length))
        return float(sem(found))


def _response(table: pd.DataFrame) -> pd.DataFrame:
    """Straight lines through the rates against the drive."""
    rows = []
    for group, curve in table.groupby(["conc_uM", "population"], sort=False):
        line = linregress(curve.drive_Hz, curve.rate_Hz)
        error = line.stderr if len(curve) > 2 else np.nan
        onset = -line.intercept / line.slope if line.slope > 0 else np.nan
        row = dict(zip(("conc_uM", "population"), group, strict=True))
        row |= {"gain": curve.gain.iloc[0]} if "gain" in curve else {}
        row |= {"response_gain": line.slope, "response_gain_se": error}
        if "mean_field_Hz" in curve:
            row["mean_field_gain"] = linregress(curve.drive_Hz, curve.mean_field_Hz).slope
        rows.append(row | {"onset_Hz": onset})
    response = pd.DataFrame(rows)
    control = response.groupby("population").response_gain.transform("first")
    # A silent population has no slope to compare with.
    return response.assign(over_control=response.response_gain / control.where(control > 0))
