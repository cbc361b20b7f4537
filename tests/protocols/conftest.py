"""What tests of several protocols need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from brian2 import ms, mV, nS, pF, second

from neuromod.models import Modulated, Receptor, modulate, suppressed_by
from neuromod.models.receptors import PER_UMOLAR_SECOND


@pytest.fixture
def own_cell() -> Callable[[str], Modulated]:
    """A cell of one's own by its method; its receptor takes adaptation away and has no gain."""

    def made(method: str) -> Modulated:
        return modulate(
            """
            dv/dt = (g_L*(E_L - v) - w + I)/C_m : volt
            dw/dt = -w/tau_w : amp
            I : amp
            """,
            [
                Receptor(
                    name="R1",
                    ligand="glue",
                    k_on=5.3 * PER_UMOLAR_SECOND,
                    k_off=7.1 / second,
                    tau_messenger=61 * ms,
                    n=1.7,
                    antagonist="solvent",
                    k_off_antagonist=0.57 / second,
                )
            ],
            on={"w": suppressed_by("R1", 0.91)},
            threshold="v > -50.3*mV",
            reset="v = -61*mV; w += 43*pA",
            method=method,
            namespace={"g_L": 17 * nS, "E_L": -69.3 * mV, "C_m": 210 * pF, "tau_w": 83 * ms},
            start={"v": -69.3 * mV},
            current="I",
        )

    return made
