"""Puffs of a modulator: time courses of concentration, gain and firing rate."""

from neuromod.protocols.puff.protocol import Puff

__all__ = ["Puff"]
