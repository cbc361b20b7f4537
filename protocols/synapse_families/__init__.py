"""Current-mirror, optocoupler and digital synapses on the same circuit neuron."""

from neuromod.protocols.synapse_families.protocol import SynapseFamilies

__all__ = ["SynapseFamilies"]
