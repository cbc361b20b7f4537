"""Who computes on Brian2's runtime, NumPy or compiled Cython: which one is done sooner.

Brian2 computes a network by pieces of code, such as the state update of a group. Cython takes less
time for a step of a piece, and compiles it when it first meets it, so a piece is compiled if that
saves more time within the run than compiling takes. The numbers below were measured with Brian2
2.9.0, NumPy 2.3 and Python 3.11, in processor time of one core of a server; a time step of a piece
in microseconds, with few neurons and with 10 000:

=====================================  ======  =======  ======  =======  =========
state update                            NumPy   Cython   NumPy   Cython  operations
=====================================  ======  =======  ======  =======  =========
`GainLIF` without receptors                16        3      52       10         64
`GainLIF`                                  26        4      97       47        105
`Izhikevich`                               19        4      89       30         33
`CircuitNeuron`                            22        3     106       61         58
`AdEx`                                     99        4     452      481        291
`HodgkinHuxley`                           184        4    1189      728        806
`CorticalHH`                              329        5    2008      882       1954
=====================================  ======  =======  ======  =======  =========
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from brian2 import prefs
from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.groups.group import CodeRunner

from neuromod.checks import steps_in
from neuromod.devices.builds import compiler
from neuromod.experiment import Experiment, PlasticConnection, Population

TARGET = "codegen.target"
OPERATION = re.compile(r"\*\*|[-+*/<>%]|(?<![<>=!])=(?!=)|\b\w+\(")
"""Of the code of a step: operators, assignments and functions."""
# What compiling a piece takes, by Brian2's name for its kind, and what Cython saves in a time step:
# for the piece, for an operation of its code, and for an operation on one neuron or synapse.
COMPILE_S = {
    "stateupdate": 2.0,
    "threshold": 2.4,
    "reset": 1.1,
    "spikemonitor": 3.9,
    "statemonitor": 1.5,
    "spikegenerator": 1.5,
    # Brian2 compiles what hands on the spikes as well.
    "synapses": 3.5,
}
COMPILE_OTHER_S = 4.0
EVERY_ONE = ("stateupdate", "threshold")
"""Kinds of code that compute every neuron or synapse in every step."""
PIECE_S, OPERATION_S, ELEMENT_S = 2e-6, 0.2e-6, 30e-12

_steps: ContextVar[Counter[Hashable] | None] = ContextVar("steps of a run by code", default=None)


class InputSpikes(NumpyCodeObject):  # type: ignore[misc]
    """Input spikes of a step, found by NumPy.

    Brian2 looks for a step of 64 bits among ones of 32, so that NumPy converts all spikes that are
    still to come, in every step. They are converted once here.
    """

    def variables_to_namespace(self) -> None:
        """Give the code its values."""
        super().variables_to_namespace()
        name = self.generator_class.get_array_name(self.variables["_timebins"])
        self.namespace[name] = self.namespace[name].astype(np.int64)


@contextmanager
def one_run(experiments: Iterable[Experiment]) -> Iterator[None]:
    """Let what is compiled for one of these experiments serve all that have the same code."""
    steps: Counter[Hashable] = Counter()
    for experiment in experiments:
        steps[_code(experiment)] += _steps_of(experiment)
    token = _steps.set(steps)
    try:
        yield
    finally:
        _steps.reset(token)


@contextmanager
def computed_by(target: str) -> Iterator[None]:
    """Let NumPy or Cython compute whatever Brian2 makes and runs in this context."""
    before = prefs[TARGET]
    prefs[TARGET] = target
    try:
        yield
    finally:
        prefs[TARGET] = before


def wanted() -> str:
    """Who the caller's ``prefs.codegen.target`` says is to compute, or ``"auto"``."""
    target = prefs[TARGET]
    # A class, where it is one of Brian2's own code objects.
    return str(getattr(target, "class_name", target))


def choose(parts: Iterable[Any], experiment: Experiment) -> str:
    """Choose who computes each piece of code of an experiment's Brian2 objects.

    A caller's own ``prefs.codegen.target`` stands. Where it is ``"auto"``, a piece is compiled
    that saves more within the run than that takes: the state update of few `GainLIF` from about
    90 000 time steps on, of 10 000 from about 40 000 on. That an earlier run may have left it
    compiled is not counted on, so that a run is the same whatever ran before. How often neurons
    spike is not known beforehand, so spikes do not count.

    Returns
    -------
    str
        ``"numpy"``, ``"cython"`` where that computes anything, or the caller's own.
    """
    target = wanted()
    if target not in ("auto", "numpy"):
        return target
    steps = max((_steps.get() or Counter())[_code(experiment)], _steps_of(experiment))
    pieces = [piece for part in parts for piece in _pieces(part)]
    paying = [p for p in pieces if target == "auto" and _saved_s(p, steps) > _compile_s(p)]
    if paying and not compiler():
        paying = []
    for piece in pieces:
        by_numpy = InputSpikes if piece.template == "spikegenerator" else NumpyCodeObject
        piece.codeobj_class = CythonCodeObject if piece in paying else by_numpy
    return "cython" if paying else "numpy"


def _steps_of(experiment: Experiment) -> int:
    return steps_in("duration", experiment.duration, experiment.dt)


def _code(experiment: Experiment) -> Hashable:
    """What experiments share whose state updates are the same code."""
    modelled: list[Population | PlasticConnection] = [*experiment.populations, *experiment.plastic]
    return tuple(
        (
            part.name,
            getattr(part, "equations", part.model.equations),
            type(part.model),
            str(part.model.method),
            tuple(sorted(name for name, value in part.values.items() if np.ndim(value))),
        )
        for part in modelled
    )


def _pieces(part: Any) -> Iterator[CodeRunner]:
    """The pieces of code that compute an object of Brian2's in a time step."""
    if isinstance(part, CodeRunner):
        yield part
    for inner in part.contained_objects:
        yield from _pieces(inner)


def _compile_s(piece: CodeRunner) -> float:
    return COMPILE_S.get(piece.template, COMPILE_OTHER_S)


def _saved_s(piece: CodeRunner, steps: int) -> float:
    if piece.template not in EVERY_ONE:
        return steps * PIECE_S
    piece.update_abstract_code(run_namespace={})
    operations = len(OPERATION.findall(piece.abstract_code))
    return steps * (PIECE_S + operations * (OPERATION_S + ELEMENT_S * len(piece.group)))
