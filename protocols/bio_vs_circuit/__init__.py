"""The same input into biological and circuit neurons, at gains and supplies that match."""

from neuromod.protocols.bio_vs_circuit.protocol import BioVsCircuit

__all__ = ["BioVsCircuit"]
