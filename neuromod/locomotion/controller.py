"""A spiking network that moves a body: observations in, actions out, several time steps between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neuromod.errors import UserError
from neuromod.locomotion.coding import Moments, rates, start
from neuromod.plasticity.network import PlasticNetwork, Shape, State

READING = 0.2
"""What one unit of the readout moves an action by, in half ranges, about the middle of its range
(chosen here: a spike of one neuron then hardly moves it, and the changes of an evolution do not
drive every action to an end of its range)."""


class Status(NamedTuple):
    """State of network and inputs between two actions.

    Integrals of rates and the spikes sent last have the shape (batch, inputs).
    """

    network: State
    integral: Tensor
    sent: Tensor


@dataclass(frozen=True, eq=False)
class Controller:
    """A network with its coding.

    Attributes
    ----------
    network : PlasticNetwork
        In double precision; of one network, or of one for every episode (see `population`).
    moments : Moments
        By which observations are scaled.
    low, high : ndarray, shape (actions,)
        Ends of the range of actions.
    steps : int
        Time steps of the network from one action to the next.
    """

    network: PlasticNetwork
    moments: Moments
    low: np.ndarray
    high: np.ndarray
    steps: int

    def start(self, batch: int) -> Status:
        """Status at the beginning of so many episodes."""
        shape = self.network.shape
        integral = torch.from_numpy(np.tile(start(shape.inputs), (batch, 1)))
        return Status(self.network.rest(batch), integral, torch.zeros_like(integral))

    def scaled(self, observations: np.ndarray) -> np.ndarray:
        """Observations as the input neurons take them, shape (batch, observations)."""
        return self.moments.scaled(observations)

    @torch.inference_mode()
    def act(self, status: Status, scaled: np.ndarray) -> tuple[np.ndarray, Status]:
        """Actions after scaled observations, shape (batch, actions), and the status then."""
        state, integral, sent = status
        # At most one spike in every time step.
        grown = torch.from_numpy(rates(scaled, 1.0))
        for _ in range(self.steps):
            state = self.network.step(state, sent)
            integral = integral + grown
            sent = (integral >= 1).to(integral.dtype)
            integral = integral - sent
        return actions(state.readout.numpy(), self.low, self.high), Status(state, integral, sent)


def actions(readout: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Actions within their range, for the network's leaky readout of any value.

    They have single precision, as environments declare it. What simulators round differently in the
    readout thus never reaches a body, whose unstable motion would magnify it within seconds.
    """
    moved = low + (high - low) * (np.tanh(READING * readout) + 1) / 2
    return np.asarray(moved, dtype=np.float32)


def steps_between(control_s: float, dt_s: float) -> int:
    """Time steps of a network from one action to the next.

    Raises
    ------
    UserError
        When it is not a whole number, at least 1.
    """
    steps = round(control_s / dt_s)
    if steps < 1 or abs(steps * dt_s - control_s) > 1e-9:
        raise UserError(
            f"dt is {1e3 * dt_s:g} ms, but the body takes an action every {1e3 * control_s:g} ms: "
            "dt must be a whole part of it."
        )
    return steps


def founder(shape: Shape, seed: int) -> PlasticNetwork:
    """Network from which an evolution starts, in double precision."""
    return PlasticNetwork(shape, seed).double()


def vector(network: PlasticNetwork) -> np.ndarray:
    """All learned parameters in a row."""
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()


def population(shape: Shape, vectors: np.ndarray) -> PlasticNetwork:
    """Networks side by side, each for an episode of its own: the first axis of every parameter.

    Parameters
    ----------
    shape : Shape
    vectors : ndarray, shape (networks, parameters) or (parameters,)
        As from `vector`; without the first axis it is one network for all episodes.
    """
    network, taken = founder(shape, 0), 0
    first = vectors.shape[:-1]
    for parameter in network.parameters():
        count = parameter.numel()
        # One number of each network is a row, to act on rows of neurons.
        size = parameter.shape or ((1,) if first else ())
        own = torch.from_numpy(vectors[..., taken : taken + count].copy())
        parameter.data = own.reshape((*first, *size))
        taken += count
    return network
