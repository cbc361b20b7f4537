import contextlib
import hashlib
import os

from neuromod.support.cache import checksum, written_whole


def test_the_checksum_of_a_file_is_its_sha_256(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes(b"spikes\n37\n" * 70_001)
    assert checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()


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
