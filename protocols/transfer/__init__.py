"""The paper's tables of transfer learning, and what gains reach at equal numbers of parameters."""

from neuromod.protocols.transfer.protocol import Transfer

__all__ = ["Transfer"]
