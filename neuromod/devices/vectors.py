"""What lets C++ standalone compute many neurons and plastic synapses at once.

A compiler makes vectors of a loop over synapses only if none can read what another writes. Every
synapse reads variables of its target through an index, and GCC does not try to find out that those
are never written there: it has to be told. And what depends on the target alone, such as the third
factor, would be computed for each of its synapses, from variables that are gathered one by one:
here the target holds it, computed once a time step.

Of neurons it makes none where one may spike, or where whole numbers meet real ones on a processor
without AVX-512, which cannot convert many of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from brian2.equations.codestrings import Expression
from brian2.equations.equations import SUBEXPRESSION, SingleEquation
from brian2.utils.stringtools import get_identifiers, word_substitute

from neuromod.experiment import PlasticConnection
from neuromod.models.own_equations import read_equations

POST = "_post"
LOOP = re.compile(r"^( *for\(int _idx=0; _idx<_N; _idx\+\+\))", re.MULTILINE)
INDEPENDENT = r"#pragma GCC ivdep\n\1"
GATHERED = "_postsynaptic_idx ="
# Processors gather eight numbers at once in more time than twice four.
NARROW = """\
#ifdef __x86_64__
#pragma GCC target("prefer-vector-width=256")
#endif
"""
# How many time steps a time is: a whole number as real numbers are, of which AVX2 has vectors.
STEPS = (
    """\
    static inline int64_t _timestep(double t, double dt)
    {
        return (int64_t)((t + 1e-3*dt)/dt);
""",
    """\
    static inline double _timestep(double t, double dt)
    {
        return std::trunc((t + 1e-3*dt)/dt);
""",
)
# Of bytes a vector holds eight times as many as of real numbers: in the same loop, each variable
# would need eight registers.
REFRACTORY = re.compile(
    r"(        not_refractory = (_timestep\(t - )lastspike(, dt\) >= _lio_\d+);\n.*?)"
    r"        (\w+_)not_refractory\[_idx\] = not_refractory;\n(.*?\n    \}\n)",
    re.DOTALL,
)
APART = r"""\1\5
#pragma GCC ivdep
    for(int _idx=0; _idx<_N; _idx++)
        \4not_refractory[_idx] = \2\4lastspike[_idx]\3;
"""
# Where neurons spike: the loop over them, what it computes, and what it does with one that spikes.
CONDITION = re.compile(
    r"    for\(size_t _idx=0; _idx<N; _idx\+\+\)\n    \{\n"
    r"(.*?)        if\(_cond\) (\{.*?\n        \})\n    \}\n",
    re.DOTALL,
)
BLOCKS = r"""    const size_t _block = 64;
    for(size_t _first=0; _first<N; _first+=_block)
    {
        const size_t _length = N - _first < _block ? N - _first : _block;
        char _spiking[_block], _any = 0;
        for(size_t _place=0; _place<_length; _place++)
        {
            const size_t _idx = _first + _place;
\1
            _spiking[_place] = _cond;
            _any |= _cond;
        }
        if(!_any)
            continue;
        for(size_t _place=0; _place<_length; _place++)
        {
            const size_t _idx = _first + _place;
            if(_spiking[_place])
            \2
        }
    }
"""


def independent(text: str) -> str:
    """Code of a time step that tells the compiler that no neuron or synapse changes another."""
    loops = REFRACTORY.sub(APART, LOOP.sub(INDEPENDENT, text.replace(*STEPS)))
    return NARROW * (GATHERED in text) + loops


def in_blocks(text: str) -> str:
    """Code of a threshold that looks at many neurons at once, and again only where one spikes."""
    return CONDITION.sub(BLOCKS, text)


def held(changing: PlasticConnection) -> dict[str, SingleEquation]:
    """What plastic synapses compute from variables of their target alone.

    Returns
    -------
    dict of str to SingleEquation
        Equations for the target, which computes them at the start of a time step, by the names of
        the subexpressions of the synapses whose place they take. There are none where a spike reads
        subexpressions, because the target may have changed within the step by then.
    """
    model, found = changing.model, {}
    equations = read_equations(model.equations)
    if equations.subexpr_names & get_identifiers(f"{model.on_pre}\n{model.on_post}"):
        return {}
    for name, equation in equations.items():
        names = equation.identifiers
        if equation.type == SUBEXPRESSION and names and all(n.endswith(POST) for n in names):
            own = word_substitute(equation.expr.code, {n: n.removesuffix(POST) for n in names})
            found[name] = _like(equation, f"{name}_of_{changing.name}", own, ["constant over dt"])
    return found


def reading(changing: PlasticConnection, there: Mapping[str, SingleEquation]) -> str:
    """Equations of plastic synapses that read what their target holds."""
    equations = read_equations(changing.model.equations)
    read = {
        name: _like(equations[name], name, f"{equation.varname}{POST}")
        for name, equation in there.items()
    }
    return "\n".join(str(read.get(name, equation)) for name, equation in equations.items())


def _like(
    equation: SingleEquation, name: str, code: str, flags: Sequence[str] = ()
) -> SingleEquation:
    """An equation for another expression of the same kind."""
    return SingleEquation(
        SUBEXPRESSION, name, equation.dim, equation.var_type, Expression(code), list(flags)
    )
