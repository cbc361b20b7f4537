"""Mead's axon-hillock as transistors: two inverters, two capacitors and the path of the reset.

The reset transistor's gate is where it conducts the reset current, and the one above it is
switched by the output. Mirrors that push are the circuit neuron's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neuromod.devices.spice import circuits
from neuromod.devices.spice.dialects import Spice, number
from neuromod.devices.spice.parts import (
    Behaviour,
    Capacitor,
    Instance,
    Part,
    Resistor,
    Start,
    Subcircuit,
    Switch,
    Voltage,
)
from neuromod.devices.spice.transistors import (
    WIRE,
    defaults,
    gate_for,
    n_type,
    one,
    own,
    p_type,
    transistors,
)
from neuromod.errors import UserError
from neuromod.experiment import Population

OWN = ("C_mem", "C_fb", "C_load", "I_reset")
"""What may differ between neurons, of the neuron itself."""
MIRROR = ("beta", "vto", "R_S")
AROUND = ("vdd", "v", "up", "mirrors", *MIRROR)
"""And around it."""


def subcircuits(dialect: Spice, population: Population) -> Iterator[Part]:
    """A population's transistors, its neuron and its mirrors."""
    del dialect
    model: Any = population.model
    inverters, name, n = model.inverter, population.name, model.slope_factor
    law = (float(inverters.specific_current), float(inverters.vto), n, inverters.v_ekv / 2 / n)
    yield from transistors(name, *law)
    yield neuron(name, model, law)
    yield mirror(name, model)


def neuron(name: str, model: Any, law: tuple[float, ...]) -> Subcircuit:
    """Membrane, amplifier, feedback and reset."""
    parts: list[Part] = [
        Capacitor("Cmem", "out", "0", "C_mem"),
        Capacitor("Cfb", "high", "out", "C_fb"),
        *inverter(name, "first", "out", "low"),
        *inverter(name, "second", "low", "high"),
        n_type("switch", name, "out", "high", "foot"),
        n_type("reset", name, "foot", "pw"),
        Behaviour("Bpw", "pw", "0", "V", gate_for("I_reset", *law)),
        Capacitor("Cfoot", "foot", "0", WIRE),
        Behaviour("Bspike", "spike", "0", "V", f"V(high)/{number(model.V_dd)}"),
    ]
    about = f"{name}: two inverters, a capacitor that feeds back, and a reset current."
    values = defaults(model, OWN)
    return Subcircuit(f"{name}_neuron", ("out", "spike", "vdd"), values, parts, about)


def inverter(name: str, label: str, gate: str, out: str) -> Iterator[Part]:
    """Two transistors and a load."""
    yield n_type(f"{label}_n", name, out, gate)
    yield p_type(f"{label}_p", name, out, gate)
    yield Capacitor(f"C{label}", out, "0", "C_load")


def mirror(name: str, model: Any) -> Subcircuit:
    """A reference behind its load while a pulse is on, and a source that copies it."""
    current = "beta/2*max(V(vdd,gate) - vto,0)**2"
    parts: list[Part] = [
        Behaviour("Breference", "vdd", "gate", "I", f"references*{current}"),
        Resistor("Rload", "gate", "foot", "R_S/references"),
        Switch("Sreference", "foot", "0", "pulse", 1),
        Behaviour("Bcopies", "vdd", "out", "I", f"units*{current}"),
    ]
    about = f"{name}: a reference behind its load, and its copies, while a pulse is on."
    values = {**defaults(model, MIRROR), "units": 1, "references": 1}
    return Subcircuit(f"{name}_push", ("pulse", "vdd", "out"), values, parts, about)


def instance(dialect: Spice, population: Population, index: int) -> Iterator[Part]:
    """A neuron, its two supplies, and units that push all the time."""
    del dialect
    model: Any = population.model
    name = f"{population.name}_{index}"
    core, supply = f"{name}_vdd_core", f"{name}_vdd"
    nodes = (name, f"{name}_spike", core)
    yield Instance(f"X{name}", nodes, f"{population.name}_neuron", own(population, OWN, index))
    start = {**model.start, "vdd": population.own("vdd"), "up": 0, "mirrors": 0}
    value = {key: one(population, key, index, start[key]) for key in start}
    for mark, node, volts in (("_core", core, float(model.V_dd)), ("", supply, value["vdd"])):
        yield from circuits.supply(name, mark, None, Voltage(f"V{node}", node, "0", volts))
    if value["up"]:
        yield Voltage(f"V{name}_held", f"{name}_held", "0", 1)
        yield push(population, index, f"{name}_held", value["up"], value["mirrors"])
    yield Start((name,), value["v"])
    yield Start((f"X{name}", "low"), float(model.V_dd))
    yield Start((f"X{name}", "high"), 0)


def synapse(row: Any, population: Population) -> Iterator[Part]:
    """Mirrors that push while a pulse is on."""
    yield push(population, row.j, row.pulse, row.up, row.mirrors)


def push(population: Population, index: int, pulse: str, units: float, mirrors: float) -> Instance:
    """Mirrors onto a neuron."""
    if bool(units) != bool(mirrors):
        raise UserError(
            f"A synapse onto neuron {index} of {population.name} has {units:g} units and "
            f"{mirrors:g} references: a mirror needs both."
        )
    name = f"{population.name}_{index}"
    values = own(population, MIRROR, index) | {"units": units, "references": mirrors}
    nodes = (pulse, f"{name}_vdd", name)
    return Instance(f"Xpush_{name}_{pulse}", nodes, f"{population.name}_push", values)
