"""``additive``: an added bias, the paper's baseline for the multiplicative one (table 1)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from neuromod.models.modulated_layer import ModulatedLayer


class Additive(ModulatedLayer):
    """``v = W x + b + c``; trains ``c``, 0 at the start."""

    adds: ClassVar[tuple[str, ...]] = ("shift",)

    def __init__(self, base: nn.Module) -> None:
        super().__init__(base)
        self.shift = nn.Parameter(torch.zeros(self.n_neurons).to(self.stored_weight))

    def tuned_bias(self, bias: Tensor | None) -> Tensor | None:
        bias = super().tuned_bias(bias)
        return self.shift if bias is None else bias + self.shift.to(bias)
