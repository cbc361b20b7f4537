import importlib
from contextlib import nullcontext

import pytest

from neuromod.devices import doctor
from neuromod.devices.finding import Finding
from neuromod.devices.target import wanted
from neuromod.errors import UserError


@pytest.mark.slow
@pytest.mark.thorough
def test_the_default_device_works():
    assert doctor.try_device("cython").works


def test_what_is_tried_is_compiled_on_the_default_device_too(monkeypatch):
    chosen = []
    look = lambda *_: chosen.append(wanted())  # noqa: E731
    monkeypatch.setattr(doctor, "simulate", look)
    doctor.try_device("cython")
    assert chosen == ["cython"]
    assert wanted() == "auto"


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


@pytest.mark.thorough
def test_a_device_that_miscounts_does_not_work(monkeypatch):
    monkeypatch.setattr(doctor, "expected_spikes", lambda: 1000.5)
    found = doctor.try_device("cython")
    assert not found.works
    assert "theory says 1000" in found.found


def test_every_device_is_examined(monkeypatch):
    monkeypatch.setattr(doctor, "try_device", lambda name: Finding(name, True, ""))
    found = doctor.examine()
    assert [finding.name for finding in found["Devices"]] == ["cython", "cpp", "genn", "genn-cpu"]
    firsts = [found[heading][0].name for heading in found if heading.startswith("GeNN")]
    assert firsts == ["pygenn", "brian2genn"]


@pytest.mark.parametrize(
    ("device", "seen", "unseen"),
    [
        ("cpp", {"g++", "make"}, {"pygenn", "GPU"}),
        ("genn-cpu", {"g++", "make", "pygenn", "brian2genn", "GeNN tree"}, {"GPU"}),
        ("genn", {"pygenn's CUDA back end", "GeNN version", "GPU"}, set()),
    ],
)
def test_every_step_to_one_device_is_shown_and_the_device_tried(device, seen, unseen, monkeypatch):
    monkeypatch.setattr(doctor, "try_device", lambda name: Finding(name, True, ""))
    found = doctor.examine_device(device)
    names = {finding.name for findings in found.values() for finding in findings}
    assert seen <= names
    assert not unseen & names
    assert found["Devices"] == [Finding(device, True, "")]


def test_only_devices_are_examined():
    with pytest.raises(UserError, match="device"):
        doctor.examine_device("gem-cpu")


@pytest.mark.parametrize("device", ["genn", "genn-cpu"])
def test_a_genn_device_is_not_tried_while_a_step_to_it_fails(device, monkeypatch):
    lacking = Finding("GeNN", False, "not found", "get it")
    monkeypatch.setattr(doctor.installation, "first_lacking", lambda _: lacking)
    monkeypatch.setattr(doctor, "simulate", None)
    found = doctor.try_device(device)
    assert found == Finding(device, False, "GeNN: not found", "get it")


def test_a_genn_device_that_works_says_by_which_way(monkeypatch):
    monkeypatch.setattr(doctor.installation, "first_lacking", lambda _: None)
    monkeypatch.setattr(doctor.installation, "taken", lambda: "PyGeNN")
    simulate = doctor.simulate
    monkeypatch.setattr(doctor, "simulate", lambda experiment, _: simulate(experiment))
    monkeypatch.setattr(doctor, "computed_by", lambda _: nullcontext())
    found = doctor.try_device("genn-cpu")
    assert found.works
    assert "through PyGeNN" in found.found


def test_missing_headers_and_packages_say_what_brings_them(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert doctor._python_headers() == (f"no {tmp_path}/Python.h", doctor.GET_HEADERS)
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
