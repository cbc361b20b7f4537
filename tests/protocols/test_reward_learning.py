from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from brian2 import amp, ms, mV, nA, nS, pA, pF, second, um, volt

import neuromod
from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.models import AdEx, GainLIF, Izhikevich, Receptor, library, modulate, with_plasticity
from neuromod.models.izhikevich import types
from neuromod.models.three_factor import PlasticLIF, ThreeFactor
from neuromod.protocols.reward_learning import RewardLearning
from neuromod.protocols.reward_learning.cells import PlasticNeurons
from neuromod.runs.report import draw
from neuromod.runs.run import load_run
from neuromod.settings import change, flatten, format_value, read

SMALL = RewardLearning(
    stimuli=4,
    cells=5,
    duration=21 * second,
    interval=230 * ms,
    releasing=3,
    reward_delays=[0.1, 0.4] * second,
    lags=[-17, -3, 4, 31] * ms,
    delays=[0.13, 0.7] * second,
    seed=3,
)


@cache
def run():
    return neuromod.run(SMALL)


def test_credit_of_isolated_pairs_is_that_of_the_closed_form():
    credit = run().tables["credit"]
    assert len(credit) == 8
    # A sum over steps of 1 ms stands for an integral over 167 ms.
    np.testing.assert_allclose(credit.credit, credit.closed_form, rtol=0.004)
    assert (np.sign(credit.credit) == np.sign(credit.lag_ms)).all()


def test_the_rewarded_stimulus_gains_more_than_any_other():
    table = run().table
    assert table.rewarded.tolist() == [True, False, False, False]
    assert table.plastic[0] > table.plastic[1:].max() + 0.05


def test_stimuli_come_equally_often_and_rewards_within_their_delays():
    protocol = run().protocol
    onsets, shown, releases, _ = protocol._drawn
    assert np.ptp(run().table.presentations) <= 1
    assert np.diff(onsets).min() >= 100
    since = releases - onsets[shown == 0][: len(releases)]
    assert since.min() >= 100
    assert since.max() <= 400


def test_every_release_is_expected_on_average_so_that_the_third_factor_has_no_mean():
    protocol = run().protocol
    experiment = protocol.experiments()["conditioning"]
    tonic = experiment.populations[0].values["tonic"]
    _, _, releases, _ = protocol._drawn
    places, sites = (np.asarray(where / um) for where in protocol._tissue)
    apart = np.linalg.norm(places[:, None] - sites, axis=2)
    # Of the kernel in closed form, cleared with 200 ms.
    mean = 0.5 * np.exp(-apart / 100).sum(axis=1) * len(releases) * 0.2 / 21
    np.testing.assert_allclose(tonic, -mean, rtol=1e-12)


def test_modulatory_neurons_fire_once_for_every_reward():
    recording = run().recordings["conditioning"]
    _, _, releases, _ = run().protocol._drawn
    assert recording.spikes["modulatory"].counts().tolist() == [len(releases)] * 3


def test_the_figure_can_be_drawn():
    assert draw(run().protocol, run().tables, run().recordings).png.startswith(b"\x89PNG")


LEARNS = ThreeFactor(rule="stdp", w=0.15, alpha=0.15)
FOREIGN = RewardLearning(
    neuron=Izhikevich(),
    synapse=LEARNS,
    stimuli=3,
    volley=7,
    cells=5,
    duration=6.6 * second,
    interval=110 * ms,
    least_interval=80 * ms,
    releasing=3,
    reward_delays=[0.1, 0.3] * second,
    lags=[-17, -3, 4, 31] * ms,
    delays=[0.13] * second,
    dt=1 * ms,
    seed=3,
)


def assert_it_learned(run):
    credit, table = run.tables["credit"], run.table
    assert len(credit) == 4
    np.testing.assert_allclose(credit.credit, credit.closed_form, rtol=0.004)
    assert run.recordings["pairs"].spikes["cells"].counts().tolist() == [1] * 4
    assert table.plastic[0] > table.plastic[1:].max() + 0.1


@pytest.mark.thorough
def test_another_neuron_learns_the_rewarded_stimulus_and_what_is_stored_repeats_the_run():
    run = neuromod.run(FOREIGN)
    assert_it_learned(run)
    stored = run.info["settings"]
    assert stored["neuron"] == "izhikevich"
    again = change(RewardLearning(), read(RewardLearning(), stored))
    assert type(again.neuron) is type(run.protocol.neuron)
    assert again == run.protocol
    words = run.protocol.report(run.tables)[-1].text
    assert words.startswith("A weight of 1 is ")
    assert "fire once, 1 ms later" in words


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("device", ["cython", "cpp", "genn-cpu"])
def test_a_neuron_with_adaptation_learns_on_every_device_and_its_file_repeats_it(
    device, needs, tmp_path
):
    needs(device)
    run = neuromod.run(replace(FOREIGN, neuron=AdEx()), device=device, out=tmp_path / "run")
    assert_it_learned(run)
    stored = load_run(tmp_path / "run")
    again = neuromod.run(stored.protocol, device=device)
    np.testing.assert_array_equal(again.table.plastic, run.table.plastic)
    assert draw(stored.protocol, stored.tables, stored.recordings).png.startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("variable", ["v", "I_syn"])
@pytest.mark.parametrize("name", PlasticNeurons())
def test_credit_is_that_of_the_closed_form_on_every_neuron_by_name(name, variable):
    if name in ("modulated", "plastic-neuron"):
        pytest.skip("It has no equations, or no synaptic current.")
    synapse = replace(LEARNS, variable=variable)
    protocol = replace(FOREIGN, neuron=PlasticNeurons()[name], synapse=synapse, dt=0.1 * ms)
    recording = simulate(protocol._pairs())
    credit = protocol._credit(recording)
    np.testing.assert_allclose(credit.credit, credit.closed_form, rtol=0.004)
    if recording.spikes["cells"].counts().max() == 1:
        assert (np.sign(credit.credit) == np.sign(credit.lag_ms)).all()


def test_a_neuron_is_chosen_by_name_and_its_parameters_by_theirs():
    texts = {"neuron": "adex", "a": "3.1*nS", "tau_y": "31*ms", "V_r": "-67*mV"}
    chosen = change(RewardLearning(), read(RewardLearning(), texts))
    expected = with_plasticity(AdEx(a=3.1 * nS, V_r=-67 * mV), tau_y=31 * ms)
    assert chosen.neuron == expected
    assert (chosen.step / ms, RewardLearning().step / ms) == (0.1, 1)
    stored = {name: format_value(value) for name, value in flatten(chosen).items()}
    again = change(RewardLearning(), read(RewardLearning(), stored))
    assert again == chosen
    assert RewardLearning(neuron=AdEx()).neuron == with_plasticity(AdEx())


def test_all_neurons_get_the_same_spikes_at_any_time_step():
    coarse, fine = SMALL, replace(SMALL, neuron=AdEx(), dt=0.2 * ms)
    onsets, shown, releases, spikes = coarse._drawn
    assert len(releases) > 5
    np.testing.assert_array_equal(fine._drawn[0], onsets * 5)
    np.testing.assert_array_equal(fine._drawn[1], shown)
    np.testing.assert_array_equal(fine._drawn[2], releases * 5)
    np.testing.assert_array_equal(fine._drawn[3], spikes)


def test_a_weight_of_1_is_that_of_the_volley_that_just_makes_a_leaky_cell_fire():
    leaky = GainLIF(receptors=(), v_th=-56 * mV, tau_m=17 * ms)
    protocol = replace(FOREIGN, neuron=leaky, volley=6, jitter=9 * ms, dt=0.5 * ms)
    # Six spikes at 0, 1.5, ... 7.5 ms; each decays for a step before the cell is looked at.
    left = np.exp(-(7.5 - 1.5 * np.arange(6) + 0.5) / 17)
    expected = 6 * 14 / left.sum()
    assert 1 <= float(protocol._unit / mV) / expected < 1.021
    weights = protocol._conditioning().plastic[0].values["w"]
    assert weights.mean() / protocol._unit == pytest.approx(0.15, rel=0.05)
    # Of steps of one spike, those of 1 to 10 thresholds make it fire.
    threshold = 14 * np.exp(0.5 / 17)
    assert float(protocol._kick.size / mV) / threshold == pytest.approx(10**0.5, rel=0.03)
    assert (protocol._kick.latency, protocol._kick.spikes) == (1, 1)


def test_a_weight_with_a_unit_is_taken_as_it_is():
    synapse = ThreeFactor(rule="stdp", variable="I_syn", w=83 * pA, alpha=97 * pA)
    made = replace(FOREIGN, synapse=synapse)._conditioning().plastic[0]
    assert made.model.alpha == 97 * pA
    assert made.values["w"].min() >= 0.5 * 83 * pA
    assert made.values["w"].max() <= 1.5 * 83 * pA


def test_a_cell_that_bursts_is_driven_to_as_few_spikes_as_can_be():
    chattering = with_plasticity(types["CH"])
    protocol = replace(FOREIGN, neuron=chattering, dt=0.5 * ms, lags=[-20, -3, 4] * ms)
    assert protocol._kick.spikes > 1
    recording = simulate(protocol._pairs())
    assert recording.spikes["cells"].counts().tolist() == [protocol._kick.spikes] * 3
    credit = protocol._credit(recording)
    np.testing.assert_allclose(credit.credit, credit.closed_form, rtol=0.004)


OWN = """
dV/dt = (I_0 - g*(V - E) + I)/C_m : volt
I : amp
"""


def own(inside=0 * amp, **code):
    values = {"I_0": inside, "g": 11 * nS, "E": -66 * mV, "C_m": 140 * pF}
    code = {"threshold": "V > -51*mV", "reset": "V = E", **code}
    return modulate(OWN, namespace=values, start={"V": -66 * mV}, **code)


def test_a_neuron_of_ones_own_is_driven_by_the_variable_that_one_names():
    protocol = replace(FOREIGN, neuron=own(), synapse=replace(LEARNS, variable="V"))
    assert type(protocol.neuron).__name__ == "PlasticModulated"
    assert protocol._kick.latency == 1


def test_a_neuron_that_fires_by_itself_and_one_that_never_does_are_refused():
    synapse = replace(LEARNS, variable="V")
    with pytest.raises(UserError, match="fires without input: one that rests"):
        replace(FOREIGN, neuron=own(0.3 * nA), synapse=synapse)._pairs()
    with pytest.raises(UserError, match="Nothing added to tonic makes the neuron fire"):
        replace(FOREIGN, synapse=replace(LEARNS, variable="tonic"))._pairs()


FIRING = replace(FOREIGN, neuron=own(0.3 * nA, current="I"), synapse=replace(LEARNS, variable="V"))


def test_the_refusal_of_a_neuron_that_fires_by_itself_names_the_current_that_silences_it():
    with pytest.raises(UserError, match="fires without input: set holding to -") as refused:
        FIRING._pairs()
    named = float(str(refused.value).partition("holding to ")[2].partition(" nA")[0])
    # Of 300 pA the leak takes 11 nS times 15 mV before the threshold.
    assert -0.3 + 0.165 >= named > 1.1 * (-0.3 + 0.165)


def test_a_held_neuron_is_one_with_less_current_of_its_own():
    held = replace(FIRING, holding=-0.2 * nA)
    less = replace(FIRING, neuron=own(0.1 * nA, current="I"))
    assert held._unit == less._unit
    assert held._kick == less._kick
    for part in (held._pairs(), held._conditioning()):
        assert part.populations[0].values["I"] == -0.2 * nA
        # Settled for 0.4 s, which are 31 time constants.
        assert float(part.populations[0].values["V"] / mV) == pytest.approx(-66 + 100 / 11)


@pytest.mark.thorough
def test_a_neuron_that_fires_by_itself_learns_while_a_current_holds_it():
    run = neuromod.run(replace(FIRING, holding=-0.2 * nA))
    assert_it_learned(run)
    assert "All cells are held by a current of -0.2 nA." in run.protocol.report(run.tables)[-1].text


def onto(variable, unit=1.0):
    return ThreeFactor(rule="stdp", variable=variable, w=0.1 * unit, alpha=0.1 * unit)


def test_receptors_of_the_modulator_that_is_released_may_be_on_the_cells():
    cells = replace(FOREIGN, neuron=AdEx(receptors=(Receptor(),))).neuron
    assert cells.ligands == ("modulator",)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"synapse": ThreeFactor(rule="oja")}, "synapse.rule must be 'stdp'"),
        ({"neuron": PlasticLIF(tonic=0.3)}, "set expected"),
        ({"stimuli": 1}, "stimuli"),
        ({"lags": [-3, 0.2] * ms}, "whole number of time steps"),
        ({"lags": [-3, 0] * ms}, "lags must be at least one time step"),
        ({"reward_delays": [1, 0.2] * second}, "reward_delays must be the shortest"),
        ({"interval": 90 * ms}, "must be above least_interval"),
        ({"jitter": 130 * ms}, "at least jitter"),
        ({"duration": 3 * second}, "at least 20 presentations"),
        ({"neuron": "adx"}, "adx.*adex"),
        ({"neuron": ThreeFactor()}, "neuron must be a Postsynaptic or Receptive"),
        ({"neuron": own(threshold="")}, "never spikes: give it a threshold"),
        ({"neuron": own()}, "variable of the neuron for synapse.variable named 'v'.*V"),
        ({"neuron": AdEx(receptors=(library["D1"],))}, "Nothing releases dopamine here"),
        ({"neuron": Izhikevich(), "synapse": onto("u")}, "u of the neuron is .* set"),
        ({"neuron": AdEx(), "synapse": onto("I_syn", volt)}, "synapse.w has the wrong unit"),
        ({"neuron": AdEx(), "holding": -3 * mV}, "holding has the wrong unit"),
        ({"holding": -0.1 * nA}, "takes no current: leave holding at 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_when_made(settings, message):
    with pytest.raises(UserError, match=message):
        RewardLearning(**settings)
