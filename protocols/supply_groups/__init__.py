"""Supplies for groups of a neuron's synapses: how many, how shared, how grouped."""

from neuromod.protocols.supply_groups.protocol import SupplyGroups

__all__ = ["SupplyGroups"]
