"""Rewiring for a target rate stores a silent memory; cues recall it in networks of spikes."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, ms, pA, second

import neuromod
from neuromod.models.adex import AdEx
from neuromod.models.gain_lif import GainLIF
from neuromod.models.hodgkin_huxley import HodgkinHuxley
from neuromod.models.structural import StructuralPlasticity
from neuromod.protocols.engram import Engram
from neuromod.protocols.families.neurons import NEURONS
from neuromod.runs.repeat import repeat
from neuromod.runs.report import draw

SMALL = Engram(
    n_excitatory=400,
    n_inhibitory=100,
    n_outside=2000,
    indegree=40,
    weight=210 * pA,
    drive=33 * Hz,
    plasticity=StructuralPlasticity(growth=0.07, interval=2 * second),
    engram=0.15,
    repeats=1,
    growing=600 * second,
    forgetting=1600 * second,
    cues=np.array([0, 0.55, 1]),
    dwell=1.3 * second,
    transient=0.1 * second,
)
TINY = replace(
    SMALL,
    n_excitatory=120,
    n_inhibitory=30,
    n_outside=300,
    indegree=20,
    growing=20 * second,
    stimulation=20 * second,
    rest=20 * second,
    forgetting=20 * second,
)


@pytest.fixture(scope="module")
def run():
    return neuromod.run(SMALL)


@pytest.fixture(scope="module")
def table(run):
    return run.table.set_index(["moment", "cue"])


def test_the_network_grows_and_keeps_the_synapses_of_the_homeostatic_fixed_point(run):
    wirings = run.tables["wirings"]
    assert np.allclose(wirings.indegree, wirings.homeostatic_indegree, rtol=0.03)


def test_learning_moves_synapses_into_the_engram_and_forgetting_out_again(run):
    naive, learned, forgotten = run.tables["wirings"].within_engram
    assert naive == pytest.approx(run.tables["wirings"].among_others[0], rel=0.15)
    assert learned > 2 * naive
    assert naive < forgotten < 0.6 * learned


@pytest.mark.parametrize("moment", ["naive", "learned", "forgotten"])
def test_without_a_cue_no_rate_gives_the_memory_away(table, moment):
    row = table.loc[moment, 0]
    assert row.recall == pytest.approx(0.5, abs=3 * row.chance_sd)
    assert row.mean_field_uncued_Hz == pytest.approx(8, rel=0.04)
    assert row.mean_field_others_Hz == pytest.approx(8, rel=0.04)


def test_a_partial_cue_recalls_what_was_learned_and_nothing_before(table):
    naive, learned, forgotten = (
        table.loc[moment, 0.55] for moment in ("naive", "learned", "forgotten")
    )
    assert naive.recall == pytest.approx(0.5, abs=3 * naive.chance_sd)
    assert learned.recall > 0.5 + 4 * learned.chance_sd
    assert forgotten.recall < learned.recall
    assert learned.uncued_Hz > 1.2 * learned.others_Hz


def test_spiking_networks_fire_as_the_theory_that_rewired_them_says(table):
    for group in ("cued", "uncued", "others", "inhibitory"):
        simulated, theory = (
            table[f"{name}_Hz"].dropna() for name in (group, f"mean_field_{group}")
        )
        assert np.allclose(simulated, theory, rtol=0.25), group
    assert table.cv.between(0.5, 0.9).all()
    assert table.correlation.abs().max() < 0.06


def test_recall_is_the_share_of_pairs_in_which_the_engram_fires_more(run, table):
    spikes = run.recordings["learned"].spikes["cells"]
    late = np.round(spikes.times / SMALL.dt) >= 1000
    counts = np.bincount(spikes.neurons[late], minlength=1500)[500:1000]
    # Of 60 neurons in the engram 33 are cued.
    uncued, others = counts[33:60, None], counts[None, 60:400]
    by_hand = np.mean((uncued > others) + 0.5 * (uncued == others))
    row = table.loc["learned", 0.55]
    assert row.recall == pytest.approx(by_hand)
    assert row.uncued_Hz == pytest.approx(uncued.mean() / 1.3)
    assert row.cued_Hz == pytest.approx(counts[:33].mean() / 1.3)


def test_a_cue_to_all_of_the_engram_leaves_nothing_to_recall(table):
    assert table.loc["learned", 1].isna()[["uncued_Hz", "recall"]].all()
    assert table.loc["learned", 1].cued_Hz > table.loc["naive", 1].cued_Hz


def test_networks_under_different_cues_are_the_same_but_for_the_cue():
    experiment = TINY.experiments()["naive"]
    recurrent, inhibitory, outside, cue = experiment.connections
    for connection in (recurrent, inhibitory):
        copies = [
            set(zip(connection.i[of] - first, connection.j[of] - first, strict=True))
            for first in (0, 150, 300)
            for of in [connection.i // 150 == first // 150]
        ]
        assert copies[0] == copies[1] == copies[2]
        assert np.all(connection.i // 150 == connection.j // 150)
    assert np.bincount(outside.j).tolist() == [20] * 450
    # 18 neurons in the engram: none, 10 (of 9.9) and all of them are cued.
    reached = np.unique(cue.j)
    assert reached.tolist() == [*range(150, 160), *range(300, 318)]
    assert np.bincount(cue.j)[reached].tolist() == [20] * 28


def test_the_same_seed_gives_the_same_experiments_and_another_one_others():
    first, again, other = (
        replace(TINY, seed=seed).experiments()["learned"].connections[0].j for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_report_and_figure_say_what_was_found(run):
    learning, recall, forgetting, method = run.protocol.report(run.tables)
    wanted = run.tables["wirings"].homeostatic_indegree[0]
    assert f"{wanted:.3g} synapses per neuron" in learning.text
    row = run.table[(run.table.moment == "learned") & (run.table.cue == 0.55)].iloc[0]
    assert f"{row.recall:.3g}" in recall.text
    turnover = run.tables["history"].set_index("time_s").turnover
    left = 100 * np.exp(turnover.loc[1050:].iloc[0] - turnover.iloc[-1])
    assert f"{left:.3g} % would be by turnover alone" in forgetting.text
    assert "off the theory" in method.text
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("indegree", 21, "whole number"),
        ("engram", 0.01, "at least 2 neurons"),
        ("cues", np.array([0.3, 0.7]), "begin with 0"),
        ("cues", np.array([0, 0.7, 0.4]), "ascending"),
        ("growing", 21 * second, "growing"),
        ("dwell", 0.10003 * second, "dwell"),
        ("neuron", GainLIF(receptors=(), synapse="pulse"), "exponential"),
        ("neuron", AdEx(synapse="pulse"), "exponential"),
        ("probing", 0.10003 * second, "probing"),
        ("plasticity", StructuralPlasticity(target=510 * Hz), "must be below 500 Hz"),
    ],
)
def test_impossible_settings_are_refused_when_made(setting, value, message):
    with pytest.raises(neuromod.UserError, match=message):
        replace(TINY, **{setting: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dt": 1e-15 * second}, r"1\.4e.15 time steps takes"),
        ({"forgetting": 1e12 * second}, "rewirings takes"),
        ({"plasticity": StructuralPlasticity(growth=1e18)}, "Pairing synaptic elements needs"),
    ],
)
def test_what_no_machine_can_do_is_refused_before_the_network_develops(settings, message):
    started = time.process_time()
    with pytest.raises(neuromod.UserError, match=message):
        neuromod.run(replace(TINY, **settings))
    assert time.process_time() - started < 2


@pytest.mark.thorough
def test_a_network_that_has_not_grown_begins_without_synapses():
    wirings = neuromod.run(replace(TINY, growing=0 * second)).tables["wirings"]
    naive = wirings.set_index("moment").loc["naive"]
    assert (naive.time_s, naive.indegree) == (0, 0)


def test_receptors_that_no_ligand_reaches_change_nothing():
    alone, bare = (
        replace(TINY, neuron=neuron).experiments()["learned"]
        for neuron in (GainLIF(), GainLIF(receptors=()))
    )
    assert np.array_equal(alone.connections[0].j, bare.connections[0].j)


@pytest.fixture(scope="module")
def adaptive():
    """A run with a neuron without closed form, by its name, as from the command line."""
    stronger = replace(TINY, weight=420 * pA, drive=31 * Hz, cues=np.array([0, 0.55]))
    coarse = replace(stronger, dt=0.2 * ms, probing=0.3 * second, dwell=0.9 * second)
    return neuromod.run(replace(coarse, neuron=NEURONS["adex"]))


@pytest.mark.thorough
def test_a_neuron_without_closed_form_is_wired_by_its_measured_transfer_function(adaptive):
    table, measured = adaptive.table, adaptive.tables["transfer_function"]
    assert not [column for column in table if column.startswith("mean_field")]
    for group in ("cued", "uncued", "others", "inhibitory"):
        simulated, predicted = (
            table[f"{name}_Hz"].dropna() for name in (group, f"transfer_function_{group}")
        )
        assert np.allclose(simulated, predicted, rtol=0.3), group
    # From next to silence to well above the target of 8 Hz, at every level of inhibition.
    ranges = measured.groupby("inhibition_Hz").interpolated_Hz.agg(["min", "max"])
    assert (ranges["min"] < 0.7).all()
    assert (ranges["max"] > 30).all()


@pytest.mark.thorough
def test_the_report_of_a_measured_neuron_speaks_of_no_theory(adaptive):
    *_, method, measured = adaptive.protocol.report(adaptive.tables)
    assert "off the transfer function" in method.text
    assert "No ligand reaches" in method.text
    tested = adaptive.tables["transfer_function"].query("point == 'between'")
    off = np.sqrt(np.mean((tested.rate_Hz - tested.interpolated_Hz) ** 2))
    assert f"off by {off:.2g} Hz" in measured.text
    figure = draw(adaptive.protocol, adaptive.tables, adaptive.recordings).png
    assert figure.startswith(b"\x89PNG")


@pytest.mark.thorough
def test_a_neuron_that_cannot_hold_its_target_is_refused_before_the_network_develops():
    weak = replace(TINY, dt=0.2 * ms, probing=10 * ms, neuron=GainLIF(receptors=(), b=20 * pA))
    with pytest.raises(neuromod.UserError, match="any number of plastic synapses"):
        replace(weak, weight=10 * pA).experiments()


@pytest.mark.thorough
def test_adaptive_neurons_store_and_recall_an_engram():
    run = neuromod.run(replace(SMALL, neuron=AdEx()))
    naive, learned, _ = run.tables["wirings"].itertuples()
    assert naive.indegree == pytest.approx(naive.homeostatic_indegree, rel=0.03)
    assert learned.within_engram > 2 * naive.within_engram
    assert learned.within_engram > 2 * learned.onto_engram
    table = run.table.set_index(["moment", "cue"])
    assert table.loc["learned", 0].uncued_Hz == pytest.approx(8, rel=0.1)
    row = table.loc["learned", 0.55]
    assert row.recall > 0.5 + 3 * row.chance_sd
    for group in ("cued", "uncued", "others", "inhibitory"):
        simulated, predicted = (
            table[f"{name}_Hz"].dropna() for name in (group, f"transfer_function_{group}")
        )
        assert np.allclose(simulated, predicted, rtol=0.15), group


@pytest.mark.thorough
def test_a_run_with_a_measured_neuron_repeats_to_the_bit(tmp_path):
    coarse = replace(TINY, dt=0.2 * ms, probing=0.1 * second, neuron=NEURONS["adex"])
    neuromod.run(coarse, out=tmp_path / "run")
    again = repeat(tmp_path / "run")
    assert not again.different
    assert "transfer_function.csv" in again.same


# Above the rates at which the noise of the network alone makes the squid's axon fire.
SQUID = replace(
    SMALL,
    neuron=HodgkinHuxley(),
    weight=125 * pA,
    drive=55 * Hz,
    plasticity=replace(SMALL.plasticity, target=40 * Hz),
    probing=0.5 * second,
    forgetting=20 * second,
    cues=np.array([0, 0.55]),
)


@pytest.mark.thorough
def test_a_neuron_that_fires_fast_holds_a_high_target_and_stores_what_a_cue_does_not_recall():
    run = neuromod.run(SQUID)
    naive, learned, _ = run.tables["wirings"].itertuples()
    assert naive.indegree == pytest.approx(naive.homeostatic_indegree, rel=0.03)
    assert learned.within_engram > 1.15 * naive.within_engram
    table = run.table.set_index(["moment", "cue"])
    for group in ("cued", "uncued", "others", "inhibitory"):
        simulated, predicted = (
            table[f"{name}_Hz"].dropna() for name in (group, f"transfer_function_{group}")
        )
        assert np.allclose(simulated, predicted, rtol=0.12), group
    row = table.loc["learned", 0.55]
    assert row.recall == pytest.approx(0.5, abs=3 * row.chance_sd)
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")
