"""Transistors of all regions as sources that follow the EKV law, with a terminal for their bulk.

Enz, Krummenacher & Vittoz 1995, Analog Integr. Circuits Signal Process. 8:83-114, without
channel-length modulation: with ``v_p = (V_GB - vto)/n`` the current from drain to source is
``I_spec*(log(1 + exp((v_p - V_SB)/2/U_T))**2 - log(1 + exp((v_p - V_DB)/2/U_T))**2)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from neuromod.devices.spice.dialects import number
from neuromod.devices.spice.parts import Behaviour, Instance, Subcircuit
from neuromod.experiment import Population

# Farad, of wires between transistors, which would otherwise float where no current flows.
WIRE = 1e-18
# log(1 + exp(x)) in a form that no x overflows: a simulator tries voltages that are far off.
SHARE = "(max({x},0) + ln(1 + exp(-abs({x}))))**2"
DRIVE = "((({gate} - {vto})/{n} - {end})/{twice})"


def transistors(
    name: str, I_spec: float, vto: float, slope_factor: float, thermal: float
) -> Iterator[Subcircuit]:
    """A number of equal n-type transistors, ``NAME_n``, and of p-type ones, ``NAME_p``."""
    values = {"vto": number(vto), "n": number(slope_factor), "twice": number(2 * thermal)}
    for kind in "np":
        volts = {x: f"V({x},b)" if kind == "n" else f"V(b,{x})" for x in "gsd"}
        forward, back = (
            SHARE.format(x=DRIVE.format(gate=volts["g"], end=volts[end], **values))
            for end in ("s", "d")
        )
        ends = ("d", "s") if kind == "n" else ("s", "d")
        law = Behaviour("Bchannel", *ends, "I", f"count*{number(I_spec)}*({forward} - {back})")
        about = f"{name}: transistors of type {kind}."
        yield Subcircuit(f"{name}_{kind}", ("d", "g", "s", "b"), {"count": 1}, [law], about)


def gate_for(current: str, I_spec: float, vto: float, slope_factor: float, thermal: float) -> str:
    """Gate voltage at which a saturated transistor conducts a current, as an expression."""
    root = f"ln(exp(sqrt({current}/{number(I_spec)})) - 1)"
    return f"{number(vto)} + {number(2 * slope_factor * thermal)}*{root}"


def n_type(name: str, family: str, d: str, g: str, s: str = "0", count: str = "1") -> Instance:
    """Transistors of type n, whose bulk is ground."""
    return Instance(f"X{name}", (d, g, s, "0"), f"{family}_n", {"count": count})


def p_type(name: str, family: str, d: str, g: str, s: str = "vdd", count: str = "1") -> Instance:
    """Transistors of type p, whose bulk is the supply."""
    return Instance(f"X{name}", (d, g, s, "vdd"), f"{family}_p", {"count": count})


def defaults(model: Any, names: Sequence[str]) -> dict[str, float]:
    """Values of a model's parameters and inputs, in SI units."""
    inputs = model.inputs
    held = {k: inputs[k].default if k in inputs else getattr(model, k) for k in names}
    return {name: float(np.asarray(value)) for name, value in held.items()}


def own(population: Population, names: Sequence[str], index: int) -> dict[str, float]:
    """Those values of a neuron that its population sets."""
    return {name: one(population, name, index) for name in names if name in population.values}


def one(population: Population, name: str, index: int, otherwise: Any = 0) -> float:
    """A neuron's value of what its population sets, or of what it else is, in SI units."""
    held = np.asarray(population.values.get(name, otherwise))
    return float(np.broadcast_to(held, population.size)[index])
