"""Mirrors that are tables, as sources with the same interpolation as `DeviceTable`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from brian2 import volt

from neuromod.devices.spice.dialects import number
from neuromod.devices.spice.options import SENSE
from neuromod.devices.spice.parts import Behaviour, Part, Subcircuit
from neuromod.models.device_table import DeviceTable

# Stretches of a cubic that one source adds up: simulators differentiate its expression.
TOGETHER = 6


def synapses(name: str, circuit: Any, vdd: float) -> Iterator[Subcircuit]:
    """What pushes and pulls at a supply, V, which matters where the table has voltages across."""
    (table,) = circuit.table
    always = circuit.references == "always"
    rest = float(circuit.v_rest / volt)
    for way, ends in (("push", ("vdd", "out")), ("pull", ("out", "0"))):
        about = f"{name}: the table {table.name}, to {way}."
        looked_up, unit = _unit(table, vdd, rest)
        if always:
            parts = [
                *looked_up,
                Behaviour("Breference", "vdd", "0", "I", f"count*{unit}"),
                Behaviour("Bunit", "unit", "0", "V", f"{number(SENSE)}*{unit}"),
            ]
            ports = ("vdd", "gate", "unit")
            yield Subcircuit(f"{name}_{way}_on", ports, {"count": 1}, parts, about)
        parts, copies = [], f"V(unit)/{number(SENSE)}" if always else unit
        if not always:
            parts = [
                *looked_up,
                Behaviour("Breference", "vdd", "0", "I", f"references*V(pulse)*{unit}"),
            ]
        if table.drops:
            copies = _copies(table, vdd, "V(vdd,out)" if way == "push" else "V(out)")
        parts.append(Behaviour("Bcopies", *ends, "I", f"units*V(pulse)*{copies}"))
        own = {"units": 1} if always else {"units": 1, "references": 1}
        ports = ("pulse", "vdd", *(("gate", "unit") if always else ()), "out")
        yield Subcircuit(f"{name}_{way}", ports, own, parts, "" if always else about)


def _unit(table: DeviceTable, vdd: float, rest: float) -> tuple[list[Part], str]:
    """Sources that look up the unit current by V(vdd), and an expression for it."""
    if table.drops:
        return [], number(table.current(vdd, rest))
    knots, cubics, floor = table.knots()
    terms = _terms("V(vdd)", knots, cubics)
    sums = [" + ".join(terms[k : k + TOGETHER]) for k in range(0, len(terms), TOGETHER)]
    parts: list[Part] = [
        Behaviour(f"Bsize{k}", f"size{k}", "0", "V", text) for k, text in enumerate(sums)
    ]
    whole = " + ".join([number(cubics[3, 0]), *(f"V(size{k})" for k in range(len(sums)))])
    parts.append(Behaviour("Bsize", "size", "0", "V", whole))
    if floor:
        return parts, f"({number(floor)}*(exp(V(size)) - exp(-V(size))))"
    return parts, "exp(V(size))"


def _copies(table: DeviceTable, vdd: float, drop: str) -> str:
    """Current of a unit by the voltage across its transistor, at one supply, V."""
    knots, pieces = table.pieces(vdd)
    cubics = np.array([piece[::-1] for piece in pieces], dtype=float).T
    return "(" + " + ".join(_terms(drop, knots, cubics)) + ")"


def _terms(x: str, knots: np.ndarray, cubics: np.ndarray) -> list[str]:
    """What each stretch of a piecewise cubic adds, of factors from the cube's to the constant."""
    over = [f"max({x} - {number(knot)},0)" for knot in knots]
    found = []
    for k, (twist, bend, slope, _) in enumerate(cubics.T):
        part = f"({over[k]} - {over[k + 1]})"
        inner = f"{number(bend)} + {part}*{_signed(twist)}"
        found.append(f"{part}*({number(slope)} + {part}*({inner}))")
    return found


def _signed(value: float) -> str:
    """A number that may stand behind a sign."""
    return f"({number(value)})"
