"""``nt1_bias``: equation (3) of the paper as printed, where the gain multiplies the bias alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from neuromod.tuning.methods.gained import GainedLayer, refuse_without_bias


class NT1Bias(GainedLayer):
    """``v = W x + a b`` (bias only); trains the gains ``a``, 1 at the start, one per neuron."""

    def __init__(self, base: nn.Module, start: str = "identity") -> None:
        refuse_without_bias(base, "nt1_bias multiplies a layer's bias", "nt1")
        super().__init__(base, start)

    @property
    def takes_samples(self) -> bool:
        return False

    def tuned_bias(self, bias: Tensor | None) -> Tensor | None:
        bias = super().tuned_bias(bias)
        return None if bias is None else bias * self.of_all_samples(self.gains).to(bias)

    def respond(self, x: Tensor, **options: Any) -> Tensor:
        bias = self.tuned_bias(self.stored_bias)
        return self.kind.product(self, x, self.stored_weight, bias, **options)
