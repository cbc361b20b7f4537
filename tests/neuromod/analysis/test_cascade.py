"""The cascade of a fit is that of an independent solver, for every delivery and time scale."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from brian2 import ms, second, umolar
from scipy.integrate import solve_ivp

from neuromod.analysis.cascade import Path, activation, half_effect, settled
from neuromod.analysis.receptor_data import Supplied, Traced
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor

SLOW = {"k_off": 0.31, "K_D": 0.83, "tau_messenger": 0.47, "k_desensitise": 0.0}
FAST = {"k_off": 210.0, "K_D": 1.7, "tau_messenger": 0.043, "k_desensitise": 0.0}
FADING = SLOW | {"k_desensitise": 0.19}
WASH = Supplied(3.7 * umolar, 1.3 * second, 9.1 * second, 0.7 * second)
STEP = Supplied(3.7 * umolar, 1.3 * second, 9.1 * second, before=0.4 * umolar)
TRAIN = Supplied(21 * umolar, [0.5, 1.4, 2.3] * second, 130 * ms, 210 * ms)
TRACE = Traced([0, 1.7, 2.9, 8.3, 20] * second, [0.2, 0.2, 6.1, 1.9, 0] * umolar)


def of(values, sets=1):
    return {name: np.full(sets, value) for name, value in ({"tau_recover": 6.3} | values).items()}


def integrated(conc, values, times):
    """Messenger levels by LSODA, from kink to kink."""
    v = {"tau_recover": 6.3} | values

    def slopes(t, state, place):
        level = conc.level(np.array([np.clip(t, *place)]))[0]
        bound, available, messenger = state
        return [
            v["k_off"] * (level / v["K_D"] * (1 - bound) - bound),
            (1 - available) / v["tau_recover"] - v["k_desensitise"] * bound * available,
            (bound * available - messenger) / v["tau_messenger"],
        ]

    bound = conc.first / (conc.first + v["K_D"])
    available = 1 / (1 + v["k_desensitise"] * v["tau_recover"] * bound)
    state = [bound, available, bound * available]
    first = min(times[0], conc.kinks[0])
    ends = [first, *(kink for kink in conc.kinks if first < kink < times[-1]), times[-1]]
    found = []
    for start, end in pairwise(ends):
        inside = start + 1e-9, end - 1e-9
        at = np.append(times[(times >= start) & (times < end)], end)
        exact = {"method": "LSODA", "rtol": 1e-7, "atol": 1e-10}
        solved = solve_ivp(slopes, (start, end), state, t_eval=at, args=(inside,), **exact)
        state = solved.y[:, -1]
        found.append(solved.y[2, :-1])
    return np.append(np.concatenate(found), state[2])


@pytest.mark.parametrize("values", [SLOW, FAST, FADING], ids=["slow", "fast", "fading"])
@pytest.mark.parametrize("conc", [WASH, STEP, TRAIN, TRACE], ids=["wash", "step", "train", "trace"])
def test_every_delivery_gives_the_messenger_of_an_independent_solver(conc, values):
    times = np.linspace(0.11, 17.3, 61)
    path = Path.of(times, conc.level, conc.kinks, conc.jumps, conc.first)
    found = path.messenger(of(values))[:, 0]
    assert np.allclose(found, integrated(conc, values, times), rtol=0, atol=1e-4)


def test_many_sets_of_parameters_are_those_of_each_alone():
    path = Path.of(np.linspace(0, 9, 7), WASH.level, WASH.kinks, WASH.jumps, WASH.first)
    both = {name: np.array([of(SLOW)[name][0], of(FADING)[name][0]]) for name in of(SLOW)}
    alone = [path.messenger(of(values))[:, 0] for values in (SLOW, FADING)]
    assert np.allclose(path.messenger(both).T, alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.043])
def test_the_steady_state_and_its_half_effect_are_the_receptors_own(rate):
    receptor = Receptor(
        k_on=0.7 * PER_UMOLAR_SECOND,
        n=1.63,
        K=0.37,
        antagonist="rival",
        k_desensitise=rate / second,
    )
    values = of({"K_D": 1 / 0.7, "K_B": 0.1, "n": 1.63, "K": 0.37, "k_desensitise": rate})
    values["tau_recover"] = np.array([100.0])
    conc, rival = np.array([0, 0.21, 3.3, 170]), np.array([0, 0.07, 0.07, 1.9])
    found = activation(settled(conc[:, None], rival[:, None], values), values)[:, 0]
    assert np.allclose(found, receptor.activation(conc * umolar, rival * umolar), rtol=1e-12)
    assert half_effect(values)[0] / 0.7 == pytest.approx(float(receptor.ec50 / umolar))
