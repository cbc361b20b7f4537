"""Response gain of a recurrent network whose cells have their gain set by a modulator."""

from neuromod.protocols.network_gain.protocol import NetworkGain

__all__ = ["NetworkGain"]
