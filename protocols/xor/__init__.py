"""XOR by three circuit neurons: which codes compute it, and four rows simulated."""

from neuromod.protocols.xor.protocol import Xor

__all__ = ["Xor"]
