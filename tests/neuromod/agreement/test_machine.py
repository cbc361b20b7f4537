import os

import neuromod
from neuromod.agreement import machine as module
from neuromod.agreement.machine import machine


def test_the_machine_is_told_with_versions():
    found = machine()
    assert found["cores"] == os.cpu_count()
    assert found["versions"]["brian2-neuromod"] == neuromod.__version__
    assert found["memory_GB"] > 0


def test_every_gpu_has_a_name_and_a_driver(monkeypatch):
    cards = "NVIDIA H200, 580.65.06, 143771 MiB, 9.0\nNVIDIA T4, 580.65.06, 15360 MiB, 7.5\n"
    monkeypatch.setattr(
        module, "said", lambda program, *_: cards if program == "nvidia-smi" else ""
    )
    first, second = machine()["gpus"]
    assert first["name"] == "NVIDIA H200"
    assert second == {
        "name": "NVIDIA T4",
        "driver_version": "580.65.06",
        "memory.total": "15360 MiB",
        "compute_cap": "7.5",
    }
