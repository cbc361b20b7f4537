"""Same input spikes and codes at every supply voltage."""

from neuromod.protocols.vdd_sweep.protocol import VddSweep

__all__ = ["VddSweep"]
