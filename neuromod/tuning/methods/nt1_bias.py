"""``nt1_bias``: equation (3) of the paper as printed, where the gain multiplies the bias alone."""

from __future__ import annotations

from torch import Tensor, nn

from neuromod.errors import UserError
from neuromod.models.modulated_layer import LayerParameters, in_double
from neuromod.tuning.methods.gained import GainedLayer


class NT1Bias(GainedLayer):
    """``v = W x + a b`` (bias only); trains the gains ``a``, 1 at the start, one per neuron."""

    bias: Tensor

    def __init__(self, base: nn.Linear | nn.Conv2d, start: str = "identity") -> None:
        if base.bias is None:
            raise UserError("nt1_bias multiplies a layer's bias, and this one has none: use nt1.")
        super().__init__(base, start)

    def membrane(self, projection: Tensor) -> Tensor:
        return projection + self.spread(self.gains * self.bias)

    def folded(self) -> LayerParameters:
        frozen = super().folded()
        return frozen._replace(bias=frozen.bias * in_double(self.gains))
