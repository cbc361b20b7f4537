"""Gates that take time: a mirror's load charges the gate of its reference and of its copies.

``C_gate*dV_gate/dt = (vdd - V_gate)/R_S - I(V_gate)``. Where references stay on, this matters when
the supply changes. Where a pulse switches its reference, the gate starts from 0 V, to which a
switch took it when the pulse before ended, and copies conduct what the gate has come to. So all
pulses of a neuron at one supply are alike, and the current in each step of a pulse is worked out
before the run. What a neuron's synapses conduct together follows from how many units are how old.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from neuromod.models.mirror import Mirror

# The gate of references that stay on, and its current by the transistor's law.
GATE = """
dV_gate/dt = (I_load - I_unit)/C_gate : volt
V_ov = V_gate - vto : volt
I_load = (vdd - V_gate)/R_S : amp  # What charges the gate and feeds the reference
I_reference = mirrors*I_load : amp
I_idle = (built - mirrors)*I_load : amp
"""
UNIT = {"square": "beta/2*int(V_ov > 0*volt)*V_ov**2", "ekv": "I_spec*log(1 + exp(V_ov/v_ekv))**2"}
MODULATED = "*(1 + channel_modulation*V_gate)"
PARTS = {"up": "I_out", "down": "I_out", "mirrors": "I_in"}
"""Units that a pulse switches, and what each conducts: the copies, or the load of the reference."""
CURRENTS = {"up": "I_up", "down": "I_down", "mirrors": "I_reference"}
SUBSTEPS = 200


def standing(law: str, output: str) -> str:
    """Equations of references that stay on."""
    current = UNIT[law] + (MODULATED if output == "mosfet" else "")
    return f"{GATE}I_unit = {current} : amp\n"


def pulsed(steps: int) -> tuple[str, list[str]]:
    """Equations of pulsed references, and the code of one time step.

    Parameters
    ----------
    steps : int
        Of a pulse.

    Returns
    -------
    tuple of str and list of str
        Declarations, for instance of ``up_2``, units whose pulse is in its third step, and
        ``I_out_2``, what each conducts then; and statements that set what the neuron's conduct.
    """
    ages = range(steps)
    lines = [f"{current} : amp" for current in CURRENTS.values()]
    lines += [f"{part}_{age} : 1" for part in PARTS for age in ages]
    lines += [f"{current}_{age} : amp" for current in ("I_out", "I_in") for age in ages]
    lines.append("I_idle = built*I_unit - I_reference : amp")
    code = []
    for part, current in PARTS.items():
        # What is on and was not a step ago has just begun.
        code += [f"{part}_{age} = 1*{part}_{age - 1}" for age in reversed(ages[1:])]
        older = "".join(f" - {part}_{age}" for age in ages[1:])
        code.append(f"{part}_0 = {part}{older}")
        terms = (f"{part}_{age}*{current}_{age}" for age in ages)
        code.append(f"{CURRENTS[part]} = {' + '.join(terms)}")
    return "\n".join(lines), code


def charging(mirror: Mirror, vdd: Any, C_gate: float, dt: float, steps: int) -> dict[str, Any]:
    """Currents of a unit in every step of a pulse that switches its reference.

    Parameters
    ----------
    mirror : Mirror
    vdd : ndarray, shape () or (n,)
        Supply, V.
    C_gate : float
        Capacitance of the gate, F.
    dt : float
        Length of a step, s.
    steps : int
        Of a pulse.

    Returns
    -------
    dict of str to ndarray, each of shape () or (n,)
        Means over a step, A: ``I_out_0`` and so on of a copy, and ``I_in_0`` through the load.
    """
    vdd = np.asarray(vdd, dtype=float) + 0 * mirror.vto + 0 * mirror.beta + 0 * mirror.R_S
    gate, short, found = np.zeros_like(vdd), dt / SUBSTEPS, {}
    for step in range(steps):
        out, into = [], []
        for _ in range(SUBSTEPS):
            out.append(mirror.current(gate - mirror.vto))
            into.append((vdd - gate) / mirror.R_S)
            # Exact for a current that rises in a straight line.
            rate = (1 / mirror.R_S + mirror.conductance(gate - mirror.vto)) / C_gate
            gate = gate - (into[-1] - out[-1]) / C_gate * np.expm1(-rate * short) / rate
        out.append(mirror.current(gate - mirror.vto))
        into.append((vdd - gate) / mirror.R_S)
        for name, values in (("I_out", out), ("I_in", into)):
            mean = (np.sum(values, axis=0) - (values[0] + values[-1]) / 2) / SUBSTEPS
            found[f"{name}_{step}"] = mean
    return found
