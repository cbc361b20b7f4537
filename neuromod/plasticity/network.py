"""A spiking network with a plastic layer and, if it is modulated, modulatory neurons.

Inputs reach a layer of leaky integrate-and-fire neurons through plastic synapses. Fixed synapses
connect the layer's neurons with each other and with a leaky readout. A modulatory population,
driven by inputs and layer through fixed synapses, releases into one concentration ``c`` that
reaches every plastic synapse (volume transmission). Each neuron of the layer has a sensitivity of
its own to it, of either sign: ``M_j = tonic_j + sensitivity_j c``.

Membranes are in units of their threshold above rest. A time step has the order of the package's
simulations, so that devices can run the same network: plastic traces change (from the state at the
step's beginning), spikes of the last step arrive, everything decays, and membranes above threshold
spike and are reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, log
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from neuromod.errors import UserError, unknown
from neuromod.models.three_factor import GATES
from neuromod.plasticity.rules import START, Plasticity, Traces

NETWORKS: dict[str, tuple[str, bool]] = {
    "none": ("", False),
    "oja": ("oja", False),
    "bcm": ("bcm", False),
    "modulated-oja": ("oja", True),
    "modulated-bcm": ("bcm", True),
}
"""The five networks: rule, and whether the network's own modulation gates it."""
OWN_GATES = tuple(gate for gate in GATES if gate != "none")
"""What the modulation of a modulated network may act on."""


@dataclass(frozen=True)
class Shape:
    """Size and kind of a network, which learning does not change.

    Attributes
    ----------
    inputs, hidden, outputs, modulators : int
        Neurons; only modulated networks have modulators.
    network : str
        One of `NETWORKS`.
    gate : str
        Where modulation acts, if there is any: one of `OWN_GATES`.
    dt_s : float
        Time step.
    tau_m_s, tau_out_s : float
        Time constants of membranes and of the readout.
    slope : float
        Steepness ``k`` of the surrogate ``(k/2)/(1 + k |v - 1|)**2`` of a spike's derivative: the
        fast sigmoid of Zenke & Ganguli (Neural Comput. 30:1514, 2018).
    """

    inputs: int
    hidden: int
    outputs: int
    network: str
    gate: str = "direct"
    modulators: int = 4
    dt_s: float = 5e-3
    tau_m_s: float = 20e-3
    tau_out_s: float = 20e-3
    slope: float = 5.0

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise unknown("plastic network", self.network, NETWORKS)
        if self.gate not in OWN_GATES:
            raise unknown("gate of plasticity", self.gate, OWN_GATES)
        for name, value in vars(self).items():
            if not isinstance(value, str) and not value > 0:
                raise UserError(f"{name} is {value}, but must be greater than 0.")

    @property
    def rule(self) -> str:
        """Name of the plasticity rule; empty without one."""
        return NETWORKS[self.network][0]

    @property
    def modulated(self) -> bool:
        return NETWORKS[self.network][1]


class Modulator(NamedTuple):
    """Membranes and spikes of modulatory neurons, (batch, modulators), and ``c``, (batch, 1)."""

    v: Tensor
    spikes: Tensor
    concentration: Tensor


class State(NamedTuple):
    """State of a network at the end of a time step.

    Membranes and spikes have the shape (batch, hidden), the readout (batch, outputs). Networks
    without plasticity have no traces, networks without modulation no modulator.
    """

    v: Tensor
    spikes: Tensor
    readout: Tensor
    traces: Traces | None
    modulator: Modulator | None


class PlasticNetwork(nn.Module):
    """Network of a given shape; it holds no state beyond an episode.

    Parameters
    ----------
    shape : Shape
    seed : int
        Of the weights before learning; networks of one seed and size share the fixed ones.
    """

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        self.shape = shape
        self.smooth = False
        """Whether spikes are graded, as in the surrogate; only to check gradients."""
        draw = torch.Generator().manual_seed(seed)

        def weights(post: int, pre: int, mean: float = 0.0, sd: float = 1.0) -> nn.Parameter:
            values = torch.randn(post, pre, generator=draw)
            return nn.Parameter((mean + sd * values) / pre**0.5)

        # A positive mean lets every neuron fire at the start.
        self.weight = weights(shape.hidden, shape.inputs, mean=0.5, sd=0.5)
        self.recurrent = weights(shape.hidden, shape.hidden, sd=0.3)
        self.output = weights(shape.outputs, shape.hidden)
        self.plasticity: Plasticity | None = None
        if shape.rule:
            alpha = weights(shape.hidden, shape.inputs, sd=0.2)
            gate = shape.gate if shape.modulated else "none"
            self.plasticity = Plasticity(alpha.data, shape.rule, gate, shape.dt_s)
        if shape.modulated:
            self.modulator_weight = weights(shape.modulators, shape.inputs, mean=0.5, sd=0.5)
            self.modulator_recurrent = weights(shape.modulators, shape.hidden, sd=0.3)
            self.log_tau_c_s = nn.Parameter(torch.tensor(log(START["tau_c_s"])))
            self.tonic = nn.Parameter(torch.ones(shape.hidden))
            self.sensitivity = nn.Parameter(torch.randn(shape.hidden, generator=draw) / 2)

    def steps(self, inputs: Tensor) -> Iterator[State]:
        """Run episodes from rest, each sample on its own.

        Parameters
        ----------
        inputs : Tensor, shape (batch, steps, inputs)
            1 where an input spikes, else 0.

        Yields
        ------
        State
            At the end of every time step.
        """
        self.check_inputs(inputs)
        state = self.rest(len(inputs))
        # Spikes arrive a step after they are sent.
        arriving = nn.functional.pad(inputs, (0, 0, 1, 0))[:, :-1]
        # The inputs do not depend on the state: one product gives their fixed drive in all steps.
        fixed, to_modulator = self._fixed(arriving)
        for step in range(inputs.shape[1]):
            state = self._step(state, arriving[:, step], fixed[:, step], to_modulator[:, step])
            yield state

    def step(self, state: State, arriving: Tensor) -> State:
        """State a step later, for inputs that follow from earlier states.

        Parameters
        ----------
        state : State
            At first that of `rest`.
        arriving : Tensor, shape (batch, inputs)
            Spikes that inputs sent in the step before.
        """
        return self._step(state, arriving, *self._fixed(arriving))

    def rest(self, batch: int) -> State:
        """State at the beginning of every episode."""

        def zeros(neurons: int) -> Tensor:
            return self.weight.new_zeros(batch, neurons)

        size, modulator = self.shape, None
        if size.modulated:
            modulator = Modulator(zeros(size.modulators), zeros(size.modulators), zeros(1))
        traces = self.plasticity.start(batch) if self.plasticity else None
        return State(zeros(size.hidden), zeros(size.hidden), zeros(size.outputs), traces, modulator)

    def forward(self, inputs: Tensor) -> Tensor:
        """Readout at the end of every step, shape (batch, steps, outputs)."""
        return torch.stack([state.readout for state in self.steps(inputs)], 1)

    def read(self, spikes: Tensor) -> Tensor:
        """Readout at the end of every step, (batch, steps, outputs), for spikes of the layer."""
        readout = [self.rest(len(spikes)).readout]
        # A spike acts from the next step on.
        for before in nn.functional.pad(spikes, (0, 0, 1, 0))[:, :-1].unbind(1):
            readout.append(self._read(readout[-1], before))
        return torch.stack(readout[1:], 1)

    def check_inputs(self, inputs: Tensor) -> None:
        """Refuse input spikes that do not have the shape (batch, steps, inputs)."""
        if inputs.ndim != 3 or inputs.shape[2] != self.shape.inputs:
            raise UserError(
                f"Input spikes have the shape {tuple(inputs.shape)}, and this network takes "
                f"(batch, steps, {self.shape.inputs})."
            )

    def modulation(self, concentration: Tensor) -> Tensor:
        """``M`` of every neuron's synapses, shape (batch, hidden), for c of shape (batch, 1)."""
        return self.tonic + self.sensitivity * concentration

    def rule_values(self) -> dict[str, float]:
        """Learned parameters of rule and modulator by name and unit; empty without plasticity."""
        if self.plasticity is None:
            return {}
        found = {"alpha_rms": float(self.plasticity.alpha.detach().square().mean().sqrt())}
        found |= self.plasticity.values()
        if self.shape.modulated:
            found["tau_c_s"] = float(self.log_tau_c_s.detach().exp())
            found["tonic_mean"] = float(self.tonic.detach().mean())
            found["sensitivity_mean"] = float(self.sensitivity.detach().mean())
            found["sensitivity_sd"] = float(self.sensitivity.detach().std())
        return found

    @property
    def n_trained(self) -> int:
        """Number of learned parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def _fixed(self, arriving: Tensor) -> tuple[Tensor, Tensor]:
        """Fixed drive of layer and modulatory neurons by input spikes."""
        fixed = drive(arriving, self.weight)
        modulated = self.shape.modulated
        return fixed, drive(arriving, self.modulator_weight) if modulated else fixed

    def _step(self, state: State, inputs: Tensor, fixed: Tensor, to_modulator: Tensor) -> State:
        """State after a step in which these input spikes arrive, with their fixed drives."""
        traces, modulator = state.traces, state.modulator
        reaching = fixed + drive(state.spikes, self.recurrent)
        if self.plasticity is not None and traces is not None:
            gate = None if modulator is None else self.modulation(modulator.concentration)
            traces = self.plasticity.evolve(traces, gate)
            reaching = reaching + self.plasticity.drive(traces, inputs)
        if modulator is not None:
            modulator = self._released(modulator, state.spikes, to_modulator)
        readout = self._read(state.readout, state.spikes)
        v, spikes = self._fired(state.v + reaching)
        if self.plasticity is not None and traces is not None:
            traces = self.plasticity.receive(traces, inputs, spikes)
        return State(v, spikes, readout, traces, modulator)

    def _read(self, readout: Tensor, spikes: Tensor) -> Tensor:
        """Readout a step later, when these spikes have arrived."""
        readout = readout + drive(spikes, self.output)
        return readout * exp(-self.shape.dt_s / self.shape.tau_out_s)

    def _released(self, modulator: Modulator, hidden: Tensor, fixed: Tensor) -> Modulator:
        kept = torch.exp(-self.shape.dt_s / self.log_tau_c_s.exp())
        concentration = modulator.concentration + modulator.spikes.mean(1, keepdim=True)
        v, spikes = self._fired(modulator.v + fixed + drive(hidden, self.modulator_recurrent))
        return Modulator(v, spikes, concentration * kept)

    def _fired(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Membrane after decay and reset, and spikes."""
        v = v * exp(-self.shape.dt_s / self.shape.tau_m_s)
        spikes = cast(Tensor, Spike.apply(v, self.shape.slope, self.smooth))
        return v * (1 - spikes), spikes


def drive(spikes: Tensor, weights: Tensor) -> Tensor:
    """Drive by spikes through fixed synapses, shape (..., post).

    Parameters
    ----------
    spikes : Tensor, shape (..., pre)
    weights : Tensor, shape (post, pre), or (batch, post, pre) for spikes of shape (batch, pre)
        The same for all episodes, or each episode's own.
    """
    if weights.ndim == 2:
        return nn.functional.linear(spikes, weights)
    return (weights @ spikes.unsqueeze(-1)).squeeze(-1)


class Spike(torch.autograd.Function):
    """1 where ``v > 1``, else 0, with the derivative of a fast sigmoid.

    The sigmoid is ``1/2 + (k/2) u/(1 + k |u|)`` with ``u = v - 1``. It may replace the step itself,
    so that gradients can be compared with finite differences.
    """

    @staticmethod
    def forward(ctx: Any, v: Tensor, slope: float, smooth: bool) -> Tensor:
        ctx.slope = slope
        ctx.save_for_backward(v)
        if smooth:
            scaled = slope * (v - 1)
            return 0.5 + 0.5 * scaled / (1 + scaled.abs())
        return (v > 1).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grad_outputs
        (v,) = ctx.saved_tensors
        return grad * (ctx.slope / 2) / (1 + ctx.slope * (v - 1).abs()).square(), None, None
