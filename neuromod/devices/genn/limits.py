"""What GeNN cannot run, or would run wrongly without warning, refused before code is generated.

Each entry was tried against Brian2's runtime: through Brian2GeNN 1.7 and GeNN 4.9, or through
PyGeNN 5.4, which has far fewer. What an experiment cannot express is not looked for: random
connections, several clocks, delays of single synapses, operations run regularly.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brian2 import Equations, second
from brian2.equations.equations import BOOLEAN, PARAMETER

from neuromod.devices.genn import translation
from neuromod.errors import UnsupportedError, listed
from neuromod.experiment import Experiment, Model, Plastic, PlasticConnection
from neuromod.models.own_equations import read_equations

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
INSTEAD_OF_CALLABLE = (
    "is a function or an array over time; write it as a closed form of t, or as spikes that add to "
    "a variable"
)
# All that Brian2 has but for random numbers.
KNOWN = translation.FUNCTIONS.keys()
DRAW = "draw numbers beforehand with numpy.random.Generator and give them as values or as spikes"


def refuse(experiment: Experiment, target: str = "brian2genn") -> None:
    """Refuse an experiment that GeNN cannot run, or would run wrongly: what is in the way.

    Parameters
    ----------
    experiment : Experiment
    target : str
        Who takes it to GeNN: ``"pygenn"`` or ``"brian2genn"``.
    """
    if target == "pygenn":
        _refuse_on_pygenn(experiment)
        return
    for population in experiment.populations:
        traces = (trace for trace in experiment.traces if trace.population == population.name)
        traced = [name for trace in traces for name in trace.variables]
        _refuse_first(
            f"population {population.name}",
            *obstacles(population.model, population.equations, population.constants),
            *_texts(population.model.start),
            *_untraceable(read_equations(population.equations), traced),
        )
    for changing in experiment.plastic:
        _refuse_first(f"plastic connection {changing.name}", *obstacles(changing.model))


def _refuse_on_pygenn(experiment: Experiment) -> None:
    targets = {population.name: population for population in experiment.populations}
    for population in experiment.populations:
        reasons = lacking(population.model, population.equations, population.constants)
        _refuse_first(f"population {population.name}", *reasons)
    for changing in experiment.plastic:
        model, target = changing.model, targets[changing.target]
        plastic = [other for other in experiment.plastic if other.target == target.name]
        added = {name for other in plastic for name in _changed(other.model.on_pre)}
        wired = {wire.variable for wire in experiment.connections if wire.target == target.name}
        _refuse_first(
            f"plastic connection {changing.name}",
            *lacking(model),
            *_unfit_additions(model),
            *_unfit_readings(changing, read_equations(target.equations), added, wired),
        )


def _refuse_first(what: str, *reasons: str) -> None:
    if reasons:
        raise UnsupportedError(f"GeNN cannot run the {what}: {reasons[0]} (cython and cpp can).")


def obstacles(
    model: Model | Plastic, text: str = "", constants: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What in a model Brian2GeNN cannot run, each with what to do instead.

    `text` has its equations together with those of its inputs, and `constants` what they name; by
    default they are the model's own.
    """
    equations = read_equations(text or model.equations)
    constants = model.constants if constants is None else constants
    for name in sorted((equations.names | constants.keys()) & RESERVED):
        yield f"the name {name} is GeNN's own; choose another one"
    for name, value in constants.items():
        if callable(value):
            yield f"{name} {INSTEAD_OF_CALLABLE}"
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
    names = _named(f"{model.on_pre}\n{model.on_post}")
    for name in sorted(names & equations.subexpr_names):
        yield f"a spike cannot read {name}, which is a subexpression; write it out"
    for name in sorted(names):
        if name.endswith("_pre"):
            yield f"a spike cannot read {name} of the source; keep it in the synapse"
    for name in sorted(_named(model.on_post)):
        if name.endswith("_post"):
            yield f"a spike of the target cannot read its {name}; keep it in the synapse"


def lacking(
    model: Model | Plastic, text: str = "", constants: Mapping[str, Any] | None = None
) -> Iterator[str]:
    """What in a model PyGeNN cannot run, each with what to do instead; see `obstacles`."""
    equations = read_equations(text or model.equations)
    constants = model.constants if constants is None else constants
    for name, value in constants.items():
        if callable(value):
            yield f"{name} {INSTEAD_OF_CALLABLE}"
    for equation in equations.values():
        if "summed" in equation.flags:
            yield f"{equation.varname} is (summed); let spikes add to it"
    if str(model.method).startswith("gsl"):
        yield f"the method {model.method} needs GSL; choose rk4"
    for code in _codes(model, equations):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Name) and (node.id == "xi" or node.id.startswith("xi_")):
                yield f"{node.id} is noise that no seed of yours decides on; {DRAW}"
            name = _called(node)
            if name in RANDOM:
                yield f"{name}() draws what no seed of yours decides on; {DRAW}"
            elif name and name not in KNOWN and name not in constants:
                yield f"it has no function {name}; there are {', '.join(sorted(KNOWN))}"


def _unfit_additions(model: Plastic) -> Iterator[str]:
    """What spikes do to a target that GeNN's synapses cannot."""
    added = sorted(_changed(model.on_pre))
    if len(added) > 1:
        yield f"a spike can only add to one variable of the target, not to {listed(added)}"
    for name in sorted(_changed(model.on_post)):
        yield f"a spike of the target cannot change its own {name}; let its reset do so"
    for node in ast.walk(ast.parse(model.on_pre)):
        name = _written(node)
        if name.endswith("_post") and not _is_addition(node, name):
            yield f"a spike can only add to {name.removesuffix('_post')} of the target"


def _unfit_readings(
    changing: PlasticConnection, target: Equations, added: set[str], wired: set[str]
) -> Iterator[str]:
    """What synapses read of neurons that GeNN would show them at another time.

    `added` are variables of the target to which plastic synapses add, `wired` those to which others
    do. GeNN adds all of it after the spikes of a time step; elsewhere a spike sees what was added
    before it: first that of plastic synapses, then that of others, then come spikes of the target.
    """
    model = changing.model
    whole = "\n".join([model.equations, model.on_pre, model.on_post])
    if changing.delay > 0 * second and (late := sorted(re.findall(r"\b\w+_pre\b", whole))):
        yield f"with a delay synapses cannot read {late[0]} of the source; keep it in the synapse"
    for name in sorted({name for name in re.findall(r"\b(\w+)_post\b", whole) if name in target}):
        moving = [n for n in sorted({name} | _reads(target, name)) if n in target]
        if held := [n for n in moving if _is_held(target[n])]:
            yield (
                f"synapses cannot read {held[0]} of the target, which is (constant over dt) or "
                "(shared)"
            )
    own = read_equations(model.equations)
    for code, fed, whose in (
        (model.on_pre, added, "a spike"),
        (model.on_post, added | wired, "a spike of the target"),
    ):
        names = _read(code)
        names |= {n for name in names & own.names for n in _reads(own, name)}
        for name in sorted(names):
            word = name.removesuffix("_post")
            if name.endswith("_post") and word in target and _reads(target, word) & fed:
                yield (
                    f"{whose} cannot read {word} of the target, to which spikes add in the same "
                    "step; keep it in the synapse"
                )


def _is_held(equation: Any) -> bool:
    """Whether a variable changes, but not with the state of each neuron."""
    changes = equation.type != PARAMETER
    return changes and bool({"constant over dt", "shared"} & set(equation.flags))


def _called(node: ast.AST) -> str:
    """The function that an expression calls; empty where it is no call."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def _written(node: ast.AST) -> str:
    """The variable that a statement writes; empty for none."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
            return name
    return ""


def _changed(code: str) -> set[str]:
    """Variables of the target that statements change."""
    names = map(_written, ast.walk(ast.parse(code)))
    return {name.removesuffix("_post") for name in names if name.endswith("_post")}


def _is_addition(node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.AugAssign)
        and isinstance(node.op, ast.Add | ast.Sub)
        and name not in _named(ast.unparse(node.value))
    )


def _read(code: str) -> set[str]:
    """Names that statements read; one that is only added to is not read."""
    return {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _named(code: str) -> set[str]:
    """Names in statements."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


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
