"""Synapses with equations of their own: as data, in a simulation, and where GeNN refuses them."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from brian2 import Hz, ms, umolar

from neuromod.devices.genn.limits import refuse
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes, Trace
from neuromod.models.three_factor import PlasticLIF, ThreeFactor

DT = 1 * ms


@dataclass(frozen=True)
class Facilitating:
    """A synapse as a third party would write it: every spike leaves it stronger for a while."""

    equations: str = "du/dt = -u/tau : 1 (clock-driven)"
    on_pre: str = "v_post += w*(1 + u)\nu += 0.3"
    on_post: str = ""
    method: str = "euler"
    constants: dict[str, Any] = field(default_factory=lambda: {"w": 0.11, "tau": 31 * ms})
    totals: tuple[str, ...] = ("u",)


def connected(model=None, i=(0, 1, 2), j=(0, 0, 1), values=None, **changes):
    pairs = {"i": np.array(i), "j": np.array(j), "values": values or {}}
    model = model or Facilitating()
    synapses = PlasticConnection("synapses", "inputs", "cells", model, **pairs, **changes)
    inputs = Spikes("inputs", 3, np.array([0, 2, 0, 1]), np.array([1, 1, 4, 6]) * DT)
    cells = Population("cells", PlasticLIF(tau_m=13 * ms), 2)
    return Experiment(
        populations=[cells],
        sources=[inputs],
        plastic=[synapses],
        traces=[Trace("cells", "v", np.arange(2))],
        duration=12 * DT,
        dt=DT,
    )


def test_a_third_partys_synapse_does_what_its_equations_say():
    """By hand: a spike sees u before it adds to it, and Euler's decay in between."""
    recording = simulate(connected())
    kept, left = np.exp(-1 / 13), 1 - 1 / 31
    u = 0.3 * left**3
    first = 0.11 * kept**4 + 0.11 * (1 + u) * kept
    v = recording.signals["cells"]["v"].values
    assert v[0, 6] == pytest.approx(first, rel=1e-12)
    # Sent in steps 1 and 4, spikes arrive in 2 and 5; six steps later the run ends.
    expected = [(u + 0.3) * left**6, 0.3 * left**4, 0.3 * left**9]
    np.testing.assert_allclose(recording.totals["synapses"]["u"], expected, rtol=1e-12)


def test_a_delay_shifts_all_that_a_spike_does():
    prompt = simulate(connected()).signals["cells"]["v"].values
    late = simulate(connected(delay=2 * ms)).signals["cells"]["v"].values
    np.testing.assert_allclose(late[:, 2:], prompt[:, :-2], rtol=1e-12)
    assert prompt.max() > 0.1


def test_values_follow_their_synapses_when_these_are_sorted():
    model = {"w": np.array([0.5, 0.7, 0.2])}
    mixed = connected(i=(2, 0, 1), j=(1, 0, 0), values=model).plastic[0]
    assert mixed.i.tolist() == [0, 1, 2]
    assert mixed.j.tolist() == [0, 0, 1]
    assert mixed.values["w"].tolist() == [0.7, 0.2, 0.5]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: connected(values={"w": np.ones(2)}), "w of synapses needs 3 values, not 2"),
        (lambda: connected(j=(0, 1)), "j of synapses needs 3 values, not 2"),
        (lambda: connected(i=(0, 1, 3)), "inputs has indices 0 to 2, not 3"),
        (lambda: connected(j=(0, 1, 2)), "cells has indices 0 to 1, not 2"),
        (lambda: connected(delay=1.5 * ms), "delay"),
        (lambda: connected(ThreeFactor(), values={"tau_e": -3 * ms}), "tau_e"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused_when_made(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_its_name_is_its_own():
    experiment = connected()
    twice = (experiment.plastic[0], replace(experiment.plastic[0], name="cells"))
    with pytest.raises(UserError, match="needs its own name"):
        replace(experiment, plastic=twice)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: connected(values={"W": 0.3}), "parameter or state of synapses named 'W'"),
        (lambda: connected(Facilitating(on_pre="g_post += w")), "variable of cells named 'g'"),
        (
            lambda: replace(connected(), traces=[Trace("synapses", "U", np.arange(1))]),
            "variable of synapses named 'U'",
        ),
    ],
)
def test_what_no_equation_defines_is_refused_when_made(make, message):
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            Facilitating("du/dt = -u/tau : 1 (clock-driven)\ns = 1 + u : 1", "v_post += w*s"),
            "a spike cannot read s, which is a subexpression",
        ),
        (Facilitating(on_pre="v_post += w*v_pre"), "a spike cannot read v_pre of the source"),
        (Facilitating(on_pre="v_post += w*rand()"), "draw numbers beforehand"),
        (Facilitating(on_pre="v_post += w*clip(u, 0, 1)"), "single precision"),
    ],
)
def test_what_genn_cannot_do_at_a_spike_is_refused_with_what_to_do(model, message):
    with pytest.raises(UserError, match="GeNN cannot run the plastic connection synapses") as told:
        refuse(connected(model))
    assert told.match(message)


@pytest.mark.parametrize("rule", ["oja", "bcm", "stdp"])
def test_genn_has_nothing_against_three_factors(rule):
    refuse(connected(ThreeFactor(rule=rule, eta=0.3 * Hz)))


def test_traces_of_synapses_and_totals_survive_a_file(tmp_path):
    experiment = connected()
    traced = (*experiment.traces, Trace("synapses", ("u",), np.arange(3)))
    recording = simulate(replace(experiment, traces=traced))
    recording.save(tmp_path / "recording.nix")
    again = type(recording).load(tmp_path / "recording.nix")
    for kind in ("signals", "totals"):
        kept = [getattr(r, kind)["synapses"]["u"] for r in (recording, again)]
        values = [np.asarray(getattr(part, "values", part)) for part in kept]
        np.testing.assert_array_equal(*values)


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpp", "genn-cpu"])
@pytest.mark.thorough
def test_other_devices_step_plastic_synapses_in_the_same_order(device, needs):
    """Spikes on either side in the same step, a release and a bound make any other order show."""
    needs(device)
    model = ThreeFactor(rule="stdp", w=1.3, eta=90 * Hz, bound=0.7)
    experiment = connected(model)
    cells = Population("cells", PlasticLIF(tonic=0.9), 2, {"conc_modulator": 0.4 * umolar})
    every = (*experiment.traces, Trace("synapses", ("E", "eligibility"), np.arange(3)))
    whole = replace(experiment, populations=(cells,), traces=every)
    ours, theirs = simulate(whole), simulate(whole, device)
    assert ours.spikes["cells"].counts().tolist() == [3, 1]
    np.testing.assert_array_equal(ours.spikes["cells"].times, theirs.spikes["cells"].times)
    for variable in ("E", "eligibility"):
        values = [np.asarray(r.signals["synapses"][variable].values) for r in (ours, theirs)]
        assert np.abs(values[0]).max() > 0.3
        np.testing.assert_allclose(values[1], values[0], atol=1e-12)
