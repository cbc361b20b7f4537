"""Recordings as tables of pandas and data sets of xarray, with units in their attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import second

from neuromod.errors import UserError, listed
from neuromod.parameters import unit_of
from neuromod.recording.recording import Recording, Signal

if TYPE_CHECKING:
    import xarray

SECONDS = unit_of(1 * second)
# What a data set says of where it comes from.
KEPT = ("device", "target", "precision", "seed", "started")


def spike_table(recording: Recording) -> pd.DataFrame:
    """One row per spike: ``population``, ``neuron``, ``time_s``, population by population."""
    spikes = recording.spikes
    every = list(spikes.values())
    table = pd.DataFrame(
        {
            "population": np.repeat(list(spikes), [len(one.neurons) for one in every]),
            "neuron": np.concatenate([np.zeros(0, int), *(one.neurons for one in every)]),
            "time_s": np.concatenate(
                [np.zeros(0), *(np.asarray(one.times / second) for one in every)]
            ),
        }
    )
    table.attrs["units"] = {"time_s": SECONDS}
    return table


def trace_table(
    recording: Recording, population: str, variables: str | Sequence[str] = ()
) -> pd.DataFrame:
    """One row per neuron and sample: ``neuron``, ``time_s`` and a column for every variable."""
    signals, seconds = _together(recording, population, variables)
    neurons = next(iter(signals.values())).neurons
    columns = {"neuron": np.repeat(neurons, len(seconds)), "time_s": np.tile(seconds, len(neurons))}
    values = {name: np.ravel(np.asarray(one.values)) for name, one in signals.items()}
    table = pd.DataFrame(columns | values)
    table.attrs["units"] = {"time_s": SECONDS} | _units(signals)
    return table


def dataset(
    recording: Recording, population: str, variables: str | Sequence[str] = ()
) -> xarray.Dataset:
    """Traces over ``neuron`` and ``time``."""
    try:
        import xarray
    except ModuleNotFoundError as error:
        raise UserError(
            "Data sets need xarray: pip install 'brian2-neuromod[recordings]' brings it."
        ) from error
    signals, seconds = _together(recording, population, variables)
    units = _units(signals)
    return xarray.Dataset(
        {
            name: (("neuron", "time"), np.asarray(signal.values), {"units": units[name]})
            for name, signal in signals.items()
        },
        {
            "neuron": next(iter(signals.values())).neurons,
            "time": ("time", seconds, {"units": SECONDS}),
        },
        {"population": population}
        | {name: recording.provenance[name] for name in KEPT if name in recording.provenance},
    )


def _together(
    recording: Recording, population: str, variables: str | Sequence[str]
) -> tuple[dict[str, Signal], np.ndarray]:
    """Signals of the same neurons at the same times, and these times in seconds."""
    names = [variables] if isinstance(variables, str) else list(variables)
    signals = {name: recording.signal(population, name) for name in names}
    signals = signals or dict(recording.signals.get(population, {}))
    if not signals:
        # The same words as for a population that is not there at all.
        recording.signal(population, "")
    times = {name: np.asarray(recording.times_of(population, name) / second) for name in signals}
    first, *others = signals
    apart = [
        name
        for name in others
        if len(times[name]) != len(times[first])
        or not np.array_equal(signals[name].neurons, signals[first].neurons)
    ]
    if apart:
        raise UserError(
            f"{listed([first, *apart])} of {population} were not recorded in the same neurons at "
            f"the same times: ask for one of them, as in ({population!r}, {first!r})."
        )
    return signals, times[first]


def _units(signals: dict[str, Signal]) -> dict[str, Any]:
    return {name: unit_of(signal.values) for name, signal in signals.items()}
