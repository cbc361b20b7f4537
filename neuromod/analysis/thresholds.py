"""The least input that makes a resting neuron fire, measured by short simulations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from brian2 import Quantity, ms, second

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population, Spikes, Trace
from neuromod.inputs.events import Entrance
from neuromod.models.own_equations import read_equations
from neuromod.models.receptive import Receptive

# Chosen here: for slow currents to settle, and for a spike to follow an event.
SETTLING, WAITING = 0.4 * second, 0.1 * second
# Weights in base units between which a threshold is looked for, a decade at a time, so that no
# neuron is driven far beyond what it can stand; chosen here: 1 pA is nothing to any neuron.
LEAST, MOST, DECADE = 1e-12, 1e9, 10.0
# Parts into which a decade is divided, and then what is left, three times: to a ten-millionth.
COARSE, FINE, TIMES = 20, 100, 3


def event_threshold(neuron: Receptive, entrance: Entrance, dt: Quantity) -> Quantity:
    """Weight of the weakest single event after which a resting neuron fires within 0.1 s.

    The neuron first settles for 0.4 s without input and without ligands. Its rest is then the start
    of as many neurons as weights are tried. All of this runs on Brian2's runtime, whatever the
    device of the rest.

    Parameters
    ----------
    neuron : Receptive
    entrance : Entrance
        Where the event arrives.
    dt : Quantity
        Time step, seconds.

    Returns
    -------
    Quantity
        In the unit of the entrance's variable, to a ten-millionth.

    Raises
    ------
    UserError
        When the neuron fires without input, or after no event.
    """
    rest = settled(neuron, dt)
    if rest is None:
        raise UserError(
            "This neuron fires without input: what a single input must be to make it fire is "
            "defined only for one that rests; change its parameters or its state at the start."
        )

    def fires(weights: np.ndarray) -> np.ndarray:
        return answers(neuron, rest, entrance, weights, [0] * ms, WAITING, dt).counts() > 0

    found = weakest(_decades(), fires)
    if found is None:
        raise UserError(
            f"No single event onto {entrance.variable} makes this neuron fire: another neuron, or "
            "another current, was expected."
        )
    for _ in range(TIMES):
        found = weakest([np.geomspace(*found, FINE + 1)], fires) or found
    return Quantity(np.mean(found), dim=entrance.dim)


def weakest(
    grids: Iterable[np.ndarray], suffices: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float] | None:
    """Where sizes begin to suffice, in the first of several grids that has one that does.

    Parameters
    ----------
    grids : iterable of ndarray
        Sizes in ascending order, from the weakest grid to the strongest.
    suffices : callable
        Of a grid: whether each of its sizes does.

    Returns
    -------
    tuple of float, or None
        The strongest size below all that suffice, and the weakest that does; none where no size
        does.
    """
    for sizes in grids:
        enough = suffices(sizes)
        if enough.any():
            first = int(np.argmax(enough))
            return float(sizes[max(first - 1, 0)]), float(sizes[first])
    return None


def settled(
    neuron: Any, dt: Quantity, held: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """State of a neuron that has settled for 0.4 s without events and without ligands.

    Parameters
    ----------
    neuron : Model
    dt : Quantity
        Time step, seconds.
    held : mapping of str to value, optional
        Inputs that it has all the time, such as a current.

    Returns
    -------
    dict of str to value, or None
        None for a neuron that fires meanwhile.
    """
    names = sorted(read_equations(neuron.equations).diff_eq_names)
    settling = whole_steps(SETTLING, dt)
    recording = simulate(
        Experiment(
            populations=[Population("cell", neuron, 1, dict(held or {}))],
            traces=[Trace("cell", names, np.array([0]), settling)],
            duration=settling + dt,
            dt=dt,
        )
    )
    if len(recording.spikes["cell"].times):
        return None
    return {name: recording.trace("cell", name, 0)[-1] for name in names}


def answers(
    neuron: Any,
    state: Mapping[str, Any],
    entrance: Entrance,
    weights: np.ndarray,
    arrivals: Quantity,
    watched: Quantity,
    dt: Quantity,
) -> Spikes:
    """Spikes of neurons that all get the same volley of events, each with a weight of its own.

    Parameters
    ----------
    neuron : Model
    state : mapping of str to value
        Of all of them at the start.
    entrance : Entrance
        Where the events arrive.
    weights : ndarray, shape (n,)
        Of the events of each neuron, in base units.
    arrivals : Quantity, shape (events,)
        In order, seconds.
    watched : Quantity
        From the last one to the end, seconds.
    dt : Quantity
        Time step, seconds.
    """
    cells = Population("cells", neuron, len(weights), dict(state))
    volley = Spikes("volley", len(arrivals), np.arange(len(arrivals)), arrivals)
    i, j = (side.ravel() for side in np.indices((len(arrivals), len(weights))))
    arriving = entrance.input(cells, volley, i, j, Quantity(weights[j], dim=entrance.dim))
    duration = whole_steps(arrivals[-1] + watched, dt)
    run = Experiment(populations=[cells], duration=duration, dt=dt)
    return simulate(run.add(arriving)).spikes["cells"]


def whole_steps(time: Quantity, dt: Quantity) -> Quantity:
    """A time rounded up to whole time steps."""
    return float(np.ceil(float(time / dt) - 1e-9)) * dt


def _decades() -> Iterator[np.ndarray]:
    """Weights in base units, a decade at a time."""
    low = LEAST
    while low <= MOST:
        yield np.geomspace(low, DECADE * low, COARSE + 1)
        low *= DECADE
