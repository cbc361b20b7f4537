"""``additive``: an added bias, the paper's baseline for the multiplicative one (table 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuromod.models.modulated_layer import LayerParameters, ModulatedLayer, in_double


class Additive(ModulatedLayer):
    """``v = W x + b + c``; trains ``c``, 0 at the start."""

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        super().__init__(base)
        self.shift = nn.Parameter(torch.zeros(self.n_neurons).to(self.weight))

    def membrane(self, projection: Tensor) -> Tensor:
        return super().membrane(projection) + self.spread(self.shift)

    def folded(self) -> LayerParameters:
        frozen = super().folded()
        return frozen._replace(bias=frozen.bias + in_double(self.shift))
