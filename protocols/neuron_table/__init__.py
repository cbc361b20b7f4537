"""The paper's comparison of neuron circuits, beside what the model itself reaches."""

from neuromod.protocols.neuron_table.protocol import NeuronTable

__all__ = ["NeuronTable"]
