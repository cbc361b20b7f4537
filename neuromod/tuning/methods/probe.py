"""``probe``: a linear probe, which trains the weights and biases of the output layer alone."""

from neuromod.models.modulated_layer import ModulatedLayer


class Probe(ModulatedLayer):
    """``v = W x + b``, all frozen: a layer below the output layer, which `tft` trains."""
