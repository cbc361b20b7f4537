"""Three circuits of a neuron: rate and energy per spike against their gain."""

from neuromod.protocols.circuit_neurons.protocol import CircuitNeurons

__all__ = ["CircuitNeurons"]
