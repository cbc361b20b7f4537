"""Spikes and traces of one experiment, with units."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Quantity, second

from neuromod.checks import index_array
from neuromod.errors import UserError, listed, unknown
from neuromod.experiment import Spikes
from neuromod.support.cache import written_whole
from neuromod.support.paths import file_at, shown

if TYPE_CHECKING:
    import neo
    import pandas as pd
    import xarray

FORMATS = ("nix", "nwb")
# What is raised over HDF5 files that are damaged or not ours.
UNREADABLE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True, eq=False)
class Signal:
    """One state variable of some neurons over time.

    Attributes
    ----------
    neurons : ndarray of int, shape (neurons,)
    values : Quantity or ndarray, shape (neurons, samples)
        At the start of the time step of each sample.
    every : Quantity, optional
        From one sample to the next, seconds, a whole number of time steps; without, one step.
    """

    neurons: np.ndarray
    values: Any
    every: Quantity | None = None


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
        Device, versions, seed, start, wall times.
    totals : mapping of str to mapping of str to Quantity or ndarray
        By population and variable, what a model adds up over a run, at its end; one value per
        neuron.

    Examples
    --------
    >>> from brian2 import mV, ms, nA
    >>> from neuromod import Experiment, Population, Trace, simulate
    >>> from neuromod.models import GainLIF
    >>> cells = Population("cells", GainLIF(receptors=()), 1, {"I_ext": 0.8 * nA})
    >>> traces = [Trace("cells", "v", [0])]
    >>> experiment = Experiment(
    ...     populations=[cells], traces=traces, duration=100 * ms, dt=0.1 * ms
    ... )
    >>> recording = simulate(experiment)
    >>> bool(recording.trace("cells", "v", 0).max() < -50 * mV)
    True
    """

    spikes: Mapping[str, Spikes]
    signals: Mapping[str, Mapping[str, Signal]]
    duration: Quantity
    dt: Quantity
    provenance: Mapping[str, Any] = field(default_factory=dict)
    totals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def times(self) -> Quantity:
        """Times of the samples of every trace, shape (samples,), in seconds.

        Where nothing was traced, they are the starts of all time steps.

        Raises
        ------
        UserError
            When traces were sampled at different intervals: `times_of` gives those of one.
        """
        traced = [signal for own in self.signals.values() for signal in own.values()]
        strides = {self._stride(signal) for signal in traced} or {1}
        if len(strides) > 1:
            raise UserError(
                "Traces of this recording were sampled at different intervals: ask for the times "
                "of one of them, as in times_of(population, variable)."
            )
        return self._times(*strides)

    def times_of(self, population: str, variable: str) -> Quantity:
        """Times of the samples of one variable, shape (samples,), in seconds.

        Raises
        ------
        UserError
            When it was not recorded.
        """
        return self._times(self._stride(self.signal(population, variable)))

    def _stride(self, signal: Signal) -> int:
        """Time steps from one sample to the next."""
        return 1 if signal.every is None else round(float(signal.every / self.dt))

    def _times(self, stride: int) -> Quantity:
        return np.arange(0, round(float(self.duration / self.dt)), stride) * self.dt

    def trace(self, population: str, variable: str, neuron: int) -> Any:
        """One neuron's variable over time.

        Returns
        -------
        Quantity or ndarray, shape (samples,)

        Raises
        ------
        UserError
            When it was not recorded.
        """
        signal = self.signal(population, variable)
        row = np.flatnonzero(signal.neurons == neuron)
        if not len(row):
            raise UserError(
                f"{variable} of {population} was recorded for neurons "
                f"{signal.neurons.tolist()}, not {neuron}."
            )
        return signal.values[row[0]]

    def signal(self, population: str, variable: str) -> Signal:
        """What was recorded of a variable.

        Raises
        ------
        UserError
            When nothing was.
        """
        if population not in self.signals:
            raise unknown("recorded population", population, self.signals)
        if variable not in self.signals[population]:
            raise unknown("recorded variable", variable, self.signals[population])
        return self.signals[population][variable]

    def spike_trains(
        self, population: str, neurons: Iterable[int] | None = None
    ) -> list[neo.SpikeTrain]:
        """One Neo spike train per neuron, ready for Elephant.

        Parameters
        ----------
        population : str
        neurons : iterable of int, optional
            All by default, silent ones too.

        Returns
        -------
        list of neo.SpikeTrain
            In seconds, from 0 to the recording's duration, with the annotations ``population``
            and ``index``.
        """
        # Imported here because Neo takes its time, in every process.
        import neo

        if population not in self.spikes:
            raise unknown("recorded population", population, self.spikes)
        spikes = self.spikes[population]
        every = range(spikes.size) if neurons is None else list(neurons)
        chosen = index_array(f"Spike trains of {population}", every, spikes.size)
        times, bounds = by_neuron(spikes)
        stop = float(self.duration / second)
        return [
            neo.SpikeTrain(
                times[bounds[n] : bounds[n + 1]],
                units="s",
                t_stop=stop,
                name=f"{population}[{n}]",
                population=population,
                index=n,
            )
            for n in chosen.tolist()
        ]

    def to_pandas(
        self, population: str | None = None, variables: str | Sequence[str] = ()
    ) -> pd.DataFrame:
        """Tidy table of all spikes, or of the traces of one population.

        Parameters
        ----------
        population : str, optional
            Whose traces are wanted; without, the table has the spikes of all populations.
        variables : str or sequence of str
            All that was recorded of it if empty.

        Returns
        -------
        DataFrame
            A row per spike with ``population``, ``neuron`` and ``time_s``; or a row per neuron and
            sample with ``neuron``, ``time_s`` and the variables, in the base units that
            ``attrs["units"]`` tells.

        Raises
        ------
        UserError
            When something was not recorded, or variables not in the same neurons at the same times.
        """
        from neuromod.recording.frames import spike_table, trace_table

        if population is None:
            return spike_table(self)
        return trace_table(self, population, variables)

    def to_xarray(self, population: str, variables: str | Sequence[str] = ()) -> xarray.Dataset:
        """Traces of one population over ``neuron`` and ``time``, their units in ``attrs``.

        Parameters
        ----------
        population : str
        variables : str or sequence of str
            All that was recorded of it if empty.

        Raises
        ------
        UserError
            As for `to_pandas`, and when xarray is missing.
        """
        from neuromod.recording.frames import dataset

        return dataset(self, population, variables)

    def to_neo(self) -> neo.Block:
        """Neo block: one segment, with a spike train per neuron and a signal per variable."""
        from neuromod.recording.blocks import to_block

        return to_block(self)

    @classmethod
    def from_neo(cls, block: neo.Block) -> Recording:
        """Recording from a block that `to_neo` made."""
        from neuromod.recording.blocks import from_block

        return from_block(block)

    def save(self, path: str | Path) -> None:
        """Write a NIX file, whose name ends in ``.nix``, or an NWB file, in ``.nwb``.

        Raises
        ------
        UserError
            When the name ends in neither, the file cannot be written or cannot hold this recording,
            or pynwb is missing, which NWB files need.
        """
        path = Path(path)
        kind = _kind(path)
        check_format(kind)
        with written_whole(path, self.most_bytes(kind)) as temporary:
            _module(kind).write(self, temporary)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a file that `save` wrote, to the bit.

        Raises
        ------
        UserError
            When the file is missing, damaged or of another kind.
        """
        path = file_at(path, "recording")
        found: Recording = _module(_kind(path)).read(path)
        return found

    def most_bytes(self, kind: str) -> int:
        """Bytes that a file of a format takes, at most."""
        most: int = _module(kind).most_bytes(self)
        return most

    def intervals(self) -> dict[str, dict[str, float]]:
        """Intervals in seconds of traces that skip time steps, by population and variable."""
        return {
            population: {
                variable: float(signal.every / second)
                for variable, signal in signals.items()
                if signal.every is not None
            }
            for population, signals in self.signals.items()
        }

    def described(self, **more: Any) -> str:
        """What no array of a file holds, as JSON."""
        known = {"duration_s": float(self.duration / second), "dt_s": float(self.dt / second)}
        try:
            return json.dumps(known | more | {"provenance": dict(self.provenance)})
        except TypeError as error:
            raise UserError(
                f"The provenance of a recording holds what no file can ({error}): text, numbers, "
                "lists and mappings were expected."
            ) from error


def by_neuron(spikes: Spikes) -> tuple[np.ndarray, np.ndarray]:
    """Times of spikes in seconds, neuron after neuron, and where each neuron's begin and end."""
    order = np.argsort(spikes.neurons, kind="stable")
    bounds = np.searchsorted(spikes.neurons[order], np.arange(spikes.size + 1))
    return np.asarray(spikes.times / second)[order], bounds


def check_format(name: str) -> None:
    """Refuse a format that does not exist or cannot be written here."""
    if name not in FORMATS:
        raise unknown("format of recordings", name, FORMATS)
    if name == "nwb" and find_spec("pynwb") is None:
        raise UserError(
            "Writing NWB files needs pynwb: pip install 'brian2-neuromod[recordings]' brings it."
        )


def _module(kind: str) -> Any:
    """What writes and reads files of a format; imported when it is used."""
    return import_module(f"neuromod.recording.{kind}")


def _kind(path: Path) -> str:
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        expected = listed([f".{name}" for name in FORMATS], "or")
        raise UserError(f"A recording's name ends in {expected}, which {shown(path)} does not.")
    return kind
