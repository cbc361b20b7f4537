"""Neuromodulation in Brian2: one gain per neuron, from receptors to networks to circuits."""

from pkgutil import extend_path

import lazy_loader

# Python started in a checkout finds this folder before the installed package, which alone holds
# neuromod.models and neuromod.protocols.
__path__ = extend_path(__path__, __name__)

# `__init__.pyi` names all that is here; it is loaded when first used, so that import is quick.
_load, _dir, _names = lazy_loader.attach_stub(__name__, __file__)
# Without those that would replace names of Brian2's after `from brian2 import *`.
__all__ = [name for name in _names if name not in ("Section", "run")]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("brian2-neuromod")
    return _load(name)


def __dir__() -> list[str]:
    return [*_names, "__version__"]
