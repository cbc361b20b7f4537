import re
import shlex

import brian2
import numpy as np
import pytest
from brian2 import Quantity, ms, nA

from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.protocols import BioVsCircuit, GainCurve, VddSweep
from neuromod.runs.commands import changed, files, python, shell
from neuromod.runs.run import load_run, run
from neuromod.settings import change, flatten, format_value, read, split_assignments

INFO = {"device": "cython", "precision": "double", "format": "nix"}
STUDIES = [
    (GainCurve, {}),
    (GainCurve, {"seed": "7", "I": "[0.3, 0.5, 0.7]*nA", "neuron.tau_m": "17.3*ms"}),
    (GainCurve, {"neuron.receptors": "D1", "neuron.receptors.D1.gain_max": "2.7"}),
    (GainCurve, {"receptors": "A1,mine", "receptors.mine.k_on": "2/(uM*s)"}),
    (GainCurve, {"neuron": "adex"}),
    (GainCurve, {"I": "geomspace(0.3, 1.3, 6)*nA", "conc": "linspace(0, 7.1, 9)*uM"}),
    (BioVsCircuit, {"gain": "linspace(0.3, 1.7, 9)", "duration": "60*us"}),
    (BioVsCircuit, {"gain": "[0.3, 0.7, 1.1, 1.2, 1.5]"}),
    (VddSweep, {"vdd": "linspace(0.55, 0.75, 4)*volt", "codes": "-1,2,3"}),
    (VddSweep, {"network": "it's mine/network.csv"}),
]


def texts(study):
    return {name: format_value(value) for name, value in flatten(study).items()}


def command_name(kind):
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


@pytest.mark.parametrize(("kind", "asked"), STUDIES)
def test_the_command_gives_the_same_settings_to_the_last_bit(kind, asked):
    study = change(kind(), read(kind(), asked))
    command, run_it, name, *rest = shlex.split(shell(study, changed(study), INFO))
    assert (command, run_it) == ("neuromod", "run")
    options = dict(enumerate(rest))
    given = [options[at + 1] for at, word in options.items() if word == "--set"]
    seed = {"seed": rest[rest.index("--seed") + 1]}
    assert texts(change(kind(), read(kind(), split_assignments(given) | seed))) == texts(study)
    assert name == command_name(kind)


@pytest.mark.parametrize(("kind", "asked"), STUDIES)
def test_the_call_gives_the_same_settings_to_the_last_bit(kind, asked):
    study = change(kind(), read(kind(), asked))
    made = []

    class Neuromod:
        @staticmethod
        def run(name, device, precision, **settings):
            assert (device, precision) == ("cython", "double")
            assert name == command_name(kind)
            made.append(change(kind(), settings))

    call = python(study, changed(study), INFO)
    exec(call, {**vars(brian2), "neuromod": Neuromod})
    assert texts(made[0]) == texts(study)


def test_only_what_differs_is_given():
    assert changed(GainCurve()) == {}
    assert changed(change(GainCurve(), {"tau_m": 17.3 * ms})) == {"neuron.tau_m": "17.3*ms"}
    third = Quantity(np.array([0.1, 0.2, 0.3]) / 3 * nA)
    assert changed(change(GainCurve(), {"I": third}))["I"].endswith("] * amp")


def test_a_series_is_given_as_it_is_typed():
    for text in ("linspace(0.4, 1.3, 12)*nA", "geomspace(0.1, 10, 7)*nA", "[0.4, 0.7, 0.9]*nA"):
        assert changed(change(GainCurve(), read(GainCurve(), {"I": text})))["I"] == text
    gains = change(BioVsCircuit(), {"gain": np.linspace(0.3, 1.7, 9)})
    assert changed(gains) == {"gain": "linspace(0.3, 1.7, 9)"}


def test_the_command_when_executed_gives_the_same_tables(tiny, neuromod, tmp_path):
    study = tiny(seed=12, neuron=GainLIF(receptors=(), tau_m=17.3 * ms), note="it's $HOME")
    run(study, out=tmp_path / "first")
    stored = load_run(tmp_path / "first")
    command = shell(stored.protocol, changed(stored.protocol), stored.info)
    ended = neuromod(*shlex.split(command)[1:], "--out", "again")
    assert ended.code == 0, ended.err
    before, after = ((tmp_path / f / "table.csv").read_bytes() for f in ("first", "again"))
    assert before == after


def test_an_empty_text_cannot_be_given_to_a_shell_but_in_python(tiny):
    study = tiny(note="")
    with pytest.raises(UserError, match="An empty note cannot be given to a shell"):
        shell(study, changed(study), INFO)
    assert "note=''" in python(study, changed(study), INFO)


def test_a_protocol_without_a_name_cannot_be_asked_for(tiny):
    class Nameless(tiny):
        """Of no package."""

    with pytest.raises(UserError, match="no protocol named 'Nameless'"):
        changed(Nameless())


def test_settings_that_name_files_are_told():
    assert files(VddSweep(network="mine/network.csv")) == ["network=mine/network.csv"]
    assert files(GainCurve()) == []
