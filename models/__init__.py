"""What a neuron, synapse, sensor or network layer is: equations, parameters, closed forms."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromod.models.circuit import CircuitNeuron as CircuitNeuron
    from neuromod.models.classifier import (
        Classifier as Classifier,
        LIFClassifier as LIFClassifier,
        RateClassifier as RateClassifier,
        SpikingClassifier as SpikingClassifier,
    )
    from neuromod.models.coded_synapse import CodedSynapse as CodedSynapse
    from neuromod.models.gain_lif import GainLIF as GainLIF
    from neuromod.models.mirror import Mirror as Mirror
    from neuromod.models.modulated_layer import ModulatedLayer as ModulatedLayer
    from neuromod.models.optocoupler import Optocoupler as Optocoupler
    from neuromod.models.receptor_library import library as library
    from neuromod.models.receptors import Receptor as Receptor
    from neuromod.models.structural import StructuralPlasticity as StructuralPlasticity
    from neuromod.models.three_factor import PlasticLIF as PlasticLIF, ThreeFactor as ThreeFactor

# Loaded when first used: all need Brian2, some need torch.
_HOMES = {
    "CircuitNeuron": "circuit",
    "Classifier": "classifier",
    "CodedSynapse": "coded_synapse",
    "GainLIF": "gain_lif",
    "library": "receptor_library",
    "LIFClassifier": "classifier",
    "Mirror": "mirror",
    "ModulatedLayer": "modulated_layer",
    "Optocoupler": "optocoupler",
    "PlasticLIF": "three_factor",
    "RateClassifier": "classifier",
    "Receptor": "receptors",
    "SpikingClassifier": "classifier",
    "StructuralPlasticity": "structural",
    "ThreeFactor": "three_factor",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("neuromod"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs {error.name}, which is not installed: "
            "pip install 'brian2-neuromod[train]' brings it.",
            name=error.name,
        ) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
