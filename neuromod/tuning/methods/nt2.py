"""``nt2``: the biases that the network already has (section 3.2)."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from neuromod.errors import UserError
from neuromod.models.modulated_layer import ModulatedLayer


class NT2(ModulatedLayer):
    """``v = W x + b``; trains ``b``, from its pre-trained values."""

    trains: ClassVar[tuple[str, ...]] = ("bias",)

    def __init__(self, base: nn.Linear | nn.Conv2d) -> None:
        if base.bias is None:
            raise UserError("nt2 trains a layer's bias, and this one has none: use additive.")
        super().__init__(base)
