"""``tft``: traditional fine-tuning of all weights and biases, the reference for the others."""

from typing import ClassVar

from neuromod.models.modulated_layer import ModulatedLayer


class TFT(ModulatedLayer):
    """``v = W x + b``; trains everything, from the pre-trained values."""

    trains: ClassVar[tuple[str, ...]] = ("weight", "bias")
    keeps_projection: ClassVar[bool] = False
