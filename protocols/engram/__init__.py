"""A memory that homeostatic rewiring stores without any Hebbian rule, and loses again."""

from neuromod.protocols.engram.protocol import Engram

__all__ = ["Engram"]
