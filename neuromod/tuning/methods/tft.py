"""``tft``: traditional fine-tuning, the reference that the others are measured against."""

from typing import ClassVar

from neuromod.models.modulated_layer import ModulatedLayer


class TFT(ModulatedLayer):
    """``v = W x + b``; trains everything, from the pre-trained values."""

    trains: ClassVar[tuple[str, ...]] = ("weight", "bias")
    keeps_projection: ClassVar[bool] = False
