"""What the unit transistors of circuits can do: reach, matching, bits, settling and power."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from brian2 import Mohm, Quantity, nA, nwatt, um, usecond, volt
from brian2.units.allunits import fjoule

from neuromod.chip.conversion import reachable_gains
from neuromod.models.circuit import CircuitNeuron

SIGMAS = 3


def unit_table(circuits: Mapping[str, CircuitNeuron]) -> pd.DataFrame:
    """Compare the mirrors of circuits, from their closed forms.

    A unit's current varies by its threshold and its beta, to first order independently
    (Pelgrom's law): ``sqrt((gm/I)**2*A_vt**2 + A_beta**2)/sqrt(W*L)``. Bits are the most at which
    the largest code, of as many units, keeps within half a unit at three standard deviations.

    Parameters
    ----------
    circuits : mapping of str to CircuitNeuron
        By name; their synapses are mirrors.

    Returns
    -------
    DataFrame
        A row for each: geometry; load; supplies; currents and inversion coefficients (currents over
        EKV's specific current) at the lowest supply, that of gain 1 and the highest; gains; at the
        supply of gain 1 gm/I, spread and bits, and bits at the lowest supply; the time constant in
        which the mirror's gate settles, all of W*L*C_ox counted for the reference and the copies of
        all bits; and what a reference draws at gain 1, all the time and in a pulse.
    """
    return pd.DataFrame([{"circuit": name, **_row(circuit)} for name, circuit in circuits.items()])


def _row(circuit: CircuitNeuron) -> dict[str, float]:
    ends = Quantity([circuit.vdd_low, circuit.vdd_reference, circuit.vdd_high])
    current, mirror = circuit.unit_current(ends), circuit.mirror()
    slope = mirror.conductance(mirror.overdrive(np.asarray(ends)))
    inversion = np.asarray(current) / mirror.specific_current
    gm_over_I = slope / np.asarray(current)
    area = circuit.W * circuit.L
    root = np.sqrt(float(area / um**2))
    spread = np.hypot(gm_over_I * float(circuit.A_vt / (volt * um)), float(circuit.A_beta / um))
    spread = spread / root
    bits = np.log2(1 + 1 / (2 * SIGMAS * spread) ** 2)
    gate = 2**circuit.bits * area * circuit.C_ox
    load = 1 / float(circuit.R_S) + slope[1]
    power = circuit.vdd_reference * current[1]
    low, high = reachable_gains(circuit)
    names = ("low", "reference", "high")
    return {
        "W_um": float(circuit.W / um),
        "L_um": float(circuit.L / um),
        "area_um2": float(area / um**2),
        "load_Mohm": float(circuit.R_S / Mohm),
        **{f"vdd_{n}_V": float(v) for n, v in zip(names, ends, strict=True)},
        **{f"current_{n}_nA": float(i / nA) for n, i in zip(names, current, strict=True)},
        **{f"inversion_{n}": float(i) for n, i in zip(names, inversion, strict=True)},
        "gain_low": low,
        "gain_high": high,
        "gm_over_I_per_V": float(gm_over_I[1]),
        "spread_percent": float(100 * spread[1]),
        "bits": float(bits[1]),
        "bits_low": float(bits[0]),
        "settling_us": float(gate / usecond) / load,
        "reference_nW": float(power / nwatt),
        "reference_pulse_fJ": float(power * circuit.t_pulse / fjoule),
    }
