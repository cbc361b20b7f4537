"""What a receptor does to a term of a neuron, and the equations in which it does it."""

from __future__ import annotations

import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from brian2 import Equations, Quantity
from brian2.equations.equations import (
    DIFFERENTIAL_EQUATION,
    PARAMETER,
    SUBEXPRESSION,
    SingleEquation,
)

from neuromod.errors import UserError
from neuromod.models.own_equations import read_equations
from neuromod.parameters import unit_of

ASSIGNMENT = re.compile(r"(\w+\s*[-+*/]?=(?!=))(.*)")


@dataclass(frozen=True)
class Effect:
    """What one receptor, or messenger, does to a term.

    Attributes
    ----------
    receptor : str
        Its name.
    factor : float or None
        On the term, at full activation; None stands for the receptor's own gain, or for no factor
        where there is a shift.
    shift : number or Quantity or None
        Added to the term, at full activation.
    """

    receptor: str
    factor: float | None = None
    shift: Any = None

    def words(self, target: str) -> tuple[str, str, dict[str, Any]]:
        """Factor and shift as text, either may be empty, and the constants that they name."""
        r = self.receptor
        if self.shift is not None:
            name = f"shift_{target}_{r}"
            return "", f"{name}*activation_{r}", {name: self.shift}
        if self.factor is None:
            return f"gain_{r}", "", {}
        name = f"factor_{target}_{r}"
        return f"(1 + ({name} - 1)*activation_{r})", "", {name: self.factor}


def scaled_by(receptor: str, factor: float) -> Effect:
    """The term is multiplied by up to `factor`, at full activation of a receptor."""
    if not (_plain(factor) and factor >= 0):
        raise UserError(f"{receptor} scales by a number of at least 0, not {factor!r}.")
    return Effect(receptor, factor=float(factor))


def suppressed_by(receptor: str, share: float = 1.0) -> Effect:
    """A share of the term, by default all of it, is gone at full activation of a receptor."""
    if not (_plain(share) and 0 <= share <= 1):
        raise UserError(f"{receptor} suppresses a share of 0 to 1, not {share!r}.")
    return Effect(receptor, factor=1.0 - float(share))


def shifted_by(receptor: str, shift: Any) -> Effect:
    """Up to `shift`, in the term's unit, is added at full activation of a receptor."""
    return Effect(receptor, shift=shift)


def combined(target: str, effects: Iterable[Effect]) -> tuple[str, dict[str, Any]]:
    """Expression of a term under several effects, and the constants that it names.

    Factors multiply, and shifts are added to the product.
    """
    factors, shifts = [target], []
    constants: dict[str, Any] = {}
    for effect in effects:
        factor, shift, named = effect.words(target)
        if constants.keys() & named:
            raise UserError(f"{effect.receptor} does the same to {target} twice: say it once.")
        factors += [factor] if factor else []
        shifts += [shift] if shift else []
        constants |= named
    return " + ".join(["*".join(factors), *shifts]), constants


def modulated_equations(equations: str, on: Mapping[str, str]) -> str:
    """Equations in which terms stand for what is left of them under modulation.

    Parameters
    ----------
    equations : str
        In Brian2's language.
    on : mapping of str to str
        By the name of a term, the expression that takes its place in all equations but its own.

    Returns
    -------
    str
    """
    return equations_text(read_equations(equations), on)


def equations_text(equations: Equations, on: Mapping[str, str] | None = None) -> str:
    """Text from which Brian2 reads the same equations, which its own does not always give."""
    return "\n".join(_line(equation, on or {}) for equation in equations.values())


def modulated_statements(statements: str, on: Mapping[str, str]) -> str:
    """Statements of a reset, or of a spike's arrival, that read terms under modulation."""
    lines = []
    for line in re.split(r"[\n;]", statements):
        match = ASSIGNMENT.fullmatch(line.strip())
        if match:
            lines.append(match[1] + _read(match[2], on))
        elif line.strip():
            lines.append(line.strip())
    return "\n".join(lines)


def modulated_condition(condition: str, on: Mapping[str, str]) -> str:
    """Condition of a threshold, or a refractory time, that reads terms under modulation."""
    return _read(condition, on)


def _plain(value: Any) -> bool:
    """Whether a value is one number without unit; to Python true is a number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _read(code: str, on: Mapping[str, str]) -> str:
    """Code in which names stand for their terms; a name inside a term is what it was before."""
    if not on:
        return code
    words = "|".join(map(re.escape, on))
    return re.sub(rf"\b({words})\b", lambda match: f"({on[match[1]]})", code)


def _line(equation: SingleEquation, on: Mapping[str, str]) -> str:
    """One equation as text."""
    name = equation.varname
    others = {target: term for target, term in on.items() if target != name}
    kind = {"float": unit_of(Quantity(1.0, dim=equation.dim))}.get(
        equation.var_type, equation.var_type
    )
    flags = f" ({', '.join(equation.flags)})" if equation.flags else ""
    if equation.type == PARAMETER:
        return f"{name} : {kind}{flags}"
    left = {DIFFERENTIAL_EQUATION: f"d{name}/dt", SUBEXPRESSION: name}[equation.type]
    return f"{left} = {_read(equation.expr.code, others)} : {kind}{flags}"
