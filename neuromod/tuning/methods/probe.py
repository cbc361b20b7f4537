"""``probe``: a linear probe, which trains the output layer's weights and biases and no other."""

from neuromod.models.modulated_layer import ModulatedLayer


class Probe(ModulatedLayer):
    """``v = W x + b``, all frozen: a layer below the output layer, which `tft` trains."""
