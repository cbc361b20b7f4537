import importlib

import pytest

from neuromod import doctor


def test_the_default_device_works():
    assert doctor.try_device("cython").works


@pytest.mark.slow
def test_the_compiled_device_works():
    assert doctor.try_device("cpp").works


def test_the_known_answer_is_far_from_a_whole_number():
    assert 0.2 < doctor.expected_spikes() % 1 < 0.8


def test_a_device_that_fails_says_why_and_what_to_do(monkeypatch):
    def fail(*_):
        raise RuntimeError("g++ is on holiday\nand much more")

    monkeypatch.setattr(doctor, "simulate", fail)
    found = doctor.try_device("cpp")
    assert (found.works, found.found) == (False, "g++ is on holiday")
    assert found.get


def test_a_device_that_miscounts_does_not_work(monkeypatch):
    monkeypatch.setattr(doctor, "expected_spikes", lambda: 1000.5)
    found = doctor.try_device("cython")
    assert not found.works
    assert "theory says 1000" in found.found


def test_every_device_of_today_and_tomorrow_is_examined(monkeypatch):
    monkeypatch.setattr(doctor, "try_device", lambda name: doctor.Finding(name, True, ""))
    monkeypatch.setenv("GENN_PATH", "/opt/genn")
    found = {finding.name: finding for finding in doctor.examine()["Devices"]}
    assert list(found) == ["cython", "cpp", "genn", "genn-cpu"]
    assert "/opt/genn" in found["genn-cpu"].found


def test_missing_programs_and_packages_say_what_brings_them(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert doctor._program("g++", "CXX") == doctor.Finding(
        "g++", False, "not found", doctor.GET_COMPILER
    )
    assert doctor._package("no-such-package").get == "pip install no-such-package"


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_a_torch_that_does_not_import_says_what_brings_it(error, monkeypatch):
    def fail(_):
        raise error("operator torchvision::nms does not exist")

    monkeypatch.setattr(doctor, "import_module", fail)
    found = doctor._imports("torchvision")
    assert (found.works, found.get) == (False, doctor.GET_TORCH)
    assert "nms" in found.found
    assert importlib.import_module is not fail
