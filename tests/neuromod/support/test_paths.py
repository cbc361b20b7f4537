"""A path that leads nowhere is told in one sentence, whatever it is made of."""

from __future__ import annotations

import os
import re

import pytest

from neuromod.errors import UserError
from neuromod.support.paths import file_at, folder_at, shown, usable

LONG = "x" * 10_000
CUT = f"'{'x' * 39}...{'x' * 39}'"
IMPOSSIBLE = {
    LONG: f"{CUT} cannot be used: File name too long.",
    f"{'x/' * 3000}x": "cannot be used: File name too long.",
    "a\0b": "'a\\x00b' cannot be used: no path holds a character such as NUL.",
    "a\ud800": "'a\\ud800' cannot be used: no path holds a character such as NUL.",
    "circle": "circle cannot be used: Too many levels of symbolic links.",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("37")
    (tmp_path / "gone").symlink_to("nowhere")
    return tmp_path


def told(message):
    return pytest.raises(UserError, match=f"{re.escape(message)}$")


@pytest.mark.parametrize("path", IMPOSSIBLE)
def test_what_can_be_no_path_is_told(path):
    for ask in (usable, file_at, lambda path: folder_at(path, "name another")):
        with told(IMPOSSIBLE[path]):
            ask(path)


def test_what_is_there_or_could_be_is_used(here):
    for name in ("folder", "file", "nowhere", "file/inside", " ", "é∞", "x" * 255):
        assert str(usable(name)) == name
    assert file_at("file").read_text() == "37"
    assert folder_at(here / "folder", "name another") == here / "folder"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "There is no gains file nowhere."),
        ("file/inside", "There is no gains file file/inside."),
        ("gone", "There is no gains file gone."),
        ("", "There is no gains file ''."),
        (" ", "There is no gains file ' '."),
        ("a\nb", "There is no gains file 'a\\nb'."),
        ("x" * 255, f"There is no gains file {'x' * 255}."),
        ("folder", "folder is a folder, and no gains file."),
        ("/dev/null", "/dev/null is a device, pipe or socket, and no gains file."),
    ],
)
def test_a_missing_file_is_told(path, message):
    with told(message):
        file_at(path, "gains file")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "There is no folder nowhere: name one of images."),
        ("", "There is no folder '': name one of images."),
        ("file", "file is no folder: name one of images."),
    ],
)
def test_a_missing_folder_is_told(path, message):
    with told(message):
        folder_at(path, "name one of images")


def test_what_may_not_be_read_is_told(monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    for name in ("file", "folder"):
        with told(f"{name} may not be read by you: change that, or name another."):
            file_at(name) if name == "file" else folder_at(name, "name another")


def test_a_folder_that_is_closed_to_its_user_is_told(monkeypatch):
    def closed(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", closed)
    with told("closed/file cannot be used: Permission denied."):
        usable("closed/file")


def test_paths_are_shown_as_they_are_typed_where_that_can_be_read():
    assert shown("my data/a b.csv") == "my data/a b.csv"
    assert [shown(odd) for odd in ("", " a", "a\t")] == ["''", "' a'", "'a\\t'"]
    assert shown(LONG) == CUT
