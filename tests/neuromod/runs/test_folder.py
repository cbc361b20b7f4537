import errno
import os
import shutil

import pytest

from neuromod.errors import UserError
from neuromod.runs.folder import recover, reserved, room_for


def fill(folder, text):
    folder.mkdir()
    (folder / "run.json").write_text(text)


def listed(folder):
    return {path.name for path in folder.iterdir()}


def abandoned(folder, **parts):
    """What a killed process leaves: no lock on its mark."""
    folder.mkdir()
    (folder / "owner").write_text(f"process 1 on {os.uname().nodename}")
    for name, text in parts.items():
        fill(folder / name, text)
    return folder


def test_a_name_is_taken_before_the_work(tmp_path):
    with reserved(tmp_path / "run", False):
        with pytest.raises(UserError, match=f"being written by process {os.getpid()} on "):  # noqa: SIM117
            with reserved(tmp_path / "run", True):
                pass
        with reserved(tmp_path / "other", False):
            assert listed(tmp_path) == {".run-partial", ".other-partial"}
    assert not listed(tmp_path)


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    abandoned(tmp_path / ".gone-partial")
    (tmp_path / ".notes-partial").mkdir()
    with reserved(tmp_path / "run", False):
        assert listed(tmp_path) == {".run-partial", ".notes-partial"}


def test_the_place_of_another_machine_is_left_alone(tmp_path):
    (abandoned(tmp_path / ".run-partial") / "owner").write_text("process 7 on elsewhere")
    with pytest.raises(UserError, match=r"process 7 on elsewhere.* remove .*\.run-partial"):  # noqa: SIM117
        with reserved(tmp_path / "run", False):
            pass
    assert listed(tmp_path) == {".run-partial"}


@pytest.mark.parametrize(
    ("parts", "kept"), [({"old": "1"}, "1"), ({"old": "1", "new": "2"}, "2"), ({"new": "2"}, "2")]
)
def test_an_exchange_that_was_killed_loses_no_run(parts, kept, tmp_path):
    abandoned(tmp_path / ".run-partial", **parts)
    recover(tmp_path / "another")
    assert (tmp_path / "run" / "run.json").read_text() == kept
    assert listed(tmp_path) == {"run"}


def test_a_run_that_was_not_replaced_yet_stays(tmp_path):
    fill(tmp_path / "run", "1")
    abandoned(tmp_path / ".run-partial", new="2")
    recover(tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_text() == "1"
    assert listed(tmp_path) == {"run"}


def test_a_run_that_cannot_take_its_name_leaves_the_old_one(tmp_path):
    fill(tmp_path / "run", "1")
    with reserved(tmp_path / "run", True) as place:
        shutil.rmtree(place.new)
        with pytest.raises(FileNotFoundError):
            place.settle()
    assert (tmp_path / "run" / "run.json").read_text() == "1"
    assert listed(tmp_path) == {"run"}


def test_a_run_is_replaced_through_a_link_that_stays(tmp_path):
    fill(tmp_path / "run", "1")
    (tmp_path / "link").symlink_to("run")
    with reserved(tmp_path / "link", True) as place:
        (place.new / "run.json").write_text("2")
        place.settle()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "run" / "run.json").read_text() == "2"


def test_a_dangling_link_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"is a link to .*nowhere, which is not there"):  # noqa: SIM117
        with reserved(tmp_path / "link", False):
            pass


def test_a_full_disk_says_what_is_kept(tmp_path):
    with pytest.raises(UserError, match=r"is full: it lacks .*; the old run is kept\."):  # noqa: SIM117
        with room_for(10**15, tmp_path / "run", "the old run is kept"):
            raise OSError(errno.ENOSPC, "no space")
