import json
import shutil

import pytest
from brian2 import ms

from neuromod.errors import UserError
from neuromod.models import GainLIF
from neuromod.runs.earlier import current_settings
from neuromod.runs.run import load_run, render, run

# What version 0.1 wrote of a neuron that nothing reached but what its protocol set.
INPUTS = {
    "neuron.I_ext": "0.0 * amp",
    "neuron.trained_gain": "1.0",
    "neuron.conc": "0.0 * mmolar",
    "neuron.delivery": "constant",
    "neuron.tau_clear": "1.0 * second",
}
RECEPTOR = {
    "neuron.receptors": "generic,",
    "neuron.receptors.generic.ligand": "modulator",
    "neuron.receptors.generic.gain_max": "2.5",
}


@pytest.fixture(scope="module")
def kept():
    """Place of a run that all tests copy, once the first has made it."""
    return {}


@pytest.fixture
def earlier(tiny, kept, tmp_path, tmp_path_factory):
    """Turns a run of today into one as version 0.1 stored it, with these settings more."""
    if not kept:
        kept["run"] = tmp_path_factory.mktemp("kept") / "run"
        run(tiny(), out=kept["run"], tau_m=17.3 * ms)
    shutil.copytree(kept["run"], tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    del info["settings"]["neuron.receptors"]
    for later in ("files", "sha256", "target"):
        del info[later]
    info["versions"]["brian2-neuromod"] = "0.1.0"

    def store(**changes):
        stored = info["settings"] | INPUTS | RECEPTOR
        stored |= {f"neuron.{name}": text for name, text in changes.items()}
        (tmp_path / "run" / "run.json").write_text(json.dumps(info | {"settings": stored}))
        return tmp_path / "run"

    return store


def test_a_run_of_version_0_1_is_read_where_only_inputs_without_effect_are_gone(earlier):
    neuron = load_run(earlier(modulated="True")).protocol.neuron
    assert neuron.tau_m == 17.3 * ms
    assert neuron.receptors[0].gain_max == 2.5


def test_a_neuron_that_was_not_modulated_has_no_receptors(earlier):
    folder = earlier(modulated="False")
    assert load_run(folder).protocol.neuron == GainLIF(receptors=(), tau_m=17.3 * ms)
    assert render(folder).exists()


@pytest.mark.parametrize(
    ("name", "text"), [("conc", "0.001 * mmolar"), ("I_ext", "0.7 * namp"), ("trained_gain", "1.3")]
)
def test_a_run_whose_setting_had_an_effect_is_refused_in_one_sentence(name, text, earlier):
    with pytest.raises(UserError) as refused:
        load_run(earlier(**{name: text}))
    sentence = str(refused.value)
    assert "stored by neuromod 0.1.0, cannot be read by" in sentence
    assert f"neuron.{name} = {text} is an input of its population now" in sentence
    assert "repeat it, or read it with the version that stored it." in sentence
    assert sentence.count(". ") == 0


def test_a_setting_that_nobody_knows_is_named(earlier):
    with pytest.raises(UserError, match=r"0\.1\.0.*no setting named 'neuron\.tau_x'"):
        load_run(earlier(tau_x="1.0"))


def test_settings_that_are_still_there_are_left_alone():
    stored = {"vdd": "0.6 * volt", "circuit.vdd": "0.75 * volt", "circuit.C": "50.0 * ffarad"}
    known = dict.fromkeys(["vdd", "circuit.C"])
    assert current_settings(stored, known) == {k: stored[k] for k in ("vdd", "circuit.C")}
