"""Mirrors whose supply sags: code that solves them in every time step of a run.

A supply that is constant lets its mirrors be solved before a run (`mirror`). One behind a
resistance does not: all that conducts loads it, of one neuron or of all that share the supply.
Pulses are constant over a time step, so that the overdrive is found by Newton's method at its
start: the reference's load and the gate leave ``vto + V_sag + R_S*I(V_sag)`` of the supply, and the
resistance takes up what is missing.
"""

from __future__ import annotations

from brian2.utils.stringtools import word_substitute

# Current of a saturated transistor and its slope, by overdrive; that of the reference.
LOADS = {"always": ("built", "n_built"), "pulsed": ("mirrors", "n_mirrors")}
"""How many references load a supply, by when they conduct, and how many of these are n-type."""

# Current of a saturated transistor and its slope, by overdrive; that of the reference.
SATURATED = {
    "square": """
_current = beta/2*V_sag**2
_slope = beta*V_sag
""",
    "ekv": """
_current = I_spec*log(1 + exp(V_sag/v_ekv))**2
_slope = 2*I_spec*log(1 + exp(V_sag/v_ekv))/(v_ekv*(1 + exp(-V_sag/v_ekv)))
""",
}
MODULATED = """
_rise = 1 + channel_modulation*(V_sag + vto)
_slope = _slope*_rise + channel_modulation*_current
_current = _current*_rise
"""
# Supply behind its resistance, as the reference's load leaves it.
RAIL = """
_rail = vto + V_sag + R_S*_current
_rail_slope = 1 + R_S*_slope
"""
# What a transistor pushes, whose drain is the membrane, by its law; a source copies the reference.
PUSHED = {
    "square": """
_back = int(V_sag > _rail - v)*(V_sag - _rail + v)
_push = beta/2*(V_sag**2 - _back**2)
_push_slope = beta*(V_sag - _back*(1 - _rail_slope))
""",
    "ekv": """
_back = (V_sag - slope_factor*(_rail - v))/v_ekv
_push = I_spec*(log(1 + exp(V_sag/v_ekv))**2 - log(1 + exp(_back))**2)
_push_slope = log(1 + exp(V_sag/v_ekv))/(1 + exp(-V_sag/v_ekv))
_push_slope = _push_slope - log(1 + exp(_back))/(1 + exp(-_back))*(1 - slope_factor*_rail_slope)
_push_slope = 2*I_spec/v_ekv*_push_slope
""",
}
PUSHED_MODULATED = """
_rise = 1 + channel_modulation*abs(_rail - v)
_rise_slope = channel_modulation*_rail_slope*(2*int(_rail > v) - 1)
_push_slope = _push_slope*_rise + _push*_rise_slope
_push = _push*_rise
"""
# Newton's step towards the overdrive at which the resistance takes up what is left.
NEWTON = """
_drawn = _loads*_current + up*_push
_drawn_slope = _loads*_slope + up*_push_slope
_off = _rail + R_supply*_drawn - vdd
_off_slope = _rail_slope + R_supply*_drawn_slope
"""
# The same for a supply that other neurons load by as many units of the same current.
SHARED_NEWTON = """
_drawn = (_loads + up + others)*_current
_drawn_slope = (_loads + up + others)*_slope
_off = _rail + R_domain*_drawn - vdd
_off_slope = _rail_slope + R_domain*_drawn_slope
"""
TOWARDS = "V_sag = V_sag - _off/_off_slope"
# Where n-type mirrors differ: two overdrives, which leave the same of the supply.
N_TYPE = {
    **{"V_sag": "V_n_sag", "beta": "beta_n", "vto": "vto_n", "I_spec": "I_spec_n"},
    **{name: f"_n{name}" for name in ("_current", "_slope", "_rise", "_rail", "_rail_slope")},
}
SKEWED = """
_off = _off + R_supply*_n_loads*_n_current
_cross = R_supply*_n_loads*_n_slope
_apart = _n_rail - _rail
_both = _off_slope*_n_rail_slope + _cross*_rail_slope
V_n_sag = V_n_sag - (_off_slope*_apart + _rail_slope*_off)/_both
V_sag = V_sag - (_n_rail_slope*_off - _cross*_apart)/_both
"""
# The shared supply's capacitor, which comes as near to where it would settle as a step lets it; and
# mirrors at its mean over the step.
HELD = """
_rate = dt*_off_slope/(_rail_slope*R_domain*C_domain)
_way = V_domain - _rail
_mean = _rail + _way*(1 - exp(-_rate))/_rate
V_domain = _rail + _way*exp(-_rate)
"""
TO_MEAN = "V_sag = V_sag - (_rail - _mean)/_rail_slope"
# Newton's steps from the overdrive without sag, which at first roughly halve it: of 40 000 circuits
# drawn at random, with supplies' resistances up to 200 Mohm, eleven took all to 1e-8 V.
STEPS = 12
# From where the supply would settle, which is near.
MEAN_STEPS = 6


def sag(
    law: str, output: str, references: str, shared: bool, held: bool, skewed: bool
) -> list[str]:
    """Code of one time step that solves the mirrors of a supply behind a resistance.

    Parameters
    ----------
    law, output, references : str
        Of the circuit.
    shared : bool
        Whether the resistance is that of a supply that neurons share; their outputs are ideal.
    held : bool
        Whether a capacitor holds it.
    skewed : bool
        Whether n-type mirrors differ from p-type ones; such supplies are not shared.

    Returns
    -------
    list of str
        Statements that set ``I_sag``, and where transistors push, ``V_sag`` and ``V_rail``. These
        see the membrane at the start of the step. ``I_n_sag`` and ``V_n_sag`` are of n-type ones.
    """
    reference = SATURATED[law] + (MODULATED if output == "mosfet" else "")
    if shared:
        newton = SHARED_NEWTON
    elif output == "mosfet":
        newton = PUSHED[law] + PUSHED_MODULATED + NEWTON
    else:
        newton = word_substitute(NEWTON, {"_push": "_current", "_push_slope": "_slope"})
    loads, n_loads = LOADS[references]
    # A line such as V_sag = V_ov would make both one array to NumPy.
    code = [f"_loads = 1*{loads}", "V_sag = 1*V_ov"]
    solve = reference + RAIL + newton + TOWARDS
    if skewed:
        pulls = str(word_substitute(reference + RAIL, N_TYPE))
        code = [f"_loads = {loads} - {n_loads}", f"_n_loads = 1*{n_loads}", code[1]]
        code.append("V_n_sag = 1*V_n")
        solve = pulls + reference + RAIL + newton + SKEWED
        reference = pulls + reference + "I_n_sag = 1*_n_current"
    code += [*[solve] * STEPS, reference]
    if held:
        code += [RAIL + newton + HELD, *[reference + RAIL + TO_MEAN] * MEAN_STEPS, reference]
    code.append("I_sag = 1*_current")
    if output == "mosfet":
        code.append("V_rail = vto + V_sag + R_S*I_sag")
    return [line for line in "\n".join(code).splitlines() if line]
