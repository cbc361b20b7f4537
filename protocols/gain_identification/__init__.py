"""What a modulator did to a neuron, told from its f-I curves alone."""

from neuromod.protocols.gain_identification.protocol import GainIdentification

__all__ = ["GainIdentification"]
