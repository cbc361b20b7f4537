"""``additive``: an added bias, the paper's baseline for the multiplicative one (table 1)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from neuromod.models.classifier import LayerParameters, ModulatedLayer


class Additive(ModulatedLayer):
    """``v = W x + b + c``; trains ``c``, 0 at the start."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.shift = nn.Parameter(torch.zeros_like(self.bias))

    def membrane(self, projection: Tensor) -> Tensor:
        return super().membrane(projection) + self.shift

    def layer_parameters(self) -> LayerParameters:
        frozen = super().layer_parameters()
        shift = self.shift.detach().to("cpu", torch.float64).numpy()
        return replace(frozen, bias=frozen.bias + shift)
