"""Neuromodulation in Brian2: one gain per neuron, from receptors to networks to circuits."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pkgutil import extend_path
from typing import Any

# Python started in a checkout finds this folder before the installed package, which alone holds
# neuromod.models and neuromod.protocols.
__path__ = extend_path(__path__, __name__)

__version__ = version("brian2-neuromod")

# Loaded when first used, so that `import neuromod` stays quick.
_HOMES = {
    "Experiment": "experiment",
    "Population": "experiment",
    "Connection": "experiment",
    "PlasticConnection": "experiment",
    "Spikes": "experiment",
    "Trace": "experiment",
    "pulses": "experiment",
    "Recording": "recording",
    "Protocol": "protocol",
    "Section": "protocol",
    "simulate": "devices.simulation",
    "run": "runs.run",
    "load_run": "runs.run",
    "UserError": "errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neuromod' has no attribute {name!r}")
    value = getattr(import_module(f"neuromod.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
