"""A supply sets a gain by the mirror's law, and needs most resolution at its lower end."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Mohm, linspace, nA, volt

import neuromod
from neuromod.models import circuits
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.device_table import DeviceTable
from neuromod.protocols.gain_to_vdd.protocol import GainToVdd, worst_error
from neuromod.runs.report import draw


@pytest.fixture(scope="module")
def run():
    return neuromod.run(
        GainToVdd(vdd=linspace(0.5, 1, 201) * volt, bits=(1, 2, 3, 5, 8), targets=997, code=2)
    )


def of(run, law, name="table"):
    table = run.tables[name]
    return table[table.law == law].reset_index(drop=True)


def current(vdd):
    """Of a square-law transistor behind its load, 0.5 uA/V^2, 20 Mohm and 0.35 V: in nA."""
    room = np.asarray(vdd) - 0.35
    return 2.5 * (1 + 10 * room - np.sqrt(1 + 20 * room)) * 2


def test_simulated_membranes_step_by_the_square_law_s_gain(run):
    own = of(run, "square")
    np.testing.assert_allclose(own.gain_measured, current(own.vdd_V) / 10, rtol=1e-9)


def test_simulated_membranes_step_by_ekv_s_gain(run):
    own = of(run, "ekv")
    np.testing.assert_allclose(own.gain_measured, own.gain, rtol=1e-9)
    # The current is that of a gate behind the load: ln(1 + exp(x))^2 solved from either side.
    v_ekv = 3 * 1.380649e-23 * 300 / 1.602176634e-19
    one = of(run, "ekv", "ranges").current_at_gain_1_nA[0] * 1e-9
    flowing = own.gain_measured * one
    gate = own.vdd_V - 20e6 * flowing
    law = 0.25e-6 * v_ekv**2 * np.log1p(np.exp((gate - 0.35) / v_ekv)) ** 2
    np.testing.assert_allclose(flowing, law, rtol=1e-6)


def test_gains_reach_from_a_quarter_to_1_88_with_the_square_law(run):
    own = of(run, "square", "ranges").iloc[0]
    assert own.gain_low == pytest.approx(0.25)
    assert own.gain_high == pytest.approx((7.5 - np.sqrt(14)) / 2)
    assert own.current_at_gain_1_nA == pytest.approx(10)
    # What flows below threshold flattens the curve.
    ekv = of(run, "ekv", "ranges").iloc[0]
    assert ekv.ratio < own.ratio


def test_a_gain_leads_back_to_its_supply(run):
    np.testing.assert_allclose(run.table.vdd_back_V, run.table.vdd_V, rtol=1e-12)


def test_sensitivity_is_the_slope_of_the_measured_gains(run):
    for law in ("square", "ekv"):
        own = of(run, law)
        np.testing.assert_allclose(own.slope_measured_per_V, own.slope_per_V, rtol=2e-4)


def test_the_square_law_s_sensitivity_is_that_of_transistor_and_load_in_series(run):
    own = of(run, "square")
    # gm/(1 + gm*R_S) = (1 - 1/sqrt(1 + 2*beta*R_S*U))/R_S.
    expected = (1 - 1 / np.sqrt(1 + 20 * (own.vdd_V - 0.35))) / 20e6 / 10e-9
    np.testing.assert_allclose(own.slope_per_V, expected, rtol=1e-9)
    # At 0.5 V the root is 2: 25 nS, of 2.5 nA.
    assert own.relative_percent_per_mV[0] == pytest.approx(1)
    assert (np.diff(own.relative_percent_per_mV) < 0).all()


def test_one_bit_knows_only_the_ends_of_the_range(run):
    # Half-way, at 0.75 V, a gain of 1 becomes 1.88 at worst.
    own = of(run, "square", "quantised").iloc[0]
    assert own.bits == 1
    assert own.worst_percent == pytest.approx(100 * ((7.5 - np.sqrt(14)) / 2 - 1))


def test_no_wanted_gain_misses_by_more_than_the_worst_case_and_some_come_near(run):
    quantised = run.tables["quantised"]
    assert (quantised.worst_measured_percent <= quantised.worst_percent * (1 + 1e-9)).all()
    coarse = quantised[quantised.bits <= 5]
    assert (coarse.worst_measured_percent > 0.9 * coarse.worst_percent).all()
    assert (quantised.mean_measured_percent < quantised.worst_measured_percent / 2).all()


def test_the_worst_error_of_a_fine_supply_is_half_a_step_at_the_lower_end(run):
    # 1 % per mV at 0.5 V.
    step = 500 / 255
    own = of(run, "square", "quantised").set_index("bits")
    assert own.step_mV[8] == pytest.approx(step)
    assert own.worst_percent[8] == pytest.approx(step / 2, rel=0.01)


def test_bits_for_a_precision_are_enough_and_one_less_is_not(run):
    bits = run.tables["bits"]
    assert len(bits) == 12
    for row in bits.itertuples():
        chip = CircuitNeuron(law=row.law)
        assert worst_error(chip, row.bits) <= row.precision_percent / 100
        assert worst_error(chip, row.bits - 1) > row.precision_percent / 100
    # 1 % per mV, half a step: 500/(2^n - 1)/2 <= 1 needs 251 steps.
    own = bits[(bits.law == "square") & (bits.precision_percent == 1)]
    assert own.bits.tolist() == [8]


def test_a_sagging_supply_gives_other_gains_than_the_mirror_alone():
    chip = CircuitNeuron(R_supply=Mohm)
    run = neuromod.run(GainToVdd(circuit=chip, vdd=[0.5, 0.7, 1] * volt, bits=(2,), targets=3))
    assert (of(run, "square").gain_measured < of(run, "square").gain).iloc[-1]
    assert draw(run.protocol, run.tables, run.recordings).png
    assert len(run.protocol.report(run.tables)) == 3


def test_a_circuit_of_its_own_law_and_range_is_swept_over_it():
    circuit = circuits.sky130
    protocol = GainToVdd(circuit=circuit, vdd=linspace(0.7, 1.8, 23) * volt, bits=(3,), targets=11)
    run = neuromod.run(protocol)
    # Its own law comes first, in words too.
    assert list(run.tables["ranges"].law) == ["ekv", "square"]
    own = of(run, "ekv")
    assert own.gain[0] == pytest.approx(
        float(circuit.unit_current(0.7 * volt) / (9.992 * nA)), rel=1e-3
    )
    np.testing.assert_allclose(own.gain_measured, own.gain, rtol=1e-9)
    assert own.vdd_back_V.iloc[[0, -1]].tolist() == pytest.approx([0.7, 1.8])
    low, high = of(run, "ekv", "ranges").iloc[0][["gain_low", "gain_high"]]
    assert f"from {low:.3g} to {high:.3g} with EKV" in protocol.report(run.tables)[0].text
    assert "0.7 to 1.8 V" in protocol.report(run.tables)[0].text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"circuit": circuits.sky130}, r"vdd = 0.5 V is out of range: expected 0.7 to 1.8 V, .*51"),
        ({"circuit": CircuitNeuron(synapse="conductance")}, "must stay mirror"),
        ({"code": 8}, "code 8 is out of range"),
        ({"vdd": [0.5, 0.8, 0.7] * volt}, "vdd must rise"),
        ({"bits": (17,)}, "bits = 17 is out of range"),
    ],
)
def test_what_no_supply_can_answer_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        GainToVdd(**settings)


def test_a_table_of_one_s_own_transistors_has_its_gains_alone():
    vdd = np.linspace(0.5, 1, 26)
    table = DeviceTable(at_vdd=vdd * volt, unit_current=current(vdd) * nA)
    chip = CircuitNeuron(law="table", table=table)
    run = neuromod.run(GainToVdd(circuit=chip, vdd=linspace(0.5, 1, 61) * volt, targets=31))
    assert set(run.tables["table"].law) == {"table"}
    np.testing.assert_allclose(run.table.gain_measured, current(run.table.vdd_V) / 10, rtol=1e-3)
    np.testing.assert_allclose(run.table.vdd_back_V, run.table.vdd_V, rtol=1e-10)
    slope = (current(0.7801) - current(0.7799)) / 0.0002 / 10
    found = np.interp(0.78, run.table.vdd_V, run.table.slope_per_V)
    assert found == pytest.approx(slope, rel=5e-3)
    assert draw(run.protocol, run.tables, run.recordings).png
