"""The mean field of Brunel & Wang 2001 gives the paper's numbers and those of simulated cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, kHz, nS, second

from neuromod.analysis.attractor_mean_field import AttractorMeanField
from neuromod.devices.simulation import simulate
from neuromod.experiment import Experiment, Population
from neuromod.inputs.bombardment import Bombardment, bombard
from neuromod.models.brunel_wang import BrunelWangCell, BrunelWangInterneuron, SaturatingNMDA

THEORY = AttractorMeanField(
    (BrunelWangCell(), BrunelWangInterneuron()), SaturatingNMDA(), (800, 200), 5, 0.1, 2.1
)


def rates(theory=THEORY, drive=2.4 * kHz, **factors):
    return {name: value / Hz for name, value in theory.branches(drive, **factors).items()}


def test_the_papers_conductances_give_the_rates_that_they_were_calibrated_to():
    # 3 and 9 Hz, with the paper's NMDA gate, whose mean is some 3 % above that of its equations.
    found = rates()
    assert found["spontaneous"] == pytest.approx([3], abs=0.6)
    assert found["inhibitory"] == pytest.approx([9], abs=0.9)


def test_persistent_activity_needs_strong_groups_and_spontaneous_activity_does_not_feel_them():
    # Brunel & Wang 2001, figure 4: from about 2.05 on; spontaneous activity ends near 2.25.
    found = [rates(replace(THEORY, w_plus=w)) for w in (1.9, 2.1, 2.2, 2.4)]
    spontaneous = [f["spontaneous"][0] for f in found]
    assert spontaneous[:3] == pytest.approx([spontaneous[0]] * 3, rel=0.03)
    assert np.isnan(spontaneous[3])
    assert np.isnan(found[0]["persistent"][0])
    assert 25 < found[1]["persistent"][0] < found[2]["persistent"][0] < found[3]["persistent"][0]


def test_the_unstable_state_lies_between_the_two_stable_ones():
    found = rates(drive=np.array([1.8, 2.2, 2.6]) * kHz)
    assert np.all(found["spontaneous"] < found["unstable"])
    assert np.all(found["unstable"] < found["persistent"])


def test_persistent_activity_has_an_inverted_u_over_the_drive():
    drive = np.array([1.3, 1.5, 1.7, 2.4, 3.1, 3.6])
    persistent = rates(drive=drive * kHz)["persistent"]
    assert np.isnan(persistent[[0, -1]]).all()
    assert np.all(np.diff(persistent[1:3]) > 0)
    assert np.all(np.diff(persistent[2:5]) < 0)


def test_a_concerted_rise_lowers_spontaneous_and_raises_persistent_rates():
    factor = np.array([0.96, 1.0, 1.07, 1.17])
    found = rates(nmda=(factor, factor), gaba=(factor, factor))
    assert np.all(np.diff(found["spontaneous"]) < 0)
    assert np.all(np.diff(found["persistent"]) > 0)


def test_either_conductance_alone_moves_both_rates_the_same_way():
    # Figure 7, A and B.
    factor = np.array([0.98, 1.0, 1.03])
    for name, sign in (("nmda", 1), ("gaba", -1)):
        found = rates(**{name: (factor, factor)})
        assert np.all(sign * np.diff(found["spontaneous"]) > 0)
        assert np.all(sign * np.diff(found["persistent"]) > 0)


@pytest.mark.parametrize("cell", [BrunelWangCell(), BrunelWangInterneuron()])
def test_cells_without_network_fire_as_the_theory_says(cell):
    alone = replace(cell, g_ampa=0 * nS, g_nmda=0 * nS, g_gaba=0 * nS)
    drive, cells = 2.0 * kHz, 200
    parts = [Bombardment(drive, 0 * second, 0.5 * second, np.arange(cells)[None])]
    draw = np.random.default_rng(5)
    source, wires = bombard("outside", "cells", "s_outside", parts, 0.1e-3 * second, draw)
    run = Experiment(
        populations=[Population("cells", alone, cells)],
        sources=[source],
        connections=[wires],
        duration=0.5 * second,
        dt=0.1e-3 * second,
    )
    spikes = simulate(run).spikes["cells"]
    simulated = np.sum(spikes.times > 0.2 * second) / cells / 0.3
    theory = replace(THEORY, cells=(alone, alone))
    assert simulated == pytest.approx(rates(theory, drive)["spontaneous"][0], rel=0.1)
