import pytest

from neuromod.devices import finding
from neuromod.devices.builds import GET_COMPILER
from neuromod.devices.finding import Finding, Step, look_at, program


def never():
    pytest.fail("there is nothing to look at")


def test_all_steps_are_looked_at_and_one_that_hangs_on_another_says_so():
    steps = [
        Step("tree", lambda: ("none", "plant one")),
        Step("leaves", never, after="tree"),
        Step("colour", never, after="leaves"),
        Step("soil", lambda: ("loam", "")),
        Step("worms", lambda: ("seven", ""), after="soil"),
    ]
    assert look_at(steps) == [
        Finding("tree", False, "none", "plant one"),
        Finding("leaves", False, "not judged before tree works"),
        Finding("colour", False, "not judged before leaves works"),
        Finding("soil", True, "loam"),
        Finding("worms", True, "seven"),
    ]


def test_a_program_is_told_with_its_path_and_version(monkeypatch, tmp_path):
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\necho such a compiler, $1\necho and more\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.delenv("CXX", raising=False)
    assert program("g++", "CXX") == (f"{compiler}: such a compiler, --version", "")


def test_the_program_that_a_variable_names_is_looked_for_without_its_options(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O3")
    assert program("g++", "CXX") == ("no-such-compiler not found", GET_COMPILER)


def test_a_program_that_fails_has_said_nothing():
    assert finding.said("false") == finding.said("no-such-program") == ""
    assert finding.said("echo", "a word") == "a word\n"
