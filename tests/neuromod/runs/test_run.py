import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brian2 import ms
from matplotlib.figure import Figure

from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.runs.compare import compare
from neuromod.runs.files import read_info, verify, write_info
from neuromod.runs.picture import Picture
from neuromod.runs.repeat import repeat
from neuromod.runs.report import summary
from neuromod.runs.run import load_run, render, run

FILES = {"run.json", "table.csv", "tiny.nix", "figure.png", "figure.svg", "report.html"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A run, not to be touched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "plugin")
        folder = tmp_path_factory.mktemp("runs") / "run"
        run("tiny", out=folder, seed=12, tau_m=17.3 * ms)
    return folder


@pytest.fixture
def folder(tiny, stored, tmp_path):  # noqa: ARG001
    """A copy of it in a folder of its own."""
    return Path(shutil.copytree(stored, tmp_path / "some" / "run"))


def listed(folder):
    return {path.name for path in folder.iterdir()}


def test_a_run_is_written_whole_and_alone(folder):
    assert listed(folder) == FILES
    assert listed(folder.parent) == {"run"}
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_stored_run_says_how_to_repeat_it(tiny, folder):
    stored = load_run(folder)
    assert stored.protocol == tiny(seed=12, neuron=GainLIF(receptors=(), tau_m=17.3 * ms))
    again = run(stored.protocol)
    pd.testing.assert_frame_equal(again.table, stored.table, check_exact=True)
    spikes, before = (r.recordings["tiny"].spikes["cells"] for r in (again, stored))
    np.testing.assert_array_equal(spikes.neurons, before.neurons)
    np.testing.assert_array_equal(np.asarray(spikes.times), np.asarray(before.times))


def test_a_run_shows_itself_in_a_word_a_figure_a_page_and_a_folder(tiny, tmp_path):
    done = run("tiny", seed=23)
    assert repr(done) == "<Run of tiny on cython (computed by numpy), seed 23>"
    html = done._repr_html_()
    assert html.count("<img") == 1
    for column in done.table.columns:
        assert f'<th scope="col">{column}</th>' in html
    assert html.count("<tr>") == 1 + len(done.table)
    figure = done.plot()
    assert figure.axes
    # What a notebook asks for, whether or not Matplotlib's own backend is loaded.
    assert figure._repr_png_().startswith(b"\x89PNG")
    page = done.report(tmp_path / "page.html")
    assert page == done.report() == (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "computed by numpy" in page
    assert done.save(tmp_path / "kept") == tmp_path / "kept"
    assert listed(tmp_path / "kept") == FILES
    kept = load_run(tmp_path / "kept")
    assert kept.protocol == tiny(seed=23)
    pd.testing.assert_frame_equal(kept.table, done.table, check_exact=True)
    assert verify(tmp_path / "kept") == len(FILES)
    assert kept._repr_html_() == html
    with pytest.raises(UserError, match="in a folder already: copy that"):
        kept.save(tmp_path / "again")
    with pytest.raises(UserError, match="already holds a run"):
        done.save(tmp_path / "kept")


def test_a_notebook_s_table_is_cut_and_says_what_is_left_out():
    table = pd.DataFrame({"<x>": np.arange(19.0)})
    html = summary("a title", {"table": table, "other_one": table.head(2)}, Picture(Figure()))
    assert html.count("<tr>") == 1 + 16 + 1 + 2
    assert '3 more rows in run.tables["table"].' in html
    assert '<th scope="col">&lt;x&gt;</th>' in html
    assert "<b>Other one</b>" in html


def test_a_run_of_a_version_that_drew_no_svg_is_whole_until_it_is_drawn_again(folder):
    info = read_info(folder)
    del info["files"]["figure.svg"]
    write_info(folder, info)
    (folder / "figure.svg").unlink()
    assert verify(folder) == len(FILES) - 1
    render(folder)
    assert verify(folder) == len(FILES)


def test_run_json_tells_the_circumstances(folder):
    info = json.loads((folder / "run.json").read_text())
    assert (info["protocol"], info["device"], info["seed"]) == ("tiny", "cython", 12)
    assert {"brian2", "numpy", "python", "brian2-neuromod"} <= set(info["versions"])
    assert set(info["wall_s"]) == {"preparing", "simulating tiny", "measuring", "saving", "drawing"}


def test_a_run_of_nwb_files_is_read_drawn_verified_compared_and_repeated(folder, tmp_path):
    in_nix, place = load_run(folder), tmp_path / "nwb"
    run(in_nix.protocol, out=place, format="nwb")
    assert listed(place) == FILES - {"tiny.nix"} | {"tiny.nwb"}
    in_nwb = load_run(place)
    assert (in_nwb.info["format"], in_nix.info["format"]) == ("nwb", "nix")
    assert verify(place) == len(FILES)
    assert compare(in_nix, in_nwb)["spikes"].identical.tolist() == [True]
    v, before = (r.recordings["tiny"].signals["cells"]["v"].values for r in (in_nwb, in_nix))
    np.testing.assert_array_equal(np.asarray(v), np.asarray(before))
    (place / "figure.png").unlink()
    render(place)
    assert verify(place) == len(FILES)
    assert repeat(place, tmp_path / "again").different == ()
    assert "tiny.nwb" in listed(tmp_path / "again")


@pytest.mark.parametrize("checked", [True, False])
def test_a_damaged_nwb_file_is_told(checked, tiny, tmp_path):
    run(tiny(), out=tmp_path, format="nwb")
    if not checked:
        info = json.loads((tmp_path / "run.json").read_text())
        kept = {name: value for name, value in info.items() if name not in ("files", "sha256")}
        (tmp_path / "run.json").write_text(json.dumps(kept))
    truncate("tiny.nwb")(tmp_path)
    with pytest.raises(UserError, match=r"tiny\.nwb is .*damaged"):
        load_run(tmp_path)


def test_a_format_that_cannot_be_written_is_told_before_the_work(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "experiments", failing(AssertionError))
    with pytest.raises(UserError, match="no format of recordings named 'nwp': did you mean nwb"):
        run(tiny(), out=tmp_path / "run", format="nwp")
    monkeypatch.setattr("neuromod.recording.recording.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"pip install 'brian2-neuromod\[recordings\]'"):
        run(tiny(), out=tmp_path / "run", format="nwb")
    assert not listed(tmp_path)


def test_seeds_change_what_is_drawn(tiny):
    first, second = (run(tiny(), seed=seed).recordings["tiny"] for seed in (3, 4))
    assert first.trace("cells", "v", 1)[0] != second.trace("cells", "v", 1)[0]


def test_nothing_is_written_without_a_folder(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tiny())
    assert not listed(tmp_path)


@pytest.mark.parametrize("mistake", [{"device": "abacus"}, {"settings": {"sede": 3}}])
def test_a_mistake_writes_nothing(mistake, tiny, tmp_path):
    settings = mistake.pop("settings", {})
    with pytest.raises(UserError):
        run(tiny(), out=tmp_path / "run", **mistake, **settings)
    assert not listed(tmp_path)


def failing(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failing_run_leaves_nothing(error, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny, "measure", failing(error))
    with pytest.raises(error):
        run(tiny(), out=tmp_path / "run")
    assert not listed(tmp_path)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("step", ["plot", "report", "save_extras"])
def test_what_fails_after_the_results_loses_none_and_a_report_finishes_it(
    error, step, tiny, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(tiny, step, failing(error))
        with pytest.raises(error) as failed:
            run(tiny(), out=folder, seed=13)
    assert f"are in {folder}: neuromod report {folder} draws" in failed.value.__notes__[0]
    assert listed(tmp_path) == {"run"}
    assert listed(folder) == {"run.json", "table.csv", "tiny.nix"}
    assert load_run(folder).protocol.seed == 13
    with pytest.raises(UserError, match=r"figure\.png, figure\.svg and report\.html; neuromod"):
        verify(folder)
    render(folder)
    assert listed(folder) == FILES
    assert verify(folder) == len(FILES)
    assert load_run(folder).info["wall_s"]["drawing"] > 0


def test_a_run_that_replaces_another_has_all_but_its_pages(tiny, folder, monkeypatch):
    """Killed from then on, it can be finished by a report."""

    def draw(*_):
        assert load_run(folder).protocol.seed == 13
        assert listed(folder) == {"run.json", "table.csv", "tiny.nix", "extra.txt"}
        assert "extra.txt" in load_run(folder).info["files"]
        raise KeyboardInterrupt

    monkeypatch.setattr(tiny, "plot", draw)
    monkeypatch.setattr(tiny, "save_extras", lambda _, place: (place / "extra.txt").touch())
    with pytest.raises(KeyboardInterrupt):
        run(tiny(), out=folder, overwrite=True, seed=13)


def test_a_run_is_replaced_only_on_request(tiny, folder):
    with pytest.raises(UserError, match=r"already holds a run.*--overwrite"):
        run(tiny(), out=folder)
    assert load_run(folder).protocol.seed == 12
    run(tiny(), out=folder, overwrite=True, seed=13)
    assert load_run(folder).protocol.seed == 13
    assert listed(folder.parent) == {"run"}


def test_a_failing_run_keeps_the_one_it_was_to_replace(tiny, folder):
    with pytest.raises(RuntimeError, match="measuring failed"):
        run(tiny(), out=folder, overwrite=True, broken=True)
    assert load_run(folder).protocol.seed == 12
    assert listed(folder.parent) == {"run"}


def test_a_name_taken_meanwhile_is_not_overwritten(tiny, tmp_path, monkeypatch):
    def measure(self, recordings):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").write_text("{}")
        return original(self, recordings)

    original = tiny.measure
    monkeypatch.setattr(tiny, "measure", measure)
    with pytest.raises(UserError, match=r"run was taken meanwhile: the run is in .*run-2\."):
        run(tiny(), out=tmp_path / "run")
    assert listed(tmp_path / "run") == {"run.json"}
    assert verify(tmp_path / "run-2") == len(FILES)
    assert listed(tmp_path) == {"run", "run-2"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_files_is_never_replaced(overwrite, tiny, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="files that are no run"):
        run(tiny(), out=tmp_path, overwrite=overwrite)
    assert listed(tmp_path) == {"thesis.tex"}


def test_an_empty_folder_is_used(tiny, tmp_path):
    (tmp_path / "run").mkdir()
    run(tiny(), out=tmp_path / "run")
    assert listed(tmp_path / "run") == FILES
    assert listed(tmp_path) == {"run"}


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("file", "is a file"),
        ("file/run", "cannot be written"),
        ("file/deep/run", "cannot be written"),
        ("x" * 300, r"^'/.*\.\.\.x{39}' cannot be used: File name too long\.$"),
        ("a\0b", "cannot be used: no path holds a character such as NUL"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused(out, message, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=message):
        run(tiny(), out=tmp_path / out)
    assert listed(tmp_path) == {"file"}


def test_a_report_is_rendered_again(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "figure.png").unlink()
    (folder / "report.html").write_text("torn")
    assert render(folder) == folder / "report.html"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def damage_json(folder):
    path = folder / "run.json"
    path.write_text(path.read_text()[:-40])


def edit_json(**changes):
    def edit(folder):
        path = folder / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def overwrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def truncate(name):
    def cut(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


def uncheck(folder):
    """A run as version 0.1 stored it, without checksums or a choice of formats."""
    info = json.loads((folder / "run.json").read_text())
    for name in ("files", "sha256", "target", "format"):
        del info[name]
    (folder / "run.json").write_text(json.dumps(info))


def without(name):
    def drop(folder):
        path = folder / "run.json"
        info = json.loads(path.read_text())
        del info[name]
        path.write_text(json.dumps(info))

    return drop


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize(
    "damage",
    [
        damage_json,
        *(
            without(name)
            for name in ("versions", "wall_s", "notes", "seed", "tables", "recordings")
        ),
        edit_json(versions={"python": "3.11"}),
        edit_json(wall_s={"measuring": "long"}),
        edit_json(notes=None),
        edit_json(seed=True),
        edit_json(tables=["../run/table"]),
        overwrite("table.csv", b"current_nA,spikes,rate_Hz\n1,2,3,4\n"),
        overwrite("run.json", b"\xff\xfe"),
        overwrite("run.json", b"[]"),
        overwrite("run.json", b'{"name": "foreign"}'),
        edit_json(protocol="of-tomorrow"),
        edit_json(protocol=["tiny"]),
        edit_json(settings={"seed": "one"}),
        edit_json(settings=[1]),
        edit_json(settings={"seed": 3}),
        edit_json(tables=3),
        edit_json(recordings=["other"]),
        overwrite("table.csv", b""),
        overwrite("table.csv", b'a,b\n1,2,3\n"'),
        overwrite("table.csv", b"\xff\xff\xff"),
        overwrite("tiny.nix", b""),
        overwrite("tiny.nix", b"not a recording"),
        truncate("tiny.nix"),
        lambda folder: (folder / "table.csv").unlink(),
        lambda folder: (
            (folder / "table.csv").rename(folder / "a") or (folder / "table.csv").mkdir()
        ),
        lambda folder: (folder / "tiny.nix").unlink(),
    ],
)
def test_a_damaged_run_is_told(damage, checked, folder):
    if not checked:
        uncheck(folder)
    damage(folder)
    with pytest.raises(UserError) as told:
        load_run(folder)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["table.csv", "tiny.nix", "run.json"])
def test_a_single_flipped_bit_is_told(name, folder):
    content = bytearray((folder / name).read_bytes())
    # Within a value: run.json has white space that says nothing.
    place = content.index(b"1.1") if name == "run.json" else len(content) * 5 // 7
    content[place] ^= 2
    (folder / name).write_bytes(content)
    for reads in (load_run, render, verify):
        with pytest.raises(UserError, match=f"{name}"):
            reads(folder)


@pytest.mark.parametrize(
    "content", [b"current_nA,spikes\n0.6,1\n", b"current_nA,spikes,rate_Hz\n0.6,many,1\n0.7,1,1\n"]
)
def test_a_table_that_cannot_be_drawn_is_told_without_checksums_too(
    content, tiny, folder, monkeypatch
):
    monkeypatch.setattr(
        tiny,
        "report",
        lambda _, tables: [tables["table"].rate_Hz.sum() + tables["table"].spikes.sum()],
    )
    uncheck(folder)
    (folder / "table.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be drawn .*neuromod repeat"):
        render(folder)


def test_a_run_without_checksums_is_read_and_drawn_but_not_verified(folder):
    uncheck(folder)
    before = (folder / "run.json").read_bytes()
    render(folder)
    assert (folder / "run.json").read_bytes() == before
    with pytest.raises(UserError, match="kept no checksums"):
        verify(folder)


def test_a_file_that_may_not_be_read_is_told(folder, monkeypatch):
    access, table = os.access, folder / "table.csv"
    monkeypatch.setattr(os, "access", lambda path, mode: path != table and access(path, mode))
    with pytest.raises(UserError, match=r"table\.csv may not be read by you: .*neuromod repeat"):
        load_run(folder)


def test_a_missing_run_is_told(tmp_path):
    with pytest.raises(UserError, match=r"no run in .*run\.json"):
        load_run(tmp_path)
    with pytest.raises(UserError, match=r"^There is no run in ' ': it has no run\.json\.$"):
        load_run(" ")
    for name in ("x" * 10_000, "y/" * 2045):
        with pytest.raises(UserError, match=r"^'.*' cannot be used: File name too long\.$"):
            load_run(name)
