"""What a circuit's synapse keeps of a learned plasticity rule: codes, and a supply as gate."""

from neuromod.protocols.plastic_codes.protocol import PlasticCodes

__all__ = ["PlasticCodes"]
