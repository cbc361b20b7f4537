import json

import numpy as np
import pytest
from brian2 import kelvin, ms, mV, nA, usecond, volt

from neuromod import load_sweep, run, sweep
from neuromod.errors import UserError
from neuromod.models import GainLIF
from neuromod.protocols import GainCurve
from neuromod.sweeps import chunks, sweep as module
from neuromod.sweeps.folder import Folder

pytest.importorskip("xarray")
pytest.importorskip("zarr")

GRID = {"tau_m": [14.5, 23.5] * ms, "t_ref": [2, 4, 6] * ms}
HERE = {"workers": 1}


@pytest.fixture
def small(monkeypatch):
    """Chunks of two points, and how many points were computed in each."""
    monkeypatch.setattr(module, "chunk_size", lambda *_: 2)
    found, compute = [], chunks.compute

    def counted(chunk):
        found.append(chunk.numbers.tolist())
        return compute(chunk)

    monkeypatch.setattr("neuromod.sweeps.workers.compute", counted)
    return found


@pytest.mark.usefixtures("plugin")
def test_every_point_of_a_grid_is_what_a_run_gives():
    found = sweep("tiny", GRID, **HERE, duration=23.7 * ms)
    assert found.dataset.spikes.dims == ("tau_m", "t_ref", "row")
    assert found.dataset.tau_m.attrs["units"] == "ms"
    for tau_m, t_ref in ((14.5, 4), (23.5, 6)):
        alone = run("tiny", tau_m=tau_m * ms, t_ref=t_ref * ms, duration=23.7 * ms).table
        own = found.dataset.sel(tau_m=tau_m, t_ref=t_ref)
        assert own.spikes.values.tolist() == alone.spikes.tolist()
    assert found.computed == 6
    assert repr(found) == "<Sweep of tiny, 6 points, 0 failed>"


@pytest.mark.usefixtures("plugin")
def test_an_interrupted_sweep_goes_on_where_it_was_and_ends_the_same(tmp_path, small, monkeypatch):
    whole = sweep("tiny", GRID, **HERE, out=tmp_path / "whole")
    small.clear()
    write, written = Folder.write_chunk, []

    def interrupted(self, number, outcome):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, outcome)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "write_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep("tiny", GRID, **HERE, out=tmp_path / "halved")
    assert small == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(UserError, match="no finished sweep"):
        load_sweep(tmp_path / "halved")
    small.clear()
    again = sweep("tiny", GRID, **HERE, out=tmp_path / "halved", resume=True)
    assert small == [[4, 5]]
    assert again.computed == 2
    assert again.dataset.identical(whole.dataset)
    stored = load_sweep(tmp_path / "halved")
    assert stored.load().identical(load_sweep(tmp_path / "whole").load())


@pytest.mark.usefixtures("plugin", "small")
def test_another_sweep_is_not_resumed(tmp_path):
    sweep("tiny", GRID, **HERE, out=tmp_path / "sweep")
    for grid, settings, different in (
        ({**GRID, "t_ref": [2, 4, 6.5] * ms}, {}, "grid"),
        (GRID, {"duration": 5 * ms}, "settings"),
        (GRID, {"precision": "single"}, "precision"),
    ):
        with pytest.raises(UserError, match=f"its {different} is"):
            sweep("tiny", grid, **HERE, out=tmp_path / "sweep", resume=True, **settings)


@pytest.mark.usefixtures("plugin")
def test_a_folder_has_results_table_failures_figure_and_what_was_asked(tmp_path):
    found = sweep(
        "tiny", {"t_ref": [2, 50] * ms, "broken": [False, True]}, **HERE, out=tmp_path / "s"
    )
    assert found.failures.error.tolist() == ["RuntimeError: measuring failed"] * 2
    assert found.failures.broken.tolist() == ["True", "True"]
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert names == {
        *("chunks", "extremes.csv", "failures.csv", "figure.png", "results.zarr", "sweep.json"),
        "table.csv",
    }
    about = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert about["protocol"] == "tiny"
    assert about["points"] == 4
    assert load_sweep(tmp_path / "s").attrs["protocol"] == "tiny"


@pytest.mark.usefixtures("plugin")
def test_seeds_are_a_dimension_and_every_point_has_its_own():
    found = sweep("tiny", {"t_ref": [2, 4] * ms}, **HERE, seeds=3, seed=5)
    assert found.dataset.seed.values.tolist() == [5, 6, 7]
    alone = run("tiny", t_ref=4 * ms, seed=6).table
    assert found.dataset.sel(t_ref=4, seed=6).spikes.values.tolist() == alone.spikes.tolist()
    listed = sweep("tiny", {"t_ref": [2, 4] * ms}, **HERE, design="zip", seeds=2)
    assert listed.dataset.seed.values.tolist() == [1, 2, 1, 2]
    assert listed.dataset.t_ref.values.tolist() == [2, 2, 4, 4]


def test_points_from_a_file_and_a_setting_of_words(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("law,vdd (volt)\nsquare,0.61\nekv,0.83\n")
    found = sweep("vdd-sweep", path, **HERE, duration=1e-3 * ms)
    assert found.dataset.law.values.tolist() == ["square", "ekv"]
    alone = run("vdd-sweep", law="ekv", vdd=[0.83] * volt, duration=1e-3 * ms).table
    assert found.dataset.gain.values[1] == alone.gain[0]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("grid", "more", "message"),
    [
        ({"tau": [1, 2] * ms}, {}, "did you mean"),
        ({"tau_m": [10, 20] * nA}, {}, "wrong unit"),
        ({"tau_m": [10, -20] * ms}, {}, "above 0"),
        ({"tau_m": [10, 20] * ms, "neuron.tau_m": [10, 30] * ms}, {}, "given twice"),
        ({"tau_m": [10, 20] * ms}, {"tau_m": 15 * ms}, "given twice"),
        ({"tau_m": [10, 20] * ms}, {"out": __file__}, "is a file"),
        ({"mode": "plain, fancey"}, {}, "did you mean fancy"),
        ({"tau_m": [10, 20] * ms}, {"seeds": 0}, "at least"),
        ({"seed": [1, 2]}, {"seeds": 2}, "not both"),
        ({"tau_m": [10, 20] * ms}, {"resume": True}, "Give the folder"),
        ({"tau_m": [10, 20] * ms}, {"device": "cpu"}, "device"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_any_work(grid, more, message):
    with pytest.raises(UserError, match=message):
        sweep("tiny", grid, **HERE, **more)


@pytest.mark.usefixtures("plugin")
def test_a_neuron_that_no_text_describes_is_refused():
    class OwnLIF(GainLIF):
        """Of a notebook."""

    with pytest.raises(UserError, match="OwnLIF"):
        sweep("tiny", {"t_ref": [2, 4] * ms}, **HERE, neuron=OwnLIF(receptors=()))


def test_a_class_that_is_not_registered_is_told_how_to_be():
    class Unknown(GainCurve):
        """Of a notebook."""

    with pytest.raises(UserError, match=r"Unknown is not registered.*neuromod\.protocols"):
        sweep(Unknown(), {"t_ref": [2, 4] * ms}, **HERE)


def test_a_million_points_are_planned_in_a_moment():
    grid = {"vdd": np.linspace(0.5, 1, 1_000_003) * volt}
    found = module._points(module.find("protocol", "vdd-sweep")(), grid, "full", 0, 1)
    plan = module.Plan(module.Request("vdd-sweep", {}), found, 20_000, {})
    sizes = [len(chunk) for chunk in plan.chunks()]
    assert sum(sizes) == 1_000_003
    assert max(sizes) == 20_000
    assert plan.count == len(sizes) == 51


def test_corners_of_a_circuit_are_points_like_any_other():
    grid = {"corner": ("TT", "FF"), "temperature": [300, 341] * kelvin}
    settings = {"corner_vto": 21 * mV, "corner_beta": 0.07, "duration": 3 * usecond}
    found = sweep("vdd-sweep", grid, **HERE, vdd=[0.71, 0.93] * volt, **settings)
    # Warmth takes 41 mV of the threshold and some mobility, a fast corner 21 mV more.
    vto, beta = 0.35 - 0.041 - 0.021, 0.5e-6 * (341 / 300) ** -1.5 * 1.07
    current = found.dataset.unit_current_nA.sel(corner="FF", temperature=341).values * 1e-9
    gate = np.array([0.71, 0.93]) - current * 20e6
    np.testing.assert_allclose(beta / 2 * (gate - vto) ** 2, current, rtol=1e-9)
    plain = run("vdd-sweep", vdd=[0.71, 0.93] * volt, duration=3 * usecond).table
    typical = found.dataset.sel(corner="TT", temperature=300)
    assert typical.energy_synapse_pJ.values.tolist() == plain.energy_synapse_pJ.tolist()
    worst = found.extremes.query("result == 'unit_current_nA'").set_index("row")
    assert worst.nominal.tolist() == plain.unit_current_nA.tolist()
    assert worst.highest_at["vdd_V 0.71"] == "corner FF, temperature 341 K"
