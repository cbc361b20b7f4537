"""A device that is Brian2's runtime under another name, and small things to try it with."""

from dataclasses import replace
from functools import partial

import pytest
from brian2 import ms

from neuromod.agreement import agree, repetition, speed, suite
from neuromod.devices.simulation import simulate

TIMES = {"build_s": 0.7, "binary_s": 0.3, "compiled": True}


@pytest.fixture
def pretended(monkeypatch):
    """Let a function take the place of a device; it is given what the runtime recorded."""

    def install(change=lambda recording, *_: recording):
        def run(experiment, device="cython", precision="double"):
            recording = simulate(experiment)
            if device != "cython":
                recording = change(recording, experiment, precision)
            told = {**recording.provenance, **TIMES}
            return replace(recording, provenance=told)

        for module in (suite, repetition, speed):
            monkeypatch.setattr(module, "simulate", run)
        monkeypatch.setattr(agree, "check_request", lambda *_: None)
        brief = replace(repetition.network(110), duration=20 * ms)
        monkeypatch.setattr(agree, "network", lambda: brief)
        monkeypatch.setattr(agree, "repeat", partial(repetition.repeat, times=2))
        monkeypatch.setattr(speed, "ROUNDS", 1)
        monkeypatch.setattr(speed, "network", partial(speed.network, duration=3 * ms))

    return install
