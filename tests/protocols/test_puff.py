"""Gain and rate after puffs: closed forms, independent integration, the limit of weak doses."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import ms, nA, nS, pA, second, umolar
from scipy.optimize import brentq

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.protocols.puff import Puff
from neuromod.runs.report import draw

SMALL = {
    "conc": [2.3, 17] * umolar,
    "width": [90, 240] * ms,
    "interval": [0.33, 0.9] * second,
    "puffs": 4,
    "tau_clear": 170 * ms,
    "onset": 0.3 * second,
    "after": 3.3 * second,
    "dt": 0.25 * ms,
}
SHORT = {"width": [90] * ms, "interval": [0.9] * second}


def run_of(receptor, neuron=None, **settings):
    cell = GainLIF(receptors=(receptor,), **(neuron or {}))
    return neuromod.run(Puff(neuron=cell, **SMALL | settings))


@pytest.fixture(scope="module")
def run():
    return run_of(Receptor())


def test_every_concentration_and_width_peaks_where_clearance_says(run):
    table = run.table
    expected = table.conc_uM * -np.expm1(-table.width_ms / 170)
    assert table.conc_uM.tolist() == [2.3, 17, 2.3, 17]
    assert np.allclose(table.peak_conc_uM, expected, rtol=1e-5)


def test_time_courses_are_those_of_independent_solutions(run):
    agreement = run.tables["agreement"]
    assert (agreement.conc_deviation < 1e-5).all()
    assert (agreement.gain_deviation < 1e-5).all()
    assert len(agreement) == 2 * 4


def test_the_rate_at_the_peak_is_that_of_its_gain_within_a_time_step(run):
    table = run.table
    # Around its peak the gain hardly changes from spike to spike.
    off = np.abs(1 / table.rate_at_peak_Hz - 1 / table.closed_form_rate_Hz)
    assert (off <= 0.25e-3 + 2e-5).all()
    assert (table.rate_at_peak_Hz > 40).any()


def test_longer_and_stronger_puffs_do_more(run):
    table = run.table.set_index(["width_ms", "conc_uM"])
    assert (table.peak_gain.unstack().diff(axis=1).iloc[:, 1] > 0).all()
    assert (table.gain_area_s.unstack().diff().iloc[1] > 0).all()
    assert (table.latency_s.unstack().diff().iloc[1] > 0).all()


# Binding and messenger far from saturation are linear.
LINEAR = Receptor(
    k_on=0.9 * PER_UMOLAR_SECOND,
    k_off=1.9 / second,
    tau_messenger=0.21 * second,
    n=1.0,
    K=700.0,
    gain_max=2.7,
)


@pytest.fixture(scope="module")
def linear():
    weak = [0.0011, 0.0033] * umolar
    return run_of(LINEAR, conc=weak, I=0.6 * nA, interval=[0.9] * second)


@pytest.mark.thorough
def test_a_weak_puff_leaves_an_area_that_affinity_and_dose_alone_decide(linear):
    table = linear.table
    # The integral of a linear chain is the product of its steady factors, 1.7/K and k_on/k_off.
    expected = 1.7 / 700 * 0.9 / 1.9 * table.conc_uM * table.width_ms / 1000
    assert np.allclose(table.gain_area_s, expected, rtol=0.01)


def test_weak_puffs_peak_when_the_chain_of_exponentials_does(linear):
    rates = np.array([1 / 0.17, 1.9, 1 / 0.21])
    parts = [1 / np.prod(np.delete(rates, k) - rates[k]) for k in range(3)]

    def slope(time, width):
        # Of a puff's response: the chain's answer to its start, less that to its end.
        return sum(
            part * (np.exp(-rate * time) - np.exp(-rate * (time - width)))
            for part, rate in zip(parts, rates, strict=True)
        )

    for row in linear.table.itertuples():
        width = row.width_ms / 1000
        assert row.latency_s == pytest.approx(brentq(slope, width, 3, (width,)), abs=6e-4)


def test_weak_puffs_of_a_train_add_up_as_the_sum_of_single_ones(linear):
    first, second_ = (linear.recordings[name] for name in ("single_0", "train_0"))
    one = first.trace("neurons", "gain", 1) - 1
    train = second_.trace("neurons", "gain", 1) - 1
    total = np.zeros(len(train))
    apart = round(900 / float(linear.protocol.every / ms))
    for step in range(0, 4 * apart, apart):
        part = one[: len(train) - step]
        total[step : step + len(part)] += part
    # What one puff does is known for 3.3 s after it.
    seen = slice(0, len(one))
    assert np.allclose(train[seen], total[seen], atol=2e-3 * train.max())
    assert linear.tables["summation"].summation.min() > 1.1


def test_strong_puffs_add_up_less_than_weak_ones(run):
    summation = run.tables["summation"].set_index(["interval_s", "conc_uM"]).summation.unstack()
    assert (summation[17.0] < summation[2.3]).all()
    assert (summation.loc[0.33] > summation.loc[0.9]).all()


def test_the_mean_concentration_of_a_train_tends_to_its_share_of_the_pipettes(run):
    summation = run.tables["summation"]
    shares = summation.conc_uM * 0.09 / summation.interval_s
    assert np.allclose(summation.endless_mean_conc_uM, shares)
    # Of the fourth puff's interval, what all later ones would have brought is not missing yet.
    missing = np.exp(-4 * summation.interval_s / 0.17)
    assert (np.abs(summation.last_mean_conc_uM / shares - 1) < missing + 1e-3).all()


@pytest.mark.thorough
def test_an_inhibitory_receptor_lowers_gain_and_rate_and_lets_them_return():
    result = run_of(Receptor(gain_max=0.45), I=0.9 * nA, **SHORT)
    table = result.table
    assert (table.peak_gain < 1).all()
    assert (table.gain_area_s < 0).all()
    assert (table.half_decay_s > 0.3).all()
    assert (np.diff(table.rate_at_peak_Hz) < 0).all()


def test_with_after_spike_and_potassium_currents_rates_have_no_closed_form_beside_them():
    result = run_of(
        Receptor(g_K=2.3 * nS), {"b": 20 * pA}, width=[90] * ms, interval=[0.9] * second
    )
    assert "closed_form_rate_Hz" not in result.table
    assert (result.tables["agreement"].gain_deviation < 1e-5).all()
    assert draw(result.protocol, result.tables, result.recordings).png


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"conc": [3, 1] * umolar}, "ascending"),
        ({"conc": [0, 1] * umolar}, "above 0"),
        ({"width": [20, 20] * ms}, "ascending"),
        ({"interval": [2, 0.7] * second}, "ascending"),
        ({"width": [0.31] * ms}, r"width = 0\.31 ms must be a whole number"),
        ({"interval": [300.1] * ms}, "interval .* whole number"),
        ({"onset": 0.5 * second + 0.1 * ms}, "onset .* whole number"),
        ({"width": [300] * ms}, "overlap"),
        ({"after": 2.5 * second}, "after = 2.5 s must last"),
        ({"puffs": 1}, "puffs = 1 is out of range"),
        ({"tau_clear": 3 * nA}, "tau_clear"),
        ({"neuron": GainLIF(receptors=())}, "needs a receptor"),
        ({"neuron": GainLIF(receptors=(Receptor(gain_max=1.0),))}, "does nothing to this neuron"),
    ],
)
def test_puffs_that_cannot_be_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        Puff(**settings)


def test_report_and_figure_need_no_more_than_one_concentration():
    result = run_of(Receptor(), conc=[5.1] * umolar, **SHORT)
    assert draw(result.protocol, result.tables, result.recordings).png
    named = [section.table for section in result.protocol.report(result.tables)]
    assert named == ["table", "summation", "trains", "agreement"]


def test_the_figure_shows_every_peak_of_a_train_at_its_full_height():
    result = run_of(Receptor(), **SHORT | {"interval": [0.5] * second})
    recording = result.recordings["train_0"]
    conc, _ = result.protocol.signals(recording)
    figure = result.protocol.plot(result.tables, result.recordings)
    drawn = figure.axes[1].lines[0].get_xydata()
    times = np.asarray(recording.times / second) - 0.3
    for puff in range(4):
        here = (drawn[:, 0] > 0.5 * puff) & (drawn[:, 0] < 0.5 * puff + 0.3)
        sampled = (times > 0.5 * puff) & (times < 0.5 * puff + 0.3)
        assert drawn[here, 1].max() == conc[-1, sampled].max()


def test_a_cell_of_one_s_own_is_puffed_and_its_activation_followed_and_stored(own_cell, tmp_path):
    tiny = {"conc": [2.3, 17] * umolar, "puffs": 2, "onset": 0.2 * second, "after": 0.7 * second}
    short = {"width": [90] * ms, "interval": [0.4] * second, "dt": 0.5 * ms, "I": 0.9 * nA}
    made = neuromod.run(Puff(neuron=own_cell("rk2"), **tiny, **short), out=tmp_path / "run")
    table = made.table
    assert not [name for found in made.tables.values() for name in found if "gain" in name]
    assert {"peak_activation", "activation_area_s"} <= set(table)
    assert "closed_form_rate_Hz" not in table
    assert (made.tables["agreement"].activation_deviation < 1e-4).all()
    assert table.peak_activation.is_monotonic_increasing
    assert 0.1 < table.peak_activation[0] < table.peak_activation[1] < 1
    # Less adaptation is more spikes.
    assert table.rate_at_peak_Hz[1] > 1.2 * table.rate_at_peak_Hz[0] > 0
    words = " ".join(section.text for section in made.protocol.report(made.tables))
    assert "The activation peaks" in words
    assert "gain" not in words
    assert draw(made.protocol, made.tables, made.recordings).png
    stored = neuromod.load_run(tmp_path / "run")
    assert stored.protocol == made.protocol
    assert stored.protocol.neuron.equations == own_cell("rk2").equations
    assert stored.table.equals(table)
