"""A competitive antagonist shifts the curve as Gaddum says, and Schild's plot gives its K_B."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import linspace, ms, nA, nS, pA, second, umolar

import neuromod
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.protocols.antagonist import Antagonist
from neuromod.runs.report import draw

SMALL = {
    "conc": np.array([0, *np.geomspace(0.017, 5300, 13)]) * umolar,
    "antagonist": [0.27, 1.9, 11] * umolar,
    "I": linspace(0.83, 1.6, 4) * nA,
    "duration": 0.3 * second,
}
# K_B = 0.057/0.31 uM.
RIVAL = {
    "antagonist": "rival",
    "k_on_antagonist": 0.31 * PER_UMOLAR_SECOND,
    "k_off_antagonist": 0.057 / second,
}
EXACT = 1 + np.array([0.27, 1.9, 11]) * 0.31 / 0.057


def run_of(**neuron):
    return neuromod.run(Antagonist(neuron=GainLIF(**neuron), **SMALL))


@pytest.fixture(scope="module")
def run():
    return run_of(receptors=(Receptor(**RIVAL),))


def test_dose_ratios_are_gaddums(run):
    curves = run.tables["curves"].iloc[1:]
    assert np.allclose(curves.exact_dose_ratio, EXACT, rtol=1e-12)
    assert np.allclose(curves.dose_ratio, EXACT, rtol=0.03)
    assert (curves.dose_ratio_low < EXACT).all()
    assert (curves.dose_ratio_high > EXACT).all()


def test_the_schild_plot_has_slope_1_and_the_antagonists_pa2(run):
    found = run.tables["schild"].iloc[0]
    assert found.slope_low < 1 < found.slope_high
    assert found.slope == pytest.approx(1, abs=0.02)
    assert found.pA2_low < -np.log10(0.057e-6 / 0.31) < found.pA2_high
    assert found.pA2 == pytest.approx(-np.log10(0.057e-6 / 0.31), abs=0.03)


def test_the_global_fit_finds_the_antagonists_constant_with_any_schild_slope_and_with_1(run):
    free, simple = (run.tables["global_fit"].iloc[row] for row in (0, 1))
    assert free.slope_low < 1 < free.slope_high
    assert simple.slope == 1
    for found in (free, simple):
        assert found.pA2_low < -np.log10(0.057e-6 / 0.31) < found.pA2_high
    assert simple.pA2_high - simple.pA2_low < free.pA2_high - free.pA2_low
    texts = " ".join(section.text for section in run.protocol.report(run.tables))
    assert "S = 1, simple competition" in texts
    assert "Outliers" not in texts


def test_an_outlier_is_given_less_weight_on_request_and_the_report_says_so(run):
    recording = run.recordings["bath"]
    cells = recording.spikes["neurons"]
    # All cells of the highest dose without antagonist fall silent.
    silenced = np.isin(cells.neurons, np.arange(13 * 4, 14 * 4))
    kept = replace(cells, neurons=cells.neurons[~silenced], times=cells.times[~silenced])
    spoilt = {"bath": replace(recording, spikes={"neurons": kept})}
    robust = replace(run.protocol, robust=True)
    tables = robust.measure(spoilt)
    assert tables["curves"].down_weighted.iloc[0] >= 1
    assert np.allclose(tables["curves"].dose_ratio[1:], EXACT, rtol=0.03)
    text = robust.report(tables)[0].text
    assert f"Tukey's biweight: {tables['curves'].down_weighted.sum()} of 56 points" in text


def test_doses_that_occupy_alike_give_equal_rates(run):
    # An antagonist may shift the curve but not lower its end: it is surmounted.
    table = run.tables["responses"].set_index(["antagonist_uM", "conc_uM"]).rate_Hz
    assert table.xs(0.0, level="conc_uM").nunique() == 1
    last = table.groupby("antagonist_uM").last()
    assert np.allclose(last, last.iloc[0], rtol=0.02)
    for antagonist, rates in table.groupby("antagonist_uM"):
        assert (np.diff(rates) >= 0).all(), antagonist


def test_rates_follow_the_closed_form_within_a_time_step(run):
    firing = run.table[run.table.closed_form_Hz > 0]
    assert (np.abs(1 / firing.rate_Hz - 1 / firing.closed_form_Hz) <= 0.05e-3 + 1e-9).all()


@pytest.mark.parametrize(
    "neuron",
    [
        {"receptors": (Receptor(**RIVAL, gain_max=0.67),)},
        {"receptors": (Receptor(**RIVAL, n=1.0, k_desensitise=0.013 / second),)},
        {"receptors": (Receptor(**RIVAL, gain_max=1.0, g_K=-4.3 * nS),)},
        {"receptors": (Receptor(**RIVAL, ahp_max=0.3),), "b": 20 * pA, "tau_ahp": 37 * ms},
    ],
    ids=["inhibition", "desensitisation", "potassium", "adaptation"],
)
def test_the_plot_is_the_same_whatever_lies_between_receptor_and_spikes(neuron):
    result = run_of(**neuron)
    found = result.tables["schild"].iloc[0]
    assert found.slope == pytest.approx(1, abs=0.05)
    assert found.pA2 == pytest.approx(-np.log10(0.057e-6 / 0.31), abs=0.06)
    assert draw(result.protocol, result.tables, result.recordings).png


WITH = GainLIF(receptors=(Receptor(antagonist="rival"),))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neuron": GainLIF()}, "receptors.generic.antagonist"),
        ({"neuron": GainLIF(receptors=(*WITH.receptors, Receptor(name="D1")))}, "one receptor"),
        ({"antagonist": [0.3, 1.1] * umolar}, "antagonist must be at least 3 values"),
        ({"antagonist": [0.3, 4.1, 1.1] * umolar}, "ascending"),
        ({"antagonist": [0, 0.3, 1.1] * umolar}, "above 0"),
        ({"antagonist": [0.007, 0.3, 1.1] * umolar}, "a tenth of K_B"),
        ({"conc": [0, 0.3, 1.1, 4.7, 19] * umolar}, "conc must reach"),
        ({"conc": [0, 0.9, 3.1, 47, 1900] * umolar}, "conc must reach"),
        ({"conc": [] * umolar}, "conc"),
        ({"I": [0.07, 0.11] * nA}, "does not change the rate"),
    ],
)
def test_settings_without_a_schild_plot_are_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        Antagonist(**settings)


def test_a_receptor_of_the_library_is_given_an_antagonist_and_the_run_is_read_again(tmp_path):
    settings = {
        "receptors": "D1",
        "receptors.D1.antagonist": "SCH23390",
        "k_on_antagonist": 0.31 * PER_UMOLAR_SECOND,
        "k_off_antagonist": 0.021 / second,
    }
    run = neuromod.run("antagonist", out=tmp_path / "run", **settings, **SMALL)
    again = neuromod.load_run(tmp_path / "run")
    assert again.protocol == run.protocol
    assert again.tables["schild"].exact_pA2[0] == pytest.approx(-np.log10(0.021e-6 / 0.31))
    assert again.tables["schild"].pA2[0] == pytest.approx(-np.log10(0.021e-6 / 0.31), abs=0.06)


def test_a_cell_of_one_s_own_is_shifted_by_gaddums_dose_ratio(own_cell):
    tiny = SMALL | {"I": [0.71, 0.93, 1.17] * nA, "duration": 0.4 * second, "dt": 0.2 * ms}
    made = neuromod.run(Antagonist(neuron=own_cell("exponential_euler"), **tiny))
    curves = made.tables["curves"].iloc[1:]
    assert np.allclose(curves.exact_dose_ratio, 1 + np.array([0.27, 1.9, 11]) / 0.57, rtol=1e-9)
    assert np.allclose(curves.dose_ratio, curves.exact_dose_ratio, rtol=0.1)
    assert "closed_form_Hz" not in made.table
    assert made.tables["schild"].slope[0] == pytest.approx(1, abs=0.07)
    words = " ".join(section.text for section in made.protocol.report(made.tables))
    assert "closed form" not in words
    assert draw(made.protocol, made.tables, made.recordings).png
