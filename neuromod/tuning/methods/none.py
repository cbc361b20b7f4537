"""``none``: nothing is trained; what the network makes of the new task as it is."""

from neuromod.models.classifier import ModulatedLayer


class Untuned(ModulatedLayer):
    """``v = W x + b``, all frozen."""
