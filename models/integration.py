"""Integration of a fast membrane under a slow cascade, or with a clocked comparator."""

from __future__ import annotations

import ast
from typing import Any

import sympy
from brian2 import Equations, exact
from brian2.equations.equations import DIFFERENTIAL_EQUATION, SUBEXPRESSION, SingleEquation
from brian2.parsing.sympytools import sympy_to_str
from brian2.stateupdaters.base import StateUpdateMethod
from brian2.stateupdaters.exponential_euler import get_conditionally_linear_system
from brian2.utils.stringtools import get_identifiers, word_substitute


class HeldCascade(StateUpdateMethod):  # type: ignore[misc]
    """Exact steps for the membrane, trapezoidal steps for the slow cascade that modulates it.

    The cascade enters the membrane's equations through subexpressions. With these held over a step,
    the equations are linear and are solved exactly: under a constant gain a cell fires precisely
    as one without a cascade. A changing gain lags by half a step on average, 0.0001 of its change
    for a cascade of 0.5 s and a step of 0.1 ms.

    Every variable of the cascade is linear in itself and takes a trapezoidal step (Crank &
    Nicolson 1947). A variable steps after those that it depends on, and sees them at the middle of
    their step: second order, exact in the steady state, and stable for any step. Where two act on
    each other, as ligand and antagonist do, the ligand steps first and lags half a step behind.

    Parameters
    ----------
    fast : tuple of str
        Variables of the membrane; a model need not have all of them.
    """

    def __init__(self, fast: tuple[str, ...]) -> None:
        self.fast = fast

    @classmethod
    def under(cls, equations: Equations) -> HeldCascade:
        """For a neuron of these equations, under whatever else acts on it and is held.

        What they only declare, such as a current, may be moved from outside; that is held, too.
        """
        return cls(tuple(sorted(equations.diff_eq_names | equations.subexpr_names)))

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, for Brian2; there are no options."""
        del method_options
        membrane = [eq for eq in equations.values() if eq.varname in self.fast]
        cascade = [eq for eq in equations.values() if eq.varname not in self.fast]
        steps, midpoints = _trapezoids(Equations(cascade), variables)
        whole = dict(equations.get_substituted_expressions(variables, include_subexpressions=True))
        named = {name for eq in membrane if eq.expr for name in get_identifiers(eq.expr.code)}
        held = [eq.varname for eq in cascade if eq.type == SUBEXPRESSION and eq.varname in named]
        alias = {name: f"_held_{name}" for name in held}
        holds = [f"{alias[name]} = {whole[name].code}" for name in held]
        solved = exact(Equations([_renamed(eq, alias) for eq in membrane]), variables)
        moves = [f"{name} = _{name}" for name in midpoints]
        return "\n".join([*holds, solved, *steps, *moves])

    def __str__(self) -> str:
        return (
            f"exact for {', '.join(self.fast)} with the cascade held; trapezoidal for the cascade"
        )


class Clocked(StateUpdateMethod):  # type: ignore[misc]
    """A method for the membrane, before which the comparator's clock is worked out.

    The clock is the NOR of a neuron's input pulses and its own spike; the comparator decides at
    its rising edge, on the membrane as it is then. `nor` is its level, and 2 in the step of such an
    edge; `clocks` counts them.

    A comparator without a clock fires within a step, and its spike ends as late within another.
    Interpolated, `late` is the part of a step between the spike's start and the crossing, and the
    membrane moves through what is left of the step in which it is released. Without this every
    spike would end up to a step early, and the error add up over a train.

    Parameters
    ----------
    membrane : StateUpdateMethod
        One of Brian2's.
    first : tuple of str
        Code that comes before it, of what the comparator finds, of what its clock does to the
        membrane, and of what is constant over a step.
    interpolated : bool
        Whether membranes cross their threshold within steps.
    last : tuple of str
        Code that comes after it, of what follows from a decision.
    """

    def __init__(
        self,
        membrane: StateUpdateMethod,
        first: tuple[str, ...] = (),
        interpolated: bool = False,
        last: tuple[str, ...] = (),
    ) -> None:
        self.membrane = membrane
        self.first = first
        self.interpolated = interpolated
        self.last = last

    def __call__(
        self, equations: Equations, variables: Any = None, method_options: Any = None
    ) -> str:
        """Abstract code of one step, as Brian2 asks for it."""
        step = self.membrane(equations, variables, method_options)
        # Real numbers, because AVX2 has no vectors of whole ones beside them.
        rises = [
            "_nor = 1.0*int(active < 0.5)*int(not_refractory)",
            # 0 for 0, and 1 for 1 and 2; after a 3 there is no edge, because the neuron spikes.
            "_was = nor*(1.5 - 0.5*nor)",
            "_edge = _nor*(1 - _was)",
        ]
        # Level and edge in one variable: time steps take as long as it takes to read and write.
        risen = ["nor = _nor + _edge", "clocks = clocks + _edge"]
        if self.interpolated:
            # Negative, because NumPy would give the array itself, which the step changes.
            step = "\n".join(["_minus_before = -v", step, *CROSSING])
        return "\n".join([*rises, *self.first, *risen, step, *self.last])

    def __str__(self) -> str:
        known = StateUpdateMethod.stateupdaters.items()
        names = [name for name, method in known if method is self.membrane]
        return f"{next(iter(names), self.membrane)}, and the comparator's clock"


CROSSING = (
    "v = (v + _minus_before)*(1 - late) - _minus_before",
    "_level = v_th + v_offset",
    "_crosses = int(v >= _level)*int(-_minus_before < _level)*int(not_refractory)",
    # Where there is no crossing, any way that is not 0 will do to divide by.
    "_way = (v + _minus_before)*_crosses + (v_th - v_rest)*(1 - _crosses)",
    "late = _crosses*(late + (1 - late)*(_level + _minus_before)/_way)"
    " + (1 - int(not_refractory))*late",
)


def _trapezoids(cascade: Equations, variables: Any) -> tuple[list[str], dict[str, str]]:
    """Code of one step of every variable, and the name of each one's midpoint."""
    steps: list[str] = []
    midpoints: dict[str, str] = {}
    system = get_conditionally_linear_system(cascade, variables)
    for name in _by_dependence(system):
        # ds/dt = rate*s + drive; a factor 1/(...) that is the same for all is computed once.
        rate, drive = (_at(midpoints, sympy.sympify(part)) for part in system[name])
        steps.append(
            f"_{name} = ((1 + dt*({rate})/2)*{name} + dt*({drive}))*(1/(1 - dt*({rate})/2))"
        )
        steps.append(f"_mid_{name} = 0.5*({name} + _{name})")
        midpoints[name] = f"_mid_{name}"
    return steps, midpoints


def _by_dependence(system: dict[str, Any]) -> list[str]:
    """Names of variables, each after all that it depends on, unless they depend on it too."""
    causes = {
        name: {word for part in parts for word in get_identifiers(str(part))} & system.keys()
        for name, parts in system.items()
    }
    for _ in system:
        causes = {name: near.union(*(causes[n] for n in near)) for name, near in causes.items()}
    # Brian2 sorts names. In reverse order, what is occupied comes before what is blocked.
    last_first = list(system)[::-1]
    return sorted(last_first, key=lambda name: len(causes[name] - {name}))


def _at(midpoints: dict[str, str], expression: Any) -> str:
    return str(word_substitute(sympy_to_str(expression), midpoints))


def _renamed(equation: SingleEquation, names: dict[str, str]) -> SingleEquation:
    if equation.type != DIFFERENTIAL_EQUATION:
        return equation
    code = equation.expr.code
    match ast.parse(code, mode="eval").body:
        # Brian2 itself holds what must not change while refractory; here this would only branch.
        case ast.BinOp(ast.Call(args=[ast.Name("not_refractory")]), ast.Mult(), slope):
            code = ast.unparse(slope)
    expression = type(equation.expr)(word_substitute(code, names))
    return SingleEquation(
        equation.type, equation.varname, equation.dim, equation.var_type, expression, equation.flags
    )
