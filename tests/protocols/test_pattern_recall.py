"""Association within an episode: patterns seen once are recalled, or their settings refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import Hz, ksecond, ms, nsecond

import neuromod

pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.plasticity import learning, tasks
from neuromod.protocols.pattern_recall import PatternRecall
from neuromod.runs.report import draw
from neuromod.settings import change

SMALL = PatternRecall(
    networks=("none", "bcm"),
    seeds=1,
    hidden=12,
    steps=100,
    batch=32,
    episodes=150,
    task=tasks.PatternRecall(pairs=2, neurons=14, active=5, gap=10 * ms),
    delays=np.array([15]) * ms,
    learned_delays=np.array([15]) * ms,
    noise=np.array([0, 0.4]),
    learned_noise=np.array([0, 0.2]),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(tmp_path_factory.mktemp("cache")))
        return neuromod.run(SMALL)


def test_plasticity_recalls_patterns_seen_once_and_fixed_synapses_guess(run):
    mean = run.tables["summary"].set_index("network").success_learned_mean
    assert mean["none"] == pytest.approx(0.5, abs=0.12)
    assert mean["bcm"] > 0.75


def test_a_pattern_with_more_of_it_exchanged_is_recalled_less(run):
    bcm = run.table[run.table.network == "bcm"].set_index("exchanged").success
    assert bcm[0.4] < bcm[0]


def test_report_and_figure_tell_the_share_exchanged(run):
    assert "Guessing is right in 50 %" in run.protocol.report(run.tables)[0].text
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")


def test_a_fixed_network_alone_is_drawn_and_told_of_too(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path))
    few = {"networks": ("none",), "hidden": 3, "steps": 20, "batch": 2, "episodes": 3}
    run = neuromod.run(replace(SMALL, **few, noise=np.array([0.0])))
    assert "beyond not tested" in run.protocol.report(run.tables)[0].text
    assert draw(run.protocol, run.tables, run.recordings).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("active", 8, "active is 8, but must be from 1 to half of 14 neurons"),
        ("show", 12 * ms, "show = 12 ms must be a whole number of time steps"),
        ("rate", 230 * Hz, "230 Hz would spike more than once"),
    ],
)
def test_impossible_settings_are_refused_when_made(setting, value, message):
    with pytest.raises(neuromod.UserError, match=message):
        change(SMALL, {setting: value})


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("task.show", 600 * ksecond, r"Drawing 150 episodes needs .* GB of memory"),
        ("task.gap", 90 * ksecond, r"Drawing 150 episodes needs"),
        ("delays", np.array([150]) * ksecond, r"Drawing 150 episodes needs"),
        ("learned_delays", np.array([150]) * ksecond, r"Learning of none .* needs"),
        ("dt", 0.5 * nsecond, r"Drawing 150 episodes needs"),
        ("hidden", 10**6, r"Learning of none with 1000000 neurons needs"),
    ],
)
def test_a_training_that_memory_does_not_hold_is_refused_before_it_starts(
    setting, value, message, monkeypatch
):
    monkeypatch.setattr(learning, "learn", None)
    with pytest.raises(neuromod.UserError, match=message):
        neuromod.run(change(SMALL, {setting: value}))
