"""Family of studies in which networks with and without plasticity learn one task."""

from neuromod.protocols.families.five_networks.study import FiveNetworks, difficulties

__all__ = ["FiveNetworks", "difficulties"]
