"""The table of unit transistors: by hand, in its limits, and as the page shows it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from brian2 import Gohm, kohm, mV, uA, um, volt

from neuromod.chip.transistors import unit_table
from neuromod.models import CircuitNeuron, circuits

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "transistors.md"
U_T = 1.380649e-23 * 300 / 1.602176634e-19


def row(**changed):
    return unit_table({"one": CircuitNeuron(**changed)}).iloc[0]


def test_the_defaults_row_is_that_of_the_square_law_by_hand():
    found = row(A_vt=1.7 * mV * um, A_beta=0.013 * um)
    # At 0.75 V the gate is 0.2 V above threshold, at 0.5 V 0.1 V: gm/I is 2 over that.
    assert found.gm_over_I_per_V == pytest.approx(10)
    assert found.spread_percent == pytest.approx(100 * np.hypot(10 * 1.7e-3, 0.013) / np.sqrt(6))
    low = np.hypot(20 * 1.7e-3, 0.013) / np.sqrt(6)
    assert found.bits_low == pytest.approx(np.log2(1 + 1 / (36 * low**2)))
    specific = 2 * 0.5e-6 * (1.5 * U_T) ** 2
    assert found.inversion_reference == pytest.approx(10e-9 / specific)
    # 8 gates of 6 um^2 and 30 fF/um^2 into 20 Mohm and 1/gm = 10 Mohm.
    assert found.settling_us == pytest.approx(8 * 6 * 30e-15 * 20e6 / 3 * 1e6)
    assert (found.reference_nW, found.reference_pulse_fJ) == pytest.approx((7.5, 0.75))
    assert (found.gain_low, found.gain_high) == pytest.approx((0.25, 3.75 - np.sqrt(3.5)))


def test_far_below_threshold_gm_over_i_is_one_over_the_slope_factor_s_thermal_voltage():
    found = row(law="ekv", beta=4000 * uA / volt**2, vto=0.7 * volt, R_S=1 * Gohm, slope_factor=1.3)
    assert found.inversion_reference < 1e-4
    assert found.gm_over_I_per_V == pytest.approx(1 / (1.3 * U_T), rel=5e-3)


def test_at_the_bits_of_a_unit_the_largest_code_is_off_by_half_a_unit_at_three_deviations():
    found = row(A_vt=5.3 * mV * um, R_S=20300 * kohm)
    units = 2**found.bits - 1
    assert 3 * found.spread_percent / 100 * np.sqrt(units) == pytest.approx(0.5)


def rounded(value, digits=3):
    return f"{float(f'{value:.{digits}g}'):g}"


def shown(one):
    """A circuit's rows in the page's two tables."""
    ends = "low", "reference", "high"
    listed = (
        ", ".join(rounded(one[f"{what}_{e}{unit}"], digits) for e in ends)
        for what, unit, digits in (("vdd", "_V", 3), ("inversion", "", 2))
    )
    supplies, inversion = listed
    reach = [
        f"{one.W_um:g} × {one.L_um:g}",
        rounded(one.load_Mohm),
        supplies,
        f"{one.gain_low:.2f} to {one.gain_high:.2f}",
        inversion,
    ]
    quality = [
        f"{one.bits:.1f}, {one.bits_low:.1f}",
        rounded(one.spread_percent, 2),
        rounded(one.settling_us, 2),
        f"{rounded(one.reference_nW, 2)} nW, {rounded(one.reference_pulse_fJ, 2)} fJ",
    ]
    return " | ".join(reach), " | ".join(quality)


@pytest.mark.parametrize("name", [*circuits, "calibrated, `law=ekv`"])
def test_the_page_shows_the_table(name):
    kind, _, law = name.partition(", ")
    circuit = replace(circuits[kind], law="ekv") if law else circuits[kind]
    one = unit_table({name: circuit}).iloc[0]
    label = f"`{kind}`" + (f", {law}" if law else "")
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert {f"| {label} | {cells} |" for cells in shown(one)} <= set(lines)
