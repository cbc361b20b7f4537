"""``nt1_groups``: one gain per group of a neuron's synapses, by their sign and their source.

Supplies of "individual synapses or groups of synapses" are what the paper's circuit allows (section
5.2.1). A gain per neuron wins largely by turning signs, which no supply can; with a gain for a
neuron's excitatory synapses and one for its inhibitory ones, both may stay positive. In a cell,
these are receptors that act on excitatory or on inhibitory inputs, and on those of one dendrite.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.models.layer_kinds import LINEAR
from neuromod.models.modulated_layer import ModulatedLayer, in_double
from neuromod.tuning.methods.gained import GainedLayer

AT_ONCE = 2**18
"""Weights that are multiplied by their gains at a time, so that they stay near the processor and
take no memory worth speaking of (chosen)."""


class NT1Groups(GainedLayer):
    """``v = sum over g of a_g (W_g x + b_g)``; trains a gain for each group, 1 at the start.

    Positive and negative weights are in different groups, and each sign's synapses are dealt to
    `groups` of them by their source: input ``i`` to group ``i % groups``, the bias as the input
    behind the last. A neuron's gains are those of its positive groups, then of its negative ones.

    Parameters
    ----------
    groups : int
        Groups of each sign; 0 for a gain per synapse. By default 1: two gains a neuron.
    """

    keeps_projection: ClassVar[bool] = False

    per_sign: int

    def __init__(self, base: nn.Module, start: str = "identity", groups: int = 1) -> None:
        sources = (self if base is self else ModulatedLayer(base)).n_inputs + 1
        if not 0 <= groups <= sources:
            raise UserError(
                f"nt1_groups deals synapses from {sources} sources, the bias among them, to "
                f"{groups} groups of each sign: 1 to {sources} were expected, or 0 for all."
            )
        vars(self)["per_sign"] = groups or sources
        super().__init__(base, start)

    @property
    def n_gains(self) -> int:
        return 2 * self.per_sign * self.n_neurons

    @property
    def takes_samples(self) -> bool:
        return False

    @property
    def by_sign(self) -> Tensor:
        """Gains, shape (neurons, 2, groups): those of positive synapses first."""
        return self.of_all_samples(self.gains).view(self.n_neurons, 2, self.per_sign)

    @torch.no_grad()
    def supplies(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Groups of a linear layer's synapses as supplies of its neurons, for a chip.

        Returns
        -------
        tuple of ndarray, shapes (neurons, inputs + 1) and (neurons, supplies)
            Which of its neuron's supplies feeds each synapse, the bias's last, and the gain of each
            supply. Groups of a neuron that share a gain share a supply.
        """
        weight, bias = self.stored_weight, self.stored_bias
        bias = weight.new_zeros(self.n_neurons) if bias is None else bias
        negative = (torch.cat([weight, bias[:, None]], 1) < 0).long().cpu()
        group = torch.arange(self.n_inputs + 1) % self.per_sign
        place = (2 * torch.arange(self.n_neurons)[:, None] + negative) * self.per_sign + group
        gain = in_double(self.gain).cpu()
        found = place if self.domain is None else self.domain.cpu()[place]
        own = [np.unique(row, return_inverse=True) for row in found.numpy()]
        most = max(len(domains) for domains, _ in own)
        of_supply = [gain.numpy()[np.resize(domains, most)] for domains, _ in own]
        return np.stack([numbers for _, numbers in own]), np.stack(of_supply)

    def tuned_weight(self, weight: Tensor) -> Tensor:
        weight = super().tuned_weight(weight)
        every = torch.arange(max(self.n_inputs, self.n_neurons), device=weight.device)
        neuron = self.kind.by_neuron(self, every[: self.n_neurons])
        group = self.kind.by_input(self, every[: self.n_inputs]) % self.per_sign
        gains = self.by_sign.to(weight)
        return weight * torch.where(weight < 0, gains[neuron, 1, group], gains[neuron, 0, group])

    def tuned_bias(self, bias: Tensor | None) -> Tensor | None:
        bias = super().tuned_bias(bias)
        if bias is None:
            return None
        gains = self.by_sign[..., self.n_inputs % self.per_sign].to(bias)
        return bias * torch.where(bias < 0, gains[:, 1], gains[:, 0])

    def project(self, x: Tensor) -> Tensor:
        return self.kind.product(self, x, self.tuned_weight(self.stored_weight), None)

    def respond(self, x: Tensor, **options: Any) -> Tensor:
        weight, bias = self.stored_weight, self.tuned_bias(self.stored_bias)
        traced = torch.compiler.is_compiling() or torch.is_autocast_enabled(x.device.type)
        if self.kind is not LINEAR or weight.requires_grad or traced:
            return self.kind.product(self, x, self.tuned_weight(weight), bias, **options)
        product: Tensor = _Product.apply(
            x.reshape(-1, x.shape[-1]), weight, self.by_sign.to(weight)
        )
        v = product if bias is None else product + bias
        return v.view(*x.shape[:-1], self.n_neurons)


class _Product(torch.autograd.Function):
    """A linear layer's product, a few neurons at a time: no second weight is ever in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, gains: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, gains)
        return torch.cat([x @ _scaled(*part).T for part in _parts(weight, gains)], 1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        x, weight, gains = ctx.saved_tensors
        (grad,) = grad_outputs
        parts = _parts(weight, gains)
        by_part = grad.split([len(own) for own, _ in parts], 1)
        of_x = of_gains = None
        if ctx.needs_input_grad[0]:
            of_x = sum(g @ _scaled(*part) for g, part in zip(by_part, parts, strict=True))
        if ctx.needs_input_grad[2]:
            k = gains.shape[2]
            found = [_summed(g.T @ x, own, k) for g, (own, _) in zip(by_part, parts, strict=True)]
            of_gains = torch.cat(found)
        return of_x, None, of_gains


def _parts(weight: Tensor, gains: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Weights and gains of a few neurons at a time."""
    few = max(1, AT_ONCE // weight.shape[1])
    return list(zip(weight.split(few), gains.split(few), strict=True))


def _scaled(weight: Tensor, gains: Tensor) -> Tensor:
    """Weights times the gains of their groups; to choose by sign takes torch ten times as long."""
    inputs, k = weight.shape[1], gains.shape[2]
    positive, negative = gains.repeat(1, 1, -(-inputs // k))[..., :inputs].unbind(1)
    return weight.clamp(min=0).mul_(positive).addcmul_(weight.clamp(max=0), negative)


def _summed(slope: Tensor, weight: Tensor, k: int) -> Tensor:
    """Gradient of gains, shape (neurons, 2, k), from that of scaled weights."""
    neurons, inputs = weight.shape
    by_sign = [part.mul_(slope) for part in (weight.clamp(min=0), weight.clamp(max=0))]
    padded = [nn.functional.pad(part, (0, -inputs % k)) for part in by_sign]
    return torch.stack([part.view(neurons, -1, k).sum(1) for part in padded], 1)
