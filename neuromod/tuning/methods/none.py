"""``none``: nothing is trained; what the network makes of the new task as it is."""

from neuromod.models.modulated_layer import ModulatedLayer


class Untuned(ModulatedLayer):
    """``v = W x + b``, all frozen."""
