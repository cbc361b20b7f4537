"""Recordings as Neo blocks and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import starmap
from typing import Any

import neo
import numpy as np
import quantities as pq
from brian2 import Quantity, amp, get_dimensions, second, volt
from brian2.units.fundamentalunits import get_or_create_dimension

from neuromod.experiment import Spikes
from neuromod.parameters import BASE_UNITS
from neuromod.recording.recording import Recording, Signal

TOTAL = "total of "
FAMILIAR = {volt.dim: "V", amp.dim: "A"}


def to_block(recording: Recording, together: bool = False) -> neo.Block:
    """Neo block of a recording.

    Parameters
    ----------
    recording : Recording
    together : bool
        Whether spikes of a population stand in one signal, the neuron over time, and not in a spike
        train for each neuron, of which NIX would make a file in minutes.
    """
    segment = neo.Segment(name="experiment")
    segment.analogsignals.extend([*_signals(recording), *_totals(recording)])
    if together:
        found = starmap(_together, recording.spikes.items())
        segment.irregularlysampledsignals.extend(list(found))
    else:
        for population in recording.spikes:
            segment.spiketrains.extend(recording.spike_trains(population))
    # Of a part without any, no signal tells.
    parts = {"signals": list(recording.signals), "totals": list(recording.totals)}
    header = recording.described(**parts, every_s=recording.intervals())
    block = neo.Block(name="neuromod recording", neuromod=header)
    block.segments.append(segment)
    return block


def from_block(block: neo.Block) -> Recording:
    """Recording of a block that `to_block` made, or version 0.1."""
    header = json.loads(block.annotations["neuromod"])
    segment = block.segments[0]
    signals: dict[str, dict[str, Signal]] = {part: {} for part in header.get("signals", ())}
    totals: dict[str, dict[str, Any]] = {part: {} for part in header.get("totals", ())}
    for analog in segment.analogsignals:
        population, _, variable = analog.name.removeprefix(TOTAL).partition(".")
        values = _from_neo_unit(analog)
        if analog.name.startswith(TOTAL):
            totals.setdefault(population, {})[variable] = values[:, 0]
        else:
            neurons = np.asarray(analog.array_annotations["neuron"], dtype=int)
            apart = header.get("every_s", {}).get(population, {}).get(variable)
            every = None if apart is None else apart * second
            signals.setdefault(population, {})[variable] = Signal(neurons, values.T, every)
    duration, dt = header["duration_s"] * second, header["dt_s"] * second
    spikes = {found.name: found for found in _spikes(segment)}
    return Recording(spikes, signals, duration, dt, header["provenance"], totals)


def _signals(recording: Recording) -> Iterator[neo.AnalogSignal]:
    for population, signals in recording.signals.items():
        for variable, signal in signals.items():
            every = recording.dt if signal.every is None else signal.every
            yield neo.AnalogSignal(
                _to_neo_unit(signal.values.T),
                sampling_period=float(every / second) * pq.s,
                name=f"{population}.{variable}",
                array_annotations={"neuron": np.asarray(signal.neurons)},
            )


def _totals(recording: Recording) -> Iterator[neo.AnalogSignal]:
    for population, totals in recording.totals.items():
        for variable, values in totals.items():
            # One sample per neuron: of a channel per neuron NIX makes a file in minutes.
            yield neo.AnalogSignal(
                _to_neo_unit(np.reshape(values, (-1, 1))),
                sampling_period=1 * pq.s,
                name=f"{TOTAL}{population}.{variable}",
            )


def _together(population: str, spikes: Spikes) -> neo.IrregularlySampledSignal:
    return neo.IrregularlySampledSignal(
        np.asarray(spikes.times / second),
        np.reshape(spikes.neurons, (-1, 1)),
        time_units="s",
        units="dimensionless",
        name=f"neuron of every spike of {population}",
        population=population,
        neurons=spikes.size,
    )


def _spikes(segment: neo.Segment) -> Iterator[Spikes]:
    """Spikes of every population, in whichever way they stand there."""
    for signal in segment.irregularlysampledsignals:
        neurons = signal.magnitude[:, 0].astype(int)
        name, size = signal.annotations["population"], int(signal.annotations["neurons"])
        yield Spikes(name, size, neurons, signal.times.rescale("s").magnitude * second)
    populations: dict[str, list[neo.SpikeTrain]] = {}
    for train in segment.spiketrains:
        if "population" in train.annotations:
            populations.setdefault(train.annotations["population"], []).append(train)
        else:
            # Version 0.1 made one train for all neurons.
            neurons = np.asarray(train.array_annotations["neuron"], dtype=int)
            times = train.rescale("s").magnitude * second
            yield Spikes(train.name, int(train.annotations["neurons"]), neurons, times)
    for name, trains in populations.items():
        neurons = np.repeat(
            [train.annotations["index"] for train in trains], list(map(len, trains))
        )
        times = np.concatenate([train.rescale("s").magnitude for train in trains])
        order = np.lexsort((neurons, times))
        yield Spikes(name, len(trains), neurons[order], times[order] * second)


def _to_neo_unit(values: Any) -> pq.Quantity:
    dimensions = get_dimensions(values)
    powers = zip(BASE_UNITS, dimensions._dims, strict=True)
    composed = "*".join(f"{unit}**{float(power)}" for unit, power in powers if power)
    return pq.Quantity(np.asarray(values), FAMILIAR.get(dimensions, composed or "dimensionless"))


def _from_neo_unit(values: pq.Quantity) -> Any:
    simple = values.simplified
    powers = {unit.symbol: power for unit, power in simple.dimensionality.items()}
    dimensions = get_or_create_dimension([float(powers.get(unit, 0)) for unit in BASE_UNITS])
    return Quantity(simple.magnitude, dim=dimensions)
