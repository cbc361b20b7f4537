"""From images to trained gains, to Brian2 neurons, to circuit neurons."""

from neuromod.protocols.demo.protocol import Demo

__all__ = ["Demo"]
