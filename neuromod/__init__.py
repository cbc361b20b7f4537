"""Neuromodulation in Brian2: one gain per neuron, from receptors to networks to circuits."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromod.devices.simulation import simulate
    from neuromod.errors import UserError
    from neuromod.experiment import (
        Connection,
        Experiment,
        Input,
        PlasticConnection,
        Population,
        Spikes,
        Trace,
    )
    from neuromod.protocol import Protocol, Section as Section, Training
    from neuromod.recording import Recording
    from neuromod.runs.run import load_run, run as run

# Python started in a checkout finds this folder before the installed package, which alone holds
# neuromod.models and neuromod.protocols.
__path__ = extend_path(__path__, __name__)

__version__ = version("brian2-neuromod")

# Loaded when first used, so that `import neuromod` stays quick.
_HOMES = {
    "Connection": "experiment",
    "Experiment": "experiment",
    "Input": "experiment",
    "PlasticConnection": "experiment",
    "Population": "experiment",
    "Protocol": "protocol",
    "Recording": "recording",
    "Section": "protocol",
    "Spikes": "experiment",
    "Trace": "experiment",
    "Training": "protocol",
    "UserError": "errors",
    "load_run": "runs.run",
    "run": "runs.run",
    "simulate": "devices.simulation",
}
# Section and run are left out, so that `from neuromod import *` replaces no name of Brian2's.
__all__ = [
    "Connection",
    "Experiment",
    "Input",
    "PlasticConnection",
    "Population",
    "Protocol",
    "Recording",
    "Spikes",
    "Trace",
    "Training",
    "UserError",
    "load_run",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'neuromod' has no attribute {name!r}")
    value = getattr(import_module(f"neuromod.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*_HOMES, "__version__"]
