"""``none``: nothing is trained, and the network meets the new task as it is."""

from neuromod.models.modulated_layer import ModulatedLayer


class Untuned(ModulatedLayer):
    """``v = W x + b``, all frozen."""
