"""What protocols on cells in baths share, seen through a short one of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, Quantity, ms, nA, nS, umolar

import neuromod
from neuromod.analysis.spike_trains import steady_rates
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.modulators import puffs
from neuromod.models import AdEx, Messenger, library, modulate, sensors, suppressed_by
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import not_negative
from neuromod.protocols.families.cells import BathProtocol, DeliveryProtocol, check_ascending

ONE, OTHER = Receptor(name="a", ligand="one"), Receptor(name="b", ligand="other", gain_max=0.7)


@dataclass(frozen=True, eq=False)
class Rates(BathProtocol):
    """Firing rates in baths."""

    conc: Quantity = not_negative([0, 1.7] * umolar, "doses", "an example")

    @property
    def doses(self) -> dict[str, Quantity]:
        return {"other": [0.3] * umolar, "one": self.conc}

    def measure(self, recordings):
        rates = steady_rates(recordings["bath"].spikes["neurons"]) / Hz
        return {"table": pd.DataFrame({"rate_Hz": np.asarray(rates)})}


@pytest.fixture
def protocol():
    return Rates(neuron=GainLIF(receptors=(ONE, OTHER)), I=[0.9, 1.3, 2.1] * nA)


def test_there_is_a_cell_for_every_bath_and_current_and_the_current_changes_fastest(protocol):
    conc, current = protocol.grid()
    assert np.allclose(current / nA, [0.9, 1.3, 2.1] * 2)
    assert np.allclose(conc["one"] / umolar, [0, 0, 0, 1.7, 1.7, 1.7])
    assert np.allclose(conc["other"] / umolar, [0.3] * 6)


def test_cells_start_in_the_steady_state_of_their_bath(protocol):
    (cells,) = protocol.experiments()["bath"].populations
    assert np.allclose(cells.values["conc_one"] / umolar, [0, 0, 0, 1.7, 1.7, 1.7])
    assert np.allclose(cells.values["occupancy_a"], np.repeat([0, 1.7 / 2.7], 3))
    assert np.allclose(cells.values["occupancy_b"], 0.3 / 1.3)


def test_a_protocol_of_ones_own_is_short_and_runs(protocol):
    rates = neuromod.run(protocol).table.rate_Hz.to_numpy().reshape(2, 3)
    assert (np.diff(rates) > 0).all()
    assert (rates[1] > rates[0]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neuron": GainLIF(receptors=())}, "needs a receptor"),
        ({"I": [0.9, 0.7] * nA}, "I must be values in ascending order, not 0.9 and 0.7 nA"),
        ({"I": [0, 0.7] * nA}, "above 0"),
        ({"conc": [-1, 0] * umolar}, "conc"),
    ],
)
def test_what_no_such_protocol_can_have_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Rates(**settings)


def test_too_few_or_equal_values_are_not_ascending(protocol):
    check_ascending(protocol, conc=2, I=3)
    with pytest.raises(UserError, match="conc must be at least 3 values in ascending order"):
        check_ascending(protocol, conc=3)


def test_currents_below_rheobase_in_every_bath_are_refused(protocol):
    protocol.check_rheobase()
    weak = Rates(neuron=protocol.neuron, I=[0.1, 2] * nA)
    with pytest.raises(
        UserError, match=r"I = 0\.1 nA is below rheobase in every bath: use more than"
    ):
        weak.check_rheobase()


def test_a_receptor_without_effect_on_the_gain_is_refused(protocol):
    protocol.check_effect(protocol.conc)
    flat = Rates(neuron=GainLIF(receptors=(Receptor(name="a", ligand="one", gain_max=1.0), OTHER)))
    with pytest.raises(UserError, match="one does nothing to this neuron"):
        flat.check_effect(flat.conc)


@dataclass(frozen=True, eq=False)
class OnePuff(DeliveryProtocol):
    """One puff."""

    def experiments(self) -> dict[str, Experiment]:
        cells = Population("cells", self.neuron, 2, {"I_ext": self.I})
        times = 50 * ms, 60 * ms, 30 * ms, self.dt
        puff = puffs(self.ligand, cells, [0.4, 2.6] * umolar, *times)
        return {"puff": self.delivery(cells, puff, 300 * ms)}

    def measure(self, recordings):
        return {"table": pd.DataFrame({"spikes": recordings["puff"].spikes["cells"].counts()})}


DOPAMINE = GainLIF(receptors=(library.D1,))


def test_what_a_modulated_neuron_calls_its_gain_is_not_taken_for_that_of_receptors():
    cell = modulate(AdEx(), [ONE], on={"w": suppressed_by("a")})
    assert "gain = trained_gain" in cell.equations
    assert not Rates(neuron=cell).neuron.has_gain
    assert Rates(neuron=AdEx(receptors=(ONE,))).neuron.has_gain


def test_a_sensor_of_the_modulator_is_traced_and_changes_nothing():
    bare = neuromod.run(OnePuff(neuron=DOPAMINE))
    seen = neuromod.run(OnePuff(neuron=DOPAMINE, sensor="dLight1_2"))
    before, after = (r.recordings["puff"] for r in (bare, seen))
    assert np.array_equal(before.spikes["cells"].times, after.spikes["cells"].times)
    for name in ("conc_dopamine", "gain"):
        traces = [np.asarray(r.signals["cells"][name].values) for r in (before, after)]
        assert np.array_equal(*traces)
    dff = np.asarray(after.signals["cells"]["dff_dLight1_2"].values)
    assert "dff_dLight1_2" not in before.signals["cells"]
    # Below what the peaks of the puffs, 1 - exp(-2) of what is supplied, would give for good.
    top = sensors.dLight1_2.dff([0.4, 2.6] * umolar * -np.expm1(-2))
    assert (0.3 * top < dff.max(axis=1)).all()
    assert (dff.max(axis=1) < top).all()


@pytest.mark.parametrize(
    ("sensor", "message"),
    [
        ("dLight12", "no sensor named 'dLight12': did you mean dLight1_2"),
        ("GRAB_NE1m", "GRAB_NE1m is a sensor of noradrenaline, and the first receptor binds dopa"),
    ],
)
def test_a_sensor_that_would_see_nothing_is_refused(sensor, message):
    with pytest.raises(UserError, match=message):
        OnePuff(neuron=DOPAMINE, sensor=sensor)


def delivery(*receptors):
    return OnePuff(neuron=AdEx(receptors=receptors))


QUIET = Receptor(name="a", ligand="one", gain_max=1, ahp_max=0.3)
GAINING = Receptor(name="b", ligand="other", gain_max=2.1)


def test_what_is_followed_is_the_gain_where_the_ligand_changes_one_and_else_the_activation():
    assert delivery(ONE).effect == "gain"
    assert delivery(QUIET).effect == "activation"
    opening = Receptor(name="a", ligand="one", gain_max=1, g_K=3 * nS)
    assert delivery(opening).effect == "activation"
    # Another ligand's gain stays where it is.
    assert delivery(QUIET, GAINING).effect == "activation"
    assert delivery(GAINING, QUIET).effect == "gain"
    own = modulate(AdEx(), [ONE], on={"w": suppressed_by("a")})
    assert OnePuff(neuron=own).effect == "activation"


def test_the_effect_at_rest_and_in_time_is_that_of_what_the_ligand_drives():
    conc = np.array([0.4, 2.6])
    shared = Messenger(raised_by=("a",), n=2.3, K=0.41, gain_max=1, ahp_max=0.1)
    for receptors in ((QUIET, GAINING), (GAINING, QUIET), (QUIET, shared)):
        protocol = delivery(*receptors)
        steady = protocol.steady_effect(conc)
        bound = conc / (conc + 1)
        hill = {
            "one": bound**2 / (bound**2 + 0.25),
            "other": 1 + 1.1 * bound**2 / (bound**2 + 0.25),
        }[protocol.ligand]
        if shared in receptors:
            hill = bound**2.3 / (bound**2.3 + 0.41**2.3)
        assert steady == pytest.approx(hill)
        at = np.array([0, 400]) * 1000 * ms
        in_time = protocol.integrated(lambda _: conc * float(umolar), at, ())
        assert in_time[:, -1] == pytest.approx(steady, rel=1e-5)


def test_tables_are_named_by_the_effect_and_back():
    table = pd.DataFrame({"peak_gain": [1.3], "gain": [1.1], "conc_uM": [0.3]})
    quiet, loud = delivery(QUIET), delivery(ONE)
    told = quiet.told({"table": table})
    assert list(told["table"]) == ["peak_activation", "activation", "conc_uM"]
    assert quiet.as_gains(told)["table"].equals(table)
    assert loud.told({"table": table})["table"].equals(table)


def test_a_gain_stands_alone_only_where_receptors_do_nothing_else():
    assert Rates(neuron=AdEx(receptors=(ONE,))).gain_alone
    assert not Rates(neuron=AdEx(receptors=(QUIET, GAINING))).gain_alone
    own = modulate(AdEx(), [ONE], on={"w": suppressed_by("a")})
    assert not Rates(neuron=own).gain_alone
    assert not Rates(neuron=own).closed
    assert Rates(neuron=GainLIF(receptors=(ONE,))).closed


def test_without_a_closed_form_a_control_curve_runs_beside_the_baths():
    run = Rates(neuron=AdEx(receptors=(ONE, OTHER)), I=[0.9, 1.3, 2.1] * nA).experiments()
    assert set(run) == {"bath", "control"}
    (control,) = run["control"].populations
    assert not np.any(np.asarray(control.values["conc_one"]))
    assert set(Rates(neuron=GainLIF(receptors=(ONE, OTHER))).experiments()) == {"bath"}
