"""Parts of a circuit neuron that it has only by its options.

References that stay on and gates that take time, a comparator's delay and kick-back, and the charge
that a reset switch leaves: see `CircuitNeuron`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neuromod.devices.spice.dialects import number, on
from neuromod.devices.spice.parts import (
    Behaviour,
    Capacitor,
    Instance,
    Meter,
    Part,
    Resistor,
    Subcircuit,
    Switch,
    Voltage,
)

# A charge goes through a capacitor from so high a voltage that the membrane's own does not matter.
HIGH = 1000
# Ohm: 10 nA, a mirror's unit, are 1 V.
SENSE = 1e8
# After a spike its reset switch opens, which leaves a charge; then the comparator may decide.
OPENS, DECIDES = 20e-12, 100e-12


def standing(name: str, circuit: Any, mirror: Any) -> Iterator[Subcircuit]:
    """References that stay on, all of a neuron's at a gate, and the copies that pulses switch."""
    for way, kind in (("push", "p"), ("pull", "n")):
        source = "vdd" if kind == "p" else "0"
        far = "0" if kind == "p" else "vdd"
        parts: list[Part] = [
            Instance("Xreference", ("drain", "gate", source), f"{name}_{kind}", {"count": "count"}),
            Voltage("Vreference", *(("drain", "gate") if kind == "p" else ("gate", "drain")), 0),
            Resistor("Rload", "gate", far, f"{number(mirror.R_S)}/count"),
            Meter("Hunit", "unit", "0", "Vreference", f"{number(SENSE)}/count"),
        ]
        if circuit.C_gate:
            parts.append(
                Capacitor("Cgate", "gate", source, f"{number(float(circuit.C_gate))}*count")
            )
        about = f"{name}: references that stay on, to {way}; V(unit) is the current of each."
        yield Subcircuit(f"{name}_{way}_on", ("vdd", "gate", "unit"), {"count": 1}, parts, about)
        ends = ("vdd", "out") if kind == "p" else ("out", "0")
        if circuit.output == "ideal":
            copies = f"units*V(unit)*V(pulse)/{number(SENSE)}"
            parts = [Behaviour("Bcopies", *ends, "I", copies)]
        else:
            parts = output(name, kind, *ends)
        ports = ("pulse", "vdd", "gate", "unit", "out")
        yield Subcircuit(f"{name}_{way}", ports, {"units": 1}, parts)


def output(name: str, kind: str, a: str, b: str) -> list[Part]:
    """Transistors that copy a gate's current, from a to b, with a switch at their drain."""
    source = a if kind == "p" else b
    ends = ("drain", b) if kind == "p" else (a, "drain")
    return [
        Instance("Xcopies", ("drain", "gate", source), f"{name}_{kind}", {"count": "units"}),
        Switch("Sout", *ends, "pulse", 1000),
        # An attofarad lets time steps be found where a drain goes to its source's voltage.
        Capacitor("Cdrain", "drain", "0", 1e-18),
    ]


def gate(circuit: Any, source: str) -> list[Part]:
    """The gate of a reference that its pulse switches, discharged between pulses."""
    if not circuit.C_gate:
        return []
    return [
        Capacitor("Cgate", "gate", source, f"{number(float(circuit.C_gate))}*references"),
        Behaviour("Bidle", "idle", "0", "V", "1 - V(pulse)"),
        Switch("Sdischarge", "gate", source, "idle", 1000),
    ]


def kick(circuit: Any) -> Iterator[Part]:
    """Charge that comes onto the membrane as the clock, a voltage, rises, and goes as it falls."""
    charge = float(circuit.Q_kick)
    if charge:
        yield from _charged("kick", charge, "V(clocked)")


def injection(circuit: Any) -> Iterator[Part]:
    """Charge that the reset switch leaves, and what the comparator then sees of the spike."""
    charge = float(circuit.Q_reset)
    if not charge:
        return
    for node, delay in (("opened", OPENS), ("ended_spike", DECIDES)):
        yield Resistor(f"R{node}", "spike", node, 1)
        yield Capacitor(f"C{node}", node, "0", delay)
    yield Behaviour("Bseen", "seen", "0", "V", on("ended_spike"))
    yield from _charged("inject", charge, f"-{on('opened', 0.25)}")


def _charged(name: str, charge: float, level: str) -> Iterator[Part]:
    """A charge onto the membrane as a level rises from 0 to 1, and back as it falls."""
    sign = "-" if charge < 0 else ""
    yield Behaviour(f"B{name}", name, "0", "V", f"{sign}{HIGH}*({level})")
    yield Capacitor(f"C{name}", name, "out", abs(charge) / HIGH)
