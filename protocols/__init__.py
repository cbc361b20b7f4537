"""What is done to neurons: settings, experiments, measures, a figure and words, one name each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuromod.protocols.antagonist import Antagonist as Antagonist
    from neuromod.protocols.bio_vs_circuit import BioVsCircuit as BioVsCircuit
    from neuromod.protocols.chip_network import ChipNetwork as ChipNetwork
    from neuromod.protocols.cue_association import CueAssociation as CueAssociation
    from neuromod.protocols.demo import Demo as Demo
    from neuromod.protocols.dose_response import DoseResponse as DoseResponse
    from neuromod.protocols.engram import Engram as Engram
    from neuromod.protocols.gain_curve import GainCurve as GainCurve
    from neuromod.protocols.gain_identification import GainIdentification as GainIdentification
    from neuromod.protocols.gain_to_vdd import GainToVdd as GainToVdd
    from neuromod.protocols.gain_trace import GainTrace as GainTrace
    from neuromod.protocols.mismatch import ChipMismatch as ChipMismatch
    from neuromod.protocols.network_gain import NetworkGain as NetworkGain
    from neuromod.protocols.neuron_table import NeuronTable as NeuronTable
    from neuromod.protocols.pattern_recall import PatternRecall as PatternRecall
    from neuromod.protocols.plastic_codes import PlasticCodes as PlasticCodes
    from neuromod.protocols.power_budget import PowerBudget as PowerBudget
    from neuromod.protocols.pseudo_resistor import PseudoResistor as PseudoResistor
    from neuromod.protocols.puff import Puff as Puff
    from neuromod.protocols.reward_learning import RewardLearning as RewardLearning
    from neuromod.protocols.synapse_families import SynapseFamilies as SynapseFamilies
    from neuromod.protocols.transfer import Transfer as Transfer
    from neuromod.protocols.two_receptors import TwoReceptors as TwoReceptors
    from neuromod.protocols.vdd_sweep import VddSweep as VddSweep
    from neuromod.protocols.volume import Volume as Volume
    from neuromod.protocols.wash import Wash as Wash
    from neuromod.protocols.xor import Xor as Xor

# Loaded when first used: all need Brian2, some need torch.
_HOMES = {
    "Antagonist": "antagonist",
    "BioVsCircuit": "bio_vs_circuit",
    "ChipMismatch": "mismatch",
    "ChipNetwork": "chip_network",
    "CueAssociation": "cue_association",
    "Demo": "demo",
    "DoseResponse": "dose_response",
    "Engram": "engram",
    "GainCurve": "gain_curve",
    "GainIdentification": "gain_identification",
    "GainToVdd": "gain_to_vdd",
    "GainTrace": "gain_trace",
    "NetworkGain": "network_gain",
    "NeuronTable": "neuron_table",
    "PatternRecall": "pattern_recall",
    "PlasticCodes": "plastic_codes",
    "PowerBudget": "power_budget",
    "PseudoResistor": "pseudo_resistor",
    "Puff": "puff",
    "RewardLearning": "reward_learning",
    "SynapseFamilies": "synapse_families",
    "Transfer": "transfer",
    "TwoReceptors": "two_receptors",
    "VddSweep": "vdd_sweep",
    "Volume": "volume",
    "Wash": "wash",
    "Xor": "xor",
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
