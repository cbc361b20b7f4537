"""Three circuits of a neuron fire as their closed forms say, at every gain."""

import numpy as np
import pytest
from brian2 import second, usecond

import neuromod
from neuromod.chip.conversion import gain_of
from neuromod.devices.spice.ngspice import version
from neuromod.errors import UserError
from neuromod.protocols.circuit_neurons import CircuitNeurons
from neuromod.protocols.circuit_neurons.protocol import CHIP
from neuromod.runs.report import draw

SETTINGS = {
    "gains": np.array([0.53, 1.0, 1.71]),
    "duration": 130 * usecond,
    "dpi_duration": 0.4 * second,
    "dpi_dt": 40 * usecond,
}


@pytest.fixture(scope="module")
def run():
    return neuromod.run(CircuitNeurons(**SETTINGS))


def rows(run, circuit):
    return run.table[run.table.circuit == circuit]


@pytest.mark.parametrize(
    ("circuit", "within"), [("circuit", 2e-4), ("hillock", 1e-3), ("unadapted", 3e-3)]
)
def test_rates_are_the_closed_forms(run, circuit, within):
    own = rows(run, circuit)
    np.testing.assert_allclose(own.rate_Hz, own.closed_form_Hz, rtol=within)


def test_the_same_gains_scale_every_input(run):
    for circuit in ("circuit", "hillock"):
        own = rows(run, circuit)
        np.testing.assert_allclose(own.input_nA, 10 * SETTINGS["gains"], rtol=1e-9)
        np.testing.assert_allclose(gain_of(CHIP, run.protocol.supplies), own.gain, rtol=1e-9)
    own = rows(run, "dpi")
    share = (own.input_nA / own.input_nA.iloc[1]).to_numpy()
    np.testing.assert_allclose(share, SETTINGS["gains"], rtol=0.01)


def test_a_gain_is_a_supply_or_a_bias_voltage(run):
    # I_0 of 0.5 pA, gains of 4 pA, 25.85 mV/0.7 for each e-fold.
    expected = 25.852e-3 / 0.7 * np.log(SETTINGS["gains"] * 4 / 0.5)
    np.testing.assert_allclose(rows(run, "dpi").control_V, expected, rtol=1e-4)
    assert rows(run, "circuit").control_V.iloc[1] == pytest.approx(0.75)


def test_adaptation_slows_the_dpi_neuron(run):
    adapting, plain = (rows(run, name).rate_Hz.to_numpy() for name in ("dpi", "unadapted"))
    assert (adapting < plain).all()


def test_a_spike_costs_less_at_a_higher_gain(run):
    for circuit in ("circuit", "hillock", "unadapted"):
        assert (rows(run, circuit).energy_per_spike_pJ.diff().dropna() < 0).all()


def test_figure_and_report_say_what_was_found(run):
    assert draw(run.protocol, run.tables, run.recordings).png
    (section,) = run.protocol.report(run.tables)
    assert "closed forms by" in section.text


def test_a_gain_that_no_supply_reaches_is_refused():
    with pytest.raises(UserError, match="gains = 2 is out of range"):
        CircuitNeurons(gains=np.array([1.0, 2.0]))


@pytest.mark.skipif(not version(), reason="ngspice is not installed")
@pytest.mark.parametrize("circuit", ["axon-hillock", "dpi"])
def test_the_command_line_holds_them_against_their_transistors(neuromod, circuit):
    small = ["gains=1.1", "duration=43*usecond", "dpi_duration=0.19*second"]
    given = [word for each in small for word in ("--set", each)]
    chosen = ["--neurons", "unadapted:0"] if circuit == "dpi" else []
    outcome = neuromod("validate", "circuit-neurons", "--experiment", circuit, *given, *chosen)
    assert outcome.code == 0, outcome.err
    assert "Targets of an ideal model against transistors" in outcome.out
    assert "All of 1 neurons meet them." in outcome.out
