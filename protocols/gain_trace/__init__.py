"""A modulator's puff in a cell, and on a chip whose supply follows the gain."""

from neuromod.protocols.gain_trace.protocol import GainTrace

__all__ = ["GainTrace"]
