from functools import cache

import numpy as np
import pytest
from brian2 import Hz, ms
from sklearn.datasets import load_digits

import neuromod
from neuromod.errors import UserError
from neuromod.models.digital_synapse import DigitalSynapse, largest_code
from neuromod.protocols.plastic_bits import PlasticBits
from neuromod.protocols.plastic_bits.lessons import Timing, draw_lessons
from neuromod.protocols.plastic_bits.protocol import right
from neuromod.runs.report import draw

SMALL = PlasticBits(seeds=2, images=90, passes=1, tested=40, bits=(2, 5, 16), seed=3)


@cache
def run():
    return neuromod.run(SMALL)


def rows(rounding, bits):
    table = run().table
    return table[(table.rounding == rounding) & (table.bits == bits)]


def test_every_network_is_in_the_table_once():
    table = run().table
    assert len(table) == 2 * (2 * 3 + 1)
    assert not table.duplicated(["rounding", "bits", "seed"]).any()


def test_codes_of_few_bits_are_never_written_when_rounded_to_the_nearest():
    # Half a step is 0.1, and a cell would have to fire 333 times within tau_y to ask for it.
    still = rows("nearest", 2)
    assert (still.updates_per_image > 100).all()
    assert (still.writes_per_image == 0).all()
    assert (still.energy_per_image_pJ == 0).all()
    start = run().protocol.experiments()["learning"].plastic[0]
    shares = np.bincount((start.values["code"][start.values["top"] == 1]).astype(int) + 1) / (
        (start.values["top"] == 1).sum()
    )
    codes = run().tables["codes"]
    kept = codes[(codes.rounding == "nearest") & (codes.bits == 2)]
    np.testing.assert_allclose(kept.share, np.append(shares, np.zeros(3 - len(shares))), atol=0.01)


def test_stochastic_rounding_learns_with_as_many_bits():
    learned = rows("stochastic", 2)
    assert (learned.writes_per_image > 0).all()
    assert (learned.writes_per_image < 0.02 * learned.updates_per_image).all()
    assert learned.accuracy.mean() > rows("nearest", 2).accuracy.mean() + 0.1


def test_with_sixteen_bits_networks_learn_as_without_rounding():
    exact = rows("none", np.inf)
    assert exact.accuracy.mean() > 0.4
    for rounding in ("nearest", "stochastic"):
        np.testing.assert_allclose(rows(rounding, 16).accuracy, exact.accuracy, atol=0.08)
        np.testing.assert_allclose(
            rows(rounding, 16).updates_per_image, exact.updates_per_image, rtol=0.02
        )


def test_writes_of_a_random_step_follow_from_its_probability():
    """Writes stay below the codes that all changes ask for, and near that where few are cut."""
    found = rows("stochastic", 5)
    asked = SMALL.largest_rise * largest_code(5) / SMALL.synapse.w_max
    share = found.writes_per_image / found.updates_per_image
    margin = SMALL.synapse.eta * SMALL.synapse.margin * largest_code(5) / SMALL.synapse.w_max
    assert share.between(0.5 * margin, 2 * asked).all()


def test_energy_is_that_of_the_bits_of_all_writes():
    finite = run().table[np.isfinite(run().table.bits)]
    expected = finite.writes_per_image * finite.bits * 10 / 64
    np.testing.assert_allclose(finite.energy_per_image_pJ, expected, rtol=1e-12)
    assert np.isnan(rows("none", np.inf).energy_per_image_pJ).all()


def test_the_codes_of_a_network_are_those_of_all_its_synapses():
    shares = run().tables["codes"].groupby(["rounding", "bits"]).share.sum()
    np.testing.assert_allclose(shares, 1)
    assert len(shares) == 6


def test_an_answer_is_right_if_the_cell_of_the_class_fires_most_and_alone():
    fired = np.array([[3, 1, 2], [3, 3, 0], [0, 0, 0], [1, 4, 3], [0, 0, 1]])
    assert right(fired, np.array([0, 0, 0, 2, 2])).tolist() == [True, False, False, False, True]


def lessons(seed=8):
    return draw_lessons(np.random.default_rng(seed), 30, 2, 20, 0.23, Timing(31, 37, 9))


def test_inputs_spike_as_often_as_their_pixels_are_bright_give_or_take_one():
    drawn = lessons()
    image, step = np.divmod(drawn.steps, 37)
    assert step.max() < 31
    assert (np.diff(drawn.steps) >= 0).all()
    counts = np.zeros((80, 64))
    np.add.at(counts, (image, drawn.pixels), 1)
    # An image is found again by its spikes: the nearest of its class.
    digits = load_digits()
    for found, label in zip(counts, drawn.labels, strict=True):
        expected = digits.data[digits.target == label] / 16 * 0.23 * 31
        assert np.abs(expected - found).max(axis=1).min() < 1


def test_every_image_comes_in_every_pass_and_none_of_them_in_the_test():
    drawn = lessons()
    assert drawn.learned == 60
    assert sorted(drawn.labels[:30]) == sorted(drawn.labels[30:60])
    assert len(drawn.labels) == 80


def test_the_same_seed_draws_the_same_and_another_one_does_not():
    (one,), (same,), (other,) = (
        SMALL.__class__(images=5, tested=2, passes=1, bits=(3,), seed=seed).experiments().values()
        for seed in (6, 6, 7)
    )
    for part in ("code", "draw"):
        assert np.array_equal(one.plastic[0].values[part], same.plastic[0].values[part])
        assert not np.array_equal(one.plastic[0].values[part], other.plastic[0].values[part])
    for a, b in zip(one.sources, same.sources, strict=True):
        assert np.array_equal(a.neurons, b.neurons)
        assert np.array_equal(a.times, b.times)
    assert not np.array_equal(one.sources[0].neurons, other.sources[0].neurons)


def test_variants_of_a_seed_start_alike_and_are_told_alike():
    experiment = SMALL.experiments()["learning"]
    plastic, tops = experiment.plastic[0], experiment.plastic[0].values["top"]
    weights = (plastic.values["code"] / tops).reshape(2 * 64, 7, 10)
    rough, fine = 1 / (2 * largest_code(5)), weights[:, -1]
    assert np.abs(weights[:, 1] - fine).max() <= rough + 1e-5
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert np.abs(fine).max() <= 0.3 + 1e-5
    lesson, classes = experiment.sources[1:]
    assert len(lesson.neurons) == 90
    assert (classes.neurons < 10).sum() == (classes.neurons >= 10).sum() == 90


def test_the_report_and_the_figure_say_what_the_tables_hold():
    sections = {section.title: section.text for section in SMALL.report(run().tables)}
    assert "guessing: 10 %" in sections["Bits"]
    assert "with 2 and 5 bits no code ever rises" in sections["Changes that vanish"]
    assert "156 fJ" in sections["Writes and their energy"]
    assert draw(SMALL, run().tables, run().recordings).png.startswith(b"\x89PNG")


def test_the_figure_can_be_drawn_where_nothing_was_written():
    tables = dict(run().tables)
    for name in ("table", "summary", "codes"):
        rows = tables[name]
        tables[name] = rows[(rows.bits == 2) & (rows.rounding == "nearest") | (rows.bits == np.inf)]
    assert draw(SMALL, tables, {}).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"bits": ()}, "at least one"),
        ({"bits": (3, 3)}, "3 2 times"),
        ({"bits": (1, 3)}, "bits"),
        ({"rounding": ("nearst",)}, "nearest"),
        ({"images": 1500, "tested": 300}, "1797"),
        ({"told_after": 40 * ms}, "told_after"),
        ({"pause": 3.5 * ms}, "pause"),
        ({"rate": 1100 * Hz}, "rate"),
        ({"synapse": DigitalSynapse(top=31)}, "set bits"),
        ({"synapse": DigitalSynapse(stochastic=0)}, "set rounding"),
        ({"energy": -1}, "energy"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(UserError, match=words):
        PlasticBits(**settings)


@pytest.mark.thorough
def test_few_bits_suffice_when_rounding_is_stochastic_and_many_are_needed_when_it_is_not():
    summary = neuromod.run(PlasticBits(), device="cpp").tables["summary"]
    accuracy = summary.set_index(["rounding", "bits"]).accuracy_mean
    full = accuracy["none", np.inf]
    assert full > 0.87
    assert accuracy["stochastic", 5] > full - 0.05
    assert accuracy["stochastic", 2] > 0.4
    assert accuracy["nearest"][:7].max() < 0.15
    assert accuracy["nearest", 8] > full - 0.05
    writes = summary[summary.rounding == "stochastic"].writes_per_image
    assert writes.is_monotonic_increasing
