"""Equations of one's own: what they name, what reads what, and whether their units fit."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from brian2 import DimensionMismatchError, Equations, Quantity, get_dimensions, second
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.core.variables import Constant, Variable
from brian2.equations.equations import DIFFERENTIAL_EQUATION
from brian2.parsing.expressions import parse_expression_dimensions
from brian2.units.fundamentalunits import DIMENSIONLESS
from brian2.utils.stringtools import get_identifiers

from neuromod.errors import UserError, unknown
from neuromod.parameters import Parameters, in_words, parameter, unit_of

FUNCTIONS = set(DEFAULT_FUNCTIONS) | set(DEFAULT_CONSTANTS)
STATEMENT = re.compile(r"\s*(\w+)\s*[-+]?=(?!=)(.*)")
UNITS = {
    name: Constant(name, value=float(u), dimensions=u.dim) for name, u in DEFAULT_UNITS.items()
}


@dataclass(frozen=True, eq=False)
class OwnEquations(Parameters):
    """Base of neurons and synapses that a user writes in Brian2's language.

    In an experiment every constant that the code names has its value in `values`.
    """

    equations: str = parameter("", "differential equations and the rest", "the user")
    values: Mapping[str, Any] = parameter(
        {}, "constants that are named, by name", "the user", any_unit=True
    )
    initial: Mapping[str, Any] = parameter(
        {}, "states at the start, where not 0", "the user", any_unit=True
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        defined = read_equations(self.equations).names
        for name in self.values:
            if name in defined:
                raise UserError(f"{name} has an equation and a value: leave one of them out.")
        for name in self.initial:
            if name not in defined:
                raise unknown("variable to start", name, defined)
        self._check_units()
        self._check_start()

    @property
    def conditions(self) -> tuple[str, ...]:
        """Code beside the equations that only reads."""
        return ()

    @property
    def statements(self) -> tuple[str, ...]:
        """Code beside the equations that changes variables."""
        return ()

    @property
    def read(self) -> set[str]:
        """Names that are read by something else than their own equation."""
        found: set[str] = set()
        for equation in read_equations(self.equations).values():
            if equation.expr:
                found |= names_in(equation.expr.code) - {equation.varname}
        lines = re.split(r"[\n;]", "\n".join(self.statements))
        for code in (*self.conditions, *(line.partition("=")[2] for line in lines)):
            found |= names_in(code)
        return {name for name in found if name not in UNITS and name not in FUNCTIONS}

    @property
    def named(self) -> set[str]:
        """All names in the code."""
        return {*self.read, *read_equations(self.equations).names, *self.values}

    def check_term(self, term: str, expression: str, constants: Mapping[str, Any]) -> None:
        """Refuse an expression that does not have the unit of the term whose place it takes."""
        known = self._variables(constants)
        expected, found = _dimensions(term, known), _dimensions(expression, known)
        if expected is not None and found is not None and found is not expected:
            unit = in_words(unit_of(Quantity(1.0, dim=expected)))
            raise UserError(
                f"{term} = {expression} has the wrong unit: {unit} was expected, not "
                f"{in_words(unit_of(Quantity(1.0, dim=found)))}."
            )

    def _check_units(self) -> None:
        """Refuse equations that are not of one unit, as far as their constants are known."""
        known = self._variables({})
        for equation in read_equations(self.equations).values():
            if not equation.expr:
                continue
            per = second.dim if equation.type == DIFFERENTIAL_EQUATION else DIMENSIONLESS
            found = _dimensions(equation.expr.code, known)
            if found is not None and found is not equation.dim / per:
                raise UserError(
                    f"The equation of {equation.varname} has the wrong unit: "
                    f"{in_words(unit_of(Quantity(1.0, dim=equation.dim / per)))} was expected of "
                    f"{equation.expr.code}, not {in_words(unit_of(Quantity(1.0, dim=found)))}."
                )
        for code in self.conditions:
            _dimensions(code, known)
        check_statements("\n".join(self.statements), known)

    def _check_start(self) -> None:
        """Refuse states at the start that do not have their variable's unit."""
        for name, value in self.initial.items():
            dim = read_equations(self.equations)[name].dim
            if get_dimensions(value) is not dim:
                unit = in_words(unit_of(Quantity(1.0, dim=dim)))
                raise UserError(
                    f"{name} starts with the wrong unit: {unit} was expected, not "
                    f"{in_words(unit_of(value))}."
                )

    def _variables(self, constants: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of names: their dimensions, or the function that they are."""
        known: dict[str, Any] = {**DEFAULT_FUNCTIONS, **UNITS}
        dims = {"t": second.dim, "dt": second.dim, "i": DIMENSIONLESS, "N": DIMENSIONLESS}
        dims |= {
            name: get_dimensions(value) for name, value in {**self.values, **constants}.items()
        }
        dims |= {eq.varname: eq.dim for eq in read_equations(self.equations).values()}
        return known | variables(dims)


@lru_cache(maxsize=4096)
def read_equations(equations: str) -> Equations:
    """Equations as Brian2 understands them.

    Raises
    ------
    UserError
        When it does not.
    """
    with warnings.catch_warnings():
        # Brian2 calls pyparsing by names that newer releases deprecate.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return Equations(equations)
        except Exception as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise UserError(f"The equations cannot be read: {said}.") from error


def variables(dims: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of these dimensions by name, for the check of units."""
    return {name: Variable(name, dimensions=dim) for name, dim in dims.items()}


def check_statements(code: str, known: Mapping[str, Any]) -> None:
    """Refuse statements that set, or add to, a variable what is not of its unit."""
    for match in filter(None, map(STATEMENT.fullmatch, re.split(r"[\n;]", code))):
        expected, found = (_dimensions(part.strip(), known) for part in match.groups())
        if expected is not None and found is not None and found is not expected:
            raise UserError(
                f"{match[0].strip()} has the wrong unit: "
                f"{in_words(unit_of(Quantity(1.0, dim=expected)))} was expected, not "
                f"{in_words(unit_of(Quantity(1.0, dim=found)))}."
            )


def names_in(code: str) -> set[str]:
    """Names that a piece of code reads, those of functions included."""
    return set(get_identifiers(code)) if code.strip() else set()


def _dimensions(code: str, known: Mapping[str, Any]) -> Any:
    """Dimensions of an expression; None where it reads what is not known."""
    if not code.strip() or not names_in(code) <= known.keys():
        return None
    try:
        return parse_expression_dimensions(code, known)
    except DimensionMismatchError as error:
        said = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"Units do not fit in {code}: {said}.") from error
