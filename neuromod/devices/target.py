"""Who computes on Brian2's runtime, NumPy or compiled Cython: which one is done sooner.

Cython takes less time for a step, and compiles every piece of code when it first meets it. The
numbers below were measured with Brian2 2.9.0, NumPy 2.3 and Python 3.11, in processor time of one
core of a server; time steps in microseconds:

=====================================  ======  =======
network                                 NumPy   Cython
=====================================  ======  =======
3 `GainLIF` without receptors              46        5
3 `GainLIF` with D1                        61        7
the same, with a trace                     73       14
four such populations                     232       30
one such population, 4 connections        103       31
1 000 `GainLIF` with D1                    98       12
10 000 without receptors                  190       57
10 000 `GainLIF` with D1                  282       73
=====================================  ======  =======

Compiling took 17 s for the first population, 16 s for each of the other three, and 41 s for the
four connections with their source.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from brian2 import prefs

from neuromod.checks import steps_in
from neuromod.experiment import Experiment

TARGET = "codegen.target"
# What Cython saves in a time step, for each piece of code and for each neuron or plastic synapse.
PIECE_S, ELEMENT_S = 10e-6, 15e-9
# What compiling a piece takes. That an earlier run may have left it compiled is not counted on.
COMPILE_S = 4.0
# State update, threshold, reset and spike monitor; state update and both kinds of spikes.
PIECES_OF_POPULATION, PIECES_OF_PLASTIC = 4, 3


def target_of(experiment: Experiment) -> str:
    """Who computes an experiment on Brian2's runtime: ``"numpy"`` or ``"cython"``.

    A user's own ``prefs.codegen.target`` stands. Where it is ``"auto"``, Cython is taken if it
    saves more within this run than compiling takes: for a few neurons from 400 000 time steps on,
    for 10 000 from about 80 000 on. Rates are not known beforehand, so spikes do not count.
    """
    wanted = prefs[TARGET]
    if wanted != "auto":
        # A class, where it is one of Brian2's own code objects.
        return str(getattr(wanted, "class_name", wanted))
    steps = steps_in("duration", experiment.duration, experiment.dt)
    pieces = (
        PIECES_OF_POPULATION * len(experiment.populations)
        + PIECES_OF_PLASTIC * len(experiment.plastic)
        + len(experiment.sources)
        + sum(len(wire.edges) for wire in experiment.connections)
        + len(experiment.traces)
    )
    elements = sum(population.size for population in experiment.populations)
    elements += sum(len(changing.i) for changing in experiment.plastic)
    saved = steps * (PIECE_S * pieces + ELEMENT_S * elements)
    return "cython" if saved > COMPILE_S * pieces else "numpy"


@contextmanager
def compiled() -> Iterator[None]:
    """Let Cython compute whatever runs in this context."""
    before = prefs[TARGET]
    prefs[TARGET] = "cython"
    try:
        yield
    finally:
        prefs[TARGET] = before
