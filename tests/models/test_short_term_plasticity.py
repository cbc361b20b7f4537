"""Short-term plasticity against the recursions of its authors, and their steady states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brian2 import (
    Hz,
    Network,
    NeuronGroup,
    SpikeGeneratorGroup,
    Synapses,
    ms,
    nS,
    pA,
    prefs,
    second,
)

from neuromod.devices.genn.limits import obstacles
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models import TsodyksMarkram, modulate

DT = 0.1 * ms
# Whatever is added to `total` stays there.
TARGET = modulate("dv/dt = -v/(9*ms) : 1\ntotal : 1", threshold="v > 2")
DEPRESSING = TsodyksMarkram(target="total", weight=3.7, U=0.43, tau_rec=310 * ms)
FACILITATING = TsodyksMarkram(
    target="total", weight=3.7, U=0.13, tau_rec=110 * ms, tau_facil=530 * ms
)
IRREGULAR = np.cumsum([1.7, 21.3, 13.1, 134.9, 8.3, 8.3, 55.1, 13.3]) * ms


@pytest.fixture(autouse=True)
def _numpy(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")


def released(synapse, times, device="cython"):
    """What every spike of a train adds, shape (spikes,)."""
    train = Spikes("train", 1, np.zeros(len(times), int), times)
    wire = PlasticConnection("wire", "train", "target", synapse, i=[0], j=[0])
    experiment = Experiment(
        populations=[Population("target", TARGET, 1)],
        sources=[train],
        plastic=[wire],
        traces=[Trace("target", ["total"], [0])],
        duration=times[-1] + 1 * ms,
        dt=DT,
    )
    added = np.diff(simulate(experiment, device).signals["target"]["total"].values[0])
    return added[added > 0]


def by_recursion(times, U, tau_rec, tau_facil=0.0):
    """Tsodyks & Markram 1997, equation 1 from spike to spike; Markram et al. 1998, equation 2."""
    left, use, amounts = 1.0, U, []
    for interval in [*np.diff(times / ms), 0]:
        amounts.append(3.7 * use * left)
        left = 1 - (1 - left * (1 - use)) * np.exp(-interval / tau_rec)
        use = U + (use * (1 - U) * np.exp(-interval / tau_facil) if tau_facil else 0)
    return np.array(amounts)


def test_a_depressing_synapse_follows_the_recursion_of_its_authors():
    found = released(DEPRESSING, IRREGULAR)
    np.testing.assert_allclose(found, by_recursion(IRREGULAR, 0.43, 310), rtol=1e-9)
    assert (found[1:] < found[0]).all()


def test_a_facilitating_synapse_follows_the_recursion_of_its_authors():
    found = released(FACILITATING, IRREGULAR)
    np.testing.assert_allclose(found, by_recursion(IRREGULAR, 0.13, 110, 530), rtol=1e-9)
    assert found[1] > found[0]


@pytest.mark.parametrize("interval", [7.3, 21.9])
def test_a_long_train_settles_at_the_closed_form_of_depression(interval):
    found = released(DEPRESSING, (1.3 + interval * np.arange(40)) * ms)
    spared = np.exp(-interval / 310)
    expected = 3.7 * 0.43 * (1 - spared) / (1 - 0.57 * spared)
    assert found[-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("interval", [7.3, 21.9])
def test_a_long_train_settles_at_the_closed_form_of_facilitation(interval):
    found = released(FACILITATING, (1.3 + interval * np.arange(70)) * ms)
    use = 0.13 / (1 - 0.87 * np.exp(-interval / 530))
    spared = np.exp(-interval / 110)
    expected = 3.7 * use * (1 - spared) / (1 - (1 - use) * spared)
    assert found[-1] == pytest.approx(expected, rel=1e-5)


def test_at_high_rates_depression_leaves_what_recovers_whatever_the_rate():
    # Tsodyks & Markram 1997: above a limiting frequency amplitudes fall as 1/rate.
    fast, faster = (
        released(DEPRESSING, (1.3 + interval * np.arange(60)) * ms)[-1] / interval
        for interval in (2.0, 1.0)
    )
    assert fast == pytest.approx(3.7 / 310, rel=0.02)
    assert faster == pytest.approx(fast, rel=0.01)


def test_a_slow_train_finds_the_synapse_recovered():
    found = released(replace(DEPRESSING, tau_rec=7 * ms), [3, 203, 403] * ms)
    assert found == pytest.approx(3.7 * 0.43, rel=1e-9)


def test_it_makes_synapses_in_a_script_of_one_s_own():
    target = NeuronGroup(1, "I_syn : amp", dt=DT)
    train = SpikeGeneratorGroup(1, np.zeros(len(IRREGULAR), int), IRREGULAR, dt=DT)
    model = TsodyksMarkram(weight=3.7 * pA, U=0.43, tau_rec=310 * ms)
    made = Synapses(
        train,
        target,
        model.equations,
        on_pre=model.on_pre,
        method=model.method,
        namespace=model.constants,
        dt=DT,
    )
    made.connect()
    Network(target, train, made).run(300 * ms)
    expected = by_recursion(IRREGULAR, 0.43, 310).sum()
    assert float(target.I_syn[0] / pA) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("synapse", [DEPRESSING, FACILITATING], ids=["depression", "facilitation"])
def test_genn_can_run_it(synapse):
    assert not list(obstacles(synapse))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"U": 1.1}, "U = 1.1 is out of range: expected above 0, at most 1"),
        ({"U": 0}, "U = 0 is out of range"),
        ({"tau_rec": 0 * ms}, "tau_rec = 0.* is out of range"),
        ({"tau_rec": 3 * Hz}, "tau_rec = .* has the wrong unit"),
        ({"tau_facil": -1 * second}, "tau_facil = -1 s is out of range"),
    ],
)
def test_what_cannot_be_is_refused(changed, words):
    with pytest.raises(UserError, match=words):
        TsodyksMarkram(**changed)


def test_its_weight_has_the_unit_of_the_variable_that_it_adds_to():
    synapse = TsodyksMarkram(target="total", weight=3 * nS)
    with pytest.raises(
        UserError, match=r"^total_post [+]= .* a number without unit was expected, not a value in s"
    ):
        released(synapse, IRREGULAR)


@pytest.mark.thorough
@pytest.mark.parametrize("synapse", [DEPRESSING, FACILITATING], ids=["depression", "facilitation"])
def test_compiled_it_is_the_same(synapse):
    plain = released(synapse, IRREGULAR)
    np.testing.assert_allclose(released(synapse, IRREGULAR, "cpp"), plain, rtol=1e-12)
