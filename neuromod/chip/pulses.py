"""Input pulses of circuit neurons: connections, regular trains, and what neurons do under a train.

With a linear leak and ideal sources a membrane is known in closed form from volley to volley, so
that millions of neurons are tried in a moment. The numbers are those that a simulation gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from brian2 import Quantity, amp, farad, ohm, second, volt
from brian2.units.fundamentalunits import DIMENSIONLESS

from neuromod.checks import index_array, real_numbers, steps_in
from neuromod.errors import UserError
from neuromod.experiment import Connection, Spikes
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.circuit_equations import suffix
from neuromod.support.text import say


def code_pulses(
    source: str,
    target: str,
    i: np.ndarray,
    j: np.ndarray,
    codes: Any,
    width: Quantity,
    domain: str = "",
) -> tuple[Connection, ...]:
    """Synapses of circuit neurons: pulses of their codes, and the pulses that the NOR sees.

    Parameters
    ----------
    source, target, i, j
        See `Connection`; the target is a population of circuit neurons.
    codes : value or array, shape (synapses,)
        Signed, whole but in analog synapses; a synapse of code 0 still clocks the comparator.
    width : Quantity
        In seconds.
    domain : str
        The power domain whose supply feeds them.

    Returns
    -------
    tuple of Connection
        See `mirror_pulses`.

    Raises
    ------
    UserError
        When a code is no number, or there is not one for each synapse.
    """
    what = f"Codes from {source} to {target}"
    codes = np.asarray(real_numbers(what, codes, DIMENSIONLESS))
    if np.shape(codes) not in ((), np.shape(i)):
        raise UserError(f"{what} need a value for each of {np.size(i)} synapses.")
    codes = np.broadcast_to(codes, np.shape(i))
    up, down = np.maximum(codes, 0), np.maximum(-codes, 0)
    return mirror_pulses(source, target, i, j, up, down, codes != 0, width, domain)


def mirror_pulses(
    source: str,
    target: str,
    i: np.ndarray,
    j: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    mirrors: np.ndarray,
    width: Quantity,
    domain: str = "",
    n_mirrors: np.ndarray | None = None,
) -> tuple[Connection, ...]:
    """Pulses of circuit synapses, or of bundles of them that pulse together.

    Parameters
    ----------
    source, target, i, j, width, domain
        See `code_pulses`.
    up, down : ndarray, shape (synapses,)
        Units of current onto and off the membrane.
    mirrors : ndarray, shape (synapses,)
        References that conduct during a pulse.
    n_mirrors : ndarray, shape (synapses,), optional
        N-type ones of them, whose copies pull. All of a synapse that pulls alone, unless given.

    Returns
    -------
    tuple of Connection
        On the variables ``up``, ``down``, ``mirrors``, ``n_mirrors`` and ``active``, where they are
        not all 0.

    Raises
    ------
    UserError
        When a bundle pushes and pulls, and `n_mirrors` is not given.
    """
    what, mark = f"Synapses from {source} to {target}", suffix(domain)
    i, j = index_array(what, i), index_array(what, j)
    if n_mirrors is None:
        if np.any((np.asarray(up) > 0) & (np.asarray(down) > 0)):
            raise UserError(f"{what} push and pull at once: n_mirrors, which of them pull, is due.")
        n_mirrors = np.where(np.asarray(down) > 0, mirrors, 0)
    weights = {f"up{mark}": up, f"down{mark}": down, f"mirrors{mark}": mirrors}
    weights[f"n_mirrors{mark}"] = n_mirrors
    made = []
    for variable, weight in {**weights, "active": np.ones(np.shape(i))}.items():
        on = np.flatnonzero(weight)
        if len(on):
            own = {"i": i[on], "j": j[on], "weight": weight[on] * 1.0}
            made.append(Connection(source, target, variable, **own, width=width))
    return tuple(made)


@dataclass(frozen=True, eq=False)
class PulseTrain:
    """A regular train of volleys, inputs that arrive together; the first after one period.

    Attributes
    ----------
    count : int
        Volleys of the train.
    period, dt : Quantity
        From one volley to the next, and time step, seconds.
    """

    count: int
    period: Quantity
    dt: Quantity

    def check(self, circuit: CircuitNeuron) -> None:
        """Refuse volleys that follow each other faster than neurons of a kind can spike."""
        circuit.check_step(self.dt)
        steps_in("period", self.period, self.dt)
        if self.period < circuit.dead_time - self.dt / 2:
            raise UserError(
                f"period = {say(self.period)} is shorter than a neuron's dead time: use at "
                f"least {say(circuit.dead_time)}."
            )

    @property
    def duration(self) -> Quantity:
        """Long enough for what the last volley sets off, seconds."""
        return (self.count + 2) * self.period

    def spikes(self, name: str, size: int) -> Spikes:
        """Inputs all of which take part in every volley."""
        at = np.repeat(np.arange(1, self.count + 1), size)
        steps = at * steps_in("period", self.period, self.dt)
        return Spikes(name, size, np.tile(np.arange(size), self.count), steps * self.dt)


@dataclass(frozen=True, eq=False)
class Response:
    """What neurons do under a train.

    Attributes
    ----------
    fires : ndarray of bool, shape (..., volleys)
    margin : ndarray, shape (...)
        Least distance of the membrane from threshold at a decision, volt; that at rest where this
        is less.
    lowest, highest : ndarray, shape (...)
        Ends of the membrane's range, volt.
    """

    fires: np.ndarray
    margin: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


def respond(
    circuit: CircuitNeuron,
    train: PulseTrain,
    drive: np.ndarray,
    vdd: Quantity,
    values: Mapping[str, Quantity] | None = None,
) -> Response:
    """Spikes of circuit neurons under a train, in closed form.

    Parameters
    ----------
    circuit : CircuitNeuron
        Its comparator counts as clocked, its leak as linear and its sources as ideal.
    train : PulseTrain
    drive : ndarray, shape (..., volleys)
        Sum of the codes of the pulses of each volley, real numbers allowed.
    vdd : Quantity, shape (...)
        Synapse supply, volt.
    values : mapping of str to Quantity, each of shape (...)
        ``C``, ``R_leak``, ``v_th`` or ``v_offset`` of single neurons.
    """
    own = {name: getattr(circuit, name) for name in ("C", "R_leak", "v_th")}
    own |= {"v_offset": 0 * volt} | dict(values or {})
    R = np.asarray(circuit.warm("R_leak", own["R_leak"]) / ohm)
    tau = R * np.asarray(own["C"] / farad)
    swing = np.asarray((own["v_th"] + own["v_offset"] - circuit.v_rest) / volt)
    times = (circuit.t_pulse, train.period)
    pulse, period = (np.exp(-float(time / second) / tau) for time in times)
    rise = np.asarray(circuit.unit_current(vdd) / amp) * R * (1 - pulse)
    u = np.zeros(np.broadcast_shapes(drive.shape[:-1], rise.shape, swing.shape))
    margin, lowest, highest = np.abs(swing) + u, u, u
    fires = np.empty((*u.shape, drive.shape[-1]), dtype=bool)
    for k in range(drive.shape[-1]):
        u = u * pulse + drive[..., k] * rise
        lowest, highest = np.minimum(lowest, u), np.maximum(highest, u)
        above = u - swing
        fires[..., k] = above >= 0
        margin = np.minimum(margin, np.abs(above))
        u = np.where(fires[..., k], 0, u * (period / pulse))
    rest = float(circuit.v_rest / volt)
    return Response(fires, margin, rest + lowest, rest + highest)
