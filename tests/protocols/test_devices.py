"""Every protocol gives the same on every device."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import linspace, nA, second, umolar, usecond, volt

from neuromod.protocols.bio_vs_circuit import BioVsCircuit
from neuromod.protocols.gain_curve import GainCurve
from neuromod.protocols.vdd_sweep import VddSweep
from neuromod.registry import names
from neuromod.simulation import simulate


def demo():
    pytest.importorskip("torch")
    from neuromod.protocols.demo import Demo

    return Demo(methods=("nt1",), seeds=1)


PROTOCOLS = {
    "bio-vs-circuit": lambda: BioVsCircuit(gain=np.linspace(0.3, 1.7, 5), duration=31 * usecond),
    "demo": demo,
    "gain-curve": lambda: GainCurve(
        conc=[0, 1.7] * umolar, I=linspace(0.4, 1.3, 5) * nA, duration=0.3 * second
    ),
    "vdd-sweep": lambda: VddSweep(vdd=linspace(0.5, 1, 7) * volt, duration=31 * usecond),
}


def test_every_protocol_is_compared():
    assert sorted(PROTOCOLS) == names("protocol")


@pytest.mark.slow
@pytest.mark.parametrize("name", PROTOCOLS)
def test_cython_and_cpp_agree_spike_by_spike_and_sample_by_sample(name):
    for experiment in PROTOCOLS[name]().experiments().values():
        by_cython, by_cpp = simulate(experiment, "cython"), simulate(experiment, "cpp")
        for population, spikes in by_cython.spikes.items():
            assert len(spikes.times)
            assert np.array_equal(spikes.neurons, by_cpp.spikes[population].neurons)
            assert np.array_equal(spikes.times, by_cpp.spikes[population].times)
        for population, signals in by_cython.signals.items():
            for variable, signal in signals.items():
                other = by_cpp.signals[population][variable].values
                assert np.allclose(signal.values, other, rtol=1e-9, atol=0)
