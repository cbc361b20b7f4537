"""The cells of reward learning: any neuron with plasticity, and what makes it fire."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from brian2 import Quantity, amp, get_dimensions, ms, siemens, volt
from brian2.units.fundamentalunits import DIMENSIONLESS

from neuromod.analysis.thresholds import SETTLING, answers, settled, weakest, whole_steps
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.events import Entrance
from neuromod.models.own_equations import read_equations
from neuromod.models.postsynaptic import Postsynaptic, with_plasticity
from neuromod.models.three_factor import PlasticLIF
from neuromod.parameters import in_words, unit_of
from neuromod.protocols.families.neurons import NEURONS
from neuromod.support.text import say

PLASTIC_LIF = "plastic-neuron"
# Later spikes are not what made the cell fire.
WATCHED = 50 * ms
LEAST = {volt.dim: 1e-4, amp.dim: 1e-12, siemens.dim: 1e-11, DIMENSIONLESS: 1e-2}
"""Where the search for a weight begins, in base units: far below what makes any cell fire."""
SPAN, TIMES = 100, 4
"""What a search covers at once, and how often it goes on from there."""
STEPS = 233
"""Weights of a search at once: 2 % apart."""
STRONGEST, STRENGTHS = 10, 101
"""Kicks tried, in units of the weakest."""
RESTS = "one that rests was expected"


class PlasticNeurons(Mapping[str, Postsynaptic]):
    """Neurons with plasticity by name, without receptors, loaded when asked for."""

    def __getitem__(self, name: str) -> Postsynaptic:
        if name == PLASTIC_LIF:
            return PlasticLIF()
        neuron: Any = NEURONS[name]
        return with_plasticity(replace(neuron, receptors=()))

    def __iter__(self) -> Iterator[str]:
        yield PLASTIC_LIF
        yield from NEURONS

    def __len__(self) -> int:
        return 1 + len(NEURONS)


@dataclass(frozen=True)
class Kick:
    """A step of a variable that makes a resting cell fire, if possible once.

    Attributes
    ----------
    size : number or Quantity
        In the variable's unit.
    latency : int
        Time steps from the spike that brings it to the cell's own first one.
    spikes : int
        Of the cell, within `WATCHED`.
    """

    size: Any
    latency: int
    spikes: int


def dimensions(neuron: Postsynaptic, variable: str) -> Any:
    """Dimensions of a variable of a neuron that synapses may add to.

    Raises
    ------
    UserError
        When the neuron has no such variable, or one in which no weight can be looked for.
    """
    equations = read_equations(neuron.equations)
    dim = equations[variable].dim
    if dim not in LEAST:
        raise UserError(
            f"{variable} of the neuron is {in_words(unit_of(Quantity(1.0, dim=dim)))}: set "
            "synapse.variable to one in volt, ampere or siemens, or without unit."
        )
    return dim


def current_dimensions(neuron: Any) -> Any:
    """Dimensions of a neuron's injected current; None where it takes none."""
    name, inputs = getattr(neuron, "current", ""), getattr(neuron, "inputs", {})
    if name in inputs:
        return get_dimensions(inputs[name].default)
    equations = read_equations(neuron.equations)
    return equations[name].dim if name in equations.parameter_names else None


def at_rest(neuron: Postsynaptic, holding: Any, dt: Quantity) -> dict[str, Any]:
    """State of a cell that has settled, and the current that holds it.

    Parameters
    ----------
    neuron : Postsynaptic
    holding : number or Quantity
        Current injected all the time; 0 for none.
    dt : Quantity
        Time step, seconds.

    Raises
    ------
    UserError
        When the cell fires nevertheless.
    """
    held = {neuron.current: holding} if holding else {}  # type: ignore[attr-defined]
    state = settled(neuron.neuron, dt, held)
    if state is not None:
        return held | state
    found = _silencing(neuron.neuron, dt)
    advice = f"set holding to {say(found)} or lower, which silences it" if found else RESTS
    raise UserError(f"The neuron fires without input: {advice}.")


def weakest_volley(
    neuron: Postsynaptic, rest: dict[str, Any], variable: str, arrivals: Quantity, dt: Quantity
) -> Any:
    """Least weight, to 2 %, with which a volley makes a resting cell fire.

    Parameters
    ----------
    neuron : Postsynaptic
    rest : dict of str to value
        See `at_rest`.
    variable : str
        What each spike of the volley adds its weight to.
    arrivals : Quantity, shape (n,)
        When they come, in order, seconds.
    dt : Quantity
        Time step, seconds.

    Raises
    ------
    UserError
        When no weight does.
    """
    entrance = _entrance(neuron, variable)

    def fires(weights: np.ndarray) -> np.ndarray:
        return answers(neuron, rest, entrance, weights, arrivals, WATCHED, dt).counts() > 0

    found = weakest(_grids(entrance.dim), fires)
    if found is None:
        most = Quantity(LEAST[entrance.dim] * SPAN**TIMES, dim=entrance.dim)
        raise UserError(
            f"Nothing added to {variable} makes the neuron fire, up to {say(most)}: set "
            "synapse.variable to one that excites it."
        )
    return Quantity(found[1], dim=entrance.dim)


def kick(neuron: Postsynaptic, rest: dict[str, Any], variable: str, dt: Quantity) -> Kick:
    """A step of a variable that makes a resting cell fire once, or else as rarely as can be.

    It is in the middle of the range in which steps do so, from the weakest to ten times that.

    Parameters
    ----------
    neuron : Postsynaptic
    rest : dict of str to value
        See `at_rest`.
    variable : str
    dt : Quantity
        Time step, seconds.
    """
    at = [0] * ms
    sizes = weakest_volley(neuron, rest, variable, at, dt) * np.geomspace(1, STRONGEST, STRENGTHS)
    entrance = _entrance(neuron, variable)
    spikes = answers(neuron, rest, entrance, np.asarray(sizes), at, WATCHED, dt)
    counts = spikes.counts()
    wanted = np.flatnonzero(counts == counts[counts > 0].min())
    chosen = int(wanted[len(wanted) // 2])
    first = spikes.times[spikes.neurons == chosen][0]
    return Kick(sizes[chosen], round(float(first / dt)), int(counts[chosen]))


def _entrance(neuron: Postsynaptic, variable: str) -> Entrance:
    """Where synapses onto a variable arrive."""
    return Entrance(variable, None, dimensions(neuron, variable))


def _grids(dim: Any) -> Iterator[np.ndarray]:
    """Sizes among which one is looked for, in base units."""
    least = LEAST[dim]
    for _ in range(TIMES):
        yield least * np.geomspace(1, SPAN, STEPS)
        least *= SPAN


def _silencing(neuron: Any, dt: Quantity) -> Any:
    """Weakest negative current, to two digits, that silences a neuron; None where none does."""
    dim = current_dimensions(neuron)
    if dim not in LEAST:
        return None

    def silences(sizes: np.ndarray) -> np.ndarray:
        cells = Population("cells", neuron, len(sizes), {neuron.current: Quantity(-sizes, dim=dim)})
        run = Experiment(populations=[cells], duration=whole_steps(SETTLING, dt), dt=dt)
        return np.asarray(simulate(run).spikes["cells"].counts() == 0)

    found = weakest(_grids(dim), silences)
    if found is None:
        return None
    digit = 10.0 ** (np.floor(np.log10(found[1])) - 1)
    return Quantity(-np.ceil(found[1] / digit) * digit, dim=dim)
