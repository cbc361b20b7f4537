"""What the cache folder holds is told by kind, checked, and removed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neuromod.devices import builds  # noqa: E402
from neuromod.runs.kept import KINDS  # noqa: E402
from neuromod.support.tensor_file import Kind, write_tensors  # noqa: E402
from neuromod.tuning import grid  # noqa: E402
from neuromod.tuning.recipe import TuningRecipe  # noqa: E402
from neuromod.tuning.row_file import RowFile  # noqa: E402
from neuromod.tuning.training import Outcome, history_table  # noqa: E402


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of each kind, a data set, and what a process that was killed was writing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEUROMOD_CACHE", str(folder))
    (folder / "data" / "stl10").mkdir(parents=True, mode=0o755)
    (folder / "data" / "stl10" / "train.bin").write_text("a user's")
    (tmp_path / "main").write_text("a program")
    builds._keep(folder / "builds" / "2b", tmp_path, ("main",))
    rows = RowFile(folder / "features-7c.npy", 5, 3, "float32")
    rows.fill(np.array([1, 3]), lambda batch: np.outer(batch + 1.3, np.ones(3)), 2)
    outcome = Outcome(
        TuningRecipe("nt1", "rate", "cross_entropy", 0.1, 1), 3, 0.7, history_table([])
    )
    grid._write(folder / "tuned-5e.json", outcome)
    write_tensors(folder / "plastic-4d.safetensors", Kind("map", "map-1"), {}, {"w": torch.ones(9)})
    (folder / "ngspice.log").write_text("said")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (folder / f".features-9a.npy.{ended.pid}").write_text("half")
    (folder / f".features-9b.npy.{os.getppid()}").write_text("half, and growing")
    return folder


WHOLE = {"builds/2b/main", "features-7c.npy", "tuned-5e.json", "plastic-4d.safetensors"}


def test_the_cache_is_shown_by_kind(neuromod, cache):
    outcome = neuromod("cache", "--check")
    assert outcome.code == 0, outcome.err
    assert f"Cache folder: {cache}" in outcome.out
    assert [len(kind.paths()) for kind in KINDS] == [1] * len(KINDS)
    assert all(kind.name in outcome.out for kind in KINDS)
    assert "All is as it was written." in outcome.out


@pytest.mark.parametrize("name", sorted(WHOLE))
@pytest.mark.parametrize("damage", ["bit", "truncated", "empty"])
def test_what_is_damaged_is_named(neuromod, cache, name, damage):
    path = cache / name
    content = bytearray(path.read_bytes())
    # The last row is missing: that it is no longer zeros is nobody's loss.
    place = -8 if not name.endswith("npy") else 128 + 4 * 3 + 2
    content[place] ^= 1
    path.write_bytes({"bit": content, "truncated": content[:-5], "empty": b""}[damage])
    outcome = neuromod("cache", "--check")
    assert outcome.code == 1
    shown = path.parent if path.name == "main" else path
    assert outcome.err == f"{shown} is damaged: it is made anew when it is needed.\n"


def test_all_is_removed_but_data_sets_and_what_is_being_written(neuromod, cache):
    outcome = neuromod("cache", "--clear")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("  removed") == len(KINDS)
    left = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    growing = f".features-9b.npy.{os.getppid()}"
    # Another process may hold the lock.
    assert left - {"features-7c.lock"} == {"data/stl10/train.bin", growing}
    assert "  removed" not in neuromod("cache", "--clear").out


def test_rows_that_are_being_computed_survive_a_cleared_cache(neuromod, cache):
    rows = RowFile(cache / "features-7c.npy", 5, 3, "float32")

    def compute(batch):
        assert neuromod("cache", "--clear").code == 0
        return np.outer(batch + 1.3, np.ones(3))

    rows.fill(np.arange(5), compute, 2)
    np.testing.assert_allclose(rows.values[:, 1], np.arange(5) + 1.3, rtol=1e-6)
