"""``tft``: traditional fine-tuning of all weights and biases, the reference for the others."""

from __future__ import annotations

from typing import ClassVar

from neuromod.models.modulated_layer import ModulatedLayer


class TFT(ModulatedLayer):
    """``v = W x + b``; trains everything, from the pre-trained values.

    It takes layers of every kind.
    """

    keeps_projection: ClassVar[bool] = False

    def trained_names(self) -> tuple[str, ...]:
        return tuple(name for name, tensor in self._parameters.items() if tensor is not None)
