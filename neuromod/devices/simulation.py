"""Runs an experiment on a device; the only module that chooses one."""

from __future__ import annotations

import gc
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import (
    BrianObject,
    Network,
    Quantity,
    SpikeMonitor,
    StateMonitor,
    defaultclock,
    get_device,
    prefs,
    second,
    set_device,
)
from brian2.devices.device import reset_device

from neuromod.checks import steps_in
from neuromod.devices.builds import GET_COMPILER, compiler
from neuromod.devices.bundles import bundled, single
from neuromod.devices.genn.installation import genn_version, pygenn_version, require
from neuromod.devices.genn.limits import refuse
from neuromod.devices.genn.model import network
from neuromod.devices.objects import neurons, own_names, plastic_synapses, spike_source, synapses
from neuromod.devices.standalone import Standalone
from neuromod.devices.states import check_states, check_step
from neuromod.devices.target import TARGET, choose, computed_by, wanted
from neuromod.devices.vectors import held
from neuromod.errors import UserError, unknown
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes
from neuromod.recording import Recording, Signal
from neuromod.support.claim import scratch
from neuromod.support.machine import STEP_S, check_memory, check_time
from neuromod.support.progress import seen, task
from neuromod.support.text import say

DEVICES = ("cython", "cpp", "genn", "genn-cpu")
PRECISIONS = {"double": np.float64, "single": np.float32}
# GeNN's order within a time step; the others can follow it, GeNN cannot follow theirs.
SCHEDULE = ["start", "synapses", "groups", "thresholds", "resets", "end"]
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


@seen()
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
        Spikes of every population and the traces asked for. In double precision spikes are the
        same on every device but a GPU, where last digits vary from run to run.

    Raises
    ------
    UserError
        When the device is unknown, cannot be used here, or cannot run this experiment; when it
        needs more than the machine has, or ends in states that cannot be.

    Examples
    --------
    >>> from brian2 import ms, nA
    >>> from neuromod import Experiment, Population, simulate
    >>> from neuromod.models import GainLIF
    >>> given = {"I_ext": 0.4 * nA, "trained_gain": [1, 2]}
    >>> cells = Population("cells", GainLIF(receptors=()), 2, given)
    >>> recording = simulate(Experiment(populations=[cells], duration=100 * ms, dt=0.1 * ms))
    >>> recording.spikes["cells"].counts()
    array([0, 4])
    """
    check_request(device, precision)
    steps = steps_in("duration", experiment.duration, experiment.dt)
    check_step(experiment)
    target = _target(device)
    # Brian2GeNN has one clock: it records every step.
    _check_needs(experiment, steps, gathers=target == "brian2genn")
    if device.startswith("genn"):
        refuse(experiment, target)
    compiling = target in ("cpp", "brian2genn")
    with (
        _settings(precision, target),
        _freed() if compiling else nullcontext(),
        _device(target, device == "genn") as folder,
    ):
        return _recorded(experiment, device, precision, target, folder)


def _recorded(
    experiment: Experiment, device: str, precision: str, target: str, folder: Path
) -> Recording:
    """Run an experiment on a device that is ready; what this has made ends with it."""
    defaultclock.dt = experiment.dt
    begun, started = datetime.now(UTC), time.perf_counter()
    run = _run_pygenn if target == "pygenn" else _run_brian2
    results = run(experiment, device, precision, folder)
    provenance = {
        "device": device,
        "target": results.target or target,
        "precision": precision,
        "brian2": version("brian2"),
        "seed": experiment.seed,
        "started": begun.isoformat(timespec="seconds"),
        "wall_s": time.perf_counter() - started,
    }
    if device.startswith("genn"):
        provenance["genn"] = genn_version()
    if device != "cython":
        provenance |= {
            "compiled": results.compiled,
            "build_s": results.started_at - started,
            "binary_s": results.ended_at - results.started_at,
        }
    recording = _collect(experiment, results, provenance)
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


def _target(device: str) -> str:
    """Who computes on a device, as far as it is known before the run."""
    if device.startswith("genn"):
        return "pygenn" if pygenn_version() else "brian2genn"
    return wanted() if device == "cython" else device


def _check_needs(experiment: Experiment, steps: int, gathers: bool) -> None:
    """Refuse what does not fit into this machine, by an estimate from below.

    `gathers` is whether the device records every step, whatever interval a trace asks for.
    """
    samples = sum(
        -(-steps // (1 if gathers else trace.stride(experiment.dt)))
        * len(trace.neurons)
        * len(trace.variables)
        for trace in experiment.traces
    )
    edges = sum(len(b.i) * len(b.delays) for b in bundled(experiment.connections))
    changing = sum(len(wire.i) for wire in experiment.plastic)
    inputs = sum(len(source.neurons) for source in experiment.sources)
    neurons = sum(population.size for population in experiment.populations)
    needed = SAMPLE_BYTES * samples + SYNAPSE_BYTES * (edges + changing) + SPIKE_BYTES * inputs
    check_memory(f"A simulation of {say(steps)} time steps", needed)
    seconds = steps * (STEP_S + UPDATE_S * (neurons + changing))
    check_time(f"A simulation of {say(steps)} time steps", seconds)


@contextmanager
def _settings(precision: str, target: str) -> Iterator[None]:
    """Preferences for one run, the caller's own restored after it."""
    ours: dict[str, Any] = {
        "core.default_float_dtype": PRECISIONS[precision],
        "core.network.default_schedule": SCHEDULE,
        # Ctrl-C would otherwise shorten the run instead of ending it (no such option in 2.5).
        "core.stop_on_keyboard_interrupt": False,
        GCC_OPTIONS: [*prefs[GCC_OPTIONS], VECTORISED],
    }
    if target in ("auto", "cython"):
        # Python's own options ask for debugging symbols, a quarter of the compiler's time.
        ours[GCC_OPTIONS] += ["-g0"]
    if target == "pygenn":
        # Brian2 computes nothing but values before and after the run.
        ours[TARGET] = "numpy"
    if prefs[MAKE_OPTIONS] == ["-j"]:
        # Brian2's default starts every compilation at once.
        ours[MAKE_OPTIONS] = [f"-j{os.cpu_count() or 1}"]
    if target == "brian2genn":
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
        if isinstance(error, UserError) or target in ("auto", "numpy") or compiler():
            raise
        raise UserError(f"Compiling needs g++, which is not here: {GET_COMPILER}.") from error
    finally:
        for name, value in before.items():
            prefs[name] = value
        defaultclock.dt = dt


@contextmanager
def _freed() -> Iterator[None]:
    """Free Brian2's objects after a run, which refer to each other.

    Brian2 numbers names that are still in use, and names stand in the program's text. Only what the
    run has made is searched: among all that a process has imported it takes a third of a short run.
    """
    if BrianObject.__instances__():
        gc.collect()
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if searching:
            gc.enable()


@contextmanager
def _device(target: str, gpu: bool) -> Iterator[Path]:
    """Activate a device of Brian2's, and the caller's own again after it; gives it a folder."""
    with scratch() as directory:
        _activate(target, gpu, str(directory))
        try:
            yield directory
        finally:
            reset_device()


def _activate(target: str, gpu: bool, directory: str) -> None:
    if target not in ("cpp", "brian2genn"):
        set_device("runtime")
        return
    if target == "cpp":
        set_device(Standalone(), directory=directory, with_output=False)
        return
    # Imported here because it needs Brian2GeNN.
    from neuromod.devices.genn.device import GeNN

    set_device(GeNN(), directory=directory, with_output=False, use_GPU=gpu)


@dataclass(frozen=True)
class Results:
    """What a run left behind, wherever it ran; it ends with its device.

    Attributes
    ----------
    spikes : callable
        Time steps and neurons of a population's spikes.
    samples : callable
        Values of a trace, by its number, and of one of its variables; shape (neurons, samples).
    state : callable
        Values at the end of a population or plastic connection and one of its variables.
    target : str
        Who computed, on Brian2's runtime.
    compiled : bool
        Whether anything was compiled ahead of the run.
    started_at, ended_at : float
        When the run itself began and ended, by `time.perf_counter`.
    """

    spikes: Callable[[str], tuple[Any, Any]]
    samples: Callable[[int, str], Quantity]
    state: Callable[[str, str], Any]
    target: str = ""
    compiled: bool = False
    started_at: float = 0.0
    ended_at: float = 0.0


def _run_pygenn(experiment: Experiment, device: str, precision: str, folder: Path) -> Results:
    # Imported here because it needs PyGeNN.
    from neuromod.devices.genn.running import run

    progress = task(f"compiling and simulating on {device}")
    parts = network(experiment, PRECISIONS[precision])
    ran = run(parts, experiment, precision, device == "genn", folder, progress)
    names = own_names(experiment)

    def state(part: str, name: str) -> Any:
        return parts.groups[part].state(names.get(part, {}).get(name, name))[:]

    def samples(number: int, variable: str) -> Quantity:
        population = experiment.traces[number].population
        own = names.get(population, {}).get(variable, variable)
        dimensions = parts.groups[population].variables[own].dim
        return Quantity(ran.samples[number, variable], dim=dimensions)

    return Results(
        ran.spikes.__getitem__, samples, state, "", ran.compiled, ran.started_at, ran.ended_at
    )


def _run_brian2(experiment: Experiment, device: str, precision: str, folder: Path) -> Results:
    del precision, folder
    on_genn = device.startswith("genn")
    # What GeNN records and is not asked for is left out later.
    # Synapses are made once: compiling what makes them would take longer.
    with computed_by("numpy"):
        parts = _build(experiment, clocks=not on_genn, vectors=device == "cpp")
    progress = task(f"compiling and simulating on {device}")
    options: dict[str, Any] = {}
    if device == "cython":
        target = choose(parts.values(), experiment)
        options = {
            "report": lambda _elapsed, done, _start, _length: progress(round(done * 1000), 1000),
            "report_period": 0.2 * second,
        }
    Network(*parts.values()).run(experiment.duration, namespace={}, **options)
    progress(1, 1)
    names = own_names(experiment)

    def spikes(population: str) -> tuple[Any, Any]:
        monitor = parts[f"spikes_{population}"]
        # Devices differ in the last digit of their clocks.
        return np.round(np.asarray(monitor.t[:] / experiment.dt, dtype=float)), monitor.i[:]

    def samples(number: int, variable: str) -> Quantity:
        trace = experiment.traces[number]
        kept = slice(None, None, trace.stride(experiment.dt) if on_genn else 1)
        own = names.get(trace.population, {}).get(variable, variable)
        return getattr(parts[f"trace_{number}"], own)[:, kept]

    def state(part: str, name: str) -> Any:
        # Not as an attribute, which Brian2's own `active` would be.
        return _part(parts, part).state(names.get(part, {}).get(name, name))[:]

    if device == "cython":
        return Results(spikes, samples, state, target)
    ran = get_device()
    return Results(spikes, samples, state, "", ran.compiled, ran.started_at, ran.ended_at)


def _build(experiment: Experiment, clocks: bool, vectors: bool) -> dict[str, Any]:
    """Brian2 objects by name.

    Monitors have the clocks of their traces, and synapses are bundled, unless `clocks` is False,
    as for GeNN, which has one clock and one pathway for a group of synapses.

    With `vectors`, plastic synapses and their targets are written as `neuromod.devices.vectors`
    has it.

    Names are the same in every run, because Brian2 writes them into the code that it compiles
    and keeps compiled code by its text.
    """
    parts: dict[str, Any] = {}
    for population in experiment.populations:
        onto = [c for c in experiment.plastic if vectors and c.target == population.name]
        holding = [equation for changing in onto for equation in held(changing).values()]
        parts[f"neurons_{population.name}"] = neurons(population, holding)
        name = f"spikes_{population.name}"
        parts[name] = SpikeMonitor(parts[f"neurons_{population.name}"], name=name)
    for source in experiment.sources:
        parts[f"neurons_{source.name}"] = spike_source(source, experiment.duration, experiment.dt)
    bundles = bundled if clocks else single
    for number, bundle in enumerate(bundles(experiment.connections)):
        name = f"synapses_{number}"
        source, target = (parts[f"neurons_{end}"] for end in (bundle.source, bundle.target))
        parts[name] = synapses(bundle, source, target, name)
    names = own_names(experiment)
    for changing in experiment.plastic:
        name = f"plastic_{changing.name}"
        source, target = (parts[f"neurons_{c}"] for c in (changing.source, changing.target))
        own = names[changing.name]
        parts[name] = plastic_synapses(changing, source, target, name, own, vectors)
    for number, trace in enumerate(experiment.traces):
        name = f"trace_{number}"
        traced, own = _part(parts, trace.population), names.get(trace.population, {})
        clock = trace.every if clocks and trace.stride(experiment.dt) > 1 else None
        variables = [own.get(variable, variable) for variable in trace.variables]
        parts[name] = StateMonitor(traced, variables, record=trace.neurons, dt=clock, name=name)
    return parts


def _part(parts: dict[str, Any], name: str) -> Any:
    """A population's neurons or a plastic connection's synapses."""
    neurons = f"neurons_{name}"
    return parts[neurons if neurons in parts else f"plastic_{name}"]


def _collect(experiment: Experiment, results: Results, provenance: dict[str, Any]) -> Recording:
    """Copy what a run left behind."""
    spikes = {}
    for population in experiment.populations:
        steps, neurons = results.spikes(population.name)
        order = np.lexsort((neurons, steps))
        spikes[population.name] = Spikes(
            population.name, population.size, np.array(neurons)[order], steps[order] * experiment.dt
        )
    signals: dict[str, dict[str, Signal]] = {}
    for number, trace in enumerate(experiment.traces):
        every = trace.every if trace.stride(experiment.dt) > 1 else None
        for variable in trace.variables:
            # Since 2.10 what Brian2 gives is its objects' own memory, which ends with them.
            values = Quantity(results.samples(number, variable), dtype=float, copy=True)
            signal = Signal(trace.neurons, values, every)
            signals.setdefault(trace.population, {})[variable] = signal
    modelled: list[Population | PlasticConnection] = [*experiment.populations, *experiment.plastic]
    totals = {
        part.name: {
            name: Quantity(results.state(part.name, name), dtype=float, copy=True)
            for name in getattr(part.model, "totals", ())
        }
        for part in modelled
    }
    check_states(experiment, signals, results.state)
    return Recording(spikes, signals, experiment.duration, experiment.dt, provenance, totals)
