"""Settings of studies that compare the five networks."""

from __future__ import annotations

from typing import Any

from neuromod.parameters import parameter
from neuromod.plasticity.network import NETWORKS, OWN_GATES


def compared_networks() -> Any:
    """Setting of the networks, all by default."""
    return parameter(
        tuple(NETWORKS),
        "networks compared",
        "Schmidgall et al. 2021: Oja's and the BCM rule, both also modulated, and none",
        choices=tuple(NETWORKS),
    )


def gate_of_modulation() -> Any:
    """Setting of where modulation acts."""
    return parameter(
        "direct",
        "what modulation gates: the change itself, or an eligibility trace of past changes",
        "chosen here; Miconi et al. 2019 have both",
        choices=OWN_GATES,
    )
