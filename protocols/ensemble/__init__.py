"""One backbone, N sets of gains: an ensemble, off the chip and on it."""

from neuromod.protocols.ensemble.protocol import Ensemble

__all__ = ["Ensemble"]
