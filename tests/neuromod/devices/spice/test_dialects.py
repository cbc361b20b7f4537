"""Every dialect's netlist is the same circuit: read as its language has it, ngspice runs it.

Neither Xyce nor HSPICE nor Spectre is run here. Their files are read by the rules of their
languages, as far as they are used, and given to ngspice in its own words.
"""

import re

import pytest
from brian2 import Mohm, nsecond, nsiemens
from brian2.units.allunits import fcoulomb, ffarad

from neuromod.devices.spice.dialects import DIALECTS, PlainNgspice, named
from neuromod.devices.spice.netlist import netlist
from neuromod.devices.spice.ngspice import version
from neuromod.devices.spice.wiring import choose
from neuromod.errors import UserError

needs_ngspice = pytest.mark.skipif(not version(), reason="ngspice is not installed")

CIRCUITS = {
    "clocked": {},
    "continuous": {"comparator": "continuous"},
    "symmetric": {"leak": "symmetric", "R_leak": 141 * Mohm},
    "ekv": {"law": "ekv", "output": "mosfet", "leak": "one_sided"},
    "square": {"output": "mosfet", "R_supply": 1.3 * Mohm},
    "conductance": {"synapse": "conductance", "G_unit": 23 * nsiemens},
    "standing": {"references": "always", "law": "ekv", "output": "mosfet", "R_supply": 1 * Mohm},
    "slow": {
        "references": "always",
        "output": "mosfet",
        "C_gate": 37 * ffarad,
        "t_comparator": 20 * nsecond,
        "Q_kick": 0.13 * fcoulomb,
        "Q_reset": -0.3 * fcoulomb,
    },
}
OTHERS = [name for name in DIALECTS if name != "ngspice"]
FUNCTIONS = {"exp", "log", "ln", "tanh", "abs", "max", "V", "v"}


@needs_ngspice
@pytest.mark.parametrize("name", CIRCUITS)
def test_flip_flops_of_capacitors_do_as_the_model(name, chip, experiment, compared):
    made = experiment(chip(**CIRCUITS[name]))
    table = compared(made, netlist(made, choose(made, ()), PlainNgspice()))
    assert (table.spikes_SPICE > 0).all()
    assert table.agrees.all(), table.to_string()


@needs_ngspice
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("values", ["ekv", "conductance"])
def test_what_each_dialect_writes_is_that_circuit(name, values, chip, experiment, compared):
    made = experiment(chip(**CIRCUITS[values]))
    text = netlist(made, choose(made, ()), DIALECTS[name])
    table = compared(made, READERS[name](text))
    assert (table.spikes_SPICE > 0).all()
    assert table.agrees.all(), table.to_string()


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("values", CIRCUITS)
def test_every_circuit_is_within_the_language(name, values, chip, experiment):
    made = experiment(chip(**CIRCUITS[values]))
    text = netlist(made, choose(made, ()), DIALECTS[name])
    READERS[name](text)
    for line in text.splitlines():
        assert len(line) < 1024, line


@pytest.mark.parametrize("name", ["xyce", "hspice"])
def test_an_independent_parser_reads_the_subcircuits(name, chip, experiment, tmp_path):
    spicelib = pytest.importorskip("spicelib", reason="spicelib is not installed")
    made = experiment(chip())
    file = tmp_path / f"chip{DIALECTS[name].suffix}"
    file.write_text(netlist(made, choose(made, ()), DIALECTS[name]))
    editor = spicelib.SpiceEditor(file)
    assert {"XCHIP_0", "XCHIP_1", "VCHIP_0_VDD"} <= {n.upper() for n in editor.get_components()}
    inside = {n.upper() for n in editor.get_subcircuit("Xchip_0").get_components()}
    assert {"CMEMBRANE", "VREST", "RLEAK", "CLATCH"} <= inside
    assert float(editor.get_component_value("Vchip_0_vdd")) == pytest.approx(0.73)


def test_natural_logarithms_have_the_name_that_each_simulator_gives_them(chip, experiment):
    # To Xyce log is that to base 10.
    made = experiment(chip(law="ekv"))
    found = {
        name: set(re.findall(r"\b(ln|log)\(", netlist(made, choose(made, ()), dialect)))
        for name, dialect in DIALECTS.items()
    }
    assert found == {"ngspice": {"ln"}, "xyce": {"ln"}, "hspice": {"log"}, "spectre": {"log"}}


def test_a_dialect_that_there_is_not_is_refused():
    with pytest.raises(UserError, match="no dialect named 'ltspice': did you mean"):
        named("ltspice")


def joined(text, mark):
    """Statements, with continued lines joined and comments left out."""
    text = re.sub(r"\n\+", " ", text) if mark != "//" else re.sub(r"\\\n", " ", text)
    return [s for s in text.splitlines() if s.strip() and not s.startswith(mark)]


def checked(expression, parameters):
    """An expression of known functions and parameters, with its brackets closed."""
    assert expression.count("(") == expression.count(")"), expression
    words = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", re.sub(r"\b[Vv]\([^()]*\)", "0", expression)))
    assert words <= FUNCTIONS | parameters, expression
    return expression


def from_spice(text, unquoted, spelled, ending):
    """Text of a dialect in SPICE's tradition in ngspice's words, checked line by line."""
    lines, parameters = joined(text, "*")[0:], set()
    given = []
    for line in lines:
        head = line.split()[0]
        if head.startswith("."):
            assert head in (*ending, ".subckt", ".ends", ".ic", ".end", ".tran"), line
        else:
            assert head[0] in "RCVIGFHBEXM", line
        if head == ".subckt":
            parameters = set(re.findall(r"(\w+)=", line))
        for expression in re.findall(unquoted, line):
            checked(expression, parameters)
        given.append(spelled(line))
        parameters = set() if head == ".ends" else parameters
    assert lines[-1] == ".end"
    return "* read\n" + "\n".join(given) + "\n"


def from_xyce(text):
    def spelled(line):
        line = re.sub(r"\b([IV])=\{(.*)\}$", r"\1=\2", line)
        line = re.sub(r"^\.print tran format=csv", ".save", line)
        line = re.sub(r"^\.options (timeint|device)", ".options", line)
        return re.sub(r"v\((\w+):(\w+)\)", r"v(\1.\2)", line)

    return from_spice(text, r"\{([^{}]*)\}", spelled, (".options", ".print"))


def from_hspice(text):
    def spelled(line):
        line = re.sub(r"^\.probe tran", ".save", line).replace("log(", "ln(")
        return re.sub(r"^\.option (?=delmax)", "* ", line)

    (longest,) = re.findall(r"delmax=(\S+)", text)
    given = from_spice(text, r"'([^']*)'", spelled, (".option", ".probe"))
    return re.sub(r"^(\.tran.*)$", rf"\1 0 {longest}", given, flags=re.MULTILINE)


# Spectre's primitives that are used: their parameters, and what they are to ngspice.
SPECTRE = {
    "resistor": ({"r"}, "{name} {nodes} {{{r}}}"),
    "capacitor": ({"c"}, "{name} {nodes} {{{c}}}"),
    "vccs": ({"gm"}, "{name} {nodes} {{{gm}}}"),
    "cccs": ({"probe", "gain"}, "{name} {nodes} {probe} {{{gain}}}"),
    "ccvs": ({"probe", "rm"}, "{name} {nodes} {probe} {{{rm}}}"),
    "bsource": ({"i", "v"}, "{name} {nodes} {law}"),
    "relay": ({"vt1", "vt2", "ropen", "rclosed"}, "B{name} {ends} i={law}"),
    "vsource": ({"type", "dc", "wave"}, "{name} {nodes} {source}"),
    "isource": ({"type", "dc", "wave"}, "{name} {nodes} {source}"),
}
INSTANCE = re.compile(r"(\w+) \(([^()]*)\) (\w+)((?: \w+=(?:\[[^\]]*\]|[^\s\[\]]+))*)$")


def from_spectre(text):
    lines, given, parameters, circuits, inside = joined(text, "//"), [], set(), set(), None
    assert lines[:2] == ["simulator lang=spectre", "global 0"]
    for line in lines[2:]:
        head, *rest = line.split()
        if head == "subckt":
            assert inside is None
            inside, nodes = re.fullmatch(r"subckt (\w+) \(([^()]*)\)", line).groups()
            circuits.add(inside)
            given.append(f".subckt {inside} {nodes}")
        elif head == "parameters":
            parameters = {word.partition("=")[0] for word in rest}
            given[-1] += " " + " ".join(rest)
        elif head == "ends":
            assert rest == [inside]
            inside, parameters = None, set()
            given.append(".ends")
        elif head == "ic":
            node, value = re.fullmatch(r"ic ([\w.]+)=(\S+)", line).groups()
            given.append(f".ic v({node})={value}")
        elif head == "save":
            given.append(".save " + " ".join(f"v({node})" for node in rest))
        elif head == "transient":
            stop, step = re.fullmatch(
                r"transient tran stop=(\S+) maxstep=(\S+) method=gear2only", line
            ).groups()
            given.append(f".tran {step} {stop} 0 {step}")
        elif head == "accuracy":
            values = re.fullmatch(
                r"accuracy options reltol=(\S+) iabstol=(\S+) vabstol=(\S+) gmin=(\S+)", line
            ).groups()
            names = ("reltol", "abstol", "vntol", "gmin")
            given.append(
                ".options method=gear chgtol=1e-20 "
                + " ".join(f"{n}={v}" for n, v in zip(names, values, strict=True))
            )
        else:
            given.append(spectre_instance(line, parameters, circuits))
    assert inside is None
    return "* read\n" + "\n".join(given) + "\n.end\n"


def spectre_instance(line, parameters, circuits):
    name, nodes, kind, tail = INSTANCE.fullmatch(line).groups()
    values = dict(re.findall(r" (\w+)=(\[[^\]]*\]|\S+)", tail))
    for value in values.values():
        if not value.startswith("["):
            checked(value.replace("log(", "ln("), parameters | {"pwl", "dc", values.get("probe")})
    if kind not in SPECTRE:
        assert kind in circuits, line
        return f"{name} {nodes} {kind} " + " ".join(f"{n}={{{v}}}" for n, v in values.items())
    allowed, form = SPECTRE[kind]
    assert set(values) <= allowed, line
    law = source = ""
    if kind == "bsource":
        ((quantity, law),) = values.items()
        law = f"{quantity}=" + law.replace("log(", "ln(").replace("**", "^")
    elif kind == "relay":
        a, b, control, ground = nodes.split()
        assert ground == "0"
        # Gmax and Gmin, and a cubic between the two voltages.
        x = f"min(max((v({control})-{values['vt1']})/({values['vt2']}-{values['vt1']}),0),1)"
        law = f"v({a},{b})*(1/{values['ropen']}+({x})^2*(3-2*({x}))/{values['rclosed']})"
    elif kind in ("vsource", "isource"):
        wave = values.get("wave", "").strip("[]")
        source = f"pwl({wave})" if values["type"] == "pwl" else f"{{{values['dc']}}}"
    ends = " ".join(nodes.split()[:2])
    return form.format(name=name, nodes=nodes, ends=ends, law=law, source=source, **values)


READERS = {"xyce": from_xyce, "hspice": from_hspice, "spectre": from_spectre}
