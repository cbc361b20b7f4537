"""Brian2's abstract code in the language of GeNN 5, which is C but for a few functions.

Every name of a model gets a prefix, so that none can be GeNN's or C's own; a few of Brian2's stand
for something that GeNN calls otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from brian2 import Synapses
from brian2.codegen.statements import Statement
from brian2.codegen.translation import analyse_identifiers, make_statements
from brian2.core.variables import ArrayVariable, Constant
from brian2.parsing.rendering import CPPNodeRenderer
from brian2.utils.stringtools import get_identifiers

from neuromod.errors import UserError

PREFIX = "u_"
"""Of a model's names in GeNN, where no name may begin with an underscore."""

TYPES: dict[Any, str] = {
    np.dtype(bool): "bool",
    np.dtype(np.int32): "int32_t",
    np.dtype(np.int64): "int64_t",
    np.dtype(np.float32): "float",
    np.dtype(np.float64): "double",
}
SAME = ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log", "log10", "log1p")
# What Brian2 calls by a name, and what it computes.
FUNCTIONS = {
    **{name: f"{name}({{0}})" for name in (*SAME, "sqrt", "ceil", "floor")},
    "arcsin": "asin({0})",
    "arccos": "acos({0})",
    "arctan": "atan({0})",
    "abs": "fabs({0})",
    "int": "(int)({0})",
    "sign": "((({0}) > 0) - (({0}) < 0))",
    "clip": "((({0}) < ({1})) ? ({1}) : ((({0}) > ({2})) ? ({2}) : ({0})))",
    "exprel": "((fabs({0}) < 1e-16) ? 1.0 : (expm1({0})/({0})))",
    "timestep": "((int64_t)((({0}) + 1e-3d*({1}))/({1})))",
}
# What both know, and what GeNN calls by another name.
CLOCK = {"t": "t", "dt": "dt", "t_in_timesteps": "((int64_t)(t/dt + 0.5d))"}
NEURON = CLOCK | {"i": "((int)id)", "N": "((int)num_neurons)"}
SYNAPSE = CLOCK | {
    **{"i": "((int)id_pre)", "j": "((int)id_post)"},
    **{"N_pre": "((int)num_pre)", "N_post": "((int)num_post)"},
}
SOURCE, TARGET = "_presynaptic_idx", "_postsynaptic_idx"
"""How Brian2 marks variables of a synapse's source and target."""


@dataclass
class Code:
    """A block of code in GeNN's language.

    Attributes
    ----------
    text : str
    arrays : dict of str to ArrayVariable
        What it reads and writes, by Brian2's name.
    written : set of str
        Names of those that it writes.
    added : set of str
        Names of the target's variables that it adds to.
    """

    text: str = ""
    arrays: dict[str, ArrayVariable] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)


def named(name: str) -> str:
    """A model's name in GeNN."""
    return f"{PREFIX}{name}"


def kind(variable: Any) -> str:
    """The type in GeNN of what a variable of Brian2 holds."""
    return TYPES[np.dtype(variable.dtype)]


def belongs(name: str, group: Any) -> str:
    """Whose a variable of synapses is: `SOURCE`, `TARGET`, or empty for their own."""
    index = group.variables.indices[name] if name in group.variables else ""
    return index if index in (SOURCE, TARGET) else ""


def translate(code: str, group: Any, dtype: Any, *, protected: bool = True) -> Code:
    """Translate abstract code of a group of Brian2's.

    Parameters
    ----------
    code : str
        Statements in Brian2's language.
    group : NeuronGroup or Synapses
        To which they belong. Synapses may add to variables of their target.
    dtype : dtype
        Of what the code defines for itself.
    protected : bool
        Whether what is held while a neuron is refractory is held here.

    Raises
    ------
    UserError
        When GeNN lacks a function, or synapses change their target in another way.
    """
    if not code.strip():
        return Code()
    _, known, unknown = analyse_identifiers(code, group.variables, recursive=True)
    variables = group.resolve_all(known | unknown, run_namespace={}, user_identifiers=set())
    given = SYNAPSE if isinstance(group, Synapses) else NEURON
    literals = {n: _literal(v) for n, v in variables.items() if isinstance(v, Constant)}
    renderer = Renderer(literals | given)
    found, lines, touched = Code(), [], set()
    scalar, vector = make_statements(code, variables, dtype, optimise=False)
    for statement in [*scalar, *vector]:
        name, value = statement.var, renderer.render_expr(statement.expr)
        touched |= get_identifiers(statement.expr)
        if statement.op == ":=":
            lines.append(f"{TYPES[np.dtype(statement.dtype)]} {named(name)} = {value};")
        elif belongs(name, group):
            found.added.add(name)
            lines.append(_addition(statement, value))
        else:
            lines.append(_assignment(statement, renderer))
            found.written.add(name)
            # What the code defines for itself is no variable.
            held = getattr(variables.get(name), "conditional_write", None)
            if held is not None and protected:
                variables[held.name] = held
                touched.add(held.name)
                lines[-1] = f"if ({named(held.name)}) {{ {lines[-1]} }}"
    arrays = {n: v for n, v in variables.items() if isinstance(v, ArrayVariable)}
    used = (touched | found.written) - given.keys()
    found.arrays = {name: v for name, v in arrays.items() if name in used}
    found.written &= found.arrays.keys()
    found.text = "\n".join(lines)
    return found


class Renderer(CPPNodeRenderer):  # type: ignore[misc]
    """Expressions of Brian2 in GeNN's language.

    Parameters
    ----------
    names : mapping of str to str
        What stands for a name, where it is not the name with its prefix.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__()
        self.names = names

    def render_Name(self, node: ast.Name) -> str:  # noqa: N802
        """A variable or constant."""
        return self.names.get(node.id, named(node.id))

    def render_Call(self, node: ast.Call) -> str:  # noqa: N802
        """A function of Brian2's own."""
        name = getattr(node.func, "id", "")
        if name not in FUNCTIONS:
            raise UserError(f"GeNN has no function {name}.")
        return FUNCTIONS[name].format(*map(self.render_node, node.args))

    def render_BinOp(self, node: ast.BinOp) -> str:  # noqa: N802
        """An operation; a division is never one of whole numbers."""
        left, right = (self.render_element_parentheses(n) for n in (node.left, node.right))
        match node.op:
            case ast.Pow():
                return f"pow({left}, {right})"
            case ast.Div():
                return f"1.0*{left}/{right}"
            case ast.FloorDiv():
                return f"floor(1.0*{left}/{right})"
            case ast.Mod():
                return f"({left} - {right}*floor(1.0*{left}/{right}))"
        return str(super().render_BinOp(node))


def _literal(constant: Constant) -> str:
    value = constant.get_value()
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if not np.isfinite(value):
        return "(1.0/0.0)" if value > 0 else "(-1.0/0.0)"
    return f"({value.item() if isinstance(value, np.generic) else value!r})"


def _assignment(statement: Statement, renderer: Renderer) -> str:
    expression = statement.expr
    if statement.op != "=":
        expression = f"{statement.var} {statement.op[:-1]} ({expression})"
    return f"{named(statement.var)} = {renderer.render_expr(expression)};"


def _addition(statement: Statement, value: str) -> str:
    """What a synapse does to a variable of its target."""
    if statement.op not in ("+=", "-="):
        raise UserError(f"a spike can only add to {statement.var}, not replace it")
    return f"addToPost({value if statement.op == '+=' else f'-({value})'});"
