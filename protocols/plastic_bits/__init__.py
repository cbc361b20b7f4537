"""Learning with weights of few bits, on a network that is told what it sees."""

from neuromod.protocols.plastic_bits.protocol import PlasticBits

__all__ = ["PlasticBits"]
