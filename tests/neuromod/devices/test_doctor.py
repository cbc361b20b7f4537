import importlib

import pytest

from neuromod.devices import doctor
from neuromod.devices.finding import Finding


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_the_default_device_works():
    assert doctor.try_device("cython").works


def test_what_is_tried_is_compiled_on_every_device(python):
    code = "from neuromod.devices import doctor, simulation; neurons = doctor.two_neurons(); "
    assert python(f"{code} assert neurons.duration/neurons.dt > simulation.SHORT").code == 0


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


def test_every_device_is_examined(monkeypatch):
    monkeypatch.setattr(doctor, "try_device", lambda name: Finding(name, True, ""))
    found = doctor.examine()
    assert [finding.name for finding in found["Devices"]] == ["cython", "cpp", "genn", "genn-cpu"]
    assert found["GeNN (optional)"][0].name == "brian2genn"


@pytest.mark.parametrize("device", ["genn", "genn-cpu"])
def test_a_genn_device_is_not_tried_while_a_step_to_it_fails(device, monkeypatch):
    lacking = Finding("GeNN", False, "not found", "get it")
    monkeypatch.setattr(doctor, "steps", lambda **_: [Finding("brian2genn", True, "2"), lacking])
    monkeypatch.setattr(doctor, "simulate", None)
    found = doctor.try_device(device)
    assert found == Finding(device, False, "GeNN: not found", "get it")


def test_missing_programs_and_packages_say_what_brings_them(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert doctor._program("g++", "CXX") == Finding("g++", False, "not found", doctor.GET_COMPILER)
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


def test_ngspice_is_named_with_its_version_or_what_brings_it(monkeypatch):
    monkeypatch.setattr(doctor.ngspice, "version", lambda: "ngspice-39 : Circuit level simulation")
    assert doctor._ngspice() == Finding("ngspice", True, "ngspice-39 : Circuit level simulation")
    monkeypatch.setattr(doctor.ngspice, "version", lambda: "")
    assert "apt install ngspice" in doctor._ngspice().get
    assert not doctor._ngspice().works
