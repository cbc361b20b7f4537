"""``nt1``: one gain per neuron, the paper's additional bias neuron (section 3.2)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from neuromod.models.classifier import LayerParameters, ModulatedLayer


class NT1(ModulatedLayer):
    """``v = a (W x + b)``; trains the gains ``a``, 1 at the start."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.gain = nn.Parameter(torch.ones_like(self.bias))

    def membrane(self, projection: Tensor) -> Tensor:
        return self.gain * super().membrane(projection)

    def layer_parameters(self) -> LayerParameters:
        gain = self.gain.detach().to("cpu", torch.float64).numpy().copy()
        return replace(super().layer_parameters(), gain=gain)
