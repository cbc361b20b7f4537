import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from neuromod.errors import UserError
from neuromod.support.cache import (
    NotWrittenError,
    cache_dir,
    checksum,
    layers,
    spared,
    to_keep,
    where_kept,
    written_whole,
)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The cache folder, which is not there yet; temporary files have a folder of their own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NEUROMOD_SHARED_CACHE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def substitute(tmp_path):
    return tmp_path / "temporary" / f"neuromod-{os.getuid()}"


def test_the_cache_folder_is_made_for_its_user_alone(own):
    before = os.umask(0o002)
    try:
        assert layers("builds") == [own / "builds"]
    finally:
        os.umask(before)
    assert {each.stat().st_mode & 0o777 for each in (own, own / "builds")} == {0o700}


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
@pytest.mark.parametrize("part", ["", "builds"])
def test_a_folder_that_others_can_write_is_not_used_and_that_is_said_once(
    own, substitute, caplog, mode, part
):
    (own / "builds").mkdir(parents=True)
    (own / part).chmod(mode)
    assert layers("builds") == layers("builds") == [substitute / "builds"]
    (told,) = caplog.messages
    assert f"{own} can be written by others (chmod -R go-w {own} if you trust" in told
    (own / part).chmod(0o755)
    assert layers("builds") == [own / "builds"]


def test_another_user_s_folder_is_not_used(own, monkeypatch, caplog):
    own.mkdir()
    stranger = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    with pytest.raises(UserError, match=r"Neither the cache folder .*cache nor .* can be used"):
        # Neither is the one among temporary files, which is made by who the tests run as.
        layers()
    assert "is another user's" in caplog.text
    assert not any(own.iterdir())


def test_a_link_that_waits_among_temporary_files_is_not_followed(own, substitute, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    substitute.symlink_to(tmp_path / "elsewhere")
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(UserError, match="set NEUROMOD_CACHE to a folder that you, and nobody else"):
        layers()


def test_what_cannot_be_written_is_read_and_what_is_new_lies_elsewhere(
    own, substitute, monkeypatch, caplog
):
    own.mkdir()
    (own / "old").write_text("37")
    access = os.access
    # Who runs the tests may write anywhere.
    monkeypatch.setattr(
        os, "access", lambda path, mode: not mode & os.W_OK or (own != path and access(path, mode))
    )
    assert cache_dir() == substitute
    assert where_kept("old") == own / "old"
    assert where_kept("new") == substitute / "new"
    (told,) = caplog.messages
    assert f"{own} cannot be written: {substitute} is used for what is new" in told


def test_a_folder_that_cannot_be_made_costs_nothing(own, substitute, caplog):
    own.write_text("a file")
    assert layers() == [substitute]
    assert f"{own} cannot be made (File exists)" in caplog.text


def test_the_shared_cache_comes_last_and_is_only_one_that_others_cannot_write(
    own, tmp_path, monkeypatch, caplog
):
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("NEUROMOD_SHARED_CACHE", str(shared))
    assert layers() == [own, shared]
    for folder in (shared, own):
        (folder / "both").write_text("37")
    assert where_kept("both") == own / "both"
    shared.chmod(0o775)
    assert layers() == [own]
    assert f"{shared} can be written by others: it is not used" in caplog.text


def test_a_shared_cache_that_cannot_be_looked_into_is_not_used(own, monkeypatch):
    monkeypatch.setenv("NEUROMOD_SHARED_CACHE", "x" * 10_000)
    assert where_kept("both") == own / "both"


@pytest.mark.parametrize(("name", "told"), [("", r"\."), ("a\0b", r"'a.x00b'")])
def test_what_names_no_file_is_not_written(name, told):
    sentence = rf"^{told} cannot be written: it names no file\.$"
    with pytest.raises(NotWrittenError, match=sentence), written_whole(Path(name)):
        pass


@pytest.fixture
def full(monkeypatch):
    """A disk with so little room that waiting for it fails."""

    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    usage = shutil.disk_usage("/")._replace(free=301_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@pytest.mark.usefixtures("full")
def test_a_full_disk_is_named_with_what_it_lacks(tmp_path):
    path = tmp_path / "table.csv"
    with pytest.raises(NotWrittenError) as told, written_whole(path, 4_701_000) as temporary:
        temporary.write_text("37")
    disk = next(each for each in path.parents if each.is_mount())
    assert str(told.value) == (
        f"{path} cannot be written, because the disk {disk}, or your share of it, is full: "
        "it lacks 4.4 MB of 4.7 MB."
    )
    assert not list(tmp_path.iterdir())
    with (
        pytest.raises(NotWrittenError, match=r"is full: it has 301\.0 kB free"),
        written_whole(path),
    ):
        pass


@pytest.mark.usefixtures("full")
def test_what_need_not_be_kept_stops_nothing(tmp_path, caplog):
    with spared(), written_whole(tmp_path / "table.csv") as temporary:
        temporary.write_text("37")
    assert "is full: it has 301.0 kB free. It is not kept, and the work goes on." in caplog.text


def test_the_checksum_of_a_file_is_its_sha_256(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"spikes\n37\n" * 70_001)
    assert checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_stands_where_a_file_is_kept_makes_way(own, tmp_path, caplog):
    assert to_keep("gains") == own / "gains"
    (own / "gains").write_text("37")
    assert to_keep("gains").is_file()
    (own / "deep" / "down").mkdir(parents=True)
    assert not to_keep("deep").exists()
    assert caplog.messages == [f"{own / 'deep'} is a folder where a file is kept: it is removed."]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").touch()
    (own / "link").symlink_to(tmp_path / "elsewhere")
    assert not to_keep("link").exists()
    assert {path.name for path in own.iterdir()} == {"gains"}
    assert (tmp_path / "elsewhere" / "precious").exists()


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_then_its_name_is(tmp_path, monkeypatch):
    path, events = tmp_path / "table.csv", []
    monkeypatch.setattr(
        os, "fsync", lambda opened: events.append((os.fstat(opened).st_ino, path.exists()))
    )
    with written_whole(path) as temporary:
        temporary.write_text("37")
    assert events == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("37")
    with contextlib.suppress(ZeroDivisionError), written_whole(path) as temporary:
        temporary.write_text("3")
        1 / 0  # noqa: B018
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "37"
