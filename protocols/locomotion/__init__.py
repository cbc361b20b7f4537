"""Spiking networks that move a body, under conditions that they were not trained under."""

from neuromod.protocols.locomotion.protocol import Locomotion

__all__ = ["Locomotion"]
