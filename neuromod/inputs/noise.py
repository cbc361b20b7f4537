"""Thermal noise of membranes and noise of supplies, drawn before a run as events."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import Quantity, volt
from brian2.units.constants import boltzmann_constant

from neuromod.checks import steps_in
from neuromod.experiment import Connection, Input, Population, Spikes
from neuromod.inputs.supplies import schedule


def thermal(
    population: Population,
    interval: Quantity,
    duration: Quantity,
    dt: Quantity,
    generator: np.random.Generator,
) -> Input:
    """Thermal noise of the leak on the membrane's capacitor: kT/C.

    A membrane behind a linear leak is an Ornstein-Uhlenbeck process (Gillespie 1996, Phys. Rev. E
    54:2084-2091). What noise adds to it over an interval is normal with variance
    ``kT/C*(1 - exp(-2*interval/tau))`` whatever the membrane does: it is added at the interval's
    end, exactly at those times. A membrane that is held at reset takes kicks too, and keeps them.

    Parameters
    ----------
    population : Population
        Of circuit neurons.
    interval, duration, dt : Quantity
        Of kicks, of the run, and time step, seconds.
    generator : numpy.random.Generator

    Returns
    -------
    Input
        Its values start membranes from the stationary distribution around rest.
    """
    step = steps_in("interval", interval, dt)
    kicks = (steps_in("duration", duration, dt) - 1) // step
    model: Any = population.model
    capacitor, leak = population.own("C"), model.warm("R_leak", population.own("R_leak"))
    charge = boltzmann_constant * population.own("temperature") / capacitor
    spread = np.asarray(charge**0.5 / volt) * np.ones(population.size)
    kick = spread * np.sqrt(-np.expm1(-2 * np.asarray(interval / (leak * capacitor))))
    start = population.own("v_rest") + generator.standard_normal(population.size) * spread * volt
    source = Spikes("thermal", max(kicks, 1), np.arange(kicks), np.arange(1, kicks + 1) * step * dt)
    i, j = (side.ravel() for side in np.indices((kicks, population.size)))
    weights = generator.standard_normal(len(i)) * kick[j] * volt
    wires = Connection("thermal", population.name, "v", i=i, j=j, weight=weights)
    return Input(population.name, {"v": start}, sources=(source,), connections=(wires,))


def noisy_supply(
    population: Population,
    spread: Quantity,
    interval: Quantity,
    duration: Quantity,
    dt: Quantity,
    generator: np.random.Generator,
) -> Input:
    """Supplies with noise: a new normal deviation from their value in every interval.

    Parameters
    ----------
    population : Population
        Of circuit neurons, with their supplies without noise.
    spread : Quantity, shape () or (neurons,)
        Standard deviation of the noise, independent between neurons, volt.
    interval, duration, dt : Quantity
        Of constant supply, of the run, and time step, seconds.
    generator : numpy.random.Generator

    Raises
    ------
    UserError
        When noise takes a supply out of the circuit's range.
    """
    step = steps_in("interval", interval, dt)
    starts = np.arange(0, steps_in("duration", duration, dt), step)
    noise = generator.standard_normal((len(starts), population.size)) * spread
    return schedule(population, starts * dt, population.own("vdd") + noise, dt)
