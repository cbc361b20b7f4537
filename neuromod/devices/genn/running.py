"""Runs a network on GeNN 5 through PyGeNN: a library, compiled once and kept, that is stepped here.

Spikes and samples are written into buffers on the device and fetched when these are full. Values of
parameters, weights, input spikes and the duration are no part of what is compiled; the sizes of
populations are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pygenn
from brian2 import defaultclock, second
from pygenn import genn_model

from neuromod.checks import steps_in
from neuromod.devices.builds import call, compiled_once, compiler
from neuromod.devices.genn.compiling import copy_constants, gpu_tools, optimising
from neuromod.devices.genn.installation import cuda_path
from neuromod.devices.genn.model import Network, Neurons, Part, Synapses, arriving
from neuromod.devices.genn.translation import PREFIX, named
from neuromod.experiment import Experiment, Spikes
from neuromod.support.machine import check_memory

NAME = "network"
LIBRARY = ("librunner.so",)
# GeNN's hash counts values that are no part of the code.
NO_TEXT = ("model.sha", "*.o", "*.d")
BUFFERED = 64 << 20
"""Bytes of spikes and samples that are held at most until they are fetched."""

Group = Any


@dataclass
class Outcome:
    """What came of a run; values at its end are in the groups of the network.

    Attributes
    ----------
    spikes : dict of str to (ndarray, ndarray)
        Time steps and neurons of the spikes of every population.
    samples : dict of (int, str) to ndarray, shape (neurons, samples)
        Of every trace's variables.
    compiled : bool
        Whether the run had to compile.
    started_at, ended_at : float
        When the first step began and the last one was fetched, by `time.perf_counter`.
    """

    spikes: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    samples: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    compiled: bool = False
    started_at: float = 0.0
    ended_at: float = 0.0


def run(
    network: Network,
    experiment: Experiment,
    precision: str,
    gpu: bool,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Outcome:
    """Run a network.

    Parameters
    ----------
    network : Network
    experiment : Experiment
        From which it was made.
    precision : str
        ``"double"`` or ``"single"``, of everything but time.
    gpu : bool
    folder : Path
        Empty, to work in.
    progress : callable
        Is told the steps done and all of them.
    """
    dt = float(experiment.dt / second)
    steps = steps_in("duration", experiment.duration, experiment.dt)
    at_once = _steps_at_once(network, steps)
    check_memory("Synapses on GeNN, with as many places for every source,", _table_bytes(network))
    model = pygenn.GeNNModel(
        {"double": "double", "single": "float"}[precision],
        NAME,
        backend="cuda" if gpu else "single_threaded_cpu",
        time_precision="double",
    )
    model.dt = dt
    groups: dict[str, Group] = {}
    for number, (name, cells) in enumerate(network.neurons.items()):
        groups[name] = _add_neurons(model, f"neurons_{number}", cells, at_once)
    for number, (name, source) in enumerate(network.sources.items()):
        groups[name] = _add_source(model, f"source_{number}", source, dt)
    wired = {
        name: _add_synapses(model, f"synapses_{number}", synapses, groups, at_once)
        for number, (name, synapses) in enumerate(network.synapses.items())
    }
    outcome = Outcome(compiled=_build(model, folder, gpu))
    model.load(num_recording_timesteps=at_once if network.neurons else None)
    outcome.started_at = time.perf_counter()
    parts: list[tuple[str, Part, Group]] = [
        *((name, part, groups[name]) for name, part in network.neurons.items()),
        *((name, part, wired[name]) for name, part in network.synapses.items()),
    ]
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {name: [] for name in network.neurons}
    for _, part, _ in parts:
        for traced in part.traced:
            shape = (-(-steps // traced.stride), len(traced.neurons))
            outcome.samples[traced.trace, traced.variable] = np.empty(shape)
    told = max(1, steps // 200)
    for begin in range(0, steps, at_once):
        end = min(begin + at_once, steps)
        for step in range(begin, end):
            model.step_time()
            if step % told == 0:
                progress(step, steps)
        if network.neurons:
            model.pull_recording_buffers_from_device()
        for name in network.neurons:
            found[name].append(_spikes(groups[name], begin, end, at_once, dt))
        for _, part, group in parts:
            _fetch(part, group, begin, end, outcome.samples)
    progress(steps, steps)
    for name, pieces in found.items():
        each, neurons = zip(*pieces, strict=True)
        outcome.spikes[name] = np.concatenate(each), np.concatenate(neurons)
    for _, part, _ in parts:
        for traced in part.traced:
            key = traced.trace, traced.variable
            outcome.samples[key] = outcome.samples[key][:, traced.order].T
    for name, part, group in parts:
        if name in network.groups:
            _end(part, group, network.groups[name])
    defaultclock.variables["t"].set_value(steps * dt)
    outcome.ended_at = time.perf_counter()
    model.unload()
    return outcome


def _steps_at_once(network: Network, steps: int) -> int:
    """Time steps after which spikes and samples are fetched."""
    parts: list[Part] = [*network.neurons.values(), *network.synapses.values()]
    spikes = sum(cells.size / 8 for cells in network.neurons.values())
    samples = sum(8 * len(t.neurons) / t.stride for part in parts for t in part.traced)
    return max(1, min(steps, int(BUFFERED / (spikes + samples + 1))))


def _table_bytes(network: Network) -> int:
    """Size of the tables of synapses, where every source has the places of the one with most."""
    sizes = {name: cells.size for name, cells in network.neurons.items()}
    sizes |= {name: source.size for name, source in network.sources.items()}
    return sum(
        sizes[s.source] * int(np.bincount(s.i).max(initial=0)) * (4 + 8 * len(s.variables))
        for s in network.synapses.values()
    )


def _add_neurons(model: Any, name: str, cells: Neurons, at_once: int) -> Group:
    """A population, whose spikes are recorded."""
    made = pygenn.create_neuron_model(
        name,
        params=[(own, kind) for own, (kind, _) in cells.parameters.items()],
        vars=_declared(cells),
        sim_code=cells.step,
        threshold_condition_code=named("_cond"),
        reset_code=cells.reset,
        additional_input_vars=[(arriving(own), "scalar", 0.0) for own in cells.inputs],
        extra_global_params=[(traced.buffer, "double*") for traced in cells.traced],
    )
    group = model.add_neuron_population(
        name, cells.size, made, _parameters(cells, at_once), _values(cells)
    )
    for own in cells.parameters:
        group.set_param_dynamic(own)
    group.spike_recording_enabled = True
    _add_buffers(group, cells, at_once)
    return group


def _add_source(model: Any, name: str, source: Spikes, dt: float) -> Group:
    """Spikes to play back, half a step before each so that no rounding delays it."""
    made = pygenn.create_neuron_model(
        name,
        vars=[("next", "uint32_t"), ("last", "uint32_t", pygenn.VarAccess.READ_ONLY)],
        threshold_condition_code="next != last && t >= times[next]",
        reset_code="next = next + 1;",
        extra_global_params=[("times", "double*")],
    )
    order = np.argsort(source.neurons, kind="stable")
    last = np.cumsum(source.counts())
    group = model.add_neuron_population(
        name, source.size, made, {}, {"next": last - source.counts(), "last": last}
    )
    steps = np.round(np.asarray(source.times) / dt)[order]
    # GeNN has no empty arrays.
    group.extra_global_params["times"].set_init_values(np.append((steps - 0.5) * dt, np.inf))
    return group


def _add_synapses(
    model: Any, name: str, synapses: Synapses, groups: dict[str, Group], at_once: int
) -> Group:
    """A connection, plastic or not."""
    read_only = pygenn.VarAccessMode.READ_ONLY
    of_source, of_target = synapses.of_source, synapses.of_target
    made = pygenn.create_weight_update_model(
        name,
        params=[(own, kind) for own, (kind, _) in synapses.parameters.items()],
        vars=_declared(synapses),
        pre_neuron_var_refs=[(own, kind, read_only) for own, (kind, _) in of_source.items()],
        post_neuron_var_refs=[(own, kind, read_only) for own, (kind, _) in of_target.items()],
        pre_spike_syn_code=synapses.on_pre or None,
        post_spike_syn_code=synapses.on_post or None,
        synapse_dynamics_code=synapses.dynamics or None,
        extra_global_params=[(traced.buffer, "double*") for traced in synapses.traced],
    )
    update = pygenn.init_weight_update(
        made,
        _parameters(synapses, at_once),
        _values(synapses),
        pre_var_refs={own: named(variable) for own, (_, variable) in of_source.items()},
        post_var_refs={own: named(variable) for own, (_, variable) in of_target.items()},
    )
    group = model.add_synapse_population(
        name,
        "SPARSE",
        groups[synapses.source],
        groups[synapses.target],
        update,
        pygenn.init_postsynaptic("DeltaCurr"),
    )
    for own in synapses.parameters:
        group.set_wu_param_dynamic(own)
    group.set_sparse_connections(synapses.i, synapses.j)
    group.axonal_delay_steps = synapses.delay
    if synapses.adds_to:
        group.post_target_var = arriving(synapses.adds_to)
    _add_buffers(group, synapses, at_once)
    return group


def _declared(part: Part) -> list[tuple[Any, ...]]:
    """Names, types and uses of variables."""
    writable, fixed = pygenn.VarAccess.READ_WRITE, pygenn.VarAccess.READ_ONLY
    return [
        (name, kind, writable if name in part.written else fixed)
        for name, (kind, _) in part.variables.items()
    ]


def _values(part: Part) -> dict[str, np.ndarray]:
    return {name: np.array(values) for name, (_, values) in part.variables.items()}


def _parameters(part: Part, at_once: int) -> dict[str, Any]:
    """Values of parameters; a buffer has room for all samples until they are fetched."""
    values = {name: np.asarray(value).item() for name, (_, value) in part.parameters.items()}
    return values | {f"room_{traced.trace}": _room(traced, at_once) for traced in part.traced}


def _room(traced: Any, at_once: int) -> int:
    return at_once // int(traced.stride) + 1


def _add_buffers(group: Group, part: Part, at_once: int) -> None:
    for traced in part.traced:
        empty = np.zeros(_room(traced, at_once) * len(traced.neurons))
        group.extra_global_params[traced.buffer].set_init_values(empty)


def _build(model: Any, folder: Path, gpu: bool) -> bool:
    """Write GeNN's code and compile it where need be; whether that was so."""
    done = []

    def compile_here(*_: Any, **__: Any) -> None:
        done.append(
            compiled_once(
                folder / f"{NAME}_CODE", LIBRARY, NO_TEXT, _identity(gpu), lambda f: _make(f, gpu)
            )
        )

    with _compiling(compile_here):
        model.build(f"{folder}{os.sep}", always_rebuild=True)
    return any(done)


@contextmanager
def _compiling(instead: Callable[..., None]) -> Iterator[None]:
    """Let something else be called where PyGeNN would compile what it has written."""
    before = genn_model.check_call
    genn_model.check_call = instead
    try:
        yield
    finally:
        genn_model.check_call = before


def _identity(gpu: bool) -> str:
    """What decides on the library besides its text."""
    machine = [compiler(), pygenn.__version__]
    if gpu:
        machine += gpu_tools()
    return "\0".join(machine)


def _make(folder: Path, gpu: bool) -> None:
    """Compile; on a CPU with optimisation, which GeNN leaves out."""
    if gpu:
        call(["make", f"-j{os.cpu_count() or 1}"], folder, {"CUDA_PATH": str(cuda_path())})
        return
    for name in ("neuronUpdate.cc", "synapseUpdate.cc"):
        copy_constants(folder / name)
    call(["make", f"-j{os.cpu_count() or 1}"], folder, {"CXX": optimising()})


def _spikes(
    group: Group, begin: int, end: int, at_once: int, dt: float
) -> tuple[np.ndarray, np.ndarray]:
    """Time steps and neurons of the spikes of some steps.

    GeNN takes its buffer to end with the step that was last; where it was not filled, what is left
    of the steps before stands behind.
    """
    times, neurons = group.spike_recording_data[0]
    places = np.round(times / dt).astype(np.int64) - (end - at_once)
    kept = places < end - begin
    return begin + places[kept], neurons[kept].astype(np.int64)


def _fetch(
    part: Part, group: Group, begin: int, end: int, samples: dict[tuple[int, str], np.ndarray]
) -> None:
    """Copy what was sampled in some steps."""
    for traced in part.traced:
        due = np.arange(-(-begin // traced.stride), -(-end // traced.stride))
        buffer = group.extra_global_params[traced.buffer]
        buffer.pull_from_device()
        rows = buffer.view.reshape(-1, len(traced.neurons))
        samples[traced.trace, traced.variable][due] = rows[due % len(rows)]


def _end(part: Part, group: Group, brian: Any) -> None:
    """Give a group of Brian2's the values at the end."""
    for name in part.written:
        variable = group.vars[name]
        variable.pull_from_device()
        values = variable.current_values
        held = brian.variables[name.removeprefix(PREFIX)]
        held.set_value(values[:1] if held.scalar else values)
