"""A circuit neuron under volleys: inputs that arrive together, one volley after another.

With a linear leak and ideal sources a membrane is known in closed form from volley to volley, so
that millions of neurons are tried in a moment. The numbers are those that a simulation gives: the
comparator decides one time step after a pulse's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from brian2 import Quantity, amp, farad, ohm, second, volt

from neuromod.errors import UserError
from neuromod.experiment import Spikes, steps_in
from neuromod.models.circuit import CircuitNeuron


@dataclass(frozen=True, eq=False)
class Volleys:
    """Volleys at a steady period, the first after one period.

    Attributes
    ----------
    count : int
    period, dt : Quantity
        Period and time step, seconds.
    """

    count: int
    period: Quantity
    dt: Quantity

    def check(self, circuit: CircuitNeuron) -> None:
        """Refuse volleys that follow each other faster than neurons of a kind can spike.

        Parameters
        ----------
        circuit : CircuitNeuron

        Raises
        ------
        UserError
        """
        circuit.check_step(self.dt)
        steps_in("period", self.period, self.dt)
        dead_time = circuit.t_spike + 2 * circuit.t_pulse
        if self.period < dead_time - self.dt / 2:
            raise UserError(
                f"period = {self.period} is shorter than a neuron's dead time: at least "
                f"{dead_time} was expected."
            )

    @property
    def duration(self) -> Quantity:
        """Long enough for what the last volley sets off, seconds."""
        return (self.count + 2) * self.period

    def spikes(self, name: str, size: int) -> Spikes:
        """Inputs all of which take part in every volley.

        Parameters
        ----------
        name : str
        size : int

        Returns
        -------
        Spikes
        """
        at = np.repeat(np.arange(1, self.count + 1), size)
        steps = at * steps_in("period", self.period, self.dt)
        return Spikes(name, size, np.tile(np.arange(size), self.count), steps * self.dt)


@dataclass(frozen=True, eq=False)
class Response:
    """What neurons do under volleys.

    Attributes
    ----------
    fires : ndarray of bool, shape (..., volleys)
    margin : ndarray, shape (...)
        Least distance from threshold of the membrane when it is decided on, volt; that at rest
        where this is less.
    lowest, highest : ndarray, shape (...)
        Ends of the membrane's range, volt.
    """

    fires: np.ndarray
    margin: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray


def respond(
    circuit: CircuitNeuron,
    volleys: Volleys,
    drive: np.ndarray,
    vdd: Quantity,
    values: Mapping[str, Quantity] | None = None,
) -> Response:
    """Spikes of circuit neurons under volleys.

    Parameters
    ----------
    circuit : CircuitNeuron
        Its comparator counts as clocked, its leak as linear and its sources as ideal.
    volleys : Volleys
    drive : ndarray, shape (..., volleys)
        Sum of the codes of the pulses of each volley, real numbers allowed.
    vdd : Quantity, shape (...)
        Synapse supply, volt.
    values : mapping of str to Quantity, each of shape (...)
        ``C``, ``R_leak`` or ``v_th`` of single neurons.

    Returns
    -------
    Response
    """
    own = {name: getattr(circuit, name) for name in ("C", "R_leak", "v_th")} | dict(values or {})
    R = np.asarray(own["R_leak"] / ohm)
    tau = R * np.asarray(own["C"] / farad)
    swing = np.asarray((own["v_th"] - circuit.v_rest) / volt)
    pulse, step, period = (
        np.exp(-float(time / second) / tau)
        for time in (circuit.t_pulse, volleys.dt, volleys.period)
    )
    rise = np.asarray(circuit.unit_current(vdd) / amp) * R * (1 - pulse)
    u = np.zeros(np.broadcast_shapes(drive.shape[:-1], rise.shape, swing.shape))
    margin, lowest, highest = np.abs(swing) + u, u, u
    fires = np.empty((*u.shape, drive.shape[-1]), dtype=bool)
    for k in range(drive.shape[-1]):
        u = u * pulse + drive[..., k] * rise
        lowest, highest = np.minimum(lowest, u), np.maximum(highest, u)
        above = u * step - swing
        fires[..., k] = above >= 0
        margin = np.minimum(margin, np.abs(above))
        u = np.where(fires[..., k], 0, u * (period / pulse))
    rest = float(circuit.v_rest / volt)
    return Response(fires, margin, rest + lowest, rest + highest)
