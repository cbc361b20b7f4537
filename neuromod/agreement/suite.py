"""Experiments of every protocol at a small size, on a device and on Brian2's runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from neuromod.devices.simulation import PRECISIONS, simulate
from neuromod.errors import UnsupportedError, UserError, listed
from neuromod.experiment import Experiment
from neuromod.recording import Recording
from neuromod.recording.agreement import agreement
from neuromod.runs.registry import find, missing

SAME_SPIKES = ("cython", "cpp", "genn-cpu")
"""Devices that add up in one order; on a GPU it varies, and last digits with it."""
# Chosen here. Shares of spikes that may differ on a GPU and in single precision: a loop of neurons,
# or a synapse that learns, multiplies the smallest difference.
FEEDFORWARD, FED_BACK = 0.01, 0.2
# Deviations of traces before that, as a share of their range.
TRACE = {"double": 1e-6, "single": 1e-3}
AGREES, DIFFERS, REFUSED, FAILED, LEFT_OUT = "agrees", "differs", "refused", "failed", "left out"


@dataclass(frozen=True)
class Compared:
    """One experiment on a device in one precision, against Brian2's runtime in double precision.

    Attributes
    ----------
    outcome : str
        ``"agrees"``, ``"differs"``, ``"refused"`` by the device, ``"failed"`` on it, or
        ``"left out"``, because the protocol itself cannot be used here.
    why : str
        Of what was refused, failed or left out.
    spikes, moved, missing, extra, differing, trace
        See `Agreement`.
    differing_allowed, trace_allowed : float
    """

    protocol: str
    experiment: str
    precision: str
    outcome: str
    why: str = ""
    spikes: int = 0
    moved: int = 0
    missing: int = 0
    extra: int = 0
    differing: float = 0.0
    differing_allowed: float = 0.0
    trace: float = 0.0
    trace_allowed: float = 0.0


def small(name: str) -> dict[str, Experiment]:
    """A protocol's experiments at its small size; none where it gives no such size."""
    found = find("protocol", name)
    settings = getattr(found, "small", {})
    return found(**settings).experiments() if settings else {}


def compare(
    name: str, device: str, precisions: Iterable[str] = tuple(PRECISIONS)
) -> Iterator[Compared]:
    """Compare the experiments of a protocol on a device with the same on Brian2's runtime."""
    try:
        if lacking := missing("protocol", name):
            raise UserError(f"It needs {listed(lacking)}.")
        experiments = small(name)
        references = {title: simulate(one) for title, one in experiments.items()}
    except UserError as error:
        yield Compared(name, "", "", LEFT_OUT, str(error))
        return
    for title, experiment in experiments.items():
        for precision in precisions:
            yield _compared(name, title, experiment, references[title], device, precision)


def allowed(experiment: Experiment, device: str, precision: str) -> float:
    """Share of spikes that may differ from those of Brian2's runtime in double precision."""
    if precision == "double" and device in SAME_SPIKES:
        return 0.0
    return FED_BACK if feeds_back(experiment) else FEEDFORWARD


def feeds_back(experiment: Experiment) -> bool:
    """Whether a spike can come to act on its own neuron, or on a synapse that learns."""
    if experiment.plastic:
        return True
    sizes = [population.size for population in experiment.populations]
    names = [population.name for population in experiment.populations]
    first = dict(zip(names, accumulate(sizes, initial=0), strict=False))
    within = [wire for wire in experiment.connections if wire.source in first]
    if not within:
        return False
    i = np.concatenate([first[wire.source] + wire.i for wire in within])
    j = np.concatenate([first[wire.target] + wire.j for wire in within])
    if np.any(i == j):
        return True
    graph = coo_array((np.ones(len(i), dtype=bool), (i, j)), shape=(sum(sizes), sum(sizes)))
    loops, _ = connected_components(graph, connection="strong")
    return bool(loops < sum(sizes))


def _compared(
    name: str, title: str, experiment: Experiment, reference: Recording, device: str, precision: str
) -> Compared:
    try:
        recording = simulate(experiment, device, precision)
    except UnsupportedError as error:
        return Compared(name, title, precision, REFUSED, str(error))
    # Compilers and drivers fail in many ways, and all else is still to be tried.
    except Exception as error:
        return Compared(name, title, precision, FAILED, reason(error))
    found = agreement(reference, recording)
    share, deviation = allowed(experiment, device, precision), TRACE[precision]
    agrees = found.differing <= share and found.trace <= deviation
    return Compared(
        name,
        title,
        precision,
        AGREES if agrees else DIFFERS,
        "",
        found.spikes,
        found.moved,
        found.missing,
        found.extra,
        found.differing,
        share,
        found.trace,
        deviation,
    )


def reason(error: Exception) -> str:
    """The first line of an error, or else its name."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
