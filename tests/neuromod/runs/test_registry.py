import inspect

import pytest

from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.runs import registry


def test_own_models_and_protocols_are_known():
    assert {"circuit", "gain-lif"} <= set(registry.names("model"))
    assert {"gain-curve", "vdd-sweep", "bio-vs-circuit", "demo"} <= set(registry.names("protocol"))
    assert registry.find_model("gain-lif") is GainLIF


def test_a_protocol_of_another_package_is_found(tiny):
    assert registry.find_protocol("tiny") is tiny
    assert registry.name_of(tiny()) == "tiny"


def test_an_unregistered_protocol_has_its_class_name(tiny):
    class Mine(tiny):
        pass

    assert registry.name_of(Mine()) == "Mine"


@pytest.mark.parametrize("name", registry.names("protocol"))
def test_every_protocol_accepts_its_own_defaults(name):
    if not registry.missing("protocol", name):
        assert registry.name_of(registry.find_protocol(name)()) == name


@pytest.mark.parametrize("kind", ["model", "protocol"])
def test_titles_are_those_of_the_classes(kind):
    for name in registry.names(kind):
        if not registry.missing(kind, name):
            docstring = inspect.getdoc(registry._load(kind, name))
            assert registry.title(kind, name) == " ".join(docstring.partition("\n\n")[0].split())


@pytest.mark.usefixtures("plugin")
def test_a_title_may_have_two_lines_and_its_module_be_missing():
    assert registry.title("protocol", "tiny") == "Spikes of neurons driven by constant currents."
    assert registry.title("protocol", "lost") == ""


@pytest.mark.usefixtures("plugin")
def test_what_a_protocol_needs_is_told():
    assert registry.missing("protocol", "tiny") == []
    assert registry.missing("protocol", "needy") == ["no-such-package"]
    with pytest.raises(UserError, match=r"needs no_such_package.*pip install 'tiny\[dream\]'"):
        registry.find_protocol("needy")
    with pytest.raises(UserError, match=r"needs no_such_module, which is not installed\.$"):
        registry.find_protocol("lost")


@pytest.mark.parametrize(
    ("find", "name", "message"),
    [
        (
            registry.find_protocol,
            "vddsweep",
            "no protocol named 'vddsweep': did you mean vdd-sweep",
        ),
        (registry.find_model, "gain-lfi", "no model named 'gain-lfi': did you mean gain-lif"),
    ],
)
def test_an_unknown_name_brings_the_nearest(find, name, message):
    with pytest.raises(UserError, match=message):
        find(name)
