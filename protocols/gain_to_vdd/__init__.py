"""Gains that a synapse's supply can reach, and how finely."""

from neuromod.protocols.gain_to_vdd.protocol import GainToVdd

__all__ = ["GainToVdd"]
