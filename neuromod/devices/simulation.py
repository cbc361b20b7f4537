"""Runs an experiment on a device; the only module that chooses one."""

from __future__ import annotations

import gc
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import starmap
from typing import Any

import numpy as np
from brian2 import (
    Network,
    NeuronGroup,
    Quantity,
    SpikeGeneratorGroup,
    SpikeMonitor,
    StateMonitor,
    Synapses,
    defaultclock,
    get_device,
    prefs,
    second,
    set_device,
)
from brian2.devices.device import reset_device

from neuromod.checks import steps_in
from neuromod.devices.builds import GET_COMPILER, Standalone, compiler
from neuromod.devices.genn.installation import require
from neuromod.devices.genn.limits import refuse
from neuromod.devices.states import check_states, check_step
from neuromod.errors import UserError, unknown
from neuromod.experiment import Connection, Experiment, PlasticConnection, Population, Spikes
from neuromod.parameters import unit_of
from neuromod.recording import Recording, Signal
from neuromod.support.claim import scratch
from neuromod.support.machine import STEP_S, check_memory, check_time
from neuromod.support.progress import task
from neuromod.support.text import say

DEVICES = ("cython", "cpp", "genn", "genn-cpu")
PRECISIONS = {"double": np.float64, "single": np.float32}
# GeNN's order within a time step; the others can follow it, GeNN cannot follow theirs.
SCHEDULE = ["start", "synapses", "groups", "thresholds", "resets", "end"]
# Time steps that Brian2's runtime is given to NumPy for, which takes 0.1 to 0.3 ms for each, 1 ms
# in a network of 10 000 neurons: seconds, where compiling takes a minute for every new variant.
SHORT = 20_000
# Of one traced value, in the monitor and in the recording; of one synapse; of one input spike.
SAMPLE_BYTES, SYNAPSE_BYTES, SPIKE_BYTES = 16, 32, 32
# Least wall time of one neuron or plastic synapse in a time step, on the fastest device.
UPDATE_S = 1e-11
MAKE_OPTIONS = "devices.cpp_standalone.extra_make_args_unix"
GCC_OPTIONS = "codegen.cpp.extra_compile_args_gcc"
# By default GCC gives up on vectors in a loop over as many arrays as a cell with a cascade has:
# it would check at run time whether any two of them overlap.
VECTORISED = "--param=vect-max-version-for-alias-checks=1000"
# Brian2GeNN sets these itself when it is activated, and leaves them so.
GENN_PREFERENCES = {
    "codegen.generators.cpp.restrict_keyword": "__restrict",
    "codegen.loop_invariant_optimisations": False,
}


def simulate(
    experiment: Experiment, device: str = "cython", precision: str = "double"
) -> Recording:
    """Run an experiment.

    Parameters
    ----------
    experiment : Experiment
    device : str
        ``"cython"`` (Brian2's runtime), ``"cpp"`` (C++ standalone), ``"genn"`` (GeNN on a GPU) or
        ``"genn-cpu"`` (GeNN on one CPU core).
    precision : str
        ``"double"`` or ``"single"``, of everything but time.

    Returns
    -------
    Recording
        Spikes of every population and the traces asked for; the same on every device.

    Raises
    ------
    UserError
        When the device is unknown, cannot be used here, or cannot run this experiment; when it
        needs more than the machine has, or ends in states that cannot be.
    """
    check_request(device, precision)
    steps = steps_in("duration", experiment.duration, experiment.dt)
    check_step(experiment)
    _check_needs(experiment, steps)
    with _settings(device, precision, compiled=steps > SHORT), _device(device):
        if device.startswith("genn"):
            refuse(experiment)
        defaultclock.dt = experiment.dt
        parts = _build(experiment)
        begun, started = datetime.now(UTC), time.perf_counter()
        _run(parts, experiment.duration, device)
        provenance = {
            "device": device,
            "target": prefs["codegen.target"] if device == "cython" else device,
            "precision": precision,
            "brian2": version("brian2"),
            "seed": experiment.seed,
            "started": begun.isoformat(timespec="seconds"),
            "wall_s": time.perf_counter() - started,
        }
        if device != "cython":
            active = get_device()
            provenance |= {
                "compiled": active.compiled,
                "build_s": active.started_at - started,
                "binary_s": active.ended_at - active.started_at,
            }
        recording = _collect(experiment, parts, provenance)
        experiment.check_pulses(recording.spikes)
        return recording


def check_request(device: str, precision: str) -> None:
    """Refuse a device that does not exist or cannot be used here, and an unknown precision."""
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    if device.startswith("genn"):
        require(gpu=device == "genn")


def _check_needs(experiment: Experiment, steps: int) -> None:
    """Refuse what does not fit into this machine, by an estimate from below."""
    samples = steps * sum(len(trace.neurons) * len(trace.variables) for trace in experiment.traces)
    edges = sum(len(wire.i) * len(wire.edges) for wire in experiment.connections)
    changing = sum(len(wire.i) for wire in experiment.plastic)
    inputs = sum(len(source.neurons) for source in experiment.sources)
    neurons = sum(population.size for population in experiment.populations)
    needed = SAMPLE_BYTES * samples + SYNAPSE_BYTES * (edges + changing) + SPIKE_BYTES * inputs
    check_memory(f"A simulation of {say(steps)} time steps", needed)
    seconds = steps * (STEP_S + UPDATE_S * (neurons + changing))
    check_time(f"A simulation of {say(steps)} time steps", seconds)


@contextmanager
def _settings(device: str, precision: str, compiled: bool) -> Iterator[None]:
    """Preferences for one run, the caller's own restored after it."""
    ours = {
        "core.default_float_dtype": PRECISIONS[precision],
        "core.network.default_schedule": SCHEDULE,
        "codegen.target": "cython" if compiled else "numpy",
        # Ctrl-C would otherwise shorten the run instead of ending it (no such option in 2.5).
        "core.stop_on_keyboard_interrupt": False,
        GCC_OPTIONS: [*prefs[GCC_OPTIONS], VECTORISED],
    }
    if prefs[MAKE_OPTIONS] == ["-j"]:
        # Brian2's default starts every compilation at once.
        ours[MAKE_OPTIONS] = [f"-j{os.cpu_count() or 1}"]
    if device.startswith("genn"):
        ours |= GENN_PREFERENCES
    before = {name: prefs[name] for name in ours if name in prefs}
    dt = defaultclock.dt
    for name in before:
        prefs[name] = ours[name]
    try:
        with warnings.catch_warnings():
            # Brian2 calls pyparsing by names that newer releases deprecate.
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            # Nor does it mind that its check for huge values is written for double precision.
            warnings.filterwarnings("ignore", message="overflow encountered in cast")
            yield
    except Exception as error:
        if isinstance(error, UserError) or not compiled or compiler():
            raise
        raise UserError(f"Compiling needs g++, which is not here: {GET_COMPILER}.") from error
    finally:
        for name, value in before.items():
            prefs[name] = value
        defaultclock.dt = dt


@contextmanager
def _device(name: str) -> Iterator[None]:
    """Activate a device, and the caller's own again after it."""
    with scratch() as directory:
        _activate(name, str(directory))
        try:
            yield
        finally:
            reset_device()


def _activate(name: str, directory: str) -> None:
    if name == "cython":
        set_device("runtime")
        return
    # Brian2 numbers names that are still in use, and names stand in the program's text.
    gc.collect()
    if name == "cpp":
        set_device(Standalone(), directory=directory, with_output=False)
        return
    # Imported here because it needs Brian2GeNN.
    from neuromod.devices.genn.device import GeNN

    set_device(GeNN(), directory=directory, with_output=False, use_GPU=name == "genn")


def _run(parts: dict[str, Any], duration: Quantity, device: str) -> None:
    progress = task(f"compiling and simulating on {device}")
    options: dict[str, Any] = {}
    if device == "cython":
        options = {
            "report": lambda _elapsed, done, _start, _length: progress(round(done * 1000), 1000),
            "report_period": 0.2 * second,
        }
    Network(*parts.values()).run(duration, namespace={}, **options)
    progress(1, 1)


def _build(experiment: Experiment) -> dict[str, Any]:
    """Brian2 objects by name.

    Names are the same in every run, because Brian2 writes them into the code that it compiles
    and keeps compiled code by its text.
    """
    parts: dict[str, Any] = {}
    for population in experiment.populations:
        parts[f"neurons_{population.name}"] = _group(population)
        name = f"spikes_{population.name}"
        parts[name] = SpikeMonitor(parts[f"neurons_{population.name}"], name=name)
    for source in experiment.sources:
        parts[f"neurons_{source.name}"] = _source(source, experiment)
    edges = [(c, *edge) for c in experiment.connections for edge in c.edges]
    for number, (connection, weight, delay) in enumerate(edges):
        if len(connection.i):
            name = f"synapses_{number}"
            parts[name] = _synapses(connection, weight, delay, name, parts)
    for changing in experiment.plastic:
        name = f"plastic_{changing.name}"
        parts[name] = _plastic(changing, name, parts)
    for number, trace in enumerate(experiment.traces):
        name = f"trace_{number}"
        traced = _part(parts, trace.population)
        parts[name] = StateMonitor(traced, trace.variables, record=trace.neurons, name=name)
    return parts


def _group(population: Population) -> NeuronGroup:
    """Neurons, every constant of whose model is a parameter: shared, or one for each neuron."""
    model = population.model
    functions = {name: value for name, value in population.constants.items() if callable(value)}
    numbers = {n: value for n, value in population.constants.items() if n not in functions}
    group = NeuronGroup(
        population.size,
        "\n".join([population.equations, *starmap(_parameter, numbers.items())]),
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory,
        method=model.method,
        namespace=functions,
        name=f"neurons_{population.name}",
    )
    for name, value in {**model.start, **numbers, **population.completed}.items():
        setattr(group, name, value)
    return group


def _parameter(name: str, value: Any) -> str:
    flags = "constant" if np.ndim(value) else "shared, constant"
    return f"{name} : {unit_of(value)} ({flags})"


def _source(source: Spikes, experiment: Experiment) -> SpikeGeneratorGroup:
    """Input spikes, and such as never come up to a power of 2: their number stands in the text."""
    count = len(source.neurons)
    beyond = np.arange((1 << max(count, 1).bit_length()) - count)
    steps = beyond // source.size
    last = max([float(experiment.duration / second), *np.asarray(source.times / second)])
    never = last * second + (steps + 1) * experiment.dt
    return SpikeGeneratorGroup(
        source.size,
        np.append(source.neurons, beyond % source.size),
        Quantity(np.append(source.times / second, never / second), dim=second.dim),
        name=f"neurons_{source.name}",
    )


def _synapses(
    connection: Connection, weight: Any, delay: Quantity, name: str, parts: dict[str, Any]
) -> Synapses:
    """Synapses that add a weight after a delay."""
    synapses = Synapses(
        parts[f"neurons_{connection.source}"],
        parts[f"neurons_{connection.target}"],
        _parameter("w", weight),
        on_pre=f"{connection.variable}_post += w",
        delay=delay,
        name=name,
    )
    synapses.connect(i=connection.i, j=connection.j)
    synapses.w = weight
    return synapses


def _plastic(changing: PlasticConnection, name: str, parts: dict[str, Any]) -> Synapses:
    """Synapses with equations of their own."""
    model = changing.model
    constants = {key: changing.values.get(key, value) for key, value in model.constants.items()}
    synapses = Synapses(
        parts[f"neurons_{changing.source}"],
        parts[f"neurons_{changing.target}"],
        "\n".join([model.equations, *starmap(_parameter, constants.items())]),
        on_pre=model.on_pre,
        on_post=model.on_post or None,
        delay=changing.delay,
        method=model.method,
        name=name,
    )
    # GeNN's order, whatever Brian2's is.
    synapses.state_updater.when, synapses.state_updater.order = "synapses", -2
    if model.on_post:
        synapses.post.order = 1
    synapses.connect(i=changing.i, j=changing.j)
    for key, value in {**constants, **changing.values}.items():
        setattr(synapses, key, value)
    return synapses


def _part(parts: dict[str, Any], name: str) -> Any:
    """A population's neurons or a plastic connection's synapses."""
    neurons = f"neurons_{name}"
    return parts[neurons if neurons in parts else f"plastic_{name}"]


def _collect(
    experiment: Experiment, parts: dict[str, Any], provenance: dict[str, Any]
) -> Recording:
    """Copy results out of Brian2's objects, which end with their device."""
    spikes = {}
    for population in experiment.populations:
        monitor = parts[f"spikes_{population.name}"]
        order = np.lexsort((monitor.i[:], monitor.t[:]))
        # Devices differ in the last digit of their clocks.
        steps = np.round(np.asarray(monitor.t[:] / experiment.dt, dtype=float)[order])
        spikes[population.name] = Spikes(
            population.name, population.size, np.array(monitor.i[:])[order], steps * experiment.dt
        )
    signals: dict[str, dict[str, Signal]] = {}
    for number, trace in enumerate(experiment.traces):
        monitor = parts[f"trace_{number}"]
        for variable in trace.variables:
            values = Quantity(getattr(monitor, variable), dtype=float)
            signal = Signal(trace.neurons, values)
            signals.setdefault(trace.population, {})[variable] = signal
    modelled: list[Population | PlasticConnection] = [*experiment.populations, *experiment.plastic]
    totals = {
        part.name: {
            name: Quantity(getattr(_part(parts, part.name), name)[:], dtype=float)
            for name in getattr(part.model, "totals", ())
        }
        for part in modelled
    }
    # Not as an attribute, which Brian2's own `active` would be.
    check_states(experiment, signals, lambda part, name: _part(parts, part).state(name)[:])
    return Recording(spikes, signals, experiment.duration, experiment.dt, provenance, totals)
