"""Stimuli: steps, ramps, sinusoids, Ornstein-Uhlenbeck noise and recorded currents.

Each drives a population's injected current, or another of its inputs, for all neurons alike or for
each in its own way, on top of what the population has. Only events change a stimulus: spikes drawn
beforehand make it jump or turn, and between them it follows a line, so that every device can run
it with every method of integration. At starts of time steps its value is right to rounding, and to
a millionth in a long recording. An event acts from its own time step on, as a modulator's does.

Where a model's method is exact, it stays so for the model, with the stimulus held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from brian2 import Hz, Quantity, get_dimensions, second
from brian2.units.fundamentalunits import Dimension

from neuromod.checks import check_unit, index_array, real_numbers, steps_in, steps_of
from neuromod.errors import UserError, unknown
from neuromod.experiment import Connection, Input, Population, Spikes
from neuromod.models.own_equations import read_equations
from neuromod.parameters import check_range, refuse_where, unit_of
from neuromod.support.machine import check_memory
from neuromod.support.text import say

DRIVEN = """
d{variable}/dt = slope_{variable} : {unit}
slope_{variable} : {rate}
"""
# What each stimulus adds to a population.
EQUATIONS = dict.fromkeys(("steps", "ramp", "sinusoid", "ornstein_uhlenbeck", "recorded"), DRIVEN)
# Lines to a period of a sinusoid: they stay within (2*pi/72)**2/8, 0.1 %, of its amplitude.
LINES = 72
# With fewer time steps to a period there is no sinusoid to speak of (chosen here).
FEWEST = 10
# Lines whose changes of slope may be rounded, and bits of a change that are the same in single
# precision.
FEW, EXACT_BITS = 64, 22
# Of one event at one neuron: source, target and weight, and copies on the way to the device.
EVENT_BYTES = 48.0


def steps(
    population: Population,
    times: Quantity,
    values: Any,
    dt: Quantity,
    *,
    variable: str = "",
    neurons: Sequence[int] | None = None,
    name: str = "steps",
) -> Input:
    """A current that jumps, and keeps each value until the next.

    Parameters
    ----------
    population : Population
    times : Quantity, shape (n,)
        When each value begins, seconds, in order, at starts of time steps; nothing is added before.
    values : Quantity, shape (n,) or (n, neurons)
        In the unit of the variable; the same for all neurons, or one column for each.
    dt : Quantity
        Time step, seconds.
    variable : str
        What is driven: the model's injected current if empty, or another of its inputs, or a
        parameter that its equations declare.
    neurons : sequence of int, optional
        Which are driven; all by default.
    name : str
        Of the source of events. A second stimulus of a population needs its own.

    Raises
    ------
    UserError
        When the population has no such input, times are not in order or off the grid, or values
        are of the wrong unit, shape or range.
    """
    target = _Target(population, variable, neurons, dt)
    rows, at = target.rows(values), _in_order("Times of steps", times, dt)
    _check_lengths(at, rows)
    before = np.zeros((1, rows.shape[1]))
    jumps = np.diff(np.concatenate([before, rows]), axis=0)
    return target.driven(name, at, jumps=jumps)


def ramp(
    population: Population,
    onset: Quantity,
    offset: Quantity,
    top: Any,
    dt: Quantity,
    *,
    variable: str = "",
    neurons: Sequence[int] | None = None,
    name: str = "ramp",
) -> Input:
    """A current that rises along a line from 0, and is switched off at its top.

    Parameters
    ----------
    population : Population
    onset, offset : Quantity
        Start and end of the ramp, seconds, whole time steps.
    top : Quantity, shape () or (neurons,)
        What it has come to at its end, in the unit of the variable.
    dt : Quantity
        Time step, seconds.
    variable, neurons, name
        As for `steps`.

    Raises
    ------
    UserError
        As for `steps`, and when the ramp ends before it starts.
    """
    target = _Target(population, variable, neurons, dt)
    at = np.array([steps_in("onset", onset, dt), steps_in("offset", offset, dt)])
    if at[1] <= at[0]:
        raise UserError(f"A ramp must end after its start at {say(onset)}, not at {say(offset)}.")
    tops = target.rows(np.atleast_1d(top)[np.newaxis])
    bends = np.concatenate([tops, -tops]) / float((offset - onset) / second)
    return target.driven(name, at, jumps=np.concatenate([0 * tops, -tops]), bends=bends)


def recorded(
    population: Population,
    times: Quantity,
    values: Any,
    dt: Quantity,
    *,
    variable: str = "",
    neurons: Sequence[int] | None = None,
    name: str = "recorded",
) -> Input:
    """A recorded current, interpolated linearly and held before and after.

    Parameters
    ----------
    population : Population
    times : Quantity, shape (n,)
        In seconds, in order; between time steps, the line is that of the steps around.
    values : Quantity, shape (n,) or (n, neurons)
        In the unit of the variable; the same for all neurons, or one column for each.
    dt : Quantity
        Time step, seconds.
    variable, neurons, name
        As for `steps`.

    Raises
    ------
    UserError
        As for `steps`, but times need not lie on the grid.
    """
    target = _Target(population, variable, neurons, dt)
    rows = target.rows(values)
    at = np.asarray(real_numbers("Times of a recorded current", times, second.dim) / dt)
    _check_lengths(at, rows)
    if len(at) < 2 or not np.all(np.diff(at) > 0):
        raise UserError("A recorded current needs at least two times, which increase.")
    knots = np.unique(np.concatenate([[0], np.floor(at + 1e-6), np.ceil(at - 1e-6)]))
    knots = knots[knots >= 0].astype(int)
    return _along(target, name, knots, np.stack([np.interp(knots, at, row) for row in rows.T], 1))


def sinusoid(
    population: Population,
    amplitude: Any,
    frequency: Quantity,
    duration: Quantity,
    dt: Quantity,
    *,
    phase: Any = 0.0,
    variable: str = "",
    neurons: Sequence[int] | None = None,
    name: str = "sinusoid",
) -> Input:
    """A current ``amplitude*sin(2*pi*frequency*t + phase)``, along lines of 1/72 of a period.

    Lines stay within 0.1 % of the amplitude from the sine, and within ``(2*pi*frequency*dt)**2/8``
    of it where a period has fewer than 72 time steps.

    Parameters
    ----------
    population : Population
    amplitude : Quantity, shape () or (neurons,)
        In the unit of the variable.
    frequency : Quantity, shape () or (neurons,)
        In hertz.
    duration, dt : Quantity
        Of the sinusoid, which ends at 0, and time step, seconds.
    phase : float or ndarray, shape () or (neurons,)
        At the start, radian.
    variable, neurons, name
        As for `steps`.

    Raises
    ------
    UserError
        As for `steps`, and when a period has fewer than 10 time steps.
    """
    target = _Target(population, variable, neurons, dt)
    heights = target.rows(np.atleast_1d(amplitude)[np.newaxis])
    rates = real_numbers("A frequency", frequency, Hz.dim)
    refuse_where(rates <= 0 * Hz, "A frequency of {} must be above 0", rates)
    refuse_where(
        rates * dt * FEWEST > 1,
        f"A frequency of {{}} leaves fewer than {FEWEST} time steps of {{}} to a period",
        rates,
        dt,
    )
    turns = np.atleast_1d(np.asarray(rates * dt))
    last = steps_in("duration", duration, dt)
    apart = max(1, int(1 / (LINES * turns.max())))
    knots = np.unique(np.append(np.arange(0, last, apart), last))
    angles = 2 * np.pi * turns * knots[:, np.newaxis] + np.asarray(real_numbers("A phase", phase))
    wave = heights * np.sin(angles)
    if wave.shape[1] not in (1, len(target.neurons)):
        raise UserError(
            f"A sinusoid needs one frequency and phase for all neurons, or one for each of "
            f"{len(target.neurons)}, not {wave.shape[1]}."
        )
    return _along(target, name, knots, wave, drop=True)


def ornstein_uhlenbeck(
    population: Population,
    spread: Any,
    tau: Quantity,
    duration: Quantity,
    dt: Quantity,
    generator: np.random.Generator,
    *,
    interval: Quantity | None = None,
    shared: bool = False,
    variable: str = "",
    neurons: Sequence[int] | None = None,
    name: str = "noise",
) -> Input:
    """Noise with an exponential correlation: an Ornstein-Uhlenbeck process, held over intervals.

    Values are drawn by the exact update of the process (Gillespie 1996, Phys. Rev. E
    54:2084-2091), so that spread and correlation at multiples of the interval are right whatever
    it is. They start in the stationary distribution around 0.

    Parameters
    ----------
    population : Population
    spread : Quantity, shape () or (neurons,)
        Standard deviation, in the unit of the variable.
    tau : Quantity
        Time constant of the correlation, seconds.
    duration, dt : Quantity
        Of the noise, which ends at 0, and time step, seconds.
    generator : numpy.random.Generator
    interval : Quantity, optional
        Of constant noise, whole time steps; one step by default.
    shared : bool
        Whether all neurons have the same noise; each has its own otherwise.
    variable, neurons, name
        As for `steps`.

    Raises
    ------
    UserError
        As for `steps`, and when the time constant is not above 0.
    """
    target = _Target(population, variable, neurons, dt)
    scale = target.rows(np.atleast_1d(spread)[np.newaxis])
    refuse_where(scale < 0, "A spread must not be negative, as {} is", scale)
    tau = real_numbers("tau", tau, second.dim)
    refuse_where(tau <= 0 * second, "tau = {} must be above 0", tau)
    apart = 1 if interval is None else steps_in("interval", interval, dt)
    if not apart:
        raise UserError("The interval of noise must last a time step at least.")
    last = steps_in("duration", duration, dt)
    at = np.arange(0, last, apart)
    trains = 1 if shared else len(target.neurons)
    target.check_size(len(at))
    kept = float(np.exp(-apart * float(dt / tau)))
    drawn = generator.standard_normal((len(at), trains))
    drawn[1:] *= np.sqrt(1 - kept**2)
    rows = scale * scipy.signal.lfilter([1.0], [1.0, -kept], drawn, axis=0)
    jumps = np.diff(
        np.concatenate([np.zeros_like(rows[:1]), rows, np.zeros_like(rows[:1])]), axis=0
    )
    return target.driven(name, np.append(at, last), jumps=jumps)


def together(population: Population, *stimuli: Input) -> Input:
    """Several stimuli of one population that add up, as one.

    Parameters
    ----------
    population : Population
        That they were made for.
    *stimuli : Input
        Their sources have different names.

    Raises
    ------
    UserError
        When one is another population's, or two sources share a name.
    """
    values: dict[str, Any] = {}
    for given in stimuli:
        if given.population != population.name:
            raise UserError(f"A stimulus of {given.population} was given to {population.name}.")
        for variable, start in given.values.items():
            own = _present(population, variable, get_dimensions(start))
            values[variable] = values.get(variable, own) + start - own
    sources = tuple(source for given in stimuli for source in given.sources)
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UserError(f"Stimuli that add up need names of their own, not {names}.")
    return Input(
        population.name,
        values,
        "\n".join(dict.fromkeys(given.equations for given in stimuli)),
        sources,
        tuple(wire for given in stimuli for wire in given.connections),
    )


class _Target:
    """An input of some neurons of a population, as it is without a stimulus."""

    def __init__(
        self, population: Population, variable: str, neurons: Sequence[int] | None, dt: Quantity
    ) -> None:
        steps_in("A stimulus", 0 * second, dt)
        self.population, self.dt, model = population, dt, population.model
        self.variable = variable or str(getattr(model, "current", "I_ext"))
        declared = read_equations(model.equations).parameter_names
        known = {*population.inputs, *declared}
        if self.variable not in known:
            raise unknown(f"input of {population.name}", self.variable, known)
        if hasattr(model, "complete"):
            raise UserError(
                f"{population.name} is a circuit, whose supplies change by "
                "neuromod.inputs.supplies.schedule."
            )
        if self.variable in population.inputs:
            self.dimension = get_dimensions(population.inputs[self.variable].default)
        else:
            self.dimension = read_equations(model.equations)[self.variable].dim
        every = range(population.size) if neurons is None else neurons
        self.neurons = index_array(f"A stimulus of {population.name}", every, population.size)

    def rows(self, values: Any) -> np.ndarray:
        """Values in base units, shape (n, 1) or (n, neurons)."""
        what = f"A stimulus onto {self.variable} of {self.population.name}"
        found = real_numbers(what, values)
        check_unit(what, found, self.dimension)
        rows = np.asarray(found, dtype=float)
        rows = rows[:, np.newaxis] if rows.ndim == 1 else rows
        if rows.ndim != 2 or rows.shape[1] not in (1, len(self.neurons)):
            raise UserError(
                f"{what} needs one column for all neurons, or one for each of "
                f"{len(self.neurons)}, not values of shape {np.shape(found)}."
            )
        return rows

    def check_size(self, events: int) -> None:
        """Refuse more events than memory holds."""
        what = f"A stimulus of {say(events)} events onto {say(len(self.neurons))} neurons"
        check_memory(what, EVENT_BYTES * events * len(self.neurons))

    def driven(
        self, name: str, at: np.ndarray, jumps: np.ndarray, bends: np.ndarray | None = None
    ) -> Input:
        """The input, from what is added to it and to its slope, by the second, at some time steps.

        `jumps` and `bends` have a row for each of `at`.
        """
        bends = np.zeros_like(jumps) if bends is None else bends
        self._check(at, jumps, bends)
        size, first = self.population.size, at < 1
        variables = {self.variable: jumps, f"slope_{self.variable}": bends}
        units = {changed: self._unit(number) for number, changed in enumerate(variables)}
        values = {}
        for variable, changes in variables.items():
            whole = np.zeros(size)
            whole[self.neurons] = changes[first].sum(axis=0)
            own = _present(self.population, variable, get_dimensions(units[variable]))
            values[variable] = own + whole * units[variable]
        # A spike acts in the step after its own.
        later = at[~first]
        source = Spikes(
            f"{name}_{self.population.name}",
            max(len(later), 1),
            np.arange(len(later)),
            (later - 1) * self.dt,
        )
        wires = []
        for variable, changes in variables.items():
            kept = np.broadcast_to(changes[~first], (len(later), len(self.neurons)))
            i, j = np.nonzero(kept)
            ends = source.name, self.population.name, variable
            weight = kept[i, j] * units[variable]
            if len(i):
                wires.append(Connection(*ends, i=i, j=self.neurons[j], weight=weight))
        unit, rate = (unit_of(unit) for unit in units.values())
        text = DRIVEN.format(variable=self.variable, unit=unit, rate=rate).strip()
        return Input(self.population.name, values, text, (source,), tuple(wires))

    def _unit(self, derivative: int) -> Quantity:
        """Unit of the variable, or of its slope."""
        unit = Quantity(1.0, dim=self.dimension)
        return unit / second if derivative else unit

    def _check(self, at: np.ndarray, jumps: np.ndarray, bends: np.ndarray) -> None:
        """Refuse too many events, and a stimulus that takes the input out of its range."""
        self.check_size(len(at))
        given = self.population.inputs.get(self.variable)
        if given is None or not given.about.bounds:
            return
        gone = np.diff(at, append=at[-1])[:, np.newaxis] * float(self.dt / second)
        slopes = np.cumsum(bends, axis=0)
        after = np.cumsum(jumps, axis=0) + np.cumsum(np.roll(slopes * gone, 1, axis=0), axis=0)
        reached = np.concatenate([after, after - jumps]) * self._unit(0)
        own = _present(self.population, self.variable, self.dimension)
        base = own[self.neurons] if np.ndim(own) else own
        what = f"{self.variable} of {self.population.name} under its stimulus"
        check_range(what, base + reached, given.about)


def _along(
    target: _Target, name: str, knots: np.ndarray, values: np.ndarray, drop: bool = False
) -> Input:
    """A course along lines between knots, at time steps from 0 on; 0 after them, or held."""
    lasting = np.diff(knots) * float(target.dt / second)
    slopes = _slopes(values, lasting)
    end = np.zeros_like(values[:1])
    bends = np.diff(np.concatenate([end, slopes, end]), axis=0)
    jumps = np.zeros_like(values)
    jumps[0] = values[0]
    if drop:
        jumps[-1] = -values[0] - lasting @ slopes
    return target.driven(name, knots, jumps, bends)


def _slopes(values: np.ndarray, lasting: np.ndarray) -> np.ndarray:
    """Slopes of lines between rows of values, which last so many seconds.

    A device adds up their changes, and in single precision the slope of many lines would soon be
    off by what is rounded away. Slopes of many are therefore multiples of a power of 2, which add
    up without rounding, each such that its line ends where the next should start.
    """
    slopes: np.ndarray = np.diff(values, axis=0) / lasting[:, np.newaxis]
    steepest = np.abs(slopes).max(initial=0.0)
    if len(slopes) <= FEW or not steepest:
        return slopes
    unit = 2.0 ** (np.ceil(np.log2(steepest)) - EXACT_BITS)
    level = values[0].copy()
    for row, (end, seconds) in enumerate(zip(values[1:], lasting, strict=True)):
        slopes[row] = np.round((end - level) / (seconds * unit)) * unit
        level += slopes[row] * seconds
    return slopes


def _present(population: Population, variable: str, dimension: Dimension) -> Any:
    """What a population has of an input or state; 0 where nobody has set it."""
    known = variable in population.values or variable in population.inputs
    return population.own(variable) if known else Quantity(0.0, dim=dimension)


def _in_order(what: str, times: Any, dt: Quantity) -> np.ndarray:
    """Time steps of times, each after the one before."""
    at = steps_of(what, np.atleast_1d(real_numbers(what, times, second.dim)), dt)
    if not len(at) or np.any(np.diff(at) <= 0):
        raise UserError(f"{what} must increase, not be {say(times)}.")
    return at


def _check_lengths(at: np.ndarray, rows: np.ndarray) -> None:
    if at.ndim != 1 or len(at) != len(rows):
        raise UserError(
            f"A stimulus needs as many times as values, not {np.size(at)} and {len(rows)}."
        )
