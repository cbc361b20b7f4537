"""What a simulation gave: spikes and traces with units, to and from Neo and NIX files.

A population's spikes are one Neo spike train with the neuron of every spike as an array
annotation, so that tens of thousands of neurons are written in a moment and read back without
loss; `Recording.spike_trains` gives one train per neuron, as Elephant wants them. NIX was chosen
over NWB because Neo's NWB reader drops array annotations and units such as mol/m^3.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import neo
import numpy as np
import quantities as pq
from brian2 import Quantity, amp, get_dimensions, second, volt
from brian2.units.fundamentalunits import get_or_create_dimension
from neo.io import NixIO
from nixio.exceptions import InvalidFile

from neuromod.checks import index_array
from neuromod.errors import UserError, unknown
from neuromod.experiment import Spikes
from neuromod.parameters import BASE_UNITS

# What NIX and Neo raise over files that are damaged or not theirs.
UNREADABLE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    InvalidFile,
)
TOTAL = "total of "
FAMILIAR = {volt.dim: "V", amp.dim: "A"}


@dataclass(frozen=True, eq=False)
class Signal:
    """One state variable of some neurons over time.

    Attributes
    ----------
    neurons : ndarray of int, shape (neurons,)
    values : Quantity or ndarray, shape (neurons, steps)
        At the start of each time step.
    """

    neurons: np.ndarray
    values: Any


@dataclass(frozen=True, eq=False)
class Recording:
    """Spikes and traces of one experiment on one device.

    Attributes
    ----------
    spikes : mapping of str to Spikes
        By population.
    signals : mapping of str to mapping of str to Signal
        By population and variable.
    duration, dt : Quantity
        In seconds.
    provenance : mapping
        Device, versions, seed, wall times.
    totals : mapping of str to mapping of str to Quantity or ndarray
        By population and variable, what a model adds up over a run, at its end; one value per
        neuron.
    """

    spikes: Mapping[str, Spikes]
    signals: Mapping[str, Mapping[str, Signal]]
    duration: Quantity
    dt: Quantity
    provenance: Mapping[str, Any] = field(default_factory=dict)
    totals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def times(self) -> Quantity:
        """Times of the samples of every trace, shape (steps,), in seconds."""
        return np.arange(round(float(self.duration / self.dt))) * self.dt

    def trace(self, population: str, variable: str, neuron: int) -> Any:
        """One neuron's variable over time.

        Returns
        -------
        Quantity or ndarray, shape (steps,)

        Raises
        ------
        UserError
            When it was not recorded.
        """
        if population not in self.signals:
            raise unknown("recorded population", population, self.signals)
        if variable not in self.signals[population]:
            raise unknown("recorded variable", variable, self.signals[population])
        signal = self.signals[population][variable]
        row = np.flatnonzero(signal.neurons == neuron)
        if not len(row):
            raise UserError(
                f"{variable} of {population} was recorded for neurons "
                f"{signal.neurons.tolist()}, not {neuron}."
            )
        return signal.values[row[0]]

    def spike_trains(
        self, population: str, neurons: Iterable[int] | None = None
    ) -> list[neo.SpikeTrain]:
        """One Neo spike train per neuron.

        Parameters
        ----------
        population : str
        neurons : iterable of int, optional
            All by default.

        Returns
        -------
        list of neo.SpikeTrain
            In seconds.
        """
        if population not in self.spikes:
            raise unknown("recorded population", population, self.spikes)
        spikes = self.spikes[population]
        every = range(spikes.size) if neurons is None else list(neurons)
        chosen = index_array(f"Spike trains of {population}", every, spikes.size)
        order = np.argsort(spikes.neurons, kind="stable")
        bounds = np.searchsorted(spikes.neurons[order], np.arange(spikes.size + 1))
        times = np.asarray(spikes.times / second)[order]
        return [
            neo.SpikeTrain(
                times[bounds[n] : bounds[n + 1]] * pq.s,
                t_stop=float(self.duration / second),
                name=f"{population}[{n}]",
            )
            for n in chosen
        ]

    def to_neo(self) -> neo.Block:
        """Neo block: one segment, one spike train per population and one signal per variable."""
        segment = neo.Segment(name="experiment")
        duration, dt = float(self.duration / second), float(self.dt / second)
        for name, spikes in self.spikes.items():
            train = neo.SpikeTrain(
                np.asarray(spikes.times / second) * pq.s,
                t_stop=duration,
                name=name,
                array_annotations={"neuron": np.asarray(spikes.neurons)},
                neurons=spikes.size,
            )
            segment.spiketrains.append(train)
        for population, signals in self.signals.items():
            for variable, signal in signals.items():
                segment.analogsignals.append(
                    neo.AnalogSignal(
                        _to_neo_unit(signal.values.T),
                        sampling_period=dt * pq.s,
                        name=f"{population}.{variable}",
                        array_annotations={"neuron": np.asarray(signal.neurons)},
                    )
                )
        for population, totals in self.totals.items():
            for variable, values in totals.items():
                # One sample per neuron: of a channel per neuron NIX makes a file in minutes.
                segment.analogsignals.append(
                    neo.AnalogSignal(
                        _to_neo_unit(np.reshape(values, (-1, 1))),
                        sampling_period=1 * pq.s,
                        name=f"{TOTAL}{population}.{variable}",
                    )
                )
        header = {"duration_s": duration, "dt_s": dt, "provenance": dict(self.provenance)}
        block = neo.Block(name="neuromod recording", neuromod=json.dumps(header))
        block.segments.append(segment)
        return block

    def save(self, path: str | Path) -> None:
        """Write a NIX file, whose name ends in ``.nix``."""
        with _nix(Path(path), "ow") as file:
            file.write_block(self.to_neo())

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a NIX file that `save` wrote.

        Raises
        ------
        UserError
            When the file is missing, damaged or of another kind.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(f"There is no recording at {path}.")
        try:
            with _nix(path, "ro") as file:
                return cls.from_neo(file.read_block())
        except UNREADABLE as error:
            raise UserError(f"{path} is damaged, or no recording of neuromod.") from error

    @classmethod
    def from_neo(cls, block: neo.Block) -> Recording:
        """Recording from a block that `to_neo` made."""
        header = json.loads(block.annotations["neuromod"])
        segment = block.segments[0]
        spikes = {
            train.name: Spikes(
                train.name,
                int(train.annotations["neurons"]),
                np.asarray(train.array_annotations["neuron"], dtype=int),
                train.rescale("s").magnitude * second,
            )
            for train in segment.spiketrains
        }
        signals: dict[str, dict[str, Signal]] = {}
        totals: dict[str, dict[str, Any]] = {}
        for analog in segment.analogsignals:
            population, _, variable = analog.name.removeprefix(TOTAL).partition(".")
            values = _from_neo_unit(analog)
            if analog.name.startswith(TOTAL):
                totals.setdefault(population, {})[variable] = values[:, 0]
            else:
                neurons = np.asarray(analog.array_annotations["neuron"], dtype=int)
                signals.setdefault(population, {})[variable] = Signal(neurons, values.T)
        duration, dt = header["duration_s"] * second, header["dt_s"] * second
        return cls(spikes, signals, duration, dt, header["provenance"], totals)


@contextmanager
def _nix(path: Path, mode: str) -> Iterator[NixIO]:
    """NIX file, opened from inside its folder: HDF5 takes no path with bytes that are no UTF-8."""
    with chdir(path.parent), NixIO(path.name, mode) as file:
        yield file


def _to_neo_unit(values: Any) -> pq.Quantity:
    dimensions = get_dimensions(values)
    powers = zip(BASE_UNITS, dimensions._dims, strict=True)
    composed = "*".join(f"{unit}**{power:g}" for unit, power in powers if power)
    return pq.Quantity(np.asarray(values), FAMILIAR.get(dimensions, composed or "dimensionless"))


def _from_neo_unit(values: pq.Quantity) -> Any:
    simple = values.simplified
    powers = {unit.symbol: power for unit, power in simple.dimensionality.items()}
    dimensions = get_or_create_dimension([float(powers.get(unit, 0)) for unit in BASE_UNITS])
    return Quantity(simple.magnitude, dim=dimensions)
