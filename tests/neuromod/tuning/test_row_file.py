from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from neuromod.errors import UserError
from neuromod.support.cache import NotWrittenError
from neuromod.tuning import row_file
from neuromod.tuning.row_file import RowFile

COUNT, WIDTH = 37, 3

needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def values_of(batch: np.ndarray) -> np.ndarray:
    return np.outer(batch + 0.5, [1.0, -2.0, 0.25])


def work(path: Path, rank: int, world_size: int, lives: int) -> None:
    """Fill a file, noting what is computed, and be killed after so many batches."""
    batches = iter(range(lives))

    def compute(batch: np.ndarray) -> np.ndarray:
        if next(batches, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        with path.with_suffix(f".log{rank}").open("a") as file:
            file.writelines(f"{row}\n" for row in batch)
        return values_of(batch)

    kept = RowFile(path, COUNT, WIDTH, "float32")
    kept.fill(np.arange(COUNT), compute, 5, rank=rank, world_size=world_size)


def start(path: Path, rank: int = 0, world_size: int = 1, lives: int = 99) -> BaseProcess:
    """A process of its own, which needs not import anything again."""
    process = get_context("fork").Process(target=work, args=(path, rank, world_size, lives))
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(60)
    return process.exitcode


def computed(path: Path, rank: int = 0) -> list[int]:
    return [int(row) for row in path.with_suffix(f".log{rank}").read_text().split()]


@needs_fork
def test_after_a_kill_nothing_that_was_kept_is_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    killed = start(path, lives=3)
    assert ended(killed) == -9
    assert computed(path) == list(range(15))
    assert RowFile(path, COUNT, WIDTH, "float32").missing(np.arange(COUNT)).tolist() == list(
        range(15, COUNT)
    )
    assert ended(start(path)) == 0
    assert computed(path) == list(range(COUNT))
    kept = RowFile(path, COUNT, WIDTH, "float32").values
    np.testing.assert_array_equal(kept, values_of(np.arange(COUNT)))


def test_a_kill_while_a_file_is_made_leaves_nothing_that_looks_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    original = row_file.written_whole

    def one_file(path: Path, *size: int) -> object:
        written.append(path)
        if len(written) > 1:
            raise KeyboardInterrupt
        return original(path, *size)

    monkeypatch.setattr(row_file, "written_whole", one_file)
    with pytest.raises(KeyboardInterrupt):
        RowFile(tmp_path / "some.npy", 7, 3, "float32")
    assert len(written) == 2
    assert all(map(row_file.is_whole, tmp_path.glob("*.npy")))


@needs_fork
def test_several_processes_fill_one_file_and_each_waits_for_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    processes = [start(path, rank, 3) for rank in range(3)]
    assert [ended(each) for each in processes] == [0, 0, 0]
    assert [computed(path, rank) for rank in range(3)] == [
        list(range(rank, COUNT, 3)) for rank in range(3)
    ]
    kept = RowFile(path, COUNT, WIDTH, "float32").values
    np.testing.assert_array_equal(kept, values_of(np.arange(COUNT)))


def test_a_process_whose_fellows_are_gone_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_file, "STALLED_S", 0.3)
    kept = RowFile(tmp_path / "rows.npy", COUNT, WIDTH, "float32")
    with pytest.raises(UserError, match=r"No other process .* and 18 are missing: run all again"):
        kept.fill(np.arange(COUNT), values_of, 5, rank=0, world_size=2)
    kept.fill(np.arange(COUNT), values_of, 5)
    np.testing.assert_array_equal(kept.values, values_of(np.arange(COUNT)))


def test_what_is_complete_is_read_from_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    RowFile(path, COUNT, WIDTH, "float32").fill(np.arange(COUNT), values_of, 5)
    states = [each.stat().st_mtime_ns for each in (path, path.with_suffix(".rows"))]
    path.with_suffix(".lock").unlink(missing_ok=True)
    kept = RowFile(path, COUNT, WIDTH, "float32")
    kept.fill(np.arange(COUNT), lambda _: pytest.fail("computed again"), 5)
    np.testing.assert_array_equal(kept.values, values_of(np.arange(COUNT)))
    assert not path.with_suffix(".lock").exists()
    assert [each.stat().st_mtime_ns for each in (path, path.with_suffix(".rows"))] == states


def test_rows_are_computed_in_any_order_and_only_those_asked_for(tmp_path: Path) -> None:
    kept = RowFile(tmp_path / "rows.npy", COUNT, WIDTH, "float16")
    asked = np.array([31, 2, 17])
    kept.fill(asked, values_of, 2)
    np.testing.assert_array_equal(kept.values[asked], values_of(asked))
    np.testing.assert_array_equal(np.flatnonzero(kept.values.any(1)), np.sort(asked))
    assert kept.missing(np.arange(COUNT)).tolist() == sorted(set(range(COUNT)) - {2, 17, 31})


def test_a_row_that_its_type_cannot_hold_is_refused(tmp_path: Path) -> None:
    kept = RowFile(tmp_path / "rows.npy", COUNT, WIDTH, "float16")
    with pytest.raises(UserError, match="for image 4 has no finite value in float16"):
        kept.fill(np.arange(COUNT), lambda batch: np.exp(3.0 * values_of(batch)), 5)
    assert kept.missing(np.arange(COUNT)).tolist() == list(range(COUNT))


@pytest.mark.parametrize(
    "lost", ["record", "end of the record", "old record", "values", "another shape"]
)
def test_a_file_and_a_record_that_do_not_fit_are_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    path = tmp_path / "rows.npy"
    RowFile(path, COUNT, WIDTH, "float32").fill(np.arange(COUNT), values_of, 5)
    if lost == "record":
        path.with_suffix(".rows").unlink()
    elif lost == "end of the record":
        path.with_suffix(".rows").write_bytes(bytes([1] * (32 * COUNT - 1)))
    elif lost == "old record":
        # Version 0.1 had a byte for each row.
        path.with_suffix(".rows").write_bytes(bytes([1] * COUNT))
    elif lost == "values":
        path.unlink()
    width = WIDTH + 1 if lost == "another shape" else WIDTH
    anew = RowFile(path, COUNT, width, "float32")
    assert len(anew.missing(np.arange(COUNT))) == COUNT
    assert not anew.values.any()
    assert ("computed anew" in caplog.text) == (lost != "values")


def as_zip(path: Path) -> None:
    np.savez(path.with_suffix(".npz"), np.ones(3))
    path.with_suffix(".npz").replace(path)


def other_order(path: Path) -> None:
    """The same bytes, which the head says to be columns."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'fortran_order': False", b"'fortran_order': True ", 1))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


@pytest.mark.parametrize("which", [".npy", ".rows"])
@pytest.mark.parametrize(
    "damage",
    [
        as_zip,
        other_order,
        folder,
        lambda path: path.write_bytes(b"PK\x03\x04" + path.read_bytes()[4:]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"(37", b"(7(", 1)),
        lambda path: path.write_bytes(path.read_bytes().replace(b"{'d", b'{"d', 1)),
    ],
)
def test_a_foreign_file_in_the_place_of_rows_is_made_anew(
    tmp_path: Path, damage: Callable[[Path], None], which: str
) -> None:
    path = tmp_path / "rows.npy"
    RowFile(path, COUNT, WIDTH, "float32").fill(np.arange(COUNT), values_of, 5)
    damage(path.with_suffix(which))
    row_file.is_whole(path)
    kept = RowFile(path, COUNT, WIDTH, "float32")
    kept.fill(np.arange(COUNT), values_of, 5)
    np.testing.assert_array_equal(kept.values, values_of(np.arange(COUNT)))
    assert row_file.is_whole(path)


def test_a_lock_that_cannot_be_had_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "rows.lock").mkdir()
    with pytest.raises(NotWrittenError, match=r"rows\.lock cannot be written"):
        RowFile(tmp_path / "rows.npy", COUNT, WIDTH, "float32")


def change(path: Path, rows: list[int], how: str) -> None:
    """Damage some rows of a file, as disks and people do."""
    values = np.load(path, mmap_mode="r+")
    if how == "zeros":
        values[rows] = 0
    elif how == "bits":
        values.view(np.uint32)[rows, 1] ^= 1 << 22
    elif how == "places":
        values[rows] = values[rows[::-1]]
    else:
        record = np.memmap(path.with_suffix(".rows"), mode="r+", shape=(COUNT, 32))
        record[rows, 17] ^= 4
        record.flush()
    values.flush()


@pytest.mark.parametrize("how", ["zeros", "bits", "places", "record"])
def test_damaged_rows_are_computed_again_and_no_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    path, computed = tmp_path / "rows.npy", []

    def compute(batch: np.ndarray) -> np.ndarray:
        computed.extend(batch.tolist())
        return values_of(batch)

    RowFile(path, COUNT, WIDTH, "float32").fill(np.arange(COUNT), values_of, 5)
    assert row_file.is_whole(path)
    change(path, [3, 19, 20, 36], how)
    assert not row_file.is_whole(path)
    kept = RowFile(path, COUNT, WIDTH, "float32")
    assert not kept.fill(np.arange(COUNT), compute, 5)
    assert computed == [3, 19, 20, 36]
    assert caplog.messages == [f"{path}: 4 rows are damaged and computed anew."]
    np.testing.assert_array_equal(kept.values, values_of(np.arange(COUNT)))
    assert row_file.is_whole(path)


def test_rows_of_another_file_are_not_believed(tmp_path: Path) -> None:
    path, other = tmp_path / "rows.npy", tmp_path / "other.npy"
    RowFile(other, COUNT, WIDTH, "float32").fill(np.arange(COUNT), lambda b: -values_of(b), 5)
    for suffix in (".npy", ".rows"):
        shutil.copy(other.with_suffix(suffix), path.with_suffix(suffix))
    kept = RowFile(path, COUNT, WIDTH, "float32")
    kept.fill(np.arange(COUNT), values_of, 5)
    np.testing.assert_array_equal(kept.values, values_of(np.arange(COUNT)))


@needs_fork
def test_several_processes_mend_one_file_and_each_waits_for_all(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    RowFile(path, COUNT, WIDTH, "float32").fill(np.arange(COUNT), values_of, 5)
    change(path, [3, 19, 20, 36], "bits")
    processes = [start(path, rank, 3) for rank in range(3)]
    assert [ended(each) for each in processes] == [0, 0, 0]
    np.testing.assert_array_equal(
        RowFile(path, COUNT, WIDTH, "float32").values, values_of(np.arange(COUNT))
    )
    assert row_file.is_whole(path)


def test_a_file_that_is_only_read_is_neither_made_nor_mended(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    rows = np.arange(COUNT)
    assert not RowFile(path, COUNT, WIDTH, "float32", only_read=True).holds(rows)
    assert not list(tmp_path.iterdir())
    RowFile(path, COUNT, WIDTH, "float32").fill(rows[5:], values_of, 5)
    kept = RowFile(path, COUNT, WIDTH, "float32", only_read=True)
    assert kept.holds(rows[5:])
    assert not kept.holds(rows)
    change(path, [7], "bits")
    assert not kept.holds(rows[5:])
