"""What a simulation gave: spikes and traces with units, for Neo, in NIX and in NWB files."""

from neuromod.recording.recording import FORMATS, Recording, Signal, check_format

__all__ = ["FORMATS", "Recording", "Signal", "check_format"]
