"""Gain and firing rate against a modulator's concentration, with Hill functions fitted."""

from neuromod.protocols.dose_response.protocol import DoseResponse

__all__ = ["DoseResponse"]
