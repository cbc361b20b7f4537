"""Equations and statements in Brian2's language as LaTeX, terms in the order they are written."""

import ast
import re
from collections.abc import Iterator

from brian2 import Equations
from brian2.core.namespace import DEFAULT_UNITS
from brian2.equations.equations import DIFFERENTIAL_EQUATION, PARAMETER, SingleEquation
from brian2.units.fundamentalunits import Unit, get_unit

from neuromod.support.text import symbol

GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi"
    "|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega"
)
WORDS = {"inf": r"\infty"}
NAMES = {
    "dt": r"\mathrm{d}t",
    "trained_gain": r"\mathrm{gain}_{\mathrm{trained}}",
    "not_refractory": r"\text{not refractory}",
}
SIGNS = {
    ast.Lt: "<",
    ast.LtE: r"\le",
    ast.Gt: ">",
    ast.GtE: r"\ge",
    ast.Eq: "=",
    ast.NotEq: r"\ne",
    ast.And: r"\text{ and }",
    ast.Or: r"\text{ or }",
}
FUNCTIONS = {
    "exp": r"\exp{}",
    "log": r"\ln{}",
    "floor": r"\left\lfloor {} \right\rfloor",
    "abs": r"\left|{}\right|",
    "sqrt": r"\sqrt{{{}}}",
    "int": r"\left[{}\right]",
}
BRACKETED = {"exp", "log"}
# How tightly a part holds together; what holds less tightly than its surroundings needs brackets.
OR, AND, COMPARE, SUM, PRODUCT, SIGN, POWER, ATOM = range(8)
AUGMENTED = re.compile(r"^(\w+)\s*([-+*/])=\s*(.+)$")
ASSIGNED = re.compile(r"^(\w+)\s*=\s*(.+)$")
FLAGS = {"unless refractory": "held while refractory", "event-driven": "computed at spikes"}
COMMENT = re.compile(r"^\s*(\w+)\s*:[^#\n]+#\s*(.+)$", re.MULTILINE)


def equations(text: str) -> Iterator[str]:
    """LaTeX of every equation, with the unit of its variable."""
    found = Equations(text)
    for equation in found.values():
        if equation.type != PARAMETER:
            right = expression(str(equation.expr), found.names)
            yield f"{_left(equation)} = {right}{_about(equation)}"


def free_variables(text: str) -> list[tuple[str, str, str]]:
    """Name, unit and meaning of variables without an equation, which are set from elsewhere."""
    meanings = dict(COMMENT.findall(text))
    return [
        (equation.varname, unit(equation), meanings.get(equation.varname, ""))
        for equation in Equations(text).values()
        if equation.type == PARAMETER
    ]


def statements(code: str) -> Iterator[str]:
    """LaTeX of assignments, such as those of a reset; `x += 1` is written out."""
    for line in filter(None, map(str.strip, re.split(r"[\n;]", code))):
        if augmented := AUGMENTED.match(line):
            name, sign, value = augmented.groups()
            # `x -= a + b` takes all of the sum away.
            value = value if sign == "+" else f"({value})"
            yield rf"{variable(name)} \leftarrow {expression(f'{name} {sign} {value}')}"
        elif assigned := ASSIGNED.match(line):
            yield rf"{variable(assigned[1])} \leftarrow {expression(assigned[2])}"
        else:
            raise ValueError(f"{line!r} is no assignment.")


def expression(text: str, names: set[str] | frozenset[str] = frozenset()) -> str:
    """LaTeX of an expression, in which `names` are variables even where they are units."""
    return _Writer(names).write(ast.parse(text.strip(), mode="eval").body)


def variable(name: str) -> str:
    """LaTeX of a name: what follows the first underscore is a subscript."""
    if name in NAMES:
        return NAMES[name]
    base, *subscripts = [part for part in name.split("_") if part]
    text = _word(base) if len(base) > 1 else base
    below = r",\,".join(map(_word, subscripts))
    return f"{text}_{{{below}}}" if below else text


def unit(equation: SingleEquation) -> str:
    """Symbol of the unit of an equation's variable; empty where it has none."""
    return "" if equation.dim.is_dimensionless else symbol(get_unit(equation.dim))


def _word(text: str) -> str:
    if text in WORDS:
        return WORDS[text]
    return rf"\{text}" if GREEK.fullmatch(text) else rf"\mathrm{{{text}}}"


def _left(equation: SingleEquation) -> str:
    name = variable(equation.varname)
    if equation.type != DIFFERENTIAL_EQUATION:
        return name
    space = r"\," if name.startswith(r"\mathrm") else ""
    return rf"\frac{{\mathrm{{d}}{space}{name}}}{{\mathrm{{d}}t}}"


def _about(equation: SingleEquation) -> str:
    """Unit and behaviour of an equation's variable, behind it."""
    said = [f"${variable(equation.varname)}$ in {unit(equation)}"] if unit(equation) else []
    said += [FLAGS[flag] for flag in equation.flags if flag in FLAGS]
    return rf"\qquad \text{{({', '.join(said)})}}" if said else ""


class _Writer:
    """Writes the nodes of one expression."""

    def __init__(self, names: set[str] | frozenset[str]) -> None:
        self.names = names

    def write(self, node: ast.expr, least: int = OR) -> str:
        """LaTeX of a node, in brackets where it holds less tightly than `least`."""
        text, level = getattr(self, f"_{type(node).__name__.lower()}")(node)
        return text if level >= least else rf"\left({text}\right)"

    def _constant(self, node: ast.Constant) -> tuple[str, int]:
        mantissa, _, power = f"{node.value!r}".partition("e")
        if not power:
            return mantissa, ATOM
        scaled = "" if mantissa == "1" else rf"{mantissa} \cdot "
        return f"{scaled}10^{{{int(power)}}}", PRODUCT

    def _name(self, node: ast.Name) -> tuple[str, int]:
        return (self._unit(node) or variable(node.id)), ATOM

    def _unit(self, node: ast.expr) -> str:
        if not isinstance(node, ast.Name) or node.id in self.names:
            return ""
        found = DEFAULT_UNITS.get(node.id)
        return rf"\mathrm{{{symbol(found)}}}" if isinstance(found, Unit) else ""

    def _unaryop(self, node: ast.UnaryOp) -> tuple[str, int]:
        if isinstance(node.op, ast.Not):
            return rf"\text{{not }}{self.write(node.operand, ATOM)}", SIGN
        return f"-{self.write(node.operand, PRODUCT)}", SIGN if _is_number(node) else SUM

    def _binop(self, node: ast.BinOp) -> tuple[str, int]:
        left, right = node.left, node.right
        match node.op:
            case ast.Add() if opposite := _opposite(right):
                return f"{self.write(left, SUM)} - {self.write(opposite, PRODUCT)}", SUM
            case ast.Add():
                return f"{self.write(left, SUM)} + {self.write(right, SUM)}", SUM
            case ast.Sub():
                return f"{self.write(left, SUM)} - {self.write(right, PRODUCT)}", SUM
            case ast.Mult() | ast.Div() if opposite := _opposite(node):
                return f"-{self.write(opposite, PRODUCT)}", SUM
            case ast.Mult():
                return self._product(left, right), PRODUCT
            case ast.Div() if self._unit(right):
                return rf"{self.write(left, PRODUCT)}\,{self._unit(right)}^{{-1}}", PRODUCT
            case ast.Div():
                return rf"\frac{{{self.write(left)}}}{{{self.write(right)}}}", PRODUCT
            case ast.Pow():
                return f"{self.write(left, ATOM)}^{{{self.write(right)}}}", POWER
        raise ValueError(f"{ast.unparse(node)} has an operator that is not known here.")

    def _product(self, left: ast.expr, right: ast.expr) -> str:
        for one, other in ((left, right), (right, left)):
            if isinstance(one, ast.Constant) and one.value == 1:
                return self.write(other, PRODUCT)
        between = r" \cdot " if isinstance(_first(right), ast.Constant) else r"\,"
        return f"{self.write(left, PRODUCT)}{between}{self.write(right, SIGN)}"

    def _call(self, node: ast.Call) -> tuple[str, int]:
        name, given = ast.unparse(node.func), [self.write(part) for part in node.args]
        if name not in FUNCTIONS:
            return rf"\operatorname{{{name}}}\left({', '.join(given)}\right)", ATOM
        inner = rf"\left({given[0]}\right)" if name in BRACKETED else given[0]
        return FUNCTIONS[name].format(inner), ATOM if name not in BRACKETED else POWER

    def _compare(self, node: ast.Compare) -> tuple[str, int]:
        parts = [self.write(node.left, SUM)]
        for sign, right in zip(node.ops, node.comparators, strict=True):
            parts += [SIGNS[type(sign)], self.write(right, SUM)]
        return " ".join(parts), COMPARE

    def _boolop(self, node: ast.BoolOp) -> tuple[str, int]:
        level = AND if isinstance(node.op, ast.And) else OR
        return SIGNS[type(node.op)].join(self.write(v, level + 1) for v in node.values), level


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant)


def _first(node: ast.expr) -> ast.expr:
    """The factor that a product, quotient or power is written with first."""
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.Pow):
        node = node.left
    return node


def _opposite(node: ast.expr) -> ast.expr | None:
    """A product or quotient without the sign that stands first in it; None if there is none."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not _is_number(node):
        return node.operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        left = _opposite(node.left)
        return ast.BinOp(left, node.op, node.right) if left else None
    return None
