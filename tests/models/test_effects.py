"""What becomes of equations, resets and conditions when their terms are modulated."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import Equations, mV, nS

from neuromod.errors import UserError
from neuromod.models.effects import (
    Effect,
    combined,
    modulated_condition,
    modulated_equations,
    modulated_statements,
    scaled_by,
    shifted_by,
    suppressed_by,
)


def test_factors_multiply_and_shifts_are_added_to_their_product():
    effects = [Effect("D1"), scaled_by("M1", 2.5), shifted_by("M2", 3 * nS)]
    expression, constants = combined("g", effects)
    scaled = "(1 + (factor_g_M1 - 1)*activation_M1)"
    assert expression == f"g*gain_D1*{scaled} + shift_g_M2*activation_M2"
    assert constants == {"factor_g_M1": 2.5, "shift_g_M2": 3 * nS}


def test_a_suppressed_share_is_what_is_missing_to_the_whole():
    assert suppressed_by("M1", 0.83).factor == pytest.approx(0.17)
    assert suppressed_by("M1").factor == 0
    assert scaled_by("M1", 1.9) == Effect("M1", factor=1.9)


@pytest.mark.parametrize("number", [np.float64(0.25), np.float32(0.25), np.int64(1), 1, 0])
def test_numbers_of_numpy_are_numbers(number):
    assert scaled_by("M1", number).factor == float(number)
    assert suppressed_by("M1", number).factor == 1 - float(number)


@pytest.mark.parametrize("factor", [-0.1, float("nan"), 2 * mV, "2", True, None, [2.0]])
def test_a_term_is_scaled_by_a_number_that_is_not_negative(factor):
    with pytest.raises(UserError, match=r"^D1 scales by a number of at least 0, not .*\.$"):
        scaled_by("D1", factor)


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan"), 0.3 * mV, "0.3", True])
def test_only_a_share_from_none_to_all_of_a_term_is_suppressed(share):
    with pytest.raises(UserError, match=r"^D1 suppresses a share of 0 to 1, not .*\.$"):
        suppressed_by("D1", share)


def test_one_receptor_does_the_same_to_a_term_once():
    with pytest.raises(UserError, match=r"^D1 does the same to g twice: say it once"):
        combined("g", [scaled_by("D1", 2), suppressed_by("D1", 0.5)])
    shifted, constants = combined("g", [scaled_by("D1", 2), shifted_by("D1", 3 * nS)])
    assert shifted.endswith("+ shift_g_D1*activation_D1")
    assert len(constants) == 2


EQUATIONS = """
dv/dt = (g*(E - v) + g_s)/C : volt (unless refractory)
dg/dt = -g/tau_g : siemens
I = g*v : amp (constant over dt)
J : amp
spent : boolean
count : integer (shared)
"""


def test_a_term_is_replaced_in_all_equations_but_its_own_and_only_as_a_whole_word():
    text = modulated_equations(EQUATIONS, {"g": "g*gain", "tau_g": "tau_g*2"})
    assert text.splitlines() == [
        "dv/dt = ((g*gain)*(E - v) + g_s)/C : volt (unless refractory)",
        "dg/dt = -g/(tau_g*2) : siemens",
        "I = (g*gain)*v : amp (constant over dt)",
        "J : amp",
        "spent : boolean",
        "count : integer (shared)",
    ]


def test_without_effects_equations_are_what_they_were():
    assert Equations(modulated_equations(EQUATIONS, {})) == Equations(EQUATIONS)


def test_terms_that_read_each_other_are_each_replaced_once():
    text = modulated_equations("x = a*b : 1", {"a": "a*b", "b": "b + a"})
    assert text == "x = (a*b)*(b + a) : 1"


def test_statements_are_modulated_where_they_read_and_not_where_they_write():
    reset = "v = v_r; w += b\n\nb *= b - v\ncount -= 1"
    found = modulated_statements(reset, {"b": "b*g", "v": "2*v", "w": "0*w"})
    assert found.splitlines() == ["v = v_r", "w += (b*g)", "b *= (b*g) - (2*v)", "count -= 1"]


def test_conditions_are_modulated_in_whole():
    assert modulated_condition("v >= v_t", {"v_t": "v_t + s"}) == "v >= (v_t + s)"
    assert modulated_statements("spent = v == u", {"u": "2*u"}) == "spent = v == (2*u)"
