"""Parts of a circuit, whatever simulator it is written for.

Values are in SI units: numbers, or expressions of a subcircuit's parameters. Expressions are
written as SPICE's: ``V(a)`` and ``V(a,b)``, ``**``, ``exp``, ``ln``, ``tanh``, ``abs`` and ``max``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = float | str
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Resistor:
    """Resistor, ohm."""

    name: str
    a: str
    b: str
    value: Value


@dataclass(frozen=True)
class Capacitor:
    """Capacitor, farad."""

    name: str
    a: str
    b: str
    value: Value


@dataclass(frozen=True)
class Voltage:
    """Voltage source, volt: a value, or straight lines through points of time and value."""

    name: str
    a: str
    b: str
    value: Value
    points: Points = ()


@dataclass(frozen=True)
class Current:
    """Current source from a to b, ampere: straight lines through points of time and value."""

    name: str
    a: str
    b: str
    points: Points


@dataclass(frozen=True)
class Transconductance:
    """Current from a to b in proportion to a node's voltage, siemens."""

    name: str
    a: str
    b: str
    node: str
    value: Value


@dataclass(frozen=True)
class Copy:
    """Current from a to b in proportion to that of a voltage source."""

    name: str
    a: str
    b: str
    source: str
    value: Value


@dataclass(frozen=True)
class Meter:
    """Voltage from a to b in proportion to the current of a voltage source, ohm."""

    name: str
    a: str
    b: str
    source: str
    value: Value


@dataclass(frozen=True)
class Behaviour:
    """Current from a to b, or voltage between them, that follows an expression."""

    name: str
    a: str
    b: str
    kind: str
    """``"I"`` or ``"V"``."""
    expression: str


@dataclass(frozen=True)
class Switch:
    """Switch that closes while a node is above 0.5 V; its resistance then, ohm."""

    name: str
    a: str
    b: str
    node: str
    value: float


@dataclass(frozen=True)
class Transistor:
    """MOSFET of a model that is not ours; metres, and a number of equal ones side by side."""

    name: str
    nodes: tuple[str, str, str, str]
    """Drain, gate, source and bulk."""
    model: str
    is_subcircuit: bool
    W: float
    L: float
    number: Value


@dataclass(frozen=True)
class Instance:
    """One of a subcircuit."""

    name: str
    nodes: Sequence[str]
    circuit: str
    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Voltage of a node at the start; its subcircuits' instances stand before it."""

    path: tuple[str, ...]
    value: float


@dataclass(frozen=True)
class Lines:
    """Text of one simulator alone."""

    text: str


@dataclass(frozen=True)
class Subcircuit:
    """Subcircuit with its ports and the defaults of its parameters."""

    name: str
    ports: Sequence[str]
    defaults: Mapping[str, Value]
    parts: Sequence[Part]
    about: str = ""


Part = (
    Resistor
    | Capacitor
    | Voltage
    | Current
    | Transconductance
    | Copy
    | Meter
    | Behaviour
    | Switch
    | Transistor
    | Instance
    | Start
    | Lines
    | Subcircuit
)
