"""States that cannot be: time steps that would lead to them, and those that a run ended in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from brian2 import Quantity, second
from brian2.equations.equations import SUBEXPRESSION

from neuromod.checks import EXACT
from neuromod.errors import UserError
from neuromod.experiment import Experiment, PlasticConnection, Population
from neuromod.models.own_equations import read_equations
from neuromod.parameters import refuse_where
from neuromod.recording import Signal
from neuromod.support.text import say

Part = Population | PlasticConnection


def check_step(experiment: Experiment) -> None:
    """Refuse a time step with which a model's integration is not stable.

    A model tells with ``longest_step(own)``; those without are stable for any step.
    """
    for population in experiment.populations:
        if not hasattr(population.model, "longest_step"):
            continue
        longest = population.model.longest_step(population.own)
        if longest is not None:
            problem = (
                f"dt = {{}} is too long for {population.name}, whose fastest time constant allows "
                "{} at most"
            )
            refuse_where(experiment.dt > longest, problem, experiment.dt, longest)


def check_states(
    experiment: Experiment,
    signals: Mapping[str, Mapping[str, Signal]],
    final: Callable[[str, str], Any],
) -> None:
    """Refuse a run in which a state is no number, infinite or far beyond its rails.

    Parameters
    ----------
    experiment : Experiment
    signals : mapping of str to mapping of str to Signal
        Of the run, by population and variable.
    final : callable
        Of a part's and a variable's name: its values at the end of the run.
    """
    parts: list[Part] = [*experiment.populations, *experiment.plastic]
    for part in parts:
        # What was first in time is nearest to the cause.
        traced = signals.get(part.name, {})
        found = sorted(_in_traces(part, traced, experiment.dt), key=lambda one: one[0])
        at = [(f"at {say(time * second, digits=EXACT)}", *rest) for time, *rest in found]
        for when, variable, index, value in at or _at_end(part, final):
            kind = "neuron" if isinstance(part, Population) else "synapse"
            raise UserError(
                f"{variable} of {part.name} is {say(value)} {when} in {kind} {index}, which cannot "
                f"be: take a time step shorter than {say(experiment.dt)}, or values nearer to the "
                "defaults."
            )


def _in_traces(
    part: Part, traced: Mapping[str, Signal], dt: Quantity
) -> Iterator[tuple[float, str, int, Any]]:
    """Time in seconds, variable, neuron and value of the first wrong sample of every trace."""
    for variable, signal in traced.items():
        wrong = _wrong(part, variable, signal.values.T, signal.neurons)
        steps = np.flatnonzero(wrong.any(axis=1))
        if len(steps):
            first = int(np.argmax(wrong[steps[0]]))
            yield (
                int(steps[0]) * float((dt if signal.every is None else signal.every) / second),
                variable,
                int(signal.neurons[first]),
                signal.values[first, steps[0]],
            )


def _at_end(part: Part, final: Callable[[str, str], Any]) -> Iterator[tuple[str, str, int, Any]]:
    """The same of the first wrong value that every state has at the end."""
    text = part.equations if isinstance(part, Population) else part.model.equations
    for equation in read_equations(text).values():
        if equation.type == SUBEXPRESSION:
            continue
        values = np.atleast_1d(final(part.name, equation.varname))
        for index in np.flatnonzero(_wrong(part, equation.varname, values))[:1]:
            yield "at the end of the run", equation.varname, int(index), values[index]


def _wrong(part: Part, variable: str, values: Any, neurons: Any = slice(None)) -> np.ndarray:
    """Which values cannot be; neurons are along the last axis."""
    plain = np.asarray(values)
    wrong: np.ndarray = ~np.isfinite(plain)
    if variable == "v" and isinstance(part, Population) and hasattr(part.model, "rails"):
        rails = part.model.rails(part.own)
        if rails is not None:
            low, high = (np.broadcast_to(np.asarray(rail), part.size)[neurons] for rail in rails)
            wrong |= (plain < low) | (plain > high)
    return wrong
