"""Equations of the circuit neuron, and lines that options put in the place of some of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set

from brian2.utils.stringtools import word_substitute

from neuromod.models import gates

EQUATIONS = """
dv/dt = (I_syn - I_leak)/C : volt (unless refractory)
I_leak = (v - v_rest)/R_leak : amp
I_syn = I_up - I_down : amp
I_up = up*I_unit : amp
I_down = down*I_unit : amp
I_reference = mirrors*I_unit : amp
I_idle = (built - mirrors)*I_unit : amp
denergy/dt = vdd*(I_up + I_reference) : joule
didle/dt = vdd*I_idle : joule  # Of references between their pulses, if they stay on
vdd : volt
I_unit : amp  # Of a mirror at this supply, solved before the run
up : 1  # Sum of the positive codes whose pulses are on
down : 1  # Of the negative codes
mirrors : 1  # References whose pulses are on
built : 1  # All that the neuron has
active : 1  # Pulses that the comparator's NOR sees
nor : 1  # Level of that NOR, 2 in the step in which it rises, and 3 where that is for a spike
edge = int(nor > 1.5) : 1
clocks : 1  # How often it has risen
"""
# Lines that take the place of those of the same name, or join them.
LEAK = {
    "linear": "",
    "one_sided": "I_leak = v_slope/R_leak*(exp((v - v_rest)/v_slope) - 1) : amp",
    "symmetric": "I_leak = v_slope/R_leak*sinh((v - v_rest)/v_slope) : amp",
}
CONDUCTANCE = """
I_unit = G_unit*(vdd - v) : amp
I_down = down*G_unit*v : amp
I_reference = 0*amp : amp
I_idle = 0*amp : amp
"""
SAG = """
I_up = up*I_sag : amp
I_down = down*I_sag : amp
I_reference = mirrors*I_sag : amp
I_idle = (built - mirrors)*I_sag : amp
V_ov : volt  # Overdrive of a mirror at the full supply, solved before the run
V_sag : volt  # What is left of it
I_sag : amp
"""
SHARED = """
others : 1  # Units that other neurons draw from the same supply
rail : 1  # Number of that supply
"""
HELD = "V_domain : volt  # The shared supply, behind its resistance"
MOSFET = """
I_up = up*I_push*(1 + channel_modulation*abs(V_drop)) : amp
I_down = down*I_pull*(1 + channel_modulation*abs(v)) : amp
V_drop = vdd - v : volt
V_on = V_ov : volt
V_ov : volt
"""
SAGGING_MOSFET = """
V_drop = V_rail - v : volt
V_rail : volt  # Supply behind its resistance
V_on = V_sag : volt
"""
# A unit's transistor: what it would conduct in saturation, less what flows back.
CHANNEL = {
    "square": """
I_push = beta/2*(V_on**2 - int(V_on > V_drop)*(V_on - V_drop)**2) : amp
I_pull = beta/2*(V_on**2 - int(V_on > v)*(V_on - v)**2) : amp
""",
    "ekv": """
V_push = V_on - slope_factor*V_drop : volt  # Overdrive at the drain
V_pull = V_on - slope_factor*v : volt
I_push = I_spec*(log(1 + exp(V_on/v_ekv))**2 - log(1 + exp(V_push/v_ekv))**2) : amp
I_pull = I_spec*(log(1 + exp(V_on/v_ekv))**2 - log(1 + exp(V_pull/v_ekv))**2) : amp
""",
}
REACHED = "v >= v_th + v_offset"
DUE = "due : 1  # Steps until a decision takes effect"
# As the last pulse ends, before the membrane leaks or is kicked.
DECIDES = f"_decides = _edge*int({REACHED})"
DECIDED = "nor = nor + _decides"
DECIDED_LATE = "due = due - 1 + _decides*(t_comparator/dt + 1 - due)"
# As the clock rises, and back as it falls, if no switch holds the membrane.
KICK = "v = v + (_nor - _was)*int(not_refractory)*Q_kick/C"
INJECTED = "held : 1  # 1 from a spike's start to the release of the membrane"
RELEASE = (
    "_released = held*int(not_refractory)",
    "v = v + _released*Q_reset/C",
    "held = held - _released",
)
COMPARATOR = {"clocked": "nor > 2.5", "continuous": REACHED}
# Where n-type transistors are not as fast as p-type ones: what they do beside what those do.
SKEWED = """
I_down = down*I_n : amp
I_reference = (mirrors - n_mirrors)*I_unit + n_mirrors*I_n : amp
I_idle = (built - n_built)*I_unit + n_built*I_n - I_reference : amp
I_n : amp  # Of an n-type mirror at this supply, solved before the run; I_unit is of a p-type one
n_mirrors : 1  # N-type ones of the references whose pulses are on
n_built : 1  # Of all that the neuron has
"""
SKEWED_MOSFET = "V_n : volt  # Overdrive of an n-type mirror, solved before the run"
SKEWED_SAG = """
I_down = down*I_n_sag : amp
I_reference = (mirrors - n_mirrors)*I_sag + n_mirrors*I_n_sag : amp
I_idle = (built - n_built)*I_sag + n_built*I_n_sag - I_reference : amp
V_n : volt
V_n_sag : volt  # What is left of it
I_n_sag : amp
"""
N_TYPE = {"beta": "beta_n", "I_spec": "I_spec_n", "V_on": "V_n"}
"""What stands for n-type transistors where they differ from p-type ones."""
LATE = "late : 1  # Part of a step between a spike's start and the crossing"


def lines_of(equations: str) -> dict[str, str]:
    """Lines of a text by the variable that each defines, without their comments."""
    lines = [line.partition("#")[0].strip() for line in equations.strip().splitlines()]
    return {re.sub(r"^d(\w+)/dt", r"\1", line).split()[0]: line for line in lines}


# Variables that a neuron has once for each power domain.
OF_SUPPLY = {
    name
    for text in (
        EQUATIONS,
        SAG,
        SHARED,
        HELD,
        gates.GATE,
        MOSFET,
        SAGGING_MOSFET,
        SKEWED,
        SKEWED_MOSFET,
        SKEWED_SAG,
        *CHANNEL.values(),
    )
    for name in lines_of(text)
} - {"v", "I_leak", "I_syn", "energy", "idle", "active", "nor", "edge", "clocks"}


def suffix(domain: str) -> str:
    """What follows the names of the variables of a power domain."""
    return f"_{domain}" if domain else ""


def for_domains(
    lines: Mapping[str, str], domains: Sequence[str], of_supply: Set[str]
) -> Iterator[str]:
    """Lines of a supply once for each domain; those of the neuron add up its domains."""
    for name, line in lines.items():
        if name in of_supply:
            yield from (marked(line, domain, of_supply) for domain in domains)
        elif marked(line, "any", of_supply) != line:
            left, right = line.split(" = ")
            expression, unit = right.split(" : ")
            terms = " + ".join(marked(expression, domain, of_supply) for domain in domains)
            yield f"{left} = {terms} : {unit}"
        else:
            yield line


def marked(code: str, domain: str, of_supply: Set[str]) -> str:
    """Code whose variables of a supply carry the name of a domain."""
    return str(word_substitute(code, {name: name + suffix(domain) for name in of_supply}))
