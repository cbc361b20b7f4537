"""What a neuron, synapse, sensor or network layer is: equations, parameters, closed forms."""

import lazy_loader

from neuromod.errors import with_advice

# `__init__.pyi` names all that is here; it is loaded when first used, for some of it needs torch.
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__getattr__ = with_advice(_load)
