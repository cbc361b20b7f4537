"""What a circuit neuron spends its power on, at every rate of spikes."""

from neuromod.protocols.power_budget.protocol import PowerBudget

__all__ = ["PowerBudget"]
