"""``lora``: a change of the weights of low rank (Hu et al., ICLR 2022)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.models.modulated_layer import LayerParameters, ModulatedLayer, in_double


class LoRA(ModulatedLayer):
    """``v = (W + B A) x + b``; trains ``A`` (``down``) and ``B`` (``up``).

    ``A`` starts at random, as in the authors' code, and ``B`` at 0, so that nothing changes before
    training. Their scale ``alpha/rank`` is 1 here: Adam nearly makes up for it.

    A convolution's ``A`` has its kernel's size. The default rank of 1, chosen here, is nearest to
    one gain per neuron.
    """

    keeps_projection: ClassVar[bool] = False

    def __init__(self, base: nn.Linear | nn.Conv2d, rank: int = 1) -> None:
        if isinstance(base, nn.Conv2d) and base.groups > 1:
            raise UserError(
                f"lora takes convolutions of one group, and this one has {base.groups}."
            )
        if rank < 1:
            raise UserError(f"The rank of lora is {rank}, but must be at least 1.")
        super().__init__(base)
        # Drawn on the CPU, so that a seed gives the same on all devices.
        down = torch.empty(rank, *self.weight.shape[1:])
        nn.init.kaiming_uniform_(down, a=math.sqrt(5))
        self.down = nn.Parameter(down.to(self.weight))
        self.up = nn.Parameter(torch.zeros(self.n_neurons, rank).to(self.weight))

    def project(self, x: Tensor) -> Tensor:
        low = self.weigh(x, self.down)
        if isinstance(self.base, nn.Conv2d):
            change = nn.functional.conv2d(low, self.up[:, :, None, None])
        else:
            change = nn.functional.linear(low, self.up)
        return super().project(x) + change

    def folded(self) -> LayerParameters:
        frozen = super().folded()
        change = torch.tensordot(in_double(self.up), in_double(self.down), 1)
        return frozen._replace(weight=frozen.weight + change)
