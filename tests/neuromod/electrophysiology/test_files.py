"""One file, several or a folder come in by one door; what is left out is said, cells stay apart."""

import shutil

import numpy as np
import pandas as pd
import pytest
from brian2 import mV

from neuromod.electrophysiology import files
from neuromod.electrophysiology.files import Choice, read_curves
from neuromod.electrophysiology.sweeps import Sweep
from neuromod.errors import UserError

LEVELS = np.array([0.0, 0.1, 0.2, 0.3, 0.4])
SAMPLING = 2000.0
GAINS = {"control": 1.0, "drug": 1.4}


def rate(current, gain=1.0):
    return np.maximum(0, 0.25 * (1000 * gain * current - 60))


def rows(cell=None, **gains):
    """A cell's rows of a table."""
    parts = [
        pd.DataFrame({"condition": name, "current_nA": LEVELS, "rate_Hz": rate(LEVELS, gain)})
        for name, gain in (gains or GAINS).items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table if cell is None else table.assign(cell=cell)


def steps(condition, gain=1.0, cell="", electrode="patch", stimulus="steps", problem=""):
    """Sweeps of a second, with a step of half of it."""
    found = []
    for number, level in enumerate(LEVELS):
        command, potential = np.zeros(2000), np.full(2000, -65.0)
        command[500:1500] = level
        potential[500:1500] += 1 + level
        count = round(float(rate(level, gain)) / 2)
        at = 500 + (1000 * (np.arange(count) + 0.5) / max(count, 1)).astype(int)
        potential[at] = 30.0
        name = f"{electrode} {condition} {number}"
        labels = (condition,)
        found.append(
            Sweep(
                name, cell, electrode, labels, stimulus, command, potential, SAMPLING, 0.0, problem
            )
        )
    return found


@pytest.fixture
def folder(tmp_path):
    """An empty folder, into which tables and made-up recordings are put."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def recorded(monkeypatch, folder):
    """Files whose sweeps are those given, whatever they hold."""
    known = {}
    for kind in files.RECORDINGS:
        monkeypatch.setitem(files.RECORDINGS, kind, lambda path: known[path])

    def put(name, *parts):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        known[path] = [sweep for part in parts for sweep in part]
        return path

    return put


def read(*paths, control="control", **choice):
    return read_curves(paths, control, 0 * mV, Choice(**choice))


def put(folder, name, table):
    table.to_csv(folder / name, index=False)
    return folder / name


def test_a_table_comes_back_as_it_is_and_says_how_it_was_read(folder):
    found = read(put(folder, "cell 3.csv", rows()))
    assert list(found.rates.columns) == ["cell", "condition", "current_nA", "trial", "rate_Hz"]
    assert found.rates.rate_Hz.tolist() == rows().rate_Hz.tolist()
    assert found.rates.current_nA.tolist() == rows().current_nA.tolist()
    assert set(found.rates.trial) == {1}
    assert set(found.rates.cell) == {"cell 3"}
    assert found.read.condition.tolist() == ["control", "drug"]
    assert found.read.why[0] == (
        "5 rates of 0 to 85 Hz at 5 currents of 0 to 0.4 nA; commas, UTF-8, decimal point; "
        "current_nA, rate_Hz"
    )
    assert list(found.files) == [folder / "cell 3.csv"]


def test_trials_are_numbered_within_a_cell_or_taken_from_the_table(folder):
    table = pd.concat([rows("a"), rows("b"), rows("a")])
    found = read(put(folder, "cells.csv", table)).rates
    assert found[found.cell == "a"].trial.tolist() == [1] * 10 + [2] * 10
    assert found[found.cell == "b"].trial.tolist() == [1] * 10
    named = read(put(folder, "cells.csv", rows().assign(trial="run 7"))).rates
    assert set(named.trial) == {"run 7"}


@pytest.mark.parametrize("how", ["column", "files", "folder"])
def test_cells_come_from_a_column_several_files_or_a_folder(folder, how):
    names = ["a", "b", "c"]
    if how == "column":
        given = [put(folder, "cells.csv", pd.concat(rows(name) for name in names))]
    else:
        given = [put(folder, f"{n}.csv", rows(control=1.0, drug=ord(n) / 80)) for n in names]
    found = read(*(given if how != "folder" else [folder]))
    assert list(dict.fromkeys(found.rates.cell)) == names
    assert len(found.rates) == 30


def test_what_a_folder_holds_besides_is_passed_over_and_said(folder):
    put(folder, "a.csv", rows())
    put(folder, "ages.csv", pd.DataFrame({"animal": [1], "age": [30]}))
    shutil.copy(folder / "a.csv", folder / "copy.csv")
    (folder / "figure.pdf").write_text("%PDF")
    (folder / ".hidden").write_text("")
    (folder / "broken.nwb").write_text("no HDF5")
    (folder / "inside").mkdir()
    found = read(folder).read.set_index("file")
    assert found.used[found.used].index.tolist() == ["a.csv", "a.csv"]
    why = found.why[~found.used]
    assert why["ages.csv"] == "needs a column condition; it has animal, age"
    assert why["copy.csv"] == "is a copy of a.csv"
    assert why["figure.pdf"] == "is neither a table nor a recording"
    assert "cannot be read" in why["broken.nwb"]
    assert len(found) == 6


def test_files_that_are_named_must_be_readable(folder):
    good = put(folder, "a.csv", rows())
    for name, message in (
        ("ages.csv", "needs a column condition"),
        ("figure.pdf", r"must be a table \(\.csv, .*\.xlsx\) or recording \(\.nwb, \.abf\)"),
        ("missing.csv", "There is no file .*missing.csv"),
    ):
        if "missing" not in name:
            (folder / name).write_text("animal,age\n1,30\n")
        with pytest.raises(UserError, match=message):
            read(good, folder / name)
    with pytest.raises(
        UserError, match=r"^'/.*\.\.\.x{35}\.csv' cannot be used: File name too long\.$"
    ):
        read(good, folder / f"{'x' * 10_000}.csv")
    with pytest.raises(UserError, match=r"is a copy of a\.csv"):
        read(good, shutil.copy(good, folder / "b.csv"))


def test_a_folder_without_data_is_refused(folder):
    (folder / "figure.pdf").write_text("%PDF")
    with pytest.raises(UserError, match=r"There is no table .* in the folder .*data"):
        read(folder)


def test_a_cell_with_one_condition_is_named_and_left_out(folder):
    table = pd.concat([rows("a"), rows("b", control=1.0), rows("c", drug=1.4)])
    found = read(put(folder, "cells.csv", table))
    assert set(found.rates.cell) == {"a"}
    why = found.read[~found.read.used].set_index("cell").why
    assert why["b"] == "its cell was not recorded in any condition but 'control'"
    assert why["c"] == "its cell was not recorded in 'control'"


def test_a_cell_that_files_name_is_one_where_each_has_a_condition_of_its_own(folder):
    put(folder, "control.csv", pd.concat([rows("a", control=1.0), rows("b", control=1.0)]))
    put(folder, "drug.csv", pd.concat([rows("b", drug=1.4), rows("a", drug=1.4)]))
    found = read(folder).rates
    assert sorted(set(zip(found.cell, found.condition, strict=True))) == [
        ("a", "control"),
        ("a", "drug"),
        ("b", "control"),
        ("b", "drug"),
    ]


def test_cells_of_one_name_in_two_files_are_kept_apart_where_their_conditions_overlap(folder):
    put(folder, "monday.csv", rows("1"))
    put(folder, "tuesday.csv", rows("1", control=0.9, drug=1.3))
    found = read(folder).rates
    assert list(dict.fromkeys(found.cell)) == ["1 in monday.csv", "1 in tuesday.csv"]
    assert found.groupby("cell").trial.max().tolist() == [1, 1]


def test_files_of_one_name_in_two_folders_are_two_cells(folder):
    paths = []
    for place, gain in (("monday", 1.0), ("tuesday", 0.9)):
        (folder / place).mkdir()
        paths.append(put(folder / place, "cell.csv", rows(control=gain, drug=1.4)))
    found = read(*paths)
    assert set(found.rates.cell) == {"cell in monday/cell.csv", "cell in tuesday/cell.csv"}
    assert set(found.read.file) == {"monday/cell.csv", "tuesday/cell.csv"}


def test_pooled_cells_are_one_only_when_asked(folder):
    path = put(folder, "cells.csv", pd.concat([rows("a"), rows("b")]))
    pooled = read(path, pooled=True).rates
    assert set(pooled.cell) == {"all cells"}
    assert set(pooled.trial) == {1, 2}


def test_a_cell_is_chosen_and_the_others_are_said_to_be_left_out(folder):
    path = put(folder, "cells.csv", pd.concat([rows("a"), rows("b")]))
    found = read(path, cell="b")
    assert set(found.rates.cell) == {"b"}
    assert set(found.read.why[~found.read.used]) == {"another cell was chosen"}
    with pytest.raises(UserError, match="There is no cell named 'c'; there are a, b"):
        read(path, cell="c")
    with pytest.raises(UserError, match="the files name no electrode"):
        read(path, electrode="patch")


def test_sweeps_are_measured_and_each_has_its_row(recorded):
    path = recorded("cell.nwb", steps("control"), steps("drug", 1.4))
    found = read(path)
    for name, gain in GAINS.items():
        own = found.rates[found.rates.condition == name]
        assert own.current_nA.to_numpy() == pytest.approx(LEVELS)
        assert own.rate_Hz.to_numpy() == pytest.approx(np.round(rate(LEVELS, gain) / 2) * 2)
    assert len(found.read) == 10
    assert found.read.used.all()
    assert set(found.read.cell) == {"cell"}


def test_electrodes_without_a_name_of_their_cell_are_cells(recorded):
    parts = [steps(c, g, electrode=e) for e in ("E1", "E2") for c, g in GAINS.items()]
    found = read(recorded("slice.nwb", *parts))
    assert set(found.rates.cell) == {"E1", "E2"}
    one = read(recorded("slice.nwb", *parts), electrode="E2")
    assert set(one.rates.cell) == {"E2"}
    assert set(one.read.why[~one.read.used]) == {"another electrode was chosen"}
    with pytest.raises(UserError, match="There is no electrode named 'E3': did you mean"):
        read(recorded("slice.nwb", *parts), electrode="E3")


def test_two_electrodes_in_one_cell_ask_for_a_choice(recorded):
    parts = [steps(c, g, "c1", e) for e in ("soma", "dendrite") for c, g in GAINS.items()]
    path = recorded("cell.nwb", *parts)
    with pytest.raises(UserError, match=r"cell c1 .* soma and dendrite: choose one, such as elec"):
        read(path)
    assert set(read(path, electrode="soma").rates.cell) == {"c1"}


def test_a_stimulus_is_chosen(recorded):
    parts = [steps(c, g, stimulus=s) for s in ("long", "short") for c, g in GAINS.items()]
    path = recorded("cell.nwb", *parts)
    assert set(read(path).rates.trial) == {1, 2}
    found = read(path, stimulus="long")
    assert set(found.rates.trial) == {1}
    assert set(found.read.why[~found.read.used]) == {"another stimulus was chosen"}


def test_axon_files_are_conditions_and_their_folders_are_cells(recorded):
    for cell in ("c1", "c2"):
        for condition, gain in GAINS.items():
            recorded(f"{cell}/{condition}.abf", steps(condition, gain))
    parent = recorded("notes.nwb").parent
    found = read(parent / "c1", parent / "c2").rates
    assert set(zip(found.cell, found.condition, strict=True)) == {
        (cell, condition) for cell in ("c1", "c2") for condition in GAINS
    }


def test_sweeps_with_a_problem_are_left_out_and_leave_the_others_alone(recorded):
    good = [steps("control"), steps("drug", 1.4)]
    bad = steps("drug", 3.0, problem="a ramp")
    alone, both = read(recorded("a.nwb", *good)), read(recorded("b.nwb", *good, bad))
    assert both.rates.rate_Hz.tolist() == alone.rates.rate_Hz.tolist()
    assert both.read.why[~both.read.used].tolist() == ["a ramp"] * 5


def test_nothing_usable_is_refused_with_the_commonest_reasons(recorded):
    bad = [*steps("control", problem="a ramp"), *steps("drug", problem="not recorded")[:2]]
    with pytest.raises(UserError, match=r"can be used: a ramp \(5\); not recorded \(2\)"):
        read(recorded("cell.nwb", bad))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows(control=1.0), "holds one condition, 'control'"),
        (rows(Control=1.0, drug=1.4), "no control condition named 'control': did you mean"),
        (rows(control=1.0, drug=1.4, Drug=1.4), "the conditions 'drug' and 'Drug' differ in upper"),
        (pd.concat([rows("a"), rows("A")]), "the cells 'a' and 'A' differ in upper"),
        (pd.concat([rows("a", control=1), rows("b", drug=1)]), "No cell in .* the cells are a and"),
    ],
)
def test_conditions_and_cells_that_allow_no_comparison_are_refused(folder, table, message):
    with pytest.raises(UserError, match=message):
        read(put(folder, "cell.csv", table))


def test_no_file_is_refused():
    with pytest.raises(UserError, match="No file was given"):
        read()
