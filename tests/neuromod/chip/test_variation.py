"""Mismatch, corners and temperature: exact where they can be, and as their laws say."""

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Mohm, kelvin, mV, ohm, um, volt
from scipy.optimize import brentq

from neuromod.chip.variation import (
    CORNERS,
    Deviations,
    Mismatch,
    at_corner,
    at_temperature,
    draw,
    effective_codes,
    neuron_values,
)
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron

CIRCUIT = CircuitNeuron()
BETA, VTO, R_S = 0.5e-6, 0.35, 20e6
# Slope factor times thermal voltage at 300 K.
SLOPE = 1.5 * 1.380649e-23 * 300 / 1.602176634e-19


def drawn(shape, circuit=CIRCUIT, seed=5, **spread):
    return draw(circuit, Mismatch(**spread), shape, 2, np.random.default_rng(seed))


def test_without_deviations_codes_are_as_designed():
    codes = np.array([[3, -7], [0, 5]])
    found, mirrors = effective_codes(CIRCUIT, codes, [0.61, 0.93] * volt, Deviations())
    np.testing.assert_allclose(found, codes, rtol=1e-14)
    np.testing.assert_allclose(mirrors, [[1, 1], [0, 1]], rtol=1e-14)


def saturated(law, overdrive, beta):
    if law == "square":
        return beta / 2 * max(overdrive, 0) ** 2
    return 2 * beta * SLOPE**2 * np.log1p(np.exp(overdrive / (2 * SLOPE))) ** 2


@pytest.mark.parametrize("law", ["square", "ekv"])
def test_each_branch_conducts_by_its_own_transistor_at_the_reference_s_gate(law):
    circuit = CircuitNeuron(law=law, A_vt=50 * mV * um, A_beta=0.25 * um)
    vdd, code = 0.83, -5
    made = drawn((1,), circuit, load=0.2)
    vto, beta = VTO + made.vto[0, 1], BETA * np.exp(made.beta[0, 1])
    load = R_S * np.exp(made.R_S[0, 1])
    gate = brentq(lambda g: saturated(law, g - vto[0], beta[0]) * load - (vdd - g), -1, 1)
    designed = brentq(lambda g: saturated(law, g - VTO, BETA) * R_S - (vdd - g), -1, 1)
    # 5 is the first source and the third, of 1 and 4 units.
    units = sum(m * saturated(law, gate - vto[k], beta[k]) for k, m in ((1, 1), (3, 4)))
    unit = saturated(law, designed - VTO, BETA)
    found, mirrors = effective_codes(circuit, np.array([[2, code]]), [vdd] * volt, made)
    assert found[0, 1] == pytest.approx(-units / unit, rel=1e-6)
    assert mirrors[0, 1] == pytest.approx((vdd - gate) / load / unit, rel=1e-6)


@pytest.mark.parametrize(("vdd", "code"), [(0.57, 1), (0.73, 5), (0.97, -6)])
def test_small_mismatch_spreads_codes_as_its_linear_theory_says(vdd, code):
    circuit = CircuitNeuron(A_vt=0.4 * mV * um, A_beta=0.003 * um, W=0.2 * um, L=8.5 * um)
    made = drawn((20000,), circuit, load=0.002)
    codes = np.broadcast_to([code, 0], (20000, 2))
    found, _ = effective_codes(CIRCUIT, codes, np.full(20000, vdd) * volt, made)
    overdrive = (np.sqrt(1 + 2 * BETA * R_S * (vdd - VTO)) - 1) / (BETA * R_S)
    g, current = BETA * overdrive, BETA / 2 * overdrive**2
    s_vto, s_beta = 0.4e-3 / np.sqrt(1.7), 0.003 / np.sqrt(1.7)
    # Branches are independent and average over their units; the gate moves all of them alike.
    own = abs(code) * (s_beta**2 + (g / current * s_vto) ** 2)
    gate = ((g * R_S * s_vto) ** 2 + (current * R_S) ** 2 * (s_beta**2 + 0.002**2)) / (
        1 + g * R_S
    ) ** 2
    expected = np.sqrt(own + (code * g / current) ** 2 * gate)
    # 20 000 draws know a standard deviation to 0.5 %.
    assert found[:, 0].std() == pytest.approx(expected, rel=0.02)
    assert not found[:, 1].any()


@pytest.mark.parametrize(
    ("law", "vto", "vdd"), [("square", 0.35, 0.63), ("ekv", 0.35, 0.63), ("ekv", 0.72, 0.53)]
)
def test_copies_spread_by_gm_over_i_times_the_threshold_s_spread(law, vto, vdd):
    """The third is far below threshold, where gm/I is near 1/(n*U_T), its most."""
    circuit = CircuitNeuron(
        law=law, vto=vto * volt, A_vt=0.3 * mV * um, A_beta=0 * um, W=0.4 * um, L=1.7 * um
    )
    made = drawn((20000,), circuit, load=0)
    codes = np.full((20000, 2), 1)
    found, mirrors = effective_codes(circuit, codes, np.full(20000, vdd) * volt, made)
    # A copy against its own reference: two thresholds differ.
    spread = np.log(found / mirrors).std()
    gate = brentq(lambda g: saturated(law, g - vto, BETA) * R_S - (vdd - g), -1, 1)
    step = 1e-6
    ends = [np.log(saturated(law, gate - vto + shift, BETA)) for shift in (-step, step)]
    gm_over_i = (ends[1] - ends[0]) / (2 * step)
    expected = gm_over_i * np.sqrt(2) * 0.3e-3 / np.sqrt(0.4 * 1.7)
    assert spread == pytest.approx(expected, rel=0.02)
    if vto > vdd:
        assert 0.9 / SLOPE < gm_over_i < 1 / SLOPE


def test_mismatch_falls_with_the_root_of_the_area():
    made, larger = (drawn((3000,), CircuitNeuron(L=length * um)) for length in (6, 24))
    np.testing.assert_allclose(made.vto, 2 * larger.vto)
    spread = made.vto.std(axis=(0, 1)) * np.sqrt(0.6)
    # A reference, and sources of 1, 2 and 4 units.
    np.testing.assert_allclose(spread, 2e-3 / np.sqrt([1, 1, 2, 4]), rtol=0.05)


def test_a_pseudo_resistor_varies_by_its_own_threshold():
    made = drawn((40000,), CircuitNeuron(A_vt=1.3 * mV * um))
    assert made.R_leak.std() == pytest.approx(1.3e-3 / np.sqrt(0.35) / SLOPE, rel=0.02)


def test_deviations_add_and_scale_and_can_be_told_apart():
    one, other = drawn((7,)), drawn((7,), seed=6)
    together = (one + other) * 1.5
    np.testing.assert_allclose(together.vto, 1.5 * (one.vto + other.vto))
    alone = one.only("C")
    np.testing.assert_array_equal(alone.C, one.C)
    assert alone.vto == alone.v_offset == 0


def test_the_same_seed_draws_the_same_chips():
    np.testing.assert_array_equal(drawn((5,)).beta, drawn((5,)).beta)
    assert (drawn((5,)).beta != drawn((5,), seed=6).beta).any()


def test_no_draw_makes_a_device_negative():
    values = neuron_values(CIRCUIT, drawn((2000,)) * 100, (2000,))
    assert all((values[name] > 0 * values[name]).all() for name in ("C", "R_leak", "t_spike"))


def test_neurons_are_made_around_the_design():
    values = neuron_values(CIRCUIT, drawn((9000,)), (9000,))
    assert np.std(values["v_offset"] / mV) == pytest.approx(5, rel=0.03)
    assert np.std(np.log(values["C"] / CIRCUIT.C)) == pytest.approx(0.002, rel=0.03)
    assert np.mean(values["v_offset"] / mV) == pytest.approx(0, abs=0.3)


def test_a_corner_speeds_up_the_transistors_of_its_type():
    codes, vdd = np.array([[4, -3]]), [0.77] * volt
    found = {
        corner: np.abs(effective_codes(CIRCUIT, codes, vdd, at_corner(CIRCUIT, corner, codes))[0])[
            0
        ]
        for corner in CORNERS
    }
    np.testing.assert_allclose(found["TT"], [4, 3])
    up, down = (np.array([found[c][k] for c in ("SS", "FS", "SF", "FF")]) for k in (0, 1))
    # Positive codes push through p-type transistors, the second letter.
    assert up[0] == up[1] < 4 < up[2] == up[3]
    assert down[0] == down[2] < 3 < down[1] == down[3]


@pytest.mark.parametrize("corner", CORNERS)
def test_a_design_at_one_corner_made_at_another_conducts_as_the_circuit_there(corner):
    designed = CircuitNeuron(corner="FS", temperature=317 * kelvin)
    codes, vdd = np.array([[4.0, -3.0]]), [0.77] * volt
    made, mirrors = effective_codes(designed, codes, vdd, at_corner(designed, corner, codes))
    there = replace(designed, corner=corner)
    for place, pushes in enumerate((True, False)):
        units = [
            float(chip.mirror(pushes).current(chip.mirror(pushes).overdrive(0.77)))
            for chip in (designed, there)
        ]
        assert made[0, place] == pytest.approx(codes[0, place] * units[1] / units[0], rel=1e-9)
        assert mirrors[0, place] == pytest.approx(units[1] / units[0], rel=1e-9)
    leak = neuron_values(designed, at_corner(designed, corner, codes), ())["R_leak"]
    found = designed.warm("R_leak", leak)
    assert float(found / there.leak_resistance) == pytest.approx(1, rel=1e-9)


def test_a_corner_s_current_solves_the_mirror_with_its_transistors():
    codes = np.array([[7, -7]])
    fast = at_corner(CircuitNeuron(corner_vto=43 * mV, corner_beta=0.17), "FS", codes)
    found, _ = effective_codes(CIRCUIT, codes, [0.88] * volt, fast)
    made = CircuitNeuron(vto=0.307 * volt, beta=CIRCUIT.beta * 1.17)
    ratio = made.unit_current(0.88 * volt) / CIRCUIT.unit_current(0.88 * volt)
    assert found[0, 1] == pytest.approx(-7 * float(ratio))


def test_a_corner_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match="corner"):
        at_corner(CIRCUIT, "FT", np.array([1]))


def test_at_its_own_temperature_a_circuit_is_as_designed():
    shift = at_temperature(CIRCUIT, 300 * kelvin)
    assert (shift.vto, shift.beta, shift.R_leak, shift.thermal_voltage) == (0, 0, 0, 0)


def test_threshold_and_mobility_cancel_at_one_overdrive():
    # d ln I/dT = -exponent/T + 2*drift/overdrive, 0 at an overdrive of 2*T*drift/exponent.
    chip = CircuitNeuron(R_S=1 * ohm, vto_drift=0.9 * mV / kelvin)
    balance = 0.35 + 2 * 300 * 0.9e-3 / 1.5
    vdd = np.array([balance - 0.1, balance, balance + 0.1]) * volt
    warm, cold = (
        effective_codes(chip, np.ones((3, 1)), vdd, at_temperature(chip, (300 + d) * kelvin))[0][
            :, 0
        ]
        for d in (1, -1)
    )
    slope = np.log(warm / cold) / 2
    expected = -1.5 / 300 + 2 * 0.9e-3 / (np.asarray(vdd / volt) - 0.35)
    np.testing.assert_allclose(slope, expected, atol=3e-8)
    assert slope[0] > 0 > slope[2]


def test_a_pseudo_resistor_leaks_as_a_transistor_below_threshold():
    hot = at_temperature(CIRCUIT, 347 * kelvin)
    # 1/R ~ mobility*U_T*exp(-vto/(n*U_T)).
    ratio = 347 / 300
    conductance = ratio**-1.5 * ratio * np.exp(0.35 / SLOPE - (0.35 - 0.047) / (SLOPE * ratio))
    assert np.exp(hot.R_leak) == pytest.approx(1 / conductance, rel=1e-6)
    assert conductance > 5


def test_subthreshold_slopes_follow_temperature():
    chip = CircuitNeuron(law="ekv", leak="symmetric", R_leak=313 * Mohm)
    cold = at_temperature(chip, 250 * kelvin)
    values = neuron_values(chip, cold, (2,))
    np.testing.assert_allclose(values["v_slope"] / volt, SLOPE * 250 / 300, rtol=1e-6)
    found, _ = effective_codes(chip, np.array([[1]]), [0.62] * volt, cold)
    made = CircuitNeuron(
        law="ekv",
        temperature=250 * kelvin,
        T_nominal=250 * kelvin,
        vto=0.4 * volt,
        beta=chip.beta * 1.2**1.5,
    )
    ratio = made.unit_current(0.62 * volt) / chip.unit_current(0.62 * volt)
    assert found[0, 0] == pytest.approx(float(ratio))


def test_a_mirror_that_is_off_has_no_effective_codes():
    with pytest.raises(UserError, match=r"off at VDD = 0\.55"):
        effective_codes(
            CircuitNeuron(vto=0.6 * volt), np.ones((2, 1)), [0.7, 0.55] * volt, Deviations()
        )
