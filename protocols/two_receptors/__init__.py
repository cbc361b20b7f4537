"""Two modulators at once on a cell with a receptor for each: gains multiply, rates do not."""

from neuromod.protocols.two_receptors.protocol import TwoReceptors

__all__ = ["TwoReceptors"]
