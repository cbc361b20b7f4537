"""f-I curves of a neuron under a modulator, against the closed form."""

from neuromod.protocols.gain_curve.protocol import GainCurve

__all__ = ["GainCurve"]
