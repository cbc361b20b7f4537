from functools import cache

import numpy as np
import pytest
from brian2 import ms, mV, volt

torch = pytest.importorskip("torch")

import neuromod  # noqa: E402
from neuromod.errors import UserError  # noqa: E402
from neuromod.models.circuit import CircuitNeuron  # noqa: E402
from neuromod.protocols.plastic_codes import PlasticCodes  # noqa: E402
from neuromod.runs.report import draw  # noqa: E402

SMALL = PlasticCodes(
    seeds=2, hidden=9, steps=20, episodes=17, calibration=11, bits=(0, 1, 3), delay=15 * ms, seed=4
)


@cache
def run():
    return neuromod.run(SMALL)


def success(kind, bits):
    table = run().table
    return table[(table.modulation == kind) & (table.bits == bits)].success.to_numpy()


def test_unrounded_and_with_its_own_modulator_every_network_does_as_in_torch():
    table = run().table
    assert len(table) == 2 * 3 * 4
    exact = table[(table.modulation == "ideal") & (table.bits == np.inf)]
    np.testing.assert_array_equal(exact.success, exact.success_in_torch)


@pytest.mark.parametrize("kind", ["ideal", "supply", "held"])
def test_codes_of_no_bits_are_a_network_whose_plastic_part_is_cut_off(kind):
    protocol = run().protocol
    for number in range(2):
        network, drawn = protocol._networks[number], protocol._drawn(number, 0, 17)
        values = {"plasticity.alpha": torch.zeros_like(network.plasticity.alpha)}
        with torch.no_grad():
            outputs = torch.func.functional_call(network, values, (drawn.spikes,))
        answers = drawn.scores(outputs).argmax(1)
        expected = float((answers == drawn.labels).double().mean())
        assert success(kind, 0)[number] == expected


def test_the_supply_of_a_cell_gives_its_third_factor_through_the_mirror():
    protocol, course = run().protocol, run().tables["course"]
    circuit, highest = CircuitNeuron(), protocol._calibrations[0].highest
    on = course[course.vdd_V > 0]
    assert len(on) > 20
    assert on.vdd_V.between(0.5 - 1e-9, 1 + 1e-9).all()
    share = circuit.unit_current(on.vdd_V.to_numpy() * volt) / circuit.unit_current(1 * volt)
    np.testing.assert_allclose(share * highest[on.cell.to_numpy()], on.given.abs(), rtol=1e-9)
    assert (course[course.vdd_V == 0].given == 0).all()


def test_a_third_factor_within_reach_is_given_as_it_is_wanted():
    course = run().tables["course"]
    low = run().protocol._calibrations[0].highest[course.cell] * run().tables["supply"].reach[0]
    within = course[(np.sign(course.wanted) == np.sign(course.given)) & (course.wanted.abs() > low)]
    assert len(within) > 20
    np.testing.assert_allclose(within.given, within.wanted, rtol=1e-9)


def test_codes_stay_within_their_bits_and_every_synapse_has_one():
    codes = run().tables["codes"]
    assert codes.code.tolist() == list(range(-7, 8))
    assert codes.share.sum() == pytest.approx(1)
    assert codes.share[codes.code != 0].sum() > 0.01


def test_the_report_and_the_figure_say_what_the_tables_hold():
    sections = run().protocol.report(run().tables)
    assert "guessing: 33 %" in sections[0].text
    assert draw(run().protocol, run().tables, run().recordings).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"supplies": [0.8] * volt}, "the lowest and the highest"),
        ({"supplies": [0.9, 0.6] * volt}, "the lowest and the highest"),
        ({"supplies": [0.3, 0.6] * volt}, "out of range"),
        ({"bits": (3, 3)}, "bits names 3 2 times"),
        ({"network": "oja"}, "modulated-oja"),
        ({"circuit": CircuitNeuron(bits=4)}, "set bits"),
        ({"delay": 17 * ms}, "whole number of time steps"),
        ({"circuit": CircuitNeuron(vto=600 * mV)}, "where the mirror conducts"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_made(settings, message):
    with pytest.raises(UserError, match=message):
        PlasticCodes(**settings)
