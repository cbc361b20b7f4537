"""Subcircuits of a circuit neuron: its membrane, its comparator and spike, and its mirrors.

Each has two forms. ngspice is given its own level-1 transistors, diodes and digital parts; other
simulators are given sources that follow the same laws, and a flip-flop made of capacitors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from brian2 import volt

from neuromod.devices.spice import options
from neuromod.devices.spice.dialects import Spice, number, on
from neuromod.devices.spice.models import OwnModels
from neuromod.devices.spice.parts import (
    Behaviour,
    Capacitor,
    Copy,
    Instance,
    Lines,
    Meter,
    Part,
    Resistor,
    Start,
    Subcircuit,
    Switch,
    Transconductance,
    Transistor,
    Voltage,
)
from neuromod.errors import UserError

ZERO_CELSIUS = 273.15
STATES = ("held", "ramp", "latch")
"""Nodes of a flip-flop made of capacitors, which are 0 V at the start."""
# Of a flip-flop made of capacitors: its time constant, from its clock to its output, and from its
# end to its output, seconds.
SETTLING = 1e-10
LATE = SETTLING * math.log(4)
SPENT = LATE + SETTLING * math.log(4 / 3)
"""What of a width does not pass on the ramp."""
# A comparator's smooth step: half of it within 5 uV.
SHARP = 1e5

NATIVE_GENERATOR = """\
Ahigh one high
Alow zero low
Aflipflop {data} {clock} zero ended q nq flipflop
Awidth q ended last
Aspike [q] [{out}] level
.model last d_buffer(rise_delay={{{width}}} fall_delay=1p)"""
NATIVE_DECISION = """\
Ethreshold over 0 vol='V(out) - {v_th + v_offset}'
Aabove [over] [above] above
Abusy [inputs] [busy] on
Anor busy nor not"""
NATIVE_WAIT = """\
Aspike_in [spike] [begun] on
Astart begun clock wait
.model wait d_buffer(rise_delay={start} fall_delay={start})"""
NATIVE_LEAK = {
    "one_sided": "Dleak out rest diode temp={celsius}\n"
    ".model diode d(is={{v_slope/R_leak}} n={{v_slope/{U_T}}} tnom={celsius})",
    "symmetric": "Dleak out rest diode temp={celsius}\nDback rest out diode temp={celsius}\n"
    ".model diode d(is={{v_slope/R_leak/2}} n={{v_slope/{U_T}}} tnom={celsius})",
}
LEAK = {
    "one_sided": "v_slope/R_leak*(exp(V(out,rest)/v_slope) - 1)",
    "symmetric": "v_slope/R_leak/2*(exp(V(out,rest)/v_slope) - exp(-V(out,rest)/v_slope))",
}
# What a comparator is clocked by, and what it then decides on.
DECISION = {"clocked": ("nor", "above"), "continuous": ("above", "one")}
SQUARE = "{count}*{beta}/2*(1 + {modulation}*abs({v_ds}))*(max({v_on},0)**2 - max({v_off},0)**2)"
EKV = (
    "{count}*{I_spec}*(1 + {modulation}*abs({v_ds}))*"
    "(ln(1 + exp(({v_on})/{v_ekv}))**2 - ln(1 + exp(({v_off})/{v_ekv}))**2)"
)


def generator(dialect: Spice, clock: str, data: str, out: str, width: str) -> Iterator[Part]:
    """A flip-flop that resets itself after a width: a spike, or a pulse.

    It takes up its data where its clock rises, and no clock while it is on.
    """
    if dialect.native:
        yield Lines(NATIVE_GENERATOR.format(clock=clock, data=data, out=out, width=width))
        return
    yield Voltage("Vone", "one", "0", 1)
    high, held, spiking = on(clock), on("held"), f"V({out})"
    # Open while the clock is low, then held; a decision that was taken is forgotten.
    follow = f"(1 - {high})*({on(data)}*(1 - {spiking}) - V(held))"
    yield Behaviour("Bheld", "0", "held", "I", f"1e-3*({follow} - {high}*{spiking}*V(held))")
    yield Capacitor("Cheld", "held", "0", 1e-14)
    # A ramp that reaches 1 V at the end of the width, and stays until the latch has let go.
    ramp = f"{spiking}*1e-12/({width} - {number(SPENT)}) - (1 - {on('latch', 0.25)})*1e-2*V(ramp)"
    yield Behaviour("Bramp", "0", "ramp", "I", ramp)
    yield Capacitor("Cramp", "ramp", "0", 1e-12)
    ended = "0.5*(1 + tanh(1000*(V(ramp) - 1)))"
    kept = f"0.5*(1 + tanh(40*(V(latch) + {high}*{held} - {ended} - 0.5)))"
    yield Behaviour("Blatch", "0", "latch", "I", f"1e-3*({kept} - V(latch))")
    yield Capacitor("Clatch", "latch", "0", 1e-3 * SETTLING)
    # The spike acts only when the latch no longer needs what it is about to take away.
    yield Behaviour("Bspike", out, "0", "V", on("latch", 0.75))


def pulses(dialect: Spice) -> Iterator[Subcircuit]:
    """What makes pulses of spikes."""
    if dialect.native:
        values = {"start": 1e-9, "width": 1e-7}
        parts = [Lines(NATIVE_WAIT), *generator(dialect, "clock", "one", "out", "width")]
        yield Subcircuit("pulse", ("spike", "out"), values, parts, "A pulse, after a spike.")
        return
    for name, when, clock in (
        ("at_rise", "rises", "V(before)"),
        ("at_fall", "falls", "1 - V(before)"),
    ):
        parts = [
            Behaviour("Bclock", "clock", "0", "V", clock),
            *generator(dialect, "clock", "one", "out", "width"),
        ]
        about = f"A pulse, when a voltage {when}."
        yield Subcircuit(name, ("before", "out"), {"width": 1e-7}, parts, about)


def delayed(dialect: Spice, spike: str, pulse: Any, longest: float) -> Iterator[Part]:
    """A pulse that a neuron's spikes make after a time, and the state that it starts with.

    Flip-flops made of capacitors wait one after another: none as long as another spike may take.
    """
    out = pulse.pulse
    if dialect.native:
        yield Instance(
            f"X{out}", (spike, out), "pulse", {"start": pulse.start, "width": pulse.width}
        )
        return
    waits = int(np.ceil(pulse.start / longest))
    nodes = [spike, *(f"{out}_wait{n}" for n in range(waits)), out]
    # The spike is late, and so is the pulse, which the waits make up for as far as they can.
    left = max(pulse.start - 2 * LATE, pulse.start / 4)
    widths = [left / waits] * waits + [pulse.width + LATE]
    for n, width in enumerate(widths):
        name = f"X{nodes[n + 1]}"
        circuit = "at_fall" if n else "at_rise"
        yield Instance(name, (nodes[n], nodes[n + 1]), circuit, {"width": width})
        yield from at_rest(dialect, name)


def at_rest(dialect: Spice, *path: str) -> Iterator[Part]:
    """A flip-flop made of capacitors, in an instance, starts with nothing in them."""
    if not dialect.native:
        yield from (Start((*path, state), 0) for state in STATES)


def neuron(dialect: Spice, name: str, circuit: Any, own: dict[str, float]) -> Iterator[Subcircuit]:
    """Membrane, leak, comparator, and a flip-flop that resets itself after a spike's width."""
    clock, data = DECISION[circuit.comparator]
    late = bool(circuit.t_comparator)
    if late:
        width = number(float(circuit.t_comparator))
        parts = list(generator(dialect, "clock", "data", "waits", width))
        yield Subcircuit(f"{name}_wait", ("clock", "data", "waits"), {}, parts)
    parts = [
        Capacitor("Cmembrane", "out", "0", "C"),
        Voltage("Vrest", "rest", "0", "v_rest"),
        leak(dialect, circuit),
        Switch("Sreset", "out", "rest", "spike", 1000),
        Transconductance("Gspike", "0", "inputs", "seen" if circuit.Q_reset else "spike", 1),
        Resistor("Rinputs", "inputs", "0", 1),
        *comparator(dialect),
        *options.injection(circuit),
        *options.kick(circuit),
        *(_levels(dialect) if circuit.Q_kick else ()),
        *(_waited(dialect, name, clock, data) if late else ()),
        *generator(dialect, *(("fell", "one") if late else (clock, data)), "spike", "t_spike"),
    ]
    about = f"{name}: membrane, leak, comparator, and a flip-flop that resets itself after a spike."
    yield Subcircuit(f"{name}_neuron", ("out", "inputs", "spike"), own, parts, about)


def _levels(dialect: Spice) -> Iterator[Part]:
    """The comparator's clock as a voltage."""
    if dialect.native:
        yield Lines("Aclocked [nor] [clocked] level")
    else:
        yield Behaviour("Bclocked", "clocked", "0", "V", "V(nor)")


def _waited(dialect: Spice, name: str, clock: str, data: str) -> Iterator[Part]:
    """What falls a delay after a decision for a spike."""
    yield Instance("Xwait", (clock, data, "waits"), f"{name}_wait")
    if dialect.native:
        yield Lines("Awaits [waits] [waiting] on\nAfell waiting fell not")
    else:
        yield Behaviour("Bfell", "fell", "0", "V", "1 - V(waits)")


def comparator(dialect: Spice) -> Iterator[Part]:
    """Whether the membrane is above threshold, and whether no pulse is on."""
    if dialect.native:
        yield Lines(NATIVE_DECISION)
        return
    above = f"0.5*(1 + tanh({number(SHARP)}*(V(out) - (v_th + v_offset))))"
    yield Behaviour("Babove", "above", "0", "V", above)
    yield Behaviour("Bnor", "nor", "0", "V", f"1 - {on('inputs')}")


def leak(dialect: Spice, circuit: Any) -> Part:
    """The leak element, a diode with a slope where it is no resistor."""
    if circuit.leak == "linear":
        return Resistor("Rleak", "out", "rest", "R_leak")
    if not dialect.native:
        return Behaviour("Bleak", "out", "rest", "I", LEAK[circuit.leak])
    celsius = number(float(circuit.temperature) - ZERO_CELSIUS)
    U_T = number(float(circuit.v_slope / circuit.slope_factor / volt))
    return Lines(NATIVE_LEAK[circuit.leak].format(celsius=celsius, U_T=U_T))


def synapses(dialect: Spice, name: str, circuit: Any, mirror: Any, n_type: Any) -> Iterator[Part]:
    """What pushes and pulls, with the transistors of a p-type and an n-type mirror."""
    if circuit.synapse == "conductance":
        yield from conductances(name, circuit)
        return
    yield from transistors(dialect, name, circuit, {"n": n_type, "p": mirror})
    yield from mirrors(name, circuit, mirror)


def transistors(
    dialect: Spice, name: str, circuit: Any, mirrors: Mapping[str, Any]
) -> Iterator[Part]:
    """A number of equal n-type transistors, and of p-type ones, by their mirrors."""
    if dialect.models is not None:
        yield from own_transistors(dialect.models, name, circuit)
        return
    native = dialect.native and circuit.law == "square"
    for kind, mirror in mirrors.items():
        values = {
            "beta": mirror.beta,
            "vto": mirror.vto,
            "slope_factor": circuit.slope_factor,
            "modulation": mirror.modulation,
            "v_ekv": mirror.v_ekv,
            "I_spec": mirror.specific_current,
        }
        text = {key: number(value) for key, value in values.items()} | {"count": "count"}
        ds, gs, sign = ("d,s", "g,s", "") if kind == "n" else ("s,d", "s,g", "-")
        if native:
            yield Lines(
                f"\n.model {name}_{kind}mos {kind}mos(level=1 kp={text['beta']} "
                f"vto={sign}{text['vto']} lambda={text['modulation']} is=1e-25)"
            )
            part: Part = Lines(f"Mcopies d g s s {name}_{kind}mos w=1u l=1u m={{count}}")
        else:
            a, b = ds.split(",")
            part = Behaviour("Bcopies", a, b, "I", _law(circuit.law, text, ds, gs))
        yield Subcircuit(f"{name}_{kind}", ("d", "g", "s"), {"count": 1}, [part])


def own_transistors(models: OwnModels, name: str, circuit: Any) -> Iterator[Subcircuit]:
    """Transistors of the user's, with the geometry of the circuit's unit transistor."""
    if circuit.corner != "TT":
        raise UserError(
            f"corner={circuit.corner} is that of a formula, and transistors of your own have "
            "corners of their own: use corner=TT, and the file of the corner."
        )
    W, L = (float(size) / models.unit for size in (circuit.W, circuit.L))
    for kind, model in (("n", models.nmos), ("p", models.pmos)):
        nodes, is_subcircuit = ("d", "g", "s", "s"), model in models.subcircuits
        unit = Transistor("copies", nodes, model, is_subcircuit, W, L, "count")
        yield Subcircuit(f"{name}_{kind}", ("d", "g", "s"), {"count": 1}, [unit])


def _law(law: str, values: dict[str, str], ds: str, gs: str) -> str:
    """Current from drain to source, or from source to drain, by voltages between nodes."""
    v_ds, v_on = f"V({ds})", f"V({gs}) - {values['vto']}"
    back = v_ds if law == "square" else f"{values['slope_factor']}*{v_ds}"
    formula = {"square": SQUARE, "ekv": EKV}[law]
    return formula.format(**values, v_ds=v_ds, v_on=v_on, v_off=f"{v_on} - {back}")


def mirrors(name: str, circuit: Any, mirror: Any) -> Iterator[Subcircuit]:
    """A reference behind its load, and its copies; by pulses switched together, or copies alone."""
    if circuit.references == "always":
        yield from options.standing(name, circuit, mirror)
        return
    load = f"{number(mirror.R_S)}/references"
    ports = ("pulse", "vdd", "out")
    values = {"units": 1, "references": 1}
    push = [
        Instance("Xreference", ("own", "gate", "vdd"), f"{name}_p", {"count": "references"}),
        Voltage("Vreference", "own", "gate", 0),
        Resistor("Rload", "gate", "foot", load),
        Switch("Sreference", "foot", "0", "pulse", 1),
        *options.gate(circuit, "vdd"),
    ]
    pull = [
        Switch("Sreference", "vdd", "head", "pulse", 1),
        Resistor("Rload", "head", "gate", load),
        Voltage("Vreference", "gate", "own", 0),
        Instance("Xreference", ("own", "gate", "0"), f"{name}_n", {"count": "references"}),
        *options.gate(circuit, "0"),
    ]
    push += _output(name, circuit, "vdd", "out", "p")
    pull += _output(name, circuit, "out", "0", "n")
    about = f"{name}: a reference behind its load, and its copies, while a pulse is on."
    yield Subcircuit(f"{name}_push", ports, values, push, about)
    yield Subcircuit(f"{name}_pull", ports, values, pull)


def discharges(circuit: Any) -> bool:
    """Whether gates are charged in every pulse."""
    return bool(getattr(circuit, "C_gate", 0)) and circuit.references == "pulsed"


def _output(name: str, circuit: Any, a: str, b: str, kind: str) -> list[Part]:
    """A mirror's copies, from a to b: a source, or transistors with a switch at the drain."""
    if circuit.output == "ideal":
        return [Copy("Fcopies", a, b, "Vreference", "units/references")]
    return options.output(name, kind, a, b)


def conductances(name: str, circuit: Any) -> Iterator[Subcircuit]:
    """Conductances to the supply and to ground."""
    values = {"units": 1, "G_unit": float(circuit.G_unit)}
    ports = ("pulse", "vdd", "out")
    about = f"{name}: conductances to the supply and to ground."
    unit = "1/(units*G_unit)"
    for way, a, b, said in (("push", "vdd", "out", about), ("pull", "out", "0", "")):
        parts: list[Part] = [
            Resistor("Runits", a, "inner", unit),
            Switch("Sunits", "inner", b, "pulse", 1),
        ]
        yield Subcircuit(f"{name}_{way}", ports, values, parts, said)


def shared_supply(rail: str, source: Voltage, resistance: float, held: float) -> Iterator[Part]:
    """A supply that neurons share, behind its resistance, and the capacitor that holds it."""
    yield source
    yield Resistor(f"R{rail}", source.a, rail, resistance)
    if held:
        yield Capacitor(f"C{rail}", rail, "0", held)


def share(name: str, mark: str, rail: str, source: str) -> Iterator[Part]:
    """A neuron's share of a supply, whose energy is added up."""
    meter, current = f"V{name}_vdd{mark}", f"{name}_current{mark}"
    yield Voltage(meter, rail, f"{name}_vdd{mark}", 0)
    yield Meter(f"H{current}", current, "0", meter, 1e6)
    power = f"V({source})*V({current})*1e-6"
    yield Behaviour(f"B{name}_power{mark}", "0", f"{name}_energy", "I", power)


def supply(name: str, mark: str, resistance: float | None, source: Voltage) -> Iterator[Part]:
    """A supply of a neuron, behind its resistance, whose energy is added up."""
    if resistance is not None:
        yield Resistor(f"R{name}_vdd{mark}", source.a, f"{name}_vdd{mark}", resistance)
    yield source
    # A megohm makes a volt of a microampere.
    current = f"{name}_current{mark}"
    yield Meter(f"H{current}", current, "0", source.name, 1e6)
    power = f"-V({source.a})*V({current})*1e-6"
    yield Behaviour(f"B{name}_power{mark}", "0", f"{name}_energy", "I", power)
