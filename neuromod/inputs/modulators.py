"""How a modulator reaches the cells: bath, wash, puffs, release into the tissue, a recorded trace.

Only events change what a concentration is heading for: spikes drawn beforehand, or fired by
modulatory neurons, so that every device can run every delivery. Between events a concentration
relaxes exponentially to its supply, or follows a line. An event acts from its own time step on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from brian2 import Quantity, metre, second, umolar
from scipy.spatial import KDTree

from neuromod.checks import real_numbers, steps_in
from neuromod.errors import UserError, listed, unknown
from neuromod.experiment import Connection, Input, Population, Spikes
from neuromod.models.own_equations import read_equations
from neuromod.parameters import refuse_where
from neuromod.support.text import say

KINETICS = ("k_on", "k_off", "k_on_antagonist", "k_off_antagonist", "k_desensitise", "tau_recover")
"""Parameters of a receptor that its steady state depends on."""
EXCHANGE = """
dconc_{ligand}/dt = (supply_{ligand} - conc_{ligand})/tau_clear_{ligand} : mole/meter**3
supply_{ligand} : mole/meter**3
"""
# The last rounding may leave a trace that ends at 0 just below it.
TRACE = """
conc_{ligand} = level_{ligand}*int(level_{ligand} > 0*mole/meter**3) : mole/meter**3
dlevel_{ligand}/dt = slope_{ligand} : mole/meter**3
slope_{ligand} : mole/meter**3/second
"""
# What each delivery adds to a population; a bath adds nothing.
EQUATIONS = {"wash": EXCHANGE, "puffs": EXCHANGE, "volume": EXCHANGE, "trace": TRACE}


def bath(population: Population, conc: Mapping[str, Quantity]) -> Input:
    """A bath of constant concentrations, in which the cells have settled.

    Parameters
    ----------
    population : Population
        Its model binds every ligand named.
    conc : mapping of str to Quantity, shape () or (n,)
        Concentrations by ligand, mol/m^3; for every neuron or each.

    Returns
    -------
    Input
        Concentrations, and the steady state of the cells in them.

    Raises
    ------
    UserError
        For a ligand that no receptor binds, a concentration that is negative or not finite, or
        neurons with binding rates of their own.
    """
    model: Any = population.model
    for ligand in conc:
        _check_binding(population, ligand)
    conc = {ligand: _checked_conc(ligand, level) for ligand, level in conc.items()}
    kinetics = {f"{name}_{r.name}" for r in model.receptors for name in KINETICS}
    if own := kinetics & population.values.keys():
        raise UserError(
            f"{listed(sorted(own))} of single neurons in {population.name}: the steady state of a "
            "bath is known for the receptors of the model alone."
        )
    levels = {f"conc_{ligand}": level for ligand, level in conc.items()}
    return Input(population.name, levels | model.steady(conc))


def wash(
    ligand: str,
    population: Population,
    conc: Quantity,
    onset: Quantity,
    offset: Quantity,
    tau_exchange: Quantity,
    dt: Quantity,
) -> Input:
    """A modulator washed into the chamber and out again, exponentially.

    Parameters
    ----------
    ligand : str
    population : Population
        Its model binds the ligand.
    conc : Quantity, shape () or (n,)
        What the supply adds to the bath from onset to offset, mol/m^3; for every neuron or each.
    onset, offset : Quantity
        In seconds, whole time steps, the first at least one.
    tau_exchange : Quantity, shape () or (n,)
        Volume of the chamber over flow, seconds; for every neuron or each.
    dt : Quantity
        Time step, seconds.

    Raises
    ------
    UserError
        When the times are not in order, or a concentration or time constant is out of range.
    """
    if offset <= onset:
        raise UserError(f"A wash must end after its start at {say(onset)}, not at {say(offset)}.")
    width, name = offset - onset, f"wash_{ligand}"
    return puffs(ligand, population, conc, onset, width, tau_exchange, dt, name)


def puffs(
    ligand: str,
    population: Population,
    conc: Quantity,
    onsets: Quantity,
    width: Quantity,
    tau_clear: Quantity,
    dt: Quantity,
    name: str = "",
) -> Input:
    """Puffs from a pipette, each a rectangular supply that is cleared exponentially.

    Parameters
    ----------
    ligand : str
    population : Population
        Its model binds the ligand.
    conc : Quantity, shape () or (n,)
        What an endless puff would add to the bath, mol/m^3; for every neuron or each.
    onsets : Quantity, shape () or (puffs,)
        In seconds, in order, whole time steps, the first at least one.
    width : Quantity
        Length of every puff, seconds; less than the time between two.
    tau_clear : Quantity
        In seconds.
    dt : Quantity
        Time step, seconds.
    name : str
        Of the source of the events; ``puff_LIGAND`` if empty.

    Raises
    ------
    UserError
        When puffs overlap or begin before the first time step, or a concentration or time constant
        is out of range.
    """
    conc, what = _checked_conc(ligand, conc), "The onset of a puff"
    onsets = np.atleast_1d(real_numbers(what, onsets, second.dim))
    steps = np.array([steps_in(what, onset, dt) for onset in onsets], dtype=int)
    if np.any(steps < 1):
        raise UserError(f"{what} must be at least one time step of {say(dt)} after the start.")
    if np.any(np.diff(steps) <= 0):
        raise UserError(f"{what} must be in order, not {say(onsets)}.")
    if np.any(np.diff(steps) <= steps_in("width", width, dt)):
        raise UserError(f"Puffs of {say(width)} overlap: they start at {say(onsets)}.")
    # A spike acts in the step after its own.
    source = Spikes(name or f"puff_{ligand}", 1, np.zeros_like(steps), (steps - 1) * dt)
    ends = source.name, population.name, f"supply_{ligand}"
    i, j = np.zeros(population.size, dtype=int), np.arange(population.size)
    supplied = Connection(*ends, i=i, j=j, weight=conc, width=width)
    return _exchange(population, ligand, tau_clear, (source,), supplied)


def volume(
    ligand: str,
    population: Population,
    releasing: str,
    sites: Quantity,
    places: Quantity,
    amount: Quantity,
    length: Quantity,
    tau_clear: Quantity,
    reach: float = 7.0,
    delay: Quantity = 0 * second,
) -> Input:
    """Volume transmission: every spike of a modulatory neuron reaches its neighbourhood.

    Parameters
    ----------
    ligand : str
    population : Population
        Its model binds the ligand.
    releasing : str
        Name of the population or spike source that releases.
    sites : Quantity, shape (releasing, dimensions)
        Where it releases, metre; in 2 or 3 dimensions.
    places : Quantity, shape (n, dimensions)
        Where the population's neurons are, metre.
    amount : Quantity
        Rise of concentration at the site of one release, mol/m^3.
    length : Quantity
        Space constant of ``exp(-distance/length)``, metre.
    tau_clear : Quantity
        In seconds.
    reach : float
        Where the kernel is cut off, in space constants. At 7 it has fallen to 0.001, and 0.7 %
        of a release lie beyond in 2 dimensions, 3 % in 3.
    delay : Quantity
        Between spike and release, seconds.

    Raises
    ------
    UserError
        When positions do not fit each other or the population, no neuron is within reach, or an
        amount or time constant is out of range.
    """
    amount = _checked_conc(ligand, amount)
    at, to, space = (
        np.asarray(real_numbers(what, given, metre.dim))
        for what, given in (("sites", sites), ("places", places), ("length", length))
    )
    refuse_where(space <= 0, "A space constant of {} must be above 0", length)
    if at.ndim != 2 or to.shape != (population.size, at.shape[-1]) or at.shape[-1] not in (2, 3):
        raise UserError(
            f"Positions of {at.shape} and {to.shape} do not fit: one row for each neuron, "
            f"{population.size} in {population.name}, and 2 or 3 columns were expected."
        )
    farthest = reach * float(length)
    pairs = KDTree(at).sparse_distance_matrix(KDTree(to), farthest, output_type="ndarray")
    if not len(pairs):
        raise UserError(
            f"No neuron of {population.name} lies within {reach:g} space constants of "
            f"{say(length)} of a release."
        )
    weight = amount * np.exp(-pairs["v"] / float(length))
    ends = releasing, population.name, f"conc_{ligand}"
    reached = Connection(*ends, i=pairs["i"], j=pairs["j"], weight=weight, delay=delay)
    return _exchange(population, ligand, tau_clear, (), reached)


def trace(
    ligand: str, population: Population, times: Quantity, conc: Quantity, dt: Quantity
) -> Input:
    """A recorded concentration, interpolated linearly and held before and after.

    Parameters
    ----------
    ligand : str
    population : Population
        Its model binds the ligand; all of its neurons see the same.
    times : Quantity, shape (n,)
        In seconds, in order; between time steps, the line is that of the steps around.
    conc : Quantity, shape (n,)
        mol/m^3.
    dt : Quantity
        Time step, seconds.

    Raises
    ------
    UserError
        When times are not in order, a concentration is negative or missing, or the cells lie in a
        bath of the ligand.
    """
    equations = _binding(population, ligand, TRACE)
    if np.any(population.own(f"conc_{ligand}") > 0 * umolar):
        raise UserError(
            f"{population.name} has a bath of {ligand} already: use either the bath or the trace."
        )
    times = real_numbers(f"Times of {ligand}", times, second.dim)
    at, level = np.asarray(times / dt), np.asarray(_checked_conc(ligand, conc) / umolar)
    if at.ndim != 1 or at.shape != level.shape or len(at) < 2:
        raise UserError("A trace needs as many times as concentrations, at least two.")
    if not np.all(np.diff(at) > 0):
        raise UserError("The times of a trace must increase.")
    knots = np.unique(np.concatenate([[0], np.floor(at + 1e-6), np.ceil(at - 1e-6)]))
    knots = knots[knots >= 0].astype(int)
    values = np.interp(knots, at, level)
    slopes = np.append(np.diff(values) / np.diff(knots), 0)
    turns = np.diff(slopes)
    # The first slope is set at the start, the others as events one step before they act.
    events = np.arange(len(turns))
    source = Spikes(f"trace_{ligand}", max(len(turns), 1), events, (knots[1:] - 1) * dt)
    i, j = (side.ravel() for side in np.indices((len(turns), population.size)))
    ends = source.name, population.name, f"slope_{ligand}"
    change = Connection(*ends, i=i, j=j, weight=turns[i] * umolar / dt)
    start = {f"level_{ligand}": values[0] * umolar, f"slope_{ligand}": slopes[0] * umolar / dt}
    return Input(population.name, start, equations, (source,), (change,))


def exchanged(
    times: Quantity, conc: Quantity, onsets: Sequence[Any], width: Quantity, tau: Quantity
) -> Quantity:
    """Concentration during and after rectangular supplies, in closed form.

    Parameters
    ----------
    times : Quantity, shape (n,)
        In seconds.
    conc : Quantity
        Concentration of the supply, mol/m^3.
    onsets : sequence of Quantity
        In seconds.
    width : Quantity
        Length of a supply, seconds.
    tau : Quantity, shape () or (n,)
        Time constant of exchange or clearance, seconds; the same at all times or for each.

    Returns
    -------
    Quantity, shape (n,)
        ``conc*(1 - exp(-t/tau))`` while supplied, decaying with ``tau`` after, summed over
        supplies: first-order exchange is linear.
    """
    total = np.zeros(len(times))
    for onset in onsets:
        since = np.asarray((times - onset) / tau)
        lasted = np.asarray(width / tau)
        rise = -np.expm1(-np.clip(since, 0, lasted))
        total += rise * np.exp(-np.maximum(since - lasted, 0))
    return total * conc


def _exchange(
    population: Population,
    ligand: str,
    tau_clear: Quantity,
    sources: tuple[Spikes, ...],
    connection: Connection,
) -> Input:
    """A supply or release that is exchanged or cleared, on top of the bath that cells lie in."""
    tau_clear = real_numbers(f"tau_clear of {ligand}", tau_clear, second.dim)
    refuse_where(tau_clear <= 0 * second, "A time constant of {} must be above 0", tau_clear)
    values = {f"tau_clear_{ligand}": tau_clear}
    equations = ""
    own = read_equations(population.model.equations)
    # A model may clear what is released by equations of its own.
    if f"conc_{ligand}" not in own.names - own.parameter_names:
        equations = _binding(population, ligand, EXCHANGE)
        background = population.own(f"conc_{ligand}")
        values |= {f"conc_{ligand}": background, f"supply_{ligand}": background}
    return Input(population.name, values, equations, sources, (connection,))


def _binding(population: Population, ligand: str, equations: str) -> str:
    """Equations of a ligand's concentration, if the population's receptors bind it."""
    _check_binding(population, ligand)
    return equations.format(ligand=ligand).strip()


def _check_binding(population: Population, ligand: str) -> None:
    ligands = getattr(population.model, "ligands", ())
    if ligand not in ligands:
        raise unknown(f"ligand of {population.name}", ligand, ligands)


def _checked_conc(ligand: str, conc: Any) -> Quantity:
    what = f"The concentration of {ligand}"
    conc = real_numbers(what, conc, umolar.dim)
    refuse_where(conc < 0 * umolar, f"{what} must not be negative, as {{}} is", conc)
    return conc
