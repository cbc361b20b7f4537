"""The DPI neuron as transistors: three differential-pair integrators, and a positive feedback.

Membrane and adaptation are a pair of p-type transistors each, one of them connected as a diode with
the capacitor at its gate, and an n-type one that leaks; what the capacitor drives is n-type. The
synapse is the same upside down. Currents and gate voltages that a chip's bias generator would give
are ideal, and so are the comparator, the flip-flop that lasts a refractory period and the reset
switch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from neuromod.devices.spice.circuits import SHARP, at_rest, generator, supply
from neuromod.devices.spice.dialects import Spice, number
from neuromod.devices.spice.parts import (
    Behaviour,
    Capacitor,
    Instance,
    Lines,
    Part,
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
from neuromod.experiment import Population

OWN = (
    *("C", "I_tau", "I_thr", "feedback", "I_spk", "t_ref", "C_syn", "I_tau_syn"),
    *("C_ahp", "I_tau_ahp", "I_gain_ahp", "I_ca", "I_gain", "gain", "I_dc"),
)
"""What may differ between neurons, of the neuron itself."""
AROUND = ("I_w", "v", "v_syn", "v_ahp")
"""And around it."""

NATIVE_DECISION = """\
Ethreshold over 0 vol='V(out) - {v_spk}'
Aabove [over] [above] above"""


def subcircuits(dialect: Spice, population: Population) -> Iterator[Part]:
    """A population's transistors, integrators and neuron."""
    model: Any = population.model
    name, n, thermal = population.name, 1 / model.kappa, float(model.thermal_voltage)
    vto = n * thermal * float(np.log(float(model.I_spec / model.I_0)))
    law = (float(model.I_spec), vto, n, thermal)
    yield from transistors(name, *law)
    yield from (integrator(name, kind, law) for kind in "np")
    yield neuron(dialect, name, model)


def integrator(name: str, kind: str, law: tuple[float, ...]) -> Subcircuit:
    """A pair that shares its tail current between a rail and a capacitor, and a leak.

    The capacitor holds the gate voltage of a transistor of a type on its rail.
    """
    driven, rail, far = (n_type, "0", p_type) if kind == "n" else (p_type, "vdd", n_type)
    values = {"C": 1e-12, "I_leak": 1e-12, "I_gain": 1e-12}
    parts: list[Part] = [
        far("other", name, rail, "other", "tail"),
        far("diode", name, "out", "out", "tail"),
        driven("leak", name, "out", "leak", rail),
        Capacitor("Cout", "out", rail, "C"),
        Capacitor("Ctail", "tail", rail, WIRE),
    ]
    for node, current in (("other", "I_gain"), ("leak", "I_leak")):
        high, low = (node, rail) if kind == "n" else (rail, node)
        parts.append(Behaviour(f"B{node}", high, low, "V", gate_for(current, *law)))
    about = f"{name}: a differential-pair integrator for a transistor of type {kind}."
    return Subcircuit(f"{name}_dpi_{kind}", ("tail", "out", "vdd"), values, parts, about)


def neuron(dialect: Spice, name: str, model: Any) -> Subcircuit:
    """Membrane, synapse, adaptation, feedback, and a spike that holds the membrane at ground."""
    membrane = {"C": "C", "I_leak": "I_tau", "I_gain": "I_thr"}
    synapse = {"C": "C_syn", "I_leak": "I_tau_syn", "I_gain": "gain*I_gain"}
    adaptation = {"C": "C_ahp", "I_leak": "I_tau_ahp", "I_gain": "I_gain_ahp"}
    v_spk = f"{number(model.thermal_voltage / model.kappa)}*ln(I_spk/{number(model.I_0)})"
    parts: list[Part] = [
        Instance("Xmembrane", ("tail", "out", "vdd"), f"{name}_dpi_n", membrane),
        Behaviour("Bdc", "vdd", "tail", "I", "I_dc"),
        Instance("Xsynapse", ("weight", "syn", "vdd"), f"{name}_dpi_p", synapse),
        p_type("syn", name, "tail", "syn"),
        Instance("Xadaptation", ("pulse", "ahp", "vdd"), f"{name}_dpi_n", adaptation),
        Behaviour("Bca", "vdd", "pulse", "I", "I_ca*V(spike)"),
        n_type("ahp", name, "out", "ahp"),
        n_type("fed", name, "fed", "out"),
        p_type("fed_mirror", name, "fed", "fed"),
        p_type("back", name, "out", "fed", count="feedback"),
        Capacitor("Cfed", "fed", "vdd", WIRE),
        Switch("Sreset", "out", "0", "spike", 1000),
        *comparator(dialect, v_spk),
        *generator(dialect, "above", "one", "spike", "t_ref"),
    ]
    about = f"{name}: three integrators, a positive feedback, and a spike that resets itself."
    ports = ("out", "weight", "syn", "spike", "vdd")
    return Subcircuit(f"{name}_neuron", ports, defaults(model, OWN), parts, about)


def comparator(dialect: Spice, v_spk: str) -> Iterator[Part]:
    """Whether the membrane is above its threshold."""
    if dialect.native:
        yield Lines(NATIVE_DECISION.format(v_spk=v_spk))
        return
    above = f"0.5*(1 + tanh({number(SHARP)}*(V(out) - {v_spk})))"
    yield Behaviour("Babove", "above", "0", "V", above)


def instance(dialect: Spice, population: Population, index: int) -> Iterator[Part]:
    """A neuron, its supply, and a tail current that is always on."""
    model: Any = population.model
    name, V_dd = f"{population.name}_{index}", float(model.V_dd)
    nodes = [f"{name}{end}" for end in ("", "_weight", "_syn", "_spike", "_vdd")]
    yield Instance(f"X{name}", nodes, f"{population.name}_neuron", own(population, OWN, index))
    yield from supply(name, "", None, Voltage(f"V{name}_vdd", f"{name}_vdd", "0", V_dd))
    held, v, v_syn, v_ahp = (one(population, key, index) for key in AROUND)
    yield Behaviour(f"B{name}_held", f"{name}_weight", "0", "I", number(held))
    yield Start((name,), v)
    yield Start((f"{name}_syn",), V_dd - v_syn)
    yield Start((f"X{name}", "ahp"), v_ahp)
    yield from at_rest(dialect, f"X{name}")


def synapse(row: Any, population: Population) -> Iterator[Part]:
    """The tail current of a synapse, while its pulse is on."""
    target = f"{population.name}_{row.j}"
    law = f"{number(row.I_w)}*V({row.pulse})"
    yield Behaviour(f"B{target}_{row.pulse}", f"{target}_weight", "0", "I", law)
