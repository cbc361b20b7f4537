"""``nt2``: the biases that the network already has (section 3.2)."""

from __future__ import annotations

from torch import nn

from neuromod.models.modulated_layer import ModulatedLayer
from neuromod.tuning.methods.gained import refuse_without_bias


class NT2(ModulatedLayer):
    """``v = W x + b``; trains ``b``, from its pre-trained values."""

    def __init__(self, base: nn.Module) -> None:
        refuse_without_bias(base, "nt2 trains a layer's bias", "additive")
        super().__init__(base)

    def trained_names(self) -> tuple[str, ...]:
        return (self.kind.bias,)
