"""Family of studies in which networks with and without plasticity learn one task."""

from neuromod.protocols.families.five_networks.study import FiveNetworks

__all__ = ["FiveNetworks"]
