import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from neuromod.errors import UserError
from neuromod.support.claim import claim, owner, release, scratch, sweep

HOLD = "from pathlib import Path; from neuromod.support.claim import claim; "
HOLD += "held = claim(Path({!r})); print('held', flush=True); input()"


def test_a_folder_is_one_process_s_until_that_is_killed(tmp_path):
    folder = tmp_path / "place"
    code = HOLD.format(str(folder))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdout.readline()
    (folder / "half").write_text("done")
    assert claim(folder) is None
    assert owner(folder).startswith(f"process {process.pid} on ")
    sweep([folder])
    assert (folder / "half").exists()
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    sweep([folder])
    assert not folder.exists()


def test_a_folder_is_free_when_it_is_given_up(tmp_path):
    folder = tmp_path / "place"
    for _ in range(2):
        held = claim(folder)
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        release(folder, held)
        assert not folder.exists()


def test_a_temporary_folder_ends_with_its_block_and_takes_abandoned_ones_along(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "neuromod-left"
    left.mkdir()
    (left / "owner").write_text(f"process 1 on {os.uname().nodename}")
    (tmp_path / "neuromod-foreign").mkdir()
    with scratch() as folder:
        assert not left.exists()
        (folder / "main").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["neuromod-foreign"]


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_cannot_be_marked_is_not_left_behind(tmp_path, monkeypatch):
    class Full:
        truncate = flush = close = full

        def __init__(self, file):
            self.fileno = file.fileno
            self.write = full

    opened = Path.open
    monkeypatch.setattr("neuromod.support.claim._lock", lambda *_: True)
    monkeypatch.setattr(Path, "open", lambda path, *a, **k: Full(opened(path, *a, **k)))
    with pytest.raises(OSError, match="No space left"):
        claim(tmp_path / "place")
    assert not list(tmp_path.iterdir())


def fail_in_scratch():
    with scratch():
        raise RuntimeError("run failed")


def test_a_temporary_folder_that_cannot_be_marked_names_the_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("neuromod.support.claim.claim", full)
    disk = next(each for each in (tmp_path, *tmp_path.parents) if each.is_mount())
    sentence = rf"cannot be written, because the disk {disk}, or your share of it, is full: it has"
    with pytest.raises(UserError, match=sentence):
        fail_in_scratch()
    assert not list(tmp_path.iterdir())


def test_whatever_fails_on_a_full_disk_of_temporary_files_is_told_as_that(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError, match="run failed"):
        fail_in_scratch()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match=r"the disk /.* is full"):
        fail_in_scratch()
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(UserError, match="No temporary folder can be made"):
        fail_in_scratch()
    assert not list(tmp_path.iterdir())
