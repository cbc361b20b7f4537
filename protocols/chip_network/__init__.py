"""A network on the chip: which ways of tuning survive there, and with how few supplies."""

from neuromod.protocols.chip_network.protocol import ChipNetwork

__all__ = ["ChipNetwork"]
