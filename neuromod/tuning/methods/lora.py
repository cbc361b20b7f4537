"""``lora``: a change of the weights of low rank (Hu et al., ICLR 2022)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.models.layer_kinds import LINEAR, Convolution, kind_of
from neuromod.models.modulated_layer import Fused


class LoRA(Fused):
    """``v = (W + B A) x + b``; trains ``A`` (``down``) and ``B`` (``up``).

    ``A`` starts at random, as in the authors' code, and ``B`` at 0, so that nothing changes before
    training. Their scale ``alpha/rank`` is 1 here: Adam nearly makes up for it.

    A convolution's ``A`` has its kernel's size. The default rank of 1, chosen here, is nearest to
    one gain per neuron.
    """

    adds: ClassVar[tuple[str, ...]] = ("down", "up")
    keeps_projection: ClassVar[bool] = False

    def __init__(self, base: nn.Module, rank: int = 1) -> None:
        kind = kind_of(type(base))
        if kind is not LINEAR and type(kind) is not Convolution:
            raise UserError(f"lora takes Linear and convolutions, not {type(base).__name__}.")
        if getattr(base, "groups", 1) > 1:
            raise UserError(
                f"lora takes convolutions of one group, and this one has {base.groups}."
            )
        if rank < 1:
            raise UserError(f"The rank of lora is {rank}, but must be at least 1.")
        super().__init__(base)
        # Drawn on the CPU, so that a seed gives the same on all devices.
        weight = self.stored_weight
        down = torch.empty(rank, *weight.shape[1:])
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))
        self.down = nn.Parameter(down.to(weight))
        self.up = nn.Parameter(torch.zeros(self.n_neurons, rank).to(weight))

    def change(self, x: Tensor) -> Tensor:
        """What is added to ``W x``."""
        low = self.kind.product(self, x, self.down, None)
        name = "linear" if self.kind is LINEAR else f"conv{self.kind.dims}d"
        change: Tensor = getattr(nn.functional, name)(low, self.kind.spread(self.up))
        return change

    def respond(self, x: Tensor, **options: Any) -> Tensor:
        return super().respond(x, **options) + self.change(x)

    def project(self, x: Tensor) -> Tensor:
        return super().project(x) + self.change(x)

    def tuned_weight(self, weight: Tensor) -> Tensor:
        change: Tensor = torch.tensordot(self.up.to(weight), self.down.to(weight), 1)
        return super().tuned_weight(weight) + change
