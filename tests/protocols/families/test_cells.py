"""What protocols on cells in baths share, seen through a short one of one's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, Quantity, nA, umolar

import neuromod
from neuromod.analysis.spike_trains import steady_rates
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import Receptor
from neuromod.parameters import not_negative
from neuromod.protocols.families.cells import BathProtocol, check_ascending

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
    with pytest.raises(UserError, match="one does not change the gain"):
        flat.check_effect(flat.conc)
