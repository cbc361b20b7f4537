"""A modulator washed into a bath and out again: how fast the gain follows, and its hysteresis."""

from neuromod.protocols.wash.protocol import Wash

__all__ = ["Wash"]
