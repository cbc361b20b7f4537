import inspect
import re
import sys
from pathlib import Path

import pytest

import neuromod.models
import neuromod.models as neuromod_models
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.runs import registry


def test_own_models_and_protocols_are_known():
    assert {"circuit", "gain-lif"} <= set(registry.names("model"))
    assert {"gain-curve", "vdd-sweep", "bio-vs-circuit", "demo"} <= set(registry.names("protocol"))
    assert registry.find("model", "gain-lif") is GainLIF


def test_a_protocol_of_another_package_is_found(tiny):
    assert registry.find("protocol", "tiny") is tiny
    assert registry.name_of(tiny()) == "tiny"


def test_an_unregistered_protocol_has_its_class_name(tiny):
    class Mine(tiny):
        pass

    assert registry.name_of(Mine()) == "Mine"


@pytest.mark.parametrize("name", registry.names("protocol"))
def test_every_protocol_accepts_its_own_defaults(name):
    if not registry.missing("protocol", name):
        assert registry.name_of(registry.find("protocol", name)()) == name


@pytest.mark.parametrize("kind", registry.KINDS)
def test_titles_are_those_of_the_classes(kind):
    for name in registry.names(kind):
        if not registry.missing(kind, name):
            docstring = inspect.getdoc(registry.find(kind, name))
            assert docstring
            assert registry.title(kind, name) == " ".join(docstring.partition("\n\n")[0].split())


@pytest.mark.usefixtures("plugin")
def test_a_title_may_have_two_lines_and_a_package_be_missing():
    assert registry.title("protocol", "tiny") == "Spikes of neurons driven by constant currents."
    assert registry.title("protocol", "needy") == "Never loaded here."


STUDY = """
from dataclasses import dataclass
from neuromod import Protocol
from neuromod.parameters import parameter

@dataclass(frozen=True, eq=False)
class Guest(Protocol):
    {}
"""
RAISES = '"""A title."""\n    def __post_init__(self):\n        raise KeyError(17)'
OUT_OF_RANGE = '"""A title."""\n    rate: int = parameter(1, "of nothing", "chosen here", low=2)'
BROKEN = [
    ("raise OSError('no\\nlicence')", "OSError: no)"),
    ("import sys; sys.exit('good bye')", "SystemExit: good bye)"),
    ("def oh no:", "SyntaxError: expected '('"),
    ("import neuromod.no_such_room", "needs neuromod.no_such_room, which is not installed."),
    ("Gast = 3", "has no attribute 'Guest'"),
    ("Guest = 3", "AttributeError"),
    ("def Guest(): 'A title.'", "it is no neuromod.Protocol"),
    ("class Guest: 'A title.'", "it is no neuromod.Protocol"),
    (STUDY.format("pass"), "it has no docstring, whose first sentence would be its title"),
    (STUDY.format(RAISES), "KeyError: 17"),
    (STUDY.format(OUT_OF_RANGE), "rate = 1 is out of range"),
]


@pytest.mark.parametrize(("source", "reason"), BROKEN)
def test_a_broken_guest_is_refused_in_one_line_and_the_others_stay(source, reason, guest):
    guest("crooked", source)
    with pytest.raises(UserError, match=r"^The protocol 'crooked' .*\.$") as refusal:
        registry.find("protocol", "crooked")
    told = str(refusal.value)
    assert registry.flaw("protocol", "crooked") == told
    assert reason in told
    assert "\n" not in told
    assert "guest_of_this_test" in told or "which is not installed" in told
    assert registry.kinds_of("wash") == ["protocol", "delivery"]
    assert registry.find("protocol", "puff").__name__ == "Puff"


@pytest.mark.parametrize("place", ["not a module:Guest", "{module}", ":", "{module}:Guest.inner"])
def test_a_crooked_entry_point_is_a_flaw_of_its_own_alone(place, guest):
    guest("crooked", STUDY.format('"""A title."""'), place)
    assert registry.flaw("protocol", "crooked").startswith("The protocol 'crooked' cannot be used")
    assert registry.name_of(registry.find("protocol", "GainCurve")()) == "gain-curve"


@pytest.mark.parametrize(
    "text",
    [b"[neuromod.protocols]\nno equals sign", b"[neuromod.protocols]\n\xff = \xfe", b"[x]\ny"],
)
def test_a_package_of_garbled_entry_points_is_named_and_left_out(text, guest, neuromod, caplog):
    guest("crooked", "")
    guest("straight", STUDY.format('"""A title."""'))
    (about,) = Path(sys.path[1]).glob("*.dist-info")
    (about / "entry_points.txt").write_bytes(text)
    ended = neuromod("list")
    assert ended.code == 0
    assert re.search(r"^straight +A title\.", ended.out, re.MULTILINE)
    assert "crooked" not in ended.out
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        f"{about} is left out: its entry points cannot be read"
    ]


def test_of_two_copies_of_a_package_the_first_on_the_path_counts(guest, monkeypatch):
    guest("first", "")
    copy = Path(sys.path[0])
    guest("second", "")
    (about,) = copy.glob("*.dist-info")
    (metadata,) = Path(sys.path[0]).glob("*.dist-info/METADATA")
    metadata.write_text((about / "METADATA").read_text())
    assert {"first", "second"} & set(registry.names("protocol")) == {"second"}
    monkeypatch.syspath_prepend(copy)
    assert {"first", "second"} & set(registry.names("protocol")) == {"first"}


def test_a_sound_guest_has_no_flaw_and_the_title_of_its_class(guest):
    guest("straight", STUDY.format('"""A\n    title."""') + "Other = Guest\n", "{module}:Other")
    assert registry.flaw("protocol", "straight") == ""
    assert registry.title("protocol", "straight") == "A title."


@pytest.mark.usefixtures("plugin")
def test_what_only_lacks_a_package_has_no_flaw():
    assert registry.flaw("protocol", "needy") == ""
    assert "no_such_module" in registry.flaw("protocol", "lost")


def test_a_guest_does_not_take_the_name_of_an_own_protocol(guest):
    guest("puff", "raise OSError")
    assert registry.find("protocol", "puff").__name__ == "Puff"
    assert registry.flaw("protocol", "puff") == ""


def test_guests_of_other_kinds_are_looked_at_too(guest):
    guest("crooked", "def Guest(): pass", kind="delivery")
    guest("bent", "raise OSError", kind="model")
    assert "no docstring" in registry.flaw("delivery", "crooked")
    assert "OSError" in registry.flaw("model", "bent")


@pytest.mark.usefixtures("plugin")
def test_what_a_protocol_needs_is_told():
    assert registry.missing("protocol", "tiny") == []
    assert registry.missing("protocol", "needy") == ["no-such-package"]
    with pytest.raises(UserError, match=r"needs no_such_package.*pip install 'tiny\[dream\]'"):
        registry.find("protocol", "needy")
    with pytest.raises(UserError, match=r"needs no_such_module, which is not installed\.$"):
        registry.find("protocol", "lost")


@pytest.mark.parametrize(
    ("kind", "name", "near"),
    [
        ("protocol", "vddsweep", "vdd-sweep"),
        ("model", "gain-lfi", "gain-lif"),
        ("model", "gainlif", "gain-lif"),
        ("receptor", "d-1", "D1"),
        ("delivery", "puff", "puffs"),
        ("method", "nt-1", "nt1"),
    ],
)
def test_an_unknown_name_brings_the_nearest(kind, name, near):
    with pytest.raises(UserError, match=f"no {kind} named '{name}': did you mean {near}"):
        registry.find(kind, name)


@pytest.mark.parametrize(
    ("kind", "name", "registered"),
    [
        ("model", "GainLIF", "gain-lif"),
        ("model", "gain_lif", "gain-lif"),
        ("model", "CircuitNeuron", "circuit"),
        ("protocol", "GainCurve", "gain-curve"),
        ("protocol", "gain_curve", "gain-curve"),
        ("protocol", "Gain-Curve", "gain-curve"),
        ("receptor", "d1", "D1"),
    ],
)
def test_a_name_may_be_that_of_the_class_or_be_spelt_with_underscores(kind, name, registered):
    assert registry.find(kind, name) is registry.find(kind, registered)
    assert registry.kinds_of(name) == [kind]


def test_a_registered_name_comes_first():
    assert registry.kinds_of("receptor") == ["model"]
    assert registry.kinds_of("Wash") == ["protocol", "delivery"]


def test_one_name_may_be_of_several_kinds():
    assert registry.kinds_of("wash") == ["protocol", "delivery"]
    assert registry.kinds_of("alpha2") == ["receptor"]
    with pytest.raises(
        UserError, match=r"method, receptor, sensor or circuit named 'voluem': .* volume"
    ):
        registry.kinds_of("voluem")


def test_every_model_of_the_door_is_known_by_name():
    pytest.importorskip("torch")
    known = {registry.find("model", name).__name__ for name in registry.names("model")}
    door = {name: getattr(neuromod.models, name) for name in neuromod.models.__all__}
    classes = {name for name, found in door.items() if isinstance(found, type)}
    # What `modulate` makes of equations, and bases, are nothing by themselves.
    bases = {"Classifier", "Postsynaptic"}
    assert classes - {"Modulated", "ModulatedSynapse"} - bases <= known


def test_receptors_sensors_and_circuits_are_those_of_their_tables():
    assert registry.names("receptor") == list(neuromod.models.library)
    assert registry.find("receptor", "D1") is neuromod.models.library["D1"]
    assert registry.names("sensor") == list(neuromod.models.sensors)
    assert registry.names("circuit") == list(neuromod.models.circuits)
    assert "1.8 V" in registry.title("circuit", "sky130")


RECEPTOR = """
from neuromod.models import Receptor
Guest = Receptor(name="H3", ligand="histamine", n=1.3)
"""


def test_a_receptor_of_another_package_is_listed_and_described(guest, neuromod):
    guest("H3", RECEPTOR, kind="receptor")
    assert registry.kinds_of("h3") == ["receptor"]
    assert registry.flaw("receptor", "H3") == ""
    listed, described = neuromod("list"), neuromod("describe", "H3")
    assert re.search(r"^H3 +Histamine H3\.", listed.out, re.MULTILINE)
    assert "doccupancy_H3/dt = k_on_H3*conc_histamine*" in described.out


def test_a_broken_receptor_is_named_and_the_others_are_listed(guest, neuromod):
    guest("H3", "raise OSError('no licence')", kind="receptor")
    ended = neuromod("list")
    assert ended.code == 0
    assert "The receptor 'H3' cannot be used" in ended.err
    assert re.search(r"^D1 +Dopamine D1", ended.out, re.MULTILINE)


def test_a_receptor_in_a_file_is_described(neuromod, tmp_path):
    table = Path(neuromod_models.__file__).with_name("receptor_library.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(table.replace("[D1]", "[X1]"), "utf-8")
    ended = neuromod("describe", "mine.toml:X1")
    assert "doccupancy_X1/dt" in ended.out, ended.err


def test_deliveries_are_functions_that_give_inputs():
    for name in registry.names("delivery"):
        delivery = registry.find("delivery", name)
        assert (delivery.__name__, delivery.__annotations__["return"]) == (name, "Input")


def test_stimuli_are_functions_that_give_inputs_or_spikes():
    given = {}
    for name in registry.names("stimulus"):
        stimulus = registry.find("stimulus", name)
        assert stimulus.__name__ == name
        given[name] = stimulus.__annotations__["return"]
    assert set(given.values()) == {"Input", "Spikes"}
    assert given["ornstein_uhlenbeck"] == "Input"


def test_tuning_methods_are_those_that_can_be_attached():
    methods = pytest.importorskip("neuromod.tuning.methods")
    found = {name: registry.find("method", name) for name in registry.names("method")}
    assert found == methods.METHODS


def test_titles_are_found_without_importing_anything(python):
    ended = python(
        "import sys; from neuromod.runs import registry\n"
        "assert registry.title('protocol', 'puff').startswith('Single puffs')\n"
        "assert 'trains the gains' in registry.title('method', 'nt1')\n"
        "sys.exit(bool({'torch', 'brian2'} & set(sys.modules)))"
    )
    assert ended.code == 0, ended.err
