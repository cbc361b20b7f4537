"""The neuron of a protocol: which names there are, and which neurons will do."""

from __future__ import annotations

import pytest
from brian2 import mV, nS

from neuromod.errors import UserError
from neuromod.models import AdEx, GainLIF, HodgkinHuxley, Messenger, modulate, suppressed_by
from neuromod.models.receptors import Receptor
from neuromod.protocols.families.neurons import NEURONS, check_current

R1 = Receptor(name="R1", ligand="glue")
FIRES = {"threshold": "v > 1"}


def cell(text="dv/dt = (I - v)/(9*ms) : 1\nI : 1", **changed):
    given = {"current": "I", **FIRES, **changed}
    return modulate(text, [R1], on={"I": suppressed_by("R1")}, **given)


def test_every_neuron_with_receptors_has_a_name_and_those_without_have_none():
    names = set(NEURONS)
    assert {"gain-lif", "adex", "hodgkin-huxley", "izhikevich", "modulated"} <= names
    assert not {"circuit-neuron", "optocoupler", "three-factor"} & names
    for name in ("circuit-neuron", "adx"):
        with pytest.raises(KeyError):
            NEURONS[name]


def test_a_neuron_by_name_has_the_generic_receptor():
    assert NEURONS["adex"] == AdEx(receptors=(Receptor(),))
    assert NEURONS["gain-lif"] == GainLIF()


def test_a_protocol_needs_a_neuron_that_takes_its_current_and_spikes():
    check_current(cell())
    check_current(AdEx(receptors=(R1,)))
    with pytest.raises(UserError, match="takes no current I_ext: declare it in the equations"):
        check_current(cell(current="I_ext"))
    # A current that the equations work out cannot be injected.
    worked_out = "dv/dt = (I - v)/(9*ms) : 1\nI = 0.3*J : 1\nJ : 1"
    with pytest.raises(UserError, match="takes no current I:"):
        check_current(cell(worked_out))
    with pytest.raises(UserError, match="never spikes: give it a threshold"):
        check_current(cell(threshold=""))


def test_a_receptor_acts_by_its_gain_its_conductance_or_on_an_adaptation_that_is_there():
    idle = Receptor(name="idle", gain_max=1)
    opening = Receptor(name="opening", gain_max=1, g_K=2.1 * nS)
    scaling = Receptor(name="scaling", gain_max=1, ahp_max=0.3)
    acting = AdEx(receptors=(idle, opening, scaling, R1)).effective
    assert [part.name for part in acting] == ["opening", "scaling", "R1"]
    squid = HodgkinHuxley(receptors=(idle, opening)).effective
    assert [part.name for part in squid] == ["opening"]


def test_all_that_acts_on_a_modulated_neuron_does_something():
    shared = Messenger(raised_by=("R1",), gain_max=1)
    made = modulate(
        "dv/dt = -v/(9*ms) : volt",
        [R1, shared],
        on={"v": "v + 3*mV*activation_cAMP"},
        threshold="v > v_t",
        namespace={"v_t": 3 * mV},
    )
    assert [part.name for part in made.effective] == ["cAMP"]
