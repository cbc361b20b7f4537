"""Digits are learned one class after another; what each rule keeps is told by the cells' vote."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from brian2 import Hz, kHz, ms, second, umolar
from sklearn.datasets import load_digits

import neuromod
from neuromod.devices.genn.limits import refuse
from neuromod.errors import UserError
from neuromod.models.adaptive_plasticity import AdaptiveSynapse
from neuromod.protocols.learning_to_forget import LearningToForget
from neuromod.protocols.learning_to_forget.showings import (
    LABELLED,
    LEARNING,
    TESTED,
    Digits,
    counted,
    in_sequence,
    labels,
    mixed,
    pixel_spikes,
    votes,
)
from neuromod.runs.report import draw

SMALL = LearningToForget(
    networks=2,
    classes=(0, 1, 7),
    n=5,
    learning=4,
    labelled=2,
    tested=3,
    presentation=40 * ms,
    rest=10 * ms,
    drive=5 * kHz,
)
ONE = replace(SMALL, conditions=("modulated",))


def drawn(seed, count=2):
    draw = np.random.default_rng(seed)
    return [Digits.drawn((3, 8, 5), (6, 2, 4), draw) for _ in range(count)]


def test_images_to_recall_are_none_that_were_learned_and_cells_are_labelled_by_learned_ones():
    digits = load_digits()
    for network in drawn(7):
        for place, name in enumerate((3, 8, 5)):
            learned, labelled, tested = (
                set(network.parts[kind][place]) for kind in (LEARNING, LABELLED, TESTED)
            )
            assert [len(part) for part in (learned, labelled, tested)] == [6, 2, 4]
            assert labelled < learned
            assert not learned & tested
            assert set(digits.target[list(learned | tested)]) == {name}


def test_classes_come_in_their_order_and_only_those_seen_are_recalled():
    shown = in_sequence(drawn(7), np.random.default_rng(3))
    for stage in range(3):
        own = shown.stage == stage
        learned = shown.place[:, own & (shown.kind == LEARNING)]
        assert np.array_equal(learned, np.full((2, 6), stage))
        for kind, count in ((LABELLED, 2), (TESTED, 4)):
            asked = shown.place[:, own & (shown.kind == kind)]
            assert np.array_equal(asked[0], np.repeat(range(stage + 1), count))
    # Six to learn, then recalls of 6, 12 and 18.
    assert shown.recalls.tolist() == [6, 12, 18, 30, 36, 54]


def test_mixed_classes_are_the_same_images_in_another_order():
    networks = drawn(7)
    one = in_sequence(networks, np.random.default_rng(3))
    other = mixed(networks, np.random.default_rng(3))
    for network in range(2):
        sets = [set(made.image[network, made.kind == LEARNING]) for made in (one, other)]
        assert sets[0] == sets[1]
    assert np.ptp(other.place[0, :9]) > 0
    assert other.recalls.tolist() == [18, 36]


def test_every_image_sends_as_many_spikes_and_each_pixel_its_share_of_the_ink():
    networks = drawn(11, count=1)
    shown = mixed(networks, np.random.default_rng(3))
    spikes = pixel_spikes(
        "pixels", networks, shown, 1.3, (400, 500), 0.5 * ms, np.random.default_rng(5)
    )
    sent = counted(spikes, len(shown.kind), 500, 0.5 * ms)
    # 400 steps of 1.3 spikes on average.
    assert sent.sum(axis=0).mean() == pytest.approx(520, rel=0.02)
    assert np.abs(sent.sum(axis=0) - 520).max() < 5 * np.sqrt(520)
    ink = networks[0].pixels[shown.image[0]].T
    assert np.corrcoef(sent.ravel(), (ink / ink.sum(axis=0)).ravel())[0, 1] > 0.95
    assert sent[ink == 0].sum() == 0
    in_rest = np.round(np.asarray(spikes.times / (0.5 * ms))).astype(int) % 500
    assert in_rest.max() < 400


def test_cells_have_the_class_that_they_answer_most_and_vote_for_it_on_average():
    counts = np.array([[5, 3, 1, 0], [0, 1, 2, 3], [0, 2, 4, 4], [0, 0, 0, 0]])
    label = labels(counts, np.array([4, 4, 9, 9]))
    assert label.tolist() == [4, 9, 9, -1]
    asked = np.array([[3, 1, 0, 2], [2, 1, 0, 2], [2, 3, 0, 1], [9, 9, 9, 9]])
    # 3 against 2; 1 against 2; nobody; 2 against 1.5. Cells without a class have no vote.
    assert votes(asked, label).tolist() == [4, 9, -1, 4]
    assert votes(asked, np.full(4, -1)).tolist() == [-1] * 4


@pytest.fixture(scope="module")
def run():
    return neuromod.run(replace(SMALL, conditions=("untrained", "modulated")))


def test_figure_and_report_are_drawn_from_a_stored_run(run):
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")
    words = " ".join(section.text for section in run.protocol.report(run.tables))
    assert "no learning" in words
    assert "modulated ASP" in words


def test_recall_is_of_every_class_so_far_after_every_stage(run):
    recall = run.tables["recall"]
    rows = recall[(recall.condition == "modulated") & (recall.network == 1)]
    found = list(zip(rows.stage, rows.digit, strict=True))
    assert found == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 7)]
    # Of three images each.
    assert np.allclose(rows.recall * 3 % 1, 0)
    last = recall[(recall.condition == "modulated") & (recall.stage == 3)]
    by_hand = last.groupby("network").recall.mean()
    (row,) = run.table[run.table.condition == "modulated"].itertuples()
    assert row.recall == pytest.approx(by_hand.mean())
    assert row.recall_sd == pytest.approx(by_hand.std())


def test_a_network_that_was_never_asked_to_learn_keeps_its_weights(run):
    start = ONE.experiments()["modulated"].plastic[0].values["w"]
    untrained, learned = (
        np.asarray(run.recordings[name].totals["synapses"]["w"])
        for name in ("untrained", "modulated")
    )
    assert np.array_equal(untrained, start)
    assert np.abs(learned - start).max() > 0.05


def test_the_modulator_comes_with_every_second_class_and_each_class_in_half_of_the_networks():
    (experiment,) = ONE.experiments().values()
    release = next(source for source in experiment.sources if source.name == "release")
    # Of 4 images learned in each of three stages; recalls of 5, 10 and 15 images lie between.
    first = {0: [0, 1, 2, 3], 1: [9, 10, 11, 12], 2: [23, 24, 25, 26]}
    at = np.round(np.asarray(release.times / (50 * ms))).astype(int)
    assert sorted(at[release.neurons == 0]) == first[0] + first[2]
    assert sorted(at[release.neurons == 1]) == first[1]
    reached = next(c for c in experiment.connections if c.source == "release")
    assert np.array_equal(reached.i, reached.j // 5)


def test_rules_differ_in_nothing_but_their_synapses():
    made = replace(SMALL, conditions=("stdp", "leak", "asp")).experiments()
    pixels = [experiment.sources[0] for experiment in made.values()]
    assert all(source is pixels[0] for source in pixels)
    weights = [experiment.plastic[0].values["w"] for experiment in made.values()]
    assert all(np.array_equal(w, weights[0]) for w in weights)
    assert [e.plastic[0].model.rule for e in made.values()] == ["stdp", "leak", "asp"]


def test_the_same_seed_is_the_same_input_and_another_seed_another():
    def made(protocol):
        (experiment,) = protocol.experiments().values()
        return experiment.sources[0].times / ms, experiment.plastic[0].values["w"]

    for one, again, other in zip(
        made(ONE), made(replace(ONE)), made(replace(ONE, seed=23)), strict=True
    ):
        assert np.array_equal(one, again)
        assert not np.array_equal(one[:90], other[:90])


def test_genn_is_refused_what_it_cannot_run():
    for experiment in ONE.experiments().values():
        with pytest.raises(UserError, match="spike of the target cannot read its conc_modulator"):
            refuse(experiment)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"classes": (0, 1, 1)}, "name each once"),
        ({"classes": (3,)}, "two or more digits"),
        ({"classes": (3, 11)}, "two or more digits"),
        ({"learning": 160, "tested": 15}, "more than there are: 174 of the class"),
        ({"labelled": 101}, "labelled = 101 must be learning = 100 at most"),
        ({"conditions": ("asp", "asp")}, "name each once"),
        ({"conditions": ("aps",)}, "asp"),
        ({"conditions": ()}, "at least one"),
        ({"leak": AdaptiveSynapse(rule="asp")}, "leak.rule must be 'leak', not 'asp'"),
        ({"presentation": 0.7 * ms}, "presentation"),
        ({"weights": [0.5, 0.2]}, "lowest and the highest"),
        ({"weights": [0.5, 1.2]}, "at most the w_max of every rule, 1,"),
        ({"drive": 90 * kHz}, "more than one spike of a pixel in a time step"),
        ({"drive": 90 * second}, "drive"),
        ({"amount": -1 * umolar}, "amount"),
        ({"inhibition": -1.0}, "inhibition"),
        ({"dt": 3 * Hz}, "dt"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        LearningToForget(**settings)


def test_a_summary_compares_networks_one_by_one():
    recall = pd.DataFrame(
        {
            "condition": ["stdp"] * 4 + ["asp"] * 4,
            "network": [0, 0, 1, 1] * 2,
            "stage": 3,
            "digit": [0, 1] * 4,
            "learned_in_stage": [1, 3] * 4,
            "recall": [0.2, 0.4, 0.6, 0.9, 0.4, 0.5, 0.5, 0.9],
        }
    )
    cells = pd.DataFrame(
        {"condition": ["stdp", "asp"], "digit": [1, np.nan], "spikes_per_image": [0.3, 0.1]}
    )
    protocol = replace(SMALL, conditions=("stdp", "asp"))
    table = protocol._summary(recall, cells).set_index("condition")
    assert table.recall.tolist() == pytest.approx([0.525, 0.575])
    # 0.45 - 0.3 and 0.7 - 0.75.
    assert table.over_stdp["asp"] == pytest.approx(0.05)
    assert table.over_stdp_sd["asp"] == pytest.approx(0.2 / np.sqrt(2))
