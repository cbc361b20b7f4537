"""Circuit neurons of several processes: made of sourced numbers, and fit for a 50-fF membrane."""

import re
from dataclasses import replace

import numpy as np
import pytest
from brian2 import Quantity, linspace, mV, nA, nsecond, uA, um, volt

from neuromod.errors import UserError
from neuromod.experiment import Population
from neuromod.inputs.supplies import schedule
from neuromod.models import CircuitNeuron, circuits, read_circuits
from neuromod.models.process import TABLE
from neuromod.parameters import parameters
from neuromod.protocols.vdd_sweep.protocol import VddSweep
from neuromod.settings import change, flatten

OWN = sorted(set(circuits) - {"calibrated"})
# Least channel widths, um, of the process or of its transistor's model.
LEAST_WIDTH = {"calibrated": 0.1, "generic-28nm": 0.1, "generic-65nm": 0.12, "sky130": 0.42}
LEAST_WIDTH["gf180"] = 0.22


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def mine(name="slvt"):
    """A table of one's own: that of sky130 by another name."""
    table = TABLE.read_text(encoding="utf-8")
    own = re.search(r"^\[sky130\]\n.*?(?=^\[)", table, re.DOTALL | re.MULTILINE)[0]
    return own.replace("[sky130]", f"[{name}]", 1)


def test_the_default_is_the_calibrated_one():
    assert circuits.calibrated == CircuitNeuron()
    assert list(circuits) == ["calibrated", "generic-28nm", "generic-65nm", "sky130", "gf180"]


@pytest.mark.parametrize("name", OWN)
def test_what_a_process_does_not_share_with_the_default_has_a_source_of_its_own(name):
    own = {key: about.source for key, _, about in parameters(type(circuits[name]))}
    for key, default, about in parameters(CircuitNeuron):
        differs = np.any(np.asarray(getattr(circuits[name], key)) != np.asarray(default))
        assert not differs or own[key] != about.source, key


@pytest.mark.parametrize("name", circuits)
def test_a_unit_at_the_reference_supply_moves_the_membrane_by_20_millivolt_in_a_pulse(name):
    circuit = circuits[name]
    assert float(circuit.unit_current(circuit.vdd_reference) / nA) == pytest.approx(10, rel=3e-3)
    assert float(circuit.step(circuit.vdd_reference) / mV) == pytest.approx(19.95, rel=3e-3)


@pytest.mark.parametrize("name", circuits)
def test_a_unit_is_as_wide_as_its_process_can_make_it_and_its_swing_is_within_the_supplies(name):
    circuit = circuits[name]
    assert circuit.W / um >= LEAST_WIDTH[name]
    # To saturate, a source needs 4 thermal voltages, or its overdrive, from rail to membrane.
    over = circuit.mirror().overdrive(float(circuit.vdd_low))
    assert circuit.vdd_low - circuit.v_th > max(0.1, over) * volt
    # With the default, 0.91 V is the most at which transistors that pull saturate.
    most = 0.91 if name == "calibrated" else float(circuit.vdd_high)
    assert circuit.v_rest > max(0.1, circuit.mirror().overdrive(most)) * volt


@pytest.mark.parametrize("name", OWN)
def test_beta_is_the_transconductance_parameter_times_the_channel_s_shape(name):
    circuit = circuits[name]
    parameter = float(circuit.beta * circuit.L / circuit.W / (uA / volt**2))
    sources = {key: about.source for key, _, about in parameters(type(circuit))}
    assert f"KP = {parameter:g} uA/V^2" in sources["beta"]


@pytest.mark.parametrize(
    ("name", "gate", "current"),
    [
        # ngspice 39 with the models of the two open kits, drain at the gate, at 300 K.
        ("sky130", [0.50, 0.58, 0.66, 0.70], [2.333, 11.735, 40.734, 65.344]),
        ("gf180", [0.56, 0.62, 0.68, 0.78], [1.4994, 4.9208, 12.930, 41.531]),
    ],
)
def test_open_processes_conduct_as_their_own_models_do(name, gate, current):
    mirror = circuits[name].mirror()
    found = mirror.current(np.array(gate) - mirror.vto) * 1e9
    np.testing.assert_allclose(found, current, rtol=0.03)


def test_a_preset_is_chosen_by_name_and_then_changed():
    given = {"circuit": "sky130", "vdd": linspace(0.7, 1.8, 5) * volt, "circuit.R_S": 51e6}
    with pytest.raises(UserError, match="R_S = 51 000 000 has the wrong unit"):
        change(VddSweep(), given)
    changed = change(VddSweep(), given | {"circuit.R_S": circuits.sky130.R_S * 1.3})
    assert changed.circuit == replace(circuits.sky130, R_S=circuits.sky130.R_S * 1.3)
    flat = flatten(changed)
    assert flat["circuit"] == "sky130"
    # What a run's record says makes the same protocol again.
    again = change(VddSweep(), flat)
    assert again.circuit == changed.circuit
    with pytest.raises(UserError, match="no circuit named 'sky31': did you mean sky130"):
        change(VddSweep(), {"circuit": "sky31"})


def test_processes_of_one_s_own_come_from_a_file_and_are_found_again(written):
    path = written(mine())
    own = read_circuits(path)["slvt"]
    assert own.vto == circuits.sky130.vto
    supplies = {"vdd": linspace(0.7, 1.8, 5) * volt}
    changed = change(VddSweep(), {"circuit": f"{path}:slvt"} | supplies)
    assert flatten(changed)["circuit"] == f"{path}:slvt"
    assert flatten(change(VddSweep(), flatten(changed)))["circuit"] == f"{path}:slvt"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("R_S = ", "R_s = ", "no number or text of slvt named 'R_s': did you mean R_S"),
        ("W = [0.42, ", "W = [-0.42, ", r"W of slvt = -420 nm is out of range"),
        ('law = ["ekv"', 'law = ["evk"', "no law of slvt named 'evk'"),
        ('law = ["ekv", ', "law = [1, ", "must be a law and its source"),
        ("vdd_high = [1.8", "vdd_high = [0.9", "must lie between vdd_low = 0.7 V"),
        ('vto = [0.5587, "fit, see KP"]', "vto = 0.5587", "must be a number and its source"),
    ],
)
def test_a_file_that_will_not_do_is_refused(written, old, new, message):
    assert old in mine()
    with pytest.raises(UserError, match=message):
        read_circuits(written(mine().replace(old, new)))


def test_a_population_and_a_schedule_take_the_supplies_of_their_circuit():
    circuit, dt = circuits.sky130, 10 * nsecond
    assert (Population("chip", circuit, 1).own("vdd") == 1 * volt).all()
    chips = Population("chip", circuit, 2, {"vdd": [0.7, 1.8] * volt})
    schedule(chips, [0, 50] * dt, [[0.7, 1.8], [1.8, 0.7]] * volt, dt)
    with pytest.raises(
        UserError, match=r"vdd of chip = 1.81 V is out of range: expected 0.7 to 1.8"
    ):
        Population("chip", circuit, 1, {"vdd": 1.81 * volt})
    with pytest.raises(UserError, match=r"to 0.69 V at 500 ns: 0.7 to 1.8 V was expected"):
        schedule(chips, [0, 50] * dt, [[0.7, 1.8], [1.8, 0.69]] * volt, dt)


def test_sky130_is_in_units_that_a_designer_reads():
    circuit = circuits.sky130
    supplies = Quantity([circuit.vdd_low, circuit.vdd_reference, circuit.vdd_high])
    assert (supplies / volt).tolist() == [0.7, 1, 1.8]
    assert circuit.supply_range == "0.7 to 1.8 V"
    assert circuit.t_pulse == 100 * nsecond
