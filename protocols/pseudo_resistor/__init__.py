"""Leaks of the circuit neuron: their current, resistance and symmetry, and the membrane's decay."""

from neuromod.protocols.pseudo_resistor.protocol import PseudoResistor

__all__ = ["PseudoResistor"]
