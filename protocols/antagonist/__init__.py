"""Dose-response curves under a competitive antagonist, and the Schild plot of their shifts."""

from neuromod.protocols.antagonist.protocol import Antagonist

__all__ = ["Antagonist"]
