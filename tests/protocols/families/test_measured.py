"""Measured points are laid over a protocol's receptor, fitted, and kept with the run."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from brian2 import ms, nA, second, umolar

import neuromod
from neuromod.analysis.receptor_data import Supplied
from neuromod.analysis.time_course import integrated_gain
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.protocols.antagonist import Antagonist
from neuromod.protocols.dose_response import DoseResponse
from neuromod.protocols.puff import Puff
from neuromod.protocols.wash import Wash
from neuromod.runs.run import load_run, render

TRUE = Receptor(
    k_on=0.9 * PER_UMOLAR_SECOND,
    k_off=0.8 / second,
    tau_messenger=0.35 * second,
    n=1.8,
    K=0.4,
    gain_max=2.4,
)
CELL = GainLIF(receptors=(Receptor(n=1.8, K=0.4),))
DOSES = np.array([0, 0.03, 0.1, 0.3, 1, 3, 10, 30])


def draws(size):
    return np.random.default_rng(13).standard_normal(size)


@pytest.fixture
def steady(tmp_path):
    path = tmp_path / "baths.csv"
    gains = TRUE.gain(DOSES * umolar) + 0.02 * draws(len(DOSES))
    table = pd.DataFrame({"dose (nM)": 1000 * DOSES, "gain": gains.round(3)})
    table.loc[len(table)] = [100.0, np.nan]
    table.to_csv(path, index=False)
    return path


def over_time(tmp_path, supplies, names, scale, offset):
    """A table of responses to supplies that start at 0."""
    times = np.linspace(-0.4, 9, 33)
    frames = []
    for supply, columns in zip(supplies, names, strict=True):

        def level(time, supply=supply):
            return supply.level(np.array([time])) * 1e-3

        at = np.append(-1, times)
        cell = GainLIF(receptors=(TRUE,))
        gain = integrated_gain(cell, level, at * second, supply.kinks)[0][1:]
        frame = pd.DataFrame({"time_s": times, "current (pA)": offset + scale * (gain - 1)})
        frames.append(frame.assign(**columns))
    path = tmp_path / "courses.csv"
    pd.concat(frames).sample(frac=1, random_state=3).to_csv(path, index=False)
    return path


def values(tables):
    return tables["receptor_fit"].set_index("parameter").value


def test_a_run_keeps_what_was_measured_and_is_drawn_again_without_the_file(steady, tmp_path):
    digest = hashlib.sha256(steady.read_bytes()).hexdigest()
    settings = {"conc": [0, 0.1, 0.7, 3, 20] * umolar, "I": [0.9, 1.4] * nA}
    protocol = DoseResponse(neuron=CELL, data=str(steady), duration=0.2 * second, **settings)
    folder = tmp_path / "run"
    run = neuromod.run(protocol, out=folder)
    assert run.info["notes"][f"SHA-256 of {steady}"] == digest
    before = (folder / "report.html").read_text()
    steady.unlink()
    assert render(folder).read_text() == before
    stored = load_run(folder).tables
    assert len(stored["measured"]) == len(DOSES)
    source = stored["read"].iloc[0]
    assert (source.file, source.left_out) == ("baths.csv", 1)
    sections = {one.title: one.text for one in run.protocol.report(stored)}
    assert "1 row without a response was left out" in sections["What was read"]
    assert "tau_messenger: held at 0.5 s, because" in sections["Receptor fitted to the data"]
    assert "beyond two standard deviations" in sections["Residuals of the fit"]


def test_the_dashed_curve_is_the_receptor_as_set(steady):
    protocol = DoseResponse(neuron=CELL, data=str(steady))
    curve = protocol.compared.tables["fitted_curve"]
    assert np.allclose(curve.start, CELL.receptors[0].gain(curve.conc_uM.to_numpy() * umolar))
    fitted = protocol.compared.tables["receptor_fit"].set_index("parameter")
    ec50 = fitted.loc["ec50"]
    assert ec50.low < float(TRUE.ec50 / umolar) < ec50.high


def test_without_a_file_nothing_is_compared():
    assert DoseResponse().compared.tables == {}


def test_a_bath_of_the_antagonist_counts_for_the_points(tmp_path):
    true = Receptor(antagonist="rival")
    path = tmp_path / "blocked.csv"
    gains = true.gain(DOSES * umolar, 0.3 * umolar)
    pd.DataFrame({"conc_uM": DOSES, "gain": gains}).to_csv(path, index=False)
    protocol = DoseResponse(neuron=GainLIF(receptors=(true,)), bath=0.3 * umolar, data=str(path))
    assert values(protocol.compared.tables)["K_D"] == pytest.approx(1, rel=1e-3)


def test_puffs_of_several_widths_give_the_rates_of_the_receptor(tmp_path):
    doses = [(3, 0.3), (30, 0.3), (30, 1.1)]
    supplies = [Supplied(c * umolar, 0 * second, w * second, 210 * ms) for c, w in doses]
    names = [{"conc_uM": c, "width_ms": 1000 * w} for c, w in doses]
    path = over_time(tmp_path, supplies, names, 120, -30)
    tables = Puff(neuron=CELL, data=str(path), tau_clear=210 * ms).compared.tables
    found = values(tables)
    assert found["k_off"] == pytest.approx(0.8, rel=1e-2)
    assert found["tau_messenger"] == pytest.approx(0.35, rel=1e-2)
    assert found["n"] == pytest.approx(1.8, rel=1e-2)
    assert set(tables["measured"].data) == {"3 µM, 0.3 s", "30 µM, 0.3 s", "30 µM, 1.1 s"}
    source = tables["read"].iloc[0]
    assert source.offset == pytest.approx(-30, rel=1e-2)
    # At full activation the current is that of gain_max.
    assert source.scale == pytest.approx(120 * 1.4, rel=1e-2)


def test_washes_take_what_the_file_does_not_say_from_the_settings(tmp_path):
    supplies = [Supplied(c * umolar, 0 * second, 4 * second, 0.2 * second) for c in (1, 13)]
    path = over_time(tmp_path, supplies, [{"conc_uM": 1}, {"conc_uM": 13}], 1, 0)
    times = {"onset": 1 * second, "offset": 5 * second, "duration": 12 * second}
    cell = GainLIF(receptors=(Receptor(k_off=1.3 / second),))
    protocol = Wash(neuron=cell, data=str(path), tau_exchange=[0.2] * second, **times)
    found = values(protocol.compared.tables)
    assert found["k_off"] == pytest.approx(0.8, rel=1e-2)
    assert found["k_on"] == pytest.approx(0.9, rel=1e-2)


def test_an_antagonists_points_give_its_constant(tmp_path):
    true = Receptor(n=1.8, K=0.4, antagonist="rival")
    conc, rival = (side.ravel() for side in np.meshgrid([*DOSES, 100, 300], [0, 0.3, 3]))
    rate = 12 + 40 * true.activation(conc * umolar, rival * umolar) + 0.5 * draws(len(conc))
    path = tmp_path / "rival.csv"
    pd.DataFrame({"conc_uM": conc, "antagonist_uM": rival, "rate_Hz": rate}).to_csv(
        path, index=False
    )
    protocol = Antagonist(data=str(path))
    fitted = protocol.compared.tables["receptor_fit"].set_index("parameter").loc["K_B"]
    assert fitted.low < 0.1 < fitted.high
    assert fitted.high < 1.5 * fitted.low


@pytest.mark.parametrize(
    ("make", "columns", "message"),
    [
        (DoseResponse, ["time_s", "conc_uM"], "for the protocols puff and wash"),
        (DoseResponse, ["antagonist_uM", "conc_uM"], "set receptors.generic.antagonist"),
        (Antagonist, ["conc_uM"], "needs a column antagonist_uM"),
        (Puff, ["conc_uM"], "needs a column time_s"),
        (Puff, ["time_s", "conc_uM"], "needs a column width_s: the protocol has 0.1, 0.3 and 1 s"),
        (Wash, ["time_s", "tau_exchange_s"], "needs a column conc_uM: the protocol has"),
    ],
)
def test_a_file_that_does_not_fit_the_protocol_is_refused_before_anything_runs(
    make, columns, message, tmp_path
):
    path = tmp_path / "points.csv"
    rows = np.column_stack([DOSES] * len(columns) + [TRUE.gain(DOSES * umolar)])
    pd.DataFrame(rows, columns=[*columns, "gain"]).to_csv(path, index=False)
    with pytest.raises(UserError, match=message):
        make(data=str(path)).experiments()


@pytest.mark.thorough
@pytest.mark.parametrize("make", [DoseResponse, Antagonist, Puff, Wash])
def test_every_protocol_draws_and_tells_what_was_measured(make, tmp_path):
    table = pd.DataFrame({"conc_uM": DOSES, "gain": TRUE.gain(DOSES * umolar)})
    if make is Antagonist:
        table = pd.concat([table.assign(antagonist_uM=b) for b in (0, 0.3)])
    if make in (Puff, Wash):
        supply = Supplied(10 * umolar, 0 * second, 0.3 * second, 0.2 * second)
        columns = {"conc_uM": 10, "width_s": 0.3, "tau_exchange_s": 0.2}
        table = pd.read_csv(over_time(tmp_path, [supply], [columns], 1, 0))
    path = tmp_path / "points.csv"
    table.to_csv(path, index=False)
    run = neuromod.run(make(data=str(path)), out=tmp_path / "run")
    titles = [section.title for section in run.protocol.report(run.tables)]
    assert titles[-3:] == ["What was read", "Receptor fitted to the data", "Residuals of the fit"]
    assert (tmp_path / "run" / "figure.png").exists()
