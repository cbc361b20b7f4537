"""What GeNN cannot run, or would run wrongly without warning, refused before code is generated.

Each entry was tried through Brian2GeNN 1.7 and GeNN 4.9 against Brian2's runtime. What an
experiment cannot express is not looked for: random connections, several clocks, delays of single
synapses, operations run regularly.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brian2 import Equations
from brian2.equations.equations import BOOLEAN, PARAMETER

from neuromod.errors import UserError
from neuromod.experiment import Experiment, Model, Plastic

# GeNN's own names in the code of a neuron; with the first of them nothing ever spiked.
RESERVED_WORDS = (
    "inSyn Isyn sT seT DT id idx num numNeurons spk spkCnt spkQuePtr glbSpk glbSpkCnt inSynInSyn0 "
    "addtoinSyn"
)
RESERVED = set(RESERVED_WORDS.split())
FUNCTION_WORDS = (
    "sin cos tan sinh cosh tanh arcsin arccos arctan exp log log10 sqrt ceil floor abs sign int "
    "timestep"
)
FUNCTIONS = set(FUNCTION_WORDS.split())
RANDOM = {"rand", "randn", "poisson"}
INSTEAD = {
    "clip": "GeNN computes it in single precision, so write x*int(x > 0) and sums of such terms",
    "expm1": "write exp(x) - 1",
    "log1p": "write log(1 + x)",
    "exprel": "write (exp(x) - 1)/x",
}
DRAW = "draw numbers beforehand with numpy.random.Generator and give them as values or as spikes"


def refuse(experiment: Experiment) -> None:
    """Refuse an experiment that GeNN cannot run, or would run wrongly: what is in the way."""
    for population in experiment.populations:
        traces = (trace for trace in experiment.traces if trace.population == population.name)
        traced = [name for trace in traces for name in trace.variables]
        _refuse_first(
            f"population {population.name}",
            *obstacles(population.model, population.equations, population.constants),
            *_texts(population.model.start),
            *_untraceable(Equations(population.equations), traced),
        )
    for changing in experiment.plastic:
        _refuse_first(f"plastic connection {changing.name}", *obstacles(changing.model))


def _refuse_first(what: str, *reasons: str) -> None:
    if reasons:
        raise UserError(f"GeNN cannot run the {what}: {reasons[0]} (cython and cpp can).")


def obstacles(
    model: Model | Plastic, text: str = "", constants: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What in a model GeNN cannot run, each with what to do instead.

    `text` has its equations together with those of its inputs, and `constants` what they name; by
    default they are the model's own.
    """
    equations = Equations(text or model.equations)
    constants = model.constants if constants is None else constants
    for name in sorted((equations.names | constants.keys()) & RESERVED):
        yield f"the name {name} is GeNN's own; choose another one"
    for name, value in constants.items():
        if callable(value):
            yield (
                f"{name} is a function or an array over time; write it as a closed form of t, or "
                "as spikes that add to a variable"
            )
    for equation in equations.values():
        if "constant over dt" in equation.flags:
            yield (
                f"{equation.varname} is (constant over dt), which GeNN records a step late; leave "
                "the flag out"
            )
    if str(model.method).startswith("gsl"):
        yield f"the method {model.method} needs GSL; choose rk4"
    logical = {eq.varname for eq in equations.values() if eq.var_type == BOOLEAN}
    if isinstance(model, Plastic):
        yield from _unfit_events(model, equations)
    for code in _codes(model, equations):
        yield from _unfit(ast.parse(code), logical | {"not_refractory"})


def _codes(model: Model | Plastic, equations: Equations) -> Iterator[str]:
    """Every piece of code in a model."""
    yield from (eq.expr.code for eq in equations.values() if eq.type != PARAMETER)
    if isinstance(model, Plastic):
        statements = f"{model.on_pre}\n{model.on_post}"
    else:
        yield model.threshold
        statements = model.reset
        if isinstance(model.refractory, str):
            yield model.refractory
    yield from filter(None, map(str.strip, statements.splitlines()))


def _unfit_events(model: Plastic, equations: Equations) -> Iterator[str]:
    """What GeNN cannot do when a spike comes to a plastic synapse."""
    tree = ast.parse(f"{model.on_pre}\n{model.on_post}")
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in sorted(names & equations.subexpr_names):
        yield f"a spike cannot read {name}, which is a subexpression; write it out"
    for name in sorted(names):
        if name.endswith("_pre"):
            yield f"a spike cannot read {name} of the source; keep it in the synapse"


def _unfit(tree: ast.AST, logical: set[str]) -> Iterator[str]:
    """What in a piece of code GeNN lacks, or computes otherwise than Brian2."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (node.id == "xi" or node.id.startswith("xi_")):
            yield f"{node.id} is noise drawn on the device, the same in every run of GeNN; {DRAW}"
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name = node.func.id
        if name in RANDOM:
            yield f"{name}() draws on the device, the same numbers in every run of GeNN; {DRAW}"
        elif name == "int" and not _is_logical(node.args[0], logical):
            yield (
                f"{ast.unparse(node)} would be 0 or 1 whatever the number; write "
                f"floor({ast.unparse(node.args[0])})"
            )
        elif name not in FUNCTIONS:
            instead = INSTEAD.get(name, f"there are {', '.join(sorted(FUNCTIONS))}")
            yield f"it has no usable function {name}; {instead}"


def _is_logical(node: ast.AST, logical: set[str]) -> bool:
    """Whether an expression is true or false, as far as it tells."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return True
    if isinstance(node, ast.Constant):
        return isinstance(node.value, bool)
    if isinstance(node, ast.Name):
        return node.id in logical
    return isinstance(node, ast.Compare | ast.BoolOp)


def _texts(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, str):
            yield f"{name} = {value!r} would be computed on the device; give numbers"


def _untraceable(equations: Equations, traced: Sequence[str]) -> Iterator[str]:
    for name in traced:
        if "shared" in equations[name].flags:
            yield f"{name} is shared by all neurons and cannot be traced; leave it out of the trace"
        elif equations[name].expr and {"t", "dt"} & _reads(equations, name):
            yield f"{name} depends on time and cannot be traced; trace what it is made of"


def _reads(equations: Equations, name: str) -> set[str]:
    """What a subexpression is computed from, directly or not."""
    if name not in equations.subexpr_names:
        return {name}
    inner: set[str] = set(equations[name].expr.identifiers)
    return inner.union(*(_reads(equations, n) for n in inner if n in equations))
