"""How simulators want a circuit written: one writer of parts for each.

`NGSPICE` has ngspice's own parts, digital ones among them, and is what the model is held against.
The others have only what all of them share: sources that follow an expression, switches and
capacitors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from neuromod.devices.spice.models import OwnModels
from neuromod.devices.spice.parts import (
    Behaviour,
    Capacitor,
    Copy,
    Current,
    Instance,
    Lines,
    Meter,
    Part,
    Points,
    Resistor,
    Start,
    Subcircuit,
    Switch,
    Transconductance,
    Transistor,
    Value,
    Voltage,
)
from neuromod.errors import unknown

IDEAL = {"reltol": "1e-5", "abstol": "1e-15", "vntol": "1e-8", "chgtol": "1e-20"}
"""Accuracy for parts without charges of their own."""
CHARGED = {"reltol": "1e-3", "abstol": "1e-12", "vntol": "1e-6", "chgtol": "1e-14"}
"""SPICE's own, for transistors of a process kit: below, ngspice's time steps get too small."""
OPEN = 1e15
"""Resistance of an open switch, ohm."""
STEEP = 40
# What a 1 is away from 0 after a smooth step is nothing beside a leak of a nanosiemens.


def on(node: str, level: float = 0.5) -> str:
    """1 where a node is above a level, volt, else 0: a smooth step, as an expression."""
    return f"(0.5*(1 + tanh({STEEP}*(V({node}) - {level:g}))))"


def number(value: Any) -> str:
    """In SI units; simulators read no unit."""
    return f"{float(np.asarray(value)):.15g}"


def _set(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


@dataclass(frozen=True)
class Spice:
    """What netlists in SPICE's tradition share."""

    comment: ClassVar[str] = "*"
    suffix: ClassVar[str] = ".cir"
    inside: ClassVar[str] = "."
    """What stands between an instance and a node in it."""
    native: ClassVar[bool] = False
    """Whether ngspice's own digital parts and devices are used."""
    command: ClassVar[str] = ""
    """How the simulator is called."""

    models: OwnModels | None = None
    """Transistors to use instead of ours."""

    def write(self, parts: Iterable[Part]) -> str:
        """Text of some parts."""
        return "\n".join(self.part(part) for part in parts)

    def part(self, part: Part) -> str:
        """Text of a part, by the method that has its name."""
        return str(getattr(self, type(part).__name__.lower())(part))

    def value(self, value: Value) -> str:
        """A number, or an expression of parameters."""
        return f"{{{self.expression(value)}}}" if isinstance(value, str) else number(value)

    def expression(self, text: str) -> str:
        """An expression in the simulator's words."""
        return text

    def title(self, title: str) -> list[str]:
        """First lines."""
        return [
            f"{self.comment} {title}",
            f"{self.comment} Written by neuromod: seconds, volts, amperes; energies on capacitors "
            "of 1 pF, so 1 V is 1 pJ.",
        ]

    @property
    def accuracy(self) -> dict[str, str]:
        """Tolerances of currents, ampere, voltages, volt, and charges, coulomb."""
        return IDEAL if self.models is None else CHARGED

    def options(self, celsius: float | None) -> list[str]:
        """Accuracy, and a temperature where models depend on it."""
        raise NotImplementedError

    def analysis(self, saved: Sequence[str], step: float, duration: float) -> list[str]:
        """Nodes that are saved, the transient analysis, and the last line."""
        raise NotImplementedError

    def include(self, file: Path, section: str) -> str:
        """Models from a file, or from a section of it."""
        return f".lib '{file}' {section}" if section else f".include '{file}'"

    def resistor(self, part: Resistor) -> str:
        return f"{part.name} {part.a} {part.b} {self.value(part.value)}"

    def capacitor(self, part: Capacitor) -> str:
        return f"{part.name} {part.a} {part.b} {self.value(part.value)}"

    def voltage(self, part: Voltage) -> str:
        source = self.points(part.points) if part.points else self.value(part.value)
        return f"{part.name} {part.a} {part.b} {source}"

    def current(self, part: Current) -> str:
        return f"{part.name} {part.a} {part.b} {self.points(part.points)}"

    def points(self, points: Points) -> str:
        """Straight lines through points of time and value, a point to a line of text."""
        return "PWL(" + "\n+ ".join(f"{number(t)} {number(v)}" for t, v in points) + ")"

    def transconductance(self, part: Transconductance) -> str:
        return f"{part.name} {part.a} {part.b} {part.node} 0 {self.value(part.value)}"

    def copy(self, part: Copy) -> str:
        return f"{part.name} {part.a} {part.b} {part.source} {self.value(part.value)}"

    def meter(self, part: Meter) -> str:
        return f"{part.name} {part.a} {part.b} {part.source} {self.value(part.value)}"

    def behaviour(self, part: Behaviour) -> str:
        raise NotImplementedError

    def switch(self, part: Switch) -> str:
        """A conductance that follows a smooth step: no two simulators' switches are alike."""
        closed = f"{on(part.node)}*{number(1 / part.value)}"
        law = f"V({part.a},{part.b})*({closed} + {number(1 / OPEN)})"
        return self.behaviour(Behaviour(f"B{part.name}", part.a, part.b, "I", law))

    def transistor(self, part: Transistor) -> str:
        letter = "X" if part.is_subcircuit else "M"
        values = {"W": part.W, "L": part.L, "m": part.number}
        return f"{letter}{part.name} {' '.join(part.nodes)} {part.model}{self.assigned(values)}"

    def instance(self, part: Instance) -> str:
        return f"{part.name} {' '.join(part.nodes)} {part.circuit}{self.assigned(part.values)}"

    def assigned(self, values: Any) -> str:
        return "".join(f" {name}={self.value(value)}" for name, value in values.items())

    def start(self, part: Start) -> str:
        return f".ic v({self.inside.join(part.path)})={number(part.value)}"

    def lines(self, part: Lines) -> str:
        return part.text

    def subcircuit(self, part: Subcircuit) -> str:
        head = f".subckt {part.name} {' '.join(part.ports)}{self.assigned(part.defaults)}"
        return "\n".join([*self.about(part), head, self.write(part.parts), ".ends"])

    def about(self, part: Subcircuit) -> list[str]:
        return [f"\n{self.comment} {part.about}"] if part.about else []


@dataclass(frozen=True)
class Ngspice(Spice):
    """ngspice: level-1 transistors, diodes, switches and XSPICE's digital parts."""

    native: ClassVar[bool] = True
    command: ClassVar[str] = "ngspice -b -r out.raw {file}"

    def expression(self, text: str) -> str:
        return text.replace("**", "^")

    def options(self, celsius: float | None) -> list[str]:
        lines = [f".options method=gear {_set(self.accuracy)} gmin=1e-15" + self.warmed(celsius)]
        if self.native:
            lines += [
                ".model switch_1 sw(vt=0.5 ron=1 roff=1e16)",
                ".model switch_1000 sw(vt=0.5 ron=1k roff=1e16)",
                ".model high d_pullup",
                ".model low d_pulldown",
                ".model above adc_bridge(in_low=0 in_high=0 rise_delay=1p fall_delay=1p)",
                ".model on adc_bridge(in_low=0.5 in_high=0.5 rise_delay=1p fall_delay=1p)",
                ".model level dac_bridge(out_low=0 out_high=1 t_rise=10p t_fall=10p)",
                ".model not d_inverter(rise_delay=1p fall_delay=1p)",
                ".model flipflop d_dff(clk_delay=1p set_delay=1p reset_delay=1p rise_delay=1p "
                "fall_delay=1p)",
            ]
        return lines

    def warmed(self, celsius: float | None) -> str:
        return "" if celsius is None else f" temp={number(celsius)}"

    def analysis(self, saved: Sequence[str], step: float, duration: float) -> list[str]:
        return [
            ".save " + "\n+ ".join(f"v({node})" for node in saved),
            f".tran {number(step)} {number(duration)} 0 {number(step)}",
            ".end",
        ]

    def behaviour(self, part: Behaviour) -> str:
        law = self.expression(part.expression)
        return f"{part.name} {part.a} {part.b} {part.kind}={law}"

    def switch(self, part: Switch) -> str:
        if not self.native:
            return super().switch(part)
        return f"{part.name} {part.a} {part.b} {part.node} 0 switch_{part.value:g}"


@dataclass(frozen=True)
class PlainNgspice(Ngspice):
    """ngspice with no more than what all simulators have: the others' circuit, to be tried."""

    native: ClassVar[bool] = False


@dataclass(frozen=True)
class Xyce(Spice):
    """Xyce, of Sandia National Laboratories."""

    inside: ClassVar[str] = ":"
    command: ClassVar[str] = "Xyce {file}"

    def options(self, celsius: float | None) -> list[str]:
        warmed = "" if celsius is None else f" temp={number(celsius)}"
        return [
            f".options timeint method=gear reltol={self.accuracy['reltol']} abstol=1e-9",
            f".options device gmin=1e-15{warmed}",
        ]

    def analysis(self, saved: Sequence[str], step: float, duration: float) -> list[str]:
        return [
            ".print tran format=csv\n+ " + "\n+ ".join(f"v({node})" for node in saved),
            f".tran {number(step)} {number(duration)} 0 {number(step)}",
            ".end",
        ]

    def assigned(self, values: Any) -> str:
        return f" PARAMS:{super().assigned(values)}" if values else ""

    def transistor(self, part: Transistor) -> str:
        values = {"W": part.W, "L": part.L, "m": part.number}
        head = f"{part.name} {' '.join(part.nodes)} {part.model}"
        if part.is_subcircuit:
            return f"X{head}{self.assigned(values)}"
        return f"M{head}{super().assigned(values)}"

    def behaviour(self, part: Behaviour) -> str:
        return f"{part.name} {part.a} {part.b} {part.kind}={{{self.expression(part.expression)}}}"


@dataclass(frozen=True)
class Hspice(Spice):
    """HSPICE, of Synopsys."""

    suffix: ClassVar[str] = ".sp"
    command: ClassVar[str] = "hspice {file}"

    def expression(self, text: str) -> str:
        return re.sub(r"\bln\(", "log(", text)

    def value(self, value: Value) -> str:
        return f"'{self.expression(value)}'" if isinstance(value, str) else number(value)

    def options(self, celsius: float | None) -> list[str]:
        lines = [f".option method=gear {_set(self.accuracy)} gmin=1e-15 gmindc=1e-15 post probe"]
        return lines if celsius is None else [*lines, f".temp {number(celsius)}"]

    def analysis(self, saved: Sequence[str], step: float, duration: float) -> list[str]:
        return [
            ".probe tran " + "\n+ ".join(f"v({node})" for node in saved),
            f".option delmax={number(step)}",
            f".tran {number(step)} {number(duration)}",
            ".end",
        ]

    def behaviour(self, part: Behaviour) -> str:
        letter, word = {"I": ("G", "cur"), "V": ("E", "vol")}[part.kind]
        law = self.expression(part.expression)
        return f"{letter}{part.name} {part.a} {part.b} {word}='{law}'"


@dataclass(frozen=True)
class Spectre(Spice):
    """Spectre, of Cadence, in its own language."""

    comment: ClassVar[str] = "//"
    suffix: ClassVar[str] = ".scs"
    command: ClassVar[str] = "spectre {file}"

    def expression(self, text: str) -> str:
        # Within a list a blank ends an expression.
        return re.sub(r"\bV\(", "v(", re.sub(r"\bln\(", "log(", text)).replace(" ", "")

    def value(self, value: Value) -> str:
        return self.expression(value) if isinstance(value, str) else number(value)

    def title(self, title: str) -> list[str]:
        return [*super().title(title), "simulator lang=spectre", "global 0"]

    def options(self, celsius: float | None) -> list[str]:
        warmed = "" if celsius is None else f" temp={number(celsius)}"
        held = self.accuracy
        within = f"reltol={held['reltol']} iabstol={held['abstol']} vabstol={held['vntol']}"
        return [f"accuracy options {within} gmin=1e-15{warmed}"]

    def analysis(self, saved: Sequence[str], step: float, duration: float) -> list[str]:
        return [
            "save " + " \\\n  ".join(saved),
            f"transient tran stop={number(duration)} maxstep={number(step)} method=gear2only",
        ]

    def include(self, file: Path, section: str) -> str:
        return f'include "{file}"' + (f" section={section}" if section else "")

    def resistor(self, part: Resistor) -> str:
        return self.element(part, "resistor", f"r={self.value(part.value)}")

    def capacitor(self, part: Capacitor) -> str:
        return self.element(part, "capacitor", f"c={self.value(part.value)}")

    def voltage(self, part: Voltage) -> str:
        source = self.points(part.points) if part.points else f"type=dc dc={self.value(part.value)}"
        return self.element(part, "vsource", source)

    def current(self, part: Current) -> str:
        return self.element(part, "isource", self.points(part.points))

    def points(self, points: Points) -> str:
        pairs = " \\\n  ".join(f"{number(t)} {number(v)}" for t, v in points)
        return f"type=pwl wave=[{pairs}]"

    def transconductance(self, part: Transconductance) -> str:
        nodes = f"{part.a} {part.b} {part.node} 0"
        return f"{part.name} ({nodes}) vccs gm={self.value(part.value)}"

    def copy(self, part: Copy) -> str:
        return self.element(part, "cccs", f"probe={part.source} gain={self.value(part.value)}")

    def meter(self, part: Meter) -> str:
        return self.element(part, "ccvs", f"probe={part.source} rm={self.value(part.value)}")

    def behaviour(self, part: Behaviour) -> str:
        law = self.expression(part.expression)
        return self.element(part, "bsource", f"{part.kind.lower()}={law}")

    def switch(self, part: Switch) -> str:
        nodes = f"{part.a} {part.b} {part.node} 0"
        ends = f"ropen={number(OPEN)} rclosed={number(part.value)}"
        return f"{part.name} ({nodes}) relay vt1=0.45 vt2=0.55 {ends}"

    def transistor(self, part: Transistor) -> str:
        values = {"w": part.W, "l": part.L, "m": part.number}
        return f"M{part.name} ({' '.join(part.nodes)}) {part.model}{self.assigned(values)}"

    def instance(self, part: Instance) -> str:
        return f"{part.name} ({' '.join(part.nodes)}) {part.circuit}{self.assigned(part.values)}"

    def start(self, part: Start) -> str:
        return f"ic {self.inside.join(part.path)}={number(part.value)}"

    def subcircuit(self, part: Subcircuit) -> str:
        lines = [*self.about(part), f"subckt {part.name} ({' '.join(part.ports)})"]
        if part.defaults:
            lines.append(f"parameters{self.assigned(part.defaults)}")
        return "\n".join([*lines, self.write(part.parts), f"ends {part.name}"])

    def element(self, part: Any, kind: str, values: str) -> str:
        return f"{part.name} ({part.a} {part.b}) {kind} {values}"


NGSPICE = Ngspice()
DIALECTS: dict[str, Spice] = {
    "ngspice": NGSPICE,
    "xyce": Xyce(),
    "hspice": Hspice(),
    "spectre": Spectre(),
}


def named(name: str) -> Spice:
    """The writer for a simulator, by its name."""
    if name not in DIALECTS:
        raise unknown("dialect", name, DIALECTS)
    return DIALECTS[name]
