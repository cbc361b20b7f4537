"""The XOR gate on chips no two devices of which are alike, and what re-tuning takes back."""

from neuromod.protocols.mismatch.protocol import ChipMismatch

__all__ = ["ChipMismatch"]
