"""Receptors that converge on one messenger: its level against hand computation and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import nS, second, umolar
from hypothesis import given, settings, strategies as st

from neuromod.errors import UserError
from neuromod.models import GainLIF, library
from neuromod.models.messenger import Messenger
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor

GS = Receptor(name="D1", ligand="dopamine", k_on=0.7 * PER_UMOLAR_SECOND, k_off=1.3 / second)
GI = Receptor(name="M4", ligand="acetylcholine", k_off=0.37 / second)
shares = st.floats(0, 1)


def level(messenger, conc):
    return GainLIF(receptors=(GS, GI, messenger)).bound(conc)["messenger_cAMP"]


@pytest.mark.parametrize("basal", [0.0, 0.17, 1.0])
def test_gs_raises_from_its_basal_share_and_gi_takes_its_share_of_that(basal):
    messenger = Messenger(lowered_by=("M4",), basal=basal)
    # c/(c + K_D) with K_D of 1.3/0.7 and 0.37 uM.
    raised, lowered = 2.1 / (2.1 + 1.3 / 0.7), 0.9 / (0.9 + 0.37)
    expected = (1 - (1 - basal) * (1 - raised)) * (1 - lowered)
    found = level(messenger, {"dopamine": 2.1 * umolar, "acetylcholine": 0.9 * umolar})
    assert found == pytest.approx(expected, rel=1e-12)


def test_without_ligands_the_messenger_is_at_its_basal_share():
    assert level(Messenger(lowered_by=("M4",), basal=0.23), {}) == pytest.approx(0.23)


def test_saturating_gs_fills_the_messenger_and_saturating_gi_empties_it():
    messenger = Messenger(lowered_by=("M4",), basal=0.23)
    full = level(messenger, {"dopamine": 1e9 * umolar})
    assert full == pytest.approx(1, abs=1e-8)
    empty = level(messenger, {"dopamine": 1e9 * umolar, "acetylcholine": 1e9 * umolar})
    assert empty == pytest.approx(0, abs=1e-8)


def test_gi_alone_acts_on_the_basal_share_only():
    conc = {"acetylcholine": 0.9 * umolar}
    assert level(Messenger(lowered_by=("M4",)), conc) == 0
    partly = level(Messenger(lowered_by=("M4",), basal=0.3), conc)
    assert partly == pytest.approx(0.3 * 0.37 / 1.27)


@settings(deadline=None)
@given(shares, shares, shares, shares)
def test_the_level_is_a_share_that_rises_with_gs_and_falls_with_gi(basal, a, b, c):
    messenger = Messenger(raised_by=("A", "B"), lowered_by=("C",), basal=basal)
    found = messenger.level({"A": a, "B": b, "C": c})
    assert 0 <= found <= 1
    assert found <= messenger.level({"A": 1.0, "B": b, "C": c}) + 1e-12
    assert found >= messenger.level({"A": a, "B": b, "C": 1.0}) - 1e-12
    # Two that raise it act one behind the other: what the first spares is left to the second.
    assert found == pytest.approx((1 - (1 - basal) * (1 - a) * (1 - b)) * (1 - c))


def test_its_gain_is_the_hill_function_of_its_level():
    messenger = Messenger(n=2.3, K=0.41, gain_max=2.7)
    cell = GainLIF(receptors=(GS, messenger))
    conc = {"dopamine": [0, 2.1, 1e9] * umolar}
    raised = np.array([0, 2.1 / (2.1 + 1.3 / 0.7), 1])
    active = raised**2.3 / (raised**2.3 + 0.41**2.3)
    assert cell.steady_gain(conc) == pytest.approx(1 + 1.7 * active)
    assert cell.activations(conc)["cAMP"] == pytest.approx(active)
    # D1's own messenger is replaced by the shared one.
    assert set(cell.activations(conc)) == {"cAMP"}
    assert "messenger_D1" not in cell.equations


def test_a_desensitised_receptor_drives_a_shared_messenger_with_what_still_responds():
    fading = Receptor(**{**vars(GS), "k_desensitise": 0.043 / second, "tau_recover": 31 * second})
    found = GainLIF(receptors=(fading, Messenger())).bound({"dopamine": 2.1 * umolar})
    bound = 2.1 / (2.1 + 1.3 / 0.7)
    expected = bound / (1 + 0.043 * 31 * bound)
    assert found["messenger_cAMP"] == pytest.approx(expected)


def test_a_messenger_may_open_a_conductance_as_a_receptor_does():
    cell = GainLIF(receptors=(GS, Messenger(gain_max=1, g_K=3.1 * nS)))
    assert "g_K_cAMP*activation_cAMP" in cell.equations


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Messenger(lowered_by=("D1",)), "^D1 cannot both raise and lower cAMP"),
        (lambda: Messenger(name="c_AMP"), "^name = 'c_AMP' stands in the names of variables"),
        (lambda: Messenger(basal=1.1), "basal = 1.1 is out of range"),
        (
            lambda: GainLIF(receptors=(GS, Messenger(lowered_by=("M3",)))),
            "no receptor for cAMP named 'M3'",
        ),
        (lambda: GainLIF(receptors=(GS, Messenger(), Messenger())), "need names of their own"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(UserError, match=words):
        make()


def test_a_messenger_is_made_by_its_name():
    cell = GainLIF(receptors=("D1", "cAMP"))
    assert cell.receptors == (library.D1, Messenger())
