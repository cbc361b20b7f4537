"""Runs an experiment on a device; the only module that chooses one."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
from brian2 import (
    Equations,
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

from neuromod.errors import unknown
from neuromod.experiment import Connection, Experiment, Population, Spikes
from neuromod.models.parameters import unit_of
from neuromod.progress import task
from neuromod.recording import Recording, Signal

DEVICES = ("cython", "cpp")
# GeNN's order within a time step; the others can follow it, GeNN cannot follow theirs.
SCHEDULE = ["start", "synapses", "groups", "thresholds", "resets", "end"]


def simulate(experiment: Experiment, device: str = "cython") -> Recording:
    """Run an experiment.

    Parameters
    ----------
    experiment : Experiment
    device : str
        ``"cython"`` (Brian2's runtime) or ``"cpp"`` (C++ standalone, compiled in a directory of
        its own).

    Returns
    -------
    Recording
        Spikes of every population and the traces asked for; the same on every device.

    Raises
    ------
    UserError
        When the device is unknown.
    """
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    with _settings(), _device(device):
        defaultclock.dt = experiment.dt
        parts = _build(experiment)
        started = time.perf_counter()
        progress = task(f"compiling and simulating on {device}")
        on_runtime = {
            "report": lambda _elapsed, done, _start, _length: progress(round(done * 1000), 1000),
            "report_period": 0.2 * second,
        }
        options = on_runtime if device == "cython" else {}
        Network(*parts.values()).run(experiment.duration, namespace={}, **options)
        progress(1, 1)
        provenance = {
            "device": device,
            "brian2": version("brian2"),
            "seed": experiment.seed,
            "wall_s": time.perf_counter() - started,
        }
        if device == "cpp":
            provenance["binary_s"] = get_device().timers["run_binary"]
        return _collect(experiment, parts, provenance)


@contextmanager
def _settings() -> Iterator[None]:
    """Preferences for one run, the caller's own restored after it."""
    ours = {
        "core.network.default_schedule": SCHEDULE,
        "codegen.target": "cython",
        # Ctrl-C would otherwise shorten the run instead of ending it (no such option in 2.5).
        "core.stop_on_keyboard_interrupt": False,
    }
    before = {name: prefs[name] for name in ours if name in prefs}
    dt = defaultclock.dt
    for name in before:
        prefs[name] = ours[name]
    try:
        with warnings.catch_warnings():
            # Brian2 calls pyparsing by names that newer releases deprecate.
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            yield
    finally:
        for name, value in before.items():
            prefs[name] = value
        defaultclock.dt = dt


@contextmanager
def _device(name: str) -> Iterator[None]:
    """Activate a device, and the caller's own again after it."""
    if name == "cython":
        set_device("runtime")
        try:
            yield
        finally:
            reset_device()
        return
    with tempfile.TemporaryDirectory(prefix="neuromod-") as directory:
        set_device("cpp_standalone", directory=directory, with_output=False)
        # Left over from an earlier run of this process, also of the caller's.
        get_device().reinit()
        get_device().activate(directory=directory, with_output=False)
        try:
            yield
        except RuntimeError as error:
            # While Brian2 waits for make, Ctrl-C reaches make alone, which dies of signal 2.
            if "compilation failed (error code: 2)" in str(error):
                raise KeyboardInterrupt from error
            raise
        finally:
            get_device().reinit()
            reset_device()


def _build(experiment: Experiment) -> dict[str, Any]:
    """Brian2 objects by name.

    Names are the same in every run, because Brian2 writes them into the code that it compiles
    and keeps compiled code by its text.
    """
    parts: dict[str, Any] = {}
    for population in experiment.populations:
        parts[population.name] = _group(population)
    for source in experiment.sources:
        parts[source.name] = SpikeGeneratorGroup(
            source.size, source.neurons, source.times, name=source.name
        )
    for number, connection in enumerate(experiment.connections):
        if not len(connection.i):
            continue
        name = f"synapses_{number}"
        parts[name] = _synapses(connection, name, parts)
    for population in experiment.populations:
        name = f"spikes_{population.name}"
        parts[name] = SpikeMonitor(parts[population.name], name=name)
    for number, trace in enumerate(experiment.traces):
        name = f"trace_{number}"
        for variable in trace.variables:
            _check_variable(parts[trace.population], variable)
        parts[name] = StateMonitor(
            parts[trace.population], trace.variables, record=trace.neurons, name=name
        )
    return parts


def _group(population: Population) -> NeuronGroup:
    """Neurons; a parameter given neuron by neuron moves from the constants to the equations."""
    model, values = population.model, population.values
    constants = dict(model.constants)
    equations = Equations(model.equations)
    settable = constants.keys() | equations.diff_eq_names | equations.parameter_names
    for name in values:
        if name not in settable:
            raise unknown(f"parameter or state of {population.name}", name, settable)
    single = [name for name in values if constants.pop(name, None) is not None]
    declared = "\n".join(f"{name} : {unit_of(values[name])} (constant)" for name in single)
    group = NeuronGroup(
        population.size,
        f"{model.equations}\n{declared}",
        threshold=model.threshold,
        reset=model.reset,
        refractory=model.refractory,
        method=model.method,
        namespace=constants,
        name=population.name,
    )
    for name, value in {**model.start, **values}.items():
        setattr(group, name, value)
    return group


def _synapses(connection: Connection, name: str, parts: dict[str, Any]) -> Synapses:
    """Synapses that add their weight; one weight for all is a constant, not an array."""
    source, target = parts[connection.source], parts[connection.target]
    _check_variable(target, connection.variable)
    on_pre = f"{connection.variable}_post += w"
    each = np.ndim(connection.weight) > 0
    synapses = Synapses(
        source,
        target,
        f"w : {unit_of(connection.weight)} (constant)" if each else "",
        on_pre=on_pre,
        delay=connection.delay,
        namespace={} if each else {"w": connection.weight},
        name=name,
    )
    synapses.connect(i=connection.i, j=connection.j)
    if each:
        synapses.w = connection.weight
    return synapses


def _check_variable(group: NeuronGroup, name: str) -> None:
    if name not in group.equations:
        raise unknown(f"variable of {group.name}", name, group.equations)


def _collect(
    experiment: Experiment, parts: dict[str, Any], provenance: dict[str, Any]
) -> Recording:
    """Copy results out of Brian2's objects, which end with their device."""
    spikes = {}
    for population in experiment.populations:
        monitor = parts[f"spikes_{population.name}"]
        order = np.lexsort((monitor.i[:], monitor.t[:]))
        spikes[population.name] = Spikes(
            population.name,
            population.size,
            np.array(monitor.i[:])[order],
            Quantity(monitor.t[:])[order],
        )
    signals: dict[str, dict[str, Signal]] = {}
    for number, trace in enumerate(experiment.traces):
        monitor = parts[f"trace_{number}"]
        for variable in trace.variables:
            signal = Signal(trace.neurons, Quantity(getattr(monitor, variable)))
            signals.setdefault(trace.population, {})[variable] = signal
    return Recording(spikes, signals, experiment.duration, experiment.dt, provenance)
