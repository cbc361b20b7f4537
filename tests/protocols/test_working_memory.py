"""The network of Brunel & Wang 2001 holds an object in mind, and dopamine acts as they found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, kHz, ms, nS, umolar

import neuromod
from neuromod.devices.genn.limits import refuse
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.models.brunel_wang import SaturatingNMDA
from neuromod.models.receptor_library import library
from neuromod.protocols.working_memory import WorkingMemory
from neuromod.protocols.working_memory.conditions import in_mind, outcomes
from neuromod.runs.report import draw

SMALL = WorkingMemory(
    trials=2,
    n_excitatory=120,
    n_inhibitory=30,
    studies=("concerted",),
    conc=[0, 3] * umolar,
    strengths=[900] * Hz,
    stimulus=100 * ms,
    settling=60 * ms,
    window=80 * ms,
    dt=0.2 * ms,
    delay=0.4 * ms,
)
TINY = replace(
    SMALL,
    trials=1,
    n_excitatory=40,
    n_inhibitory=10,
    stimulus=30 * ms,
    settling=20 * ms,
    window=20 * ms,
    distractor_after=[11, 33] * ms,
    puff_width=10 * ms,
    studies=("drive", "concerted", "differential", "puff"),
    drives=[1.7, 2.4] * kHz,
    conc_differential=[0, 3] * umolar,
)


def first(protocol, study):
    return protocol.experiments()[f"{study} 1"]


@pytest.fixture(scope="module")
def run():
    return neuromod.run(replace(SMALL, trials=1))


def test_a_cue_excites_its_own_group_and_interneurons_quieten_the_others(run):
    trials = run.tables["trials"]
    assert (trials.cue_response_Hz > 4 * trials.spontaneous_Hz).all()
    assert (trials.delay_Hz > 3 * trials.others_Hz).all()


def test_figure_and_report_are_drawn_from_a_stored_run(run):
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")
    assert any("loaded" in section.text for section in run.protocol.report(run.tables))


def test_all_cells_receive_as_much_excitation_whatever_their_group():
    (experiment,) = replace(TINY, studies=("drive",)).experiments().values()
    copies, size = 2, 50
    ampa, gaba = (
        next(c for c in experiment.connections if c.variable == name)
        for name in ("s_ampa", "s_gaba")
    )
    (nmda,) = experiment.plastic
    received = np.bincount(ampa.j, ampa.weight, copies * size).reshape(copies, size)
    # 40 pyramidal cells for the paper's 800.
    assert received == pytest.approx(np.full((copies, size), 800.0))
    assert np.bincount(gaba.j, minlength=copies * size) * gaba.weight == pytest.approx(200)
    assert np.array_equal(nmda.values["strength"], ampa.weight)
    assert np.array_equal(ampa.i // size, ampa.j // size)
    strengths = {(i, j): w for i, j, w in zip(ampa.i, ampa.j, ampa.weight, strict=True)}
    # Groups are cells 0 to 3, 4 to 7, ... 16 to 19; the rest belongs to none.
    less = 1 - 0.1 * 1.1 / 0.9
    for pair, expected in (
        ((0, 3), 2.1),
        ((5, 6), 2.1),
        ((0, 5), less),
        ((30, 5), less),
        ((5, 30), 1),
        ((0, 45), 1),
    ):
        assert strengths[pair] == pytest.approx(20 * expected)


def test_interneurons_have_conductances_of_their_own():
    cells = first(TINY, "drive").populations[0]
    assert float(cells.own("g_gaba")[39] / nS) == pytest.approx(1.25)
    assert float(cells.own("g_gaba")[41] / nS) == pytest.approx(0.973)
    assert float(cells.own("t_ref")[99] / ms) == 1


def test_copies_differ_in_their_conditions_and_in_nothing_else():
    experiment = first(TINY, "drive")
    arriving = next(c for c in experiment.connections if c.variable == "s_outside")
    (source,) = experiment.sources
    counts = np.bincount(arriving.j, source.counts()[arriving.i], 100).reshape(2, 50)
    # The second copy has all spikes of the first and 0.7 kHz more, in 0.11 s.
    more = counts[1] - counts[0]
    assert (more >= 0).all()
    assert more.sum() == pytest.approx(0.7e3 * 0.11 * 50, rel=0.08)
    start = experiment.populations[0].values["v"].reshape(2, 50)
    assert np.array_equal(start[0], start[1])


def test_a_bath_scales_nmda_and_gaba_by_binding_and_hill_by_hand():
    occupancy = 3 / (3 + 1.6)
    activation = occupancy**2 / (occupancy**2 + 0.3**2)
    nmda, gaba = SMALL.modulation("concerted", SMALL.conc)
    for factor in (*nmda, *gaba):
        assert factor == pytest.approx([1, 1 + 0.2 * activation])


def test_conductances_in_differential_are_the_papers_at_the_reference():
    at = SMALL.modulation("differential", np.array([0.6]) * umolar)
    assert np.allclose(at, 1)
    (low, low_inhibitory), _ = SMALL.modulation("differential", np.array([0.1]) * umolar)
    (high, high_inhibitory), _ = SMALL.modulation("differential", np.array([9.0]) * umolar)
    assert low < low_inhibitory < 1 < high < high_inhibitory


def test_receptors_of_a_simulated_bath_act_as_the_closed_form_says():
    experiment = first(TINY, "differential")
    cells = experiment.populations[0]
    level = cells.values["messenger_D1"]
    factor = 1 + 0.25 * level**2 / (level**2 + cells.values["K_D1"] ** 2)
    conductance = (cells.values["g_nmda"] * factor / nS).reshape(2, 50)
    (pyramidal, inhibitory), _ = TINY.modulation("differential", TINY.conc_differential)
    assert conductance[:, 7] == pytest.approx(0.327 * pyramidal)
    assert conductance[:, 44] == pytest.approx(0.258 * inhibitory)


def test_a_puff_reaches_all_copies_and_acts_where_there_are_receptors():
    experiment = first(TINY, "puff")
    cells = experiment.populations[0]
    raised = np.asarray(cells.values["factor_g_nmda_D1"]).reshape(8, 50)[:, 0]
    lowered = np.asarray(cells.values["factor_g_gaba_D2"]).reshape(8, 50)[:, 0]
    assert raised.tolist() == [1, 1, 1.2, 1.2, 1, 1, 1.2, 1.2]
    assert lowered.tolist() == [1, 1, 1, 1, 0.93, 0.93, 0.93, 0.93]
    (supply,) = (c for c in experiment.connections if c.variable == "supply_dopamine")
    assert len(supply.j) == 400


def test_every_study_gives_its_tables():
    recordings = {name: simulate(one) for name, one in TINY.experiments().items()}
    tables = TINY.measure(recordings)
    assert tables["table"].study.value_counts().to_dict() == {
        "drive": 2,
        "concerted": 2,
        "differential": 2,
    }
    assert len(tables["trials"]) == 2 + 2 + 2 + 8
    assert tables["puff"].distractor_after_s.tolist() == pytest.approx([0.011, 0.033] * 4)
    rows = tables["trials"][tables["trials"].study == "drive"]
    spikes = recordings["drive 1"].spikes["cells"]
    # The second copy's groups are cells 50 to 69; the window is that before the cue.
    here = (spikes.neurons >= 50) & (spikes.neurons < 70)
    here &= (spikes.times >= 19.95 * ms) & (spikes.times < 39.95 * ms)
    assert rows.spontaneous_Hz.iloc[1] == pytest.approx(here.sum() / 20 / 0.02)
    assert len(TINY.plot(tables, recordings).axes) == 8
    alone = replace(TINY, studies=("puff",))
    puffed = {"puff 1": recordings["puff 1"]}
    assert len(alone.plot(alone.measure(puffed), puffed).axes) == 4
    titles = [section.title for section in alone.report(alone.measure(puffed))]
    assert titles == ["States", "A puff during the delay", "Method"]


def test_genn_has_nothing_to_refuse():
    for experiment in TINY.experiments().values():
        refuse(experiment)


def test_the_same_seed_is_the_same_input_and_another_seed_or_trial_another():
    def spikes(protocol, trial=1):
        (source,) = protocol.experiments()[f"concerted {trial}"].sources
        return source.times / ms

    two = replace(TINY, trials=2, studies=("concerted",))
    assert np.array_equal(spikes(two), spikes(two))
    assert np.array_equal(spikes(two), spikes(replace(two, studies=("drive", "concerted"))))
    assert not np.array_equal(spikes(two)[:90], spikes(two, 2)[:90])
    assert not np.array_equal(spikes(two)[:90], spikes(replace(two, seed=7))[:90])


def test_what_is_in_mind_is_told_by_rates_and_by_the_quieter_groups():
    groups = np.array(
        [[31, 2, 3, 1, 2], [1, 27, 2, 3, 1], [22, 24, 1, 1, 2], [4, 3, 4, 5, 3], [12, 9, 8, 11, 9]]
    )
    assert outcomes(groups, 10).tolist() == ["held", "distracted", "both", "lost", "lost"]
    assert in_mind(groups, 10).sum(axis=1).tolist() == [1, 1, 2, 0, 0]


def test_thresholds_are_the_weakest_strengths_that_do():
    protocol = replace(TINY, trials=1, strengths=[30, 50, 90] * Hz)
    trials = pd.DataFrame(
        {
            "conc_uM": [0, 0, 0, 3, 3, 3],
            "trial": 1,
            "cue_Hz": [30, 50, 90] * 2,
            "loaded": [False, True, True, True, True, True],
            "outcome": ["lost", "held", "distracted", "held", "both", "held"],
        }
    )
    from neuromod.protocols.working_memory.protocol import _thresholds

    found = _thresholds(trials)
    assert found.load_Hz.tolist() == [50, 30]
    assert found.overturn_Hz.tolist() == [90, np.inf]
    assert "more than the strongest" in protocol.report(_tables(found))[1].text


def _tables(thresholds):
    columns = ["study", "persistent_Hz", "mean_field_persistent_Hz", "spontaneous_Hz"]
    empty = pd.DataFrame(columns=[*columns, "mean_field_spontaneous_Hz"])
    puff = pd.DataFrame(columns=["receptors", "loaded", "remembered", "distractor_after_s"])
    return {"table": empty, "thresholds": thresholds, "puff": puff}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_excitatory": 405}, "whole number of cells"),
        ({"groups": 10}, "leave none"),
        ({"w_plus": 11}, "w_plus"),
        ({"synapse": SaturatingNMDA(tau_gate=80 * ms)}, "pyramidal.tau_nmda"),
        ({"studies": ("drive", "drive")}, "name each study once"),
        ({"studies": ("driven",)}, "drive"),
        ({"drives": [2.4, 1.7] * kHz}, "ascending"),
        ({"d2": replace(library["D2"], ligand="serotonin")}, "one ligand"),
        ({"window": 0.05 * ms}, "window"),
        ({"strengths": [-30, 40] * Hz}, "strengths"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        WorkingMemory(**settings)


@pytest.fixture(scope="module")
def full():
    return neuromod.run(WorkingMemory(), device="cpp")


def study(run, name):
    return run.table[run.table.study == name]


@pytest.mark.thorough
def test_persistent_activity_has_an_inverted_u_over_the_drive(full):
    rows = study(full, "drive").set_index("drive_kHz")
    assert rows.delay_Hz[1.4] < 1
    assert rows.delay_Hz[2.0] > 20
    assert rows.delay_Hz[2.0] > rows.delay_Hz[2.8] + 8
    assert rows.spontaneous_Hz.is_monotonic_increasing


@pytest.mark.thorough
def test_a_concerted_rise_lowers_spontaneous_and_raises_persistent_rates(full):
    rows = study(full, "concerted")
    assert rows.persistent_Hz.is_monotonic_increasing
    assert rows.spontaneous_Hz.is_monotonic_decreasing
    assert rows.persistent_Hz.iloc[-1] - rows.persistent_Hz.iloc[0] > 12


@pytest.mark.thorough
def test_persistent_activity_has_an_inverted_u_over_differential_modulation(full):
    delay = study(full, "differential").set_index("conc_uM").delay_Hz
    assert delay[[0, 0.3]].max() < 5
    assert delay[1.0] > 12
    assert delay[20.0] < delay[1.0] - 8


@pytest.mark.thorough
def test_resistance_to_distractors_grows_with_concerted_modulation(full):
    resistance = full.tables["resistance"]
    kept = resistance[resistance.cue_Hz >= 110].groupby("conc_uM").kept.mean()
    assert kept.iloc[0] < 0.5 < 0.9 < kept.iloc[-1]


@pytest.mark.thorough
def test_theory_gives_the_rates_of_both_states_and_persistent_ones_too_high(full):
    # As in the paper, section 3.3.
    rows = study(full, "concerted")
    assert np.allclose(rows.spontaneous_Hz, rows.mean_field_spontaneous_Hz, atol=0.5)
    assert np.allclose(rows.persistent_Hz, rows.mean_field_persistent_Hz, rtol=0.3)
    assert (rows.persistent_Hz < rows.mean_field_persistent_Hz).all()


@pytest.mark.thorough
def test_a_shorter_time_step_changes_no_rate():
    protocol = WorkingMemory(studies=("drive",), drives=[2.0, 2.2] * kHz, trials=2)
    rates = [neuromod.run(replace(protocol, dt=dt * ms), device="cpp").table for dt in (0.1, 0.05)]
    assert np.allclose(rates[0].spontaneous_Hz, rates[1].spontaneous_Hz, atol=0.4)
    # Input is drawn anew, and single trials differ by some 3 Hz.
    assert rates[0].persistent_Hz.mean() == pytest.approx(rates[1].persistent_Hz.mean(), rel=0.1)
