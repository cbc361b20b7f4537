"""``nt1``: one gain per neuron, the paper's additional bias neuron (section 3.2)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from neuromod.models.classifier import LayerParameters, ModulatedLayer


class NT1(ModulatedLayer):
    """``v = a (W x + b)``; trains the gains ``a``, 1 at the start, one for each neuron.

    Neurons may also `share` gains: with ``d`` the domain of each, ``v = a[d] (W x + b)``.
    """

    domain: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.gain = nn.Parameter(torch.ones_like(self.bias))
        self.register_buffer("domain", None, persistent=False)

    def share(self, gain: nn.Parameter, domain: Tensor) -> None:
        """Take gains from a parameter that other layers may share.

        Parameters
        ----------
        gain : nn.Parameter, shape (domains,)
        domain : Tensor of int, shape (out,)
            Which of them each neuron has.
        """
        self.gain = gain
        self.domain = domain

    @property
    def gains(self) -> Tensor:
        """Gain of every neuron, shape (out,)."""
        return self.gain if self.domain is None else self.gain[self.domain]

    def membrane(self, projection: Tensor) -> Tensor:
        return self.gains * super().membrane(projection)

    def layer_parameters(self) -> LayerParameters:
        gain = self.gains.detach().to("cpu", torch.float64).numpy().copy()
        return replace(super().layer_parameters(), gain=gain)
