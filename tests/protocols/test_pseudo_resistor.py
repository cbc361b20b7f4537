"""One element leaks unequally up and down, a pair does not; both bend over the swing."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Mohm, kelvin, linspace, mV, usecond
from brian2.units.allunits import ffarad

import neuromod
from neuromod.models.circuit import CircuitNeuron
from neuromod.protocols.pseudo_resistor import PseudoResistor
from neuromod.runs.report import draw

K_OVER_Q = 1.380649e-23 / 1.602176634e-19
CHIP = CircuitNeuron(
    R_leak=370 * Mohm,
    C=53 * ffarad,
    slope_factor=1.4,
    temperature=310 * kelvin,
    T_nominal=310 * kelvin,
)
TAU_US = 370 * 53 * 1e-3


@pytest.fixture(scope="module")
def run():
    return neuromod.run(
        PseudoResistor(
            circuit=CHIP,
            v=linspace(-90, 90, 73) * mV,
            slope_factors=np.array([1.7]),
            temperatures=[250] * kelvin,
            duration=61 * usecond,
        )
    )


def curve(run, device, slope_factor=1.4, kelvins=310.0):
    table = run.table
    own = (table.slope_factor == slope_factor) & (table.temperature_K == kelvins)
    return table[own & (table.device == device)].reset_index()


def summary(run, device, slope_factor=1.4, kelvins=310.0):
    table = run.tables["summary"].set_index(["device", "slope_factor", "temperature_K"])
    return table.loc[(device, slope_factor, kelvins)]


CONDITIONS = [(1.4, 310.0), (1.7, 310.0), (1.4, 250.0), (1.7, 250.0)]


@pytest.mark.parametrize(("n", "kelvins"), CONDITIONS)
def test_each_element_obeys_its_diode_law_at_its_temperature(run, n, kelvins):
    v, bend = curve(run, "resistor").v_mV, n * K_OVER_Q * kelvins * 1e3
    # At 310 K 370 Mohm; as a transistor below threshold whose vto falls by 1 mV/K.
    vto, ratio = 350 + (310 - kelvins), kelvins / 310
    fall = np.exp(vto / bend - 350 * ratio / bend) / ratio**-1.5 / ratio
    assert (fall > 10) == (kelvins == 250)
    scale = 1e3 * bend / (370 * fall)
    for device, expected in {
        "one_sided": scale * np.expm1(v / bend),
        "symmetric": scale * np.sinh(v / bend),
        "pair": 2 * scale * np.sinh(v / bend),
    }.items():
        found = curve(run, device, n, kelvins).current_pA
        np.testing.assert_allclose(found, expected, rtol=5e-4, atol=1e-6)


def test_a_resistor_has_the_same_resistance_everywhere(run):
    own = curve(run, "resistor")
    apart = own[own.v_mV != 0]
    np.testing.assert_allclose(apart.chord_Mohm, 370, rtol=1e-6)
    np.testing.assert_allclose(own.slope_Mohm, 370, rtol=1e-6)
    assert summary(run, "resistor").asymmetry == pytest.approx(0, abs=1e-9)


def test_the_asymmetry_of_one_element_is_a_hyperbolic_tangent(run):
    own = curve(run, "one_sided")
    expected = np.tanh(own.v_mV.abs() / (2 * 1.4 * K_OVER_Q * 310 * 1e3))
    np.testing.assert_allclose(own.asymmetry, expected, atol=1e-4)
    assert own.asymmetry.iloc[-1] > 0.8


def test_two_elements_in_opposition_leak_equally_up_and_down(run):
    for device in ("symmetric", "pair"):
        assert np.abs(curve(run, device).asymmetry).max() < 1e-8


def test_a_pair_of_elements_conducts_what_its_elements_conduct_together(run):
    one = curve(run, "one_sided").current_pA.to_numpy()
    np.testing.assert_allclose(curve(run, "pair").current_pA, one - one[::-1], rtol=1e-5)


def test_the_second_element_halves_the_resistance_at_rest(run):
    middle = curve(run, "pair").v_mV == 0
    by = {device: curve(run, device).slope_Mohm[middle].item() for device in ("one_sided", "pair")}
    assert by["pair"] / by["one_sided"] == pytest.approx(0.5, rel=1e-3)
    assert curve(run, "symmetric").slope_Mohm[middle].item() == pytest.approx(370, rel=1e-3)


def test_a_pair_s_resistance_falls_towards_the_ends_of_the_swing(run):
    x = 90 / (1.4 * K_OVER_Q * 310 * 1e3)
    end = summary(run, "symmetric")
    assert end.chord_up_Mohm == pytest.approx(370 * x / np.sinh(x), rel=5e-4)
    assert end.slope_up_Mohm == pytest.approx(370 / np.cosh(x), rel=1e-2)


def test_decays_reach_one_over_e_when_their_closed_forms_do(run):
    table = run.tables["summary"]
    reached = table.dropna()
    # In the cold a membrane holds what it has.
    assert len(reached) == (table.temperature_K == 310).sum()
    for end in ("up", "down"):
        exact = reached[f"decay_{end}_closed_form_us"]
        np.testing.assert_allclose(reached[f"decay_{end}_us"], exact, rtol=1e-5)


def test_one_element_holds_the_membrane_below_rest_longer_than_above(run):
    assert summary(run, "resistor").decay_up_us == pytest.approx(TAU_US, rel=1e-6)
    one, pair = summary(run, "one_sided"), summary(run, "symmetric")
    assert one.decay_up_us < pair.decay_up_us < TAU_US < one.decay_down_us
    # 1 - exp(-v/nU_T) decays as an exponential; of -90 mV at 310 K and 1.4.
    x = 90 / (1.4 * K_OVER_Q * 310 * 1e3)
    expected = TAU_US * np.log((np.exp(x) - 1) / (np.exp(x / np.e) - 1))
    assert one.decay_down_us == pytest.approx(expected, rel=1e-5)


def test_warmth_and_a_larger_slope_factor_straighten_the_elements(run):
    def straightness(*condition):
        pair = summary(run, "symmetric", *condition)
        return pair.chord_up_Mohm / pair.R_zero_Mohm

    assert straightness(1.4, 250.0) < straightness(1.4, 310.0) < straightness(1.7, 310.0)


def test_both_readings_of_the_paper_s_resistance_are_told(run):
    text = run.protocol.report(run.tables)[1].text
    assert "each element has 740 MΩ" in text
    assert "the pair has 185 MΩ" in text


def test_a_decay_that_is_cut_short_has_no_time():
    short = neuromod.run(
        PseudoResistor(
            v=[-71, 0, 71] * mV,
            slope_factors=np.array([1.5]),
            temperatures=[300] * kelvin,
            duration=9 * usecond,
        )
    )
    by = short.tables["summary"].set_index("device")
    assert np.isnan(by.decay_down_us["one_sided"])
    assert by.decay_up_us["pair"] < 9
    assert draw(short.protocol, short.tables, short.recordings).png


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"circuit": CircuitNeuron(leak="symmetric")},
            r"circuit\.leak must stay linear: all leaks",
        ),
        ({"circuit": CircuitNeuron(comparator="continuous")}, "pass the threshold freely"),
        ({"v": [-30, 0, 40] * mV}, "as far below rest as above"),
        ({"v": [30, 0, -30] * mV}, "v must rise"),
        ({"slope_factors": np.array([0.7])}, r"slope_factors = 0\.7 is out of range"),
    ],
)
def test_what_cannot_be_measured_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        PseudoResistor(**settings)
