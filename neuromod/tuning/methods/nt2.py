"""``nt2``: the biases that the network already has (section 3.2)."""

from neuromod.models.classifier import ModulatedLayer


class NT2(ModulatedLayer):
    """``v = W x + b``; trains ``b``, from its pre-trained values."""

    trains = ("bias",)
