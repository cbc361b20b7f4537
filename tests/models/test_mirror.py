"""The mirror's current solves its circuit, whatever the law of its transistors."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.optimize import brentq

from neuromod.models.mirror import LAWS, Mirror

V_EKV = 2 * 1.5 * 0.02585
mirrors = st.builds(
    lambda law, beta, vto, R_S, modulation: Mirror(law, 10**beta, vto, 10**R_S, V_EKV, modulation),
    st.sampled_from(LAWS),
    st.floats(-8, -4),
    st.floats(0.05, 0.69),
    st.floats(3, 9),
    st.sampled_from([0.0, 0.13, 0.41]),
)
supplies = st.floats(0.5, 1.0)


def drain(mirror, gate):
    """Current of the diode-connected transistor at a gate voltage, written out."""
    over = gate - mirror.vto
    if mirror.law == "square":
        saturated = mirror.beta / 2 * max(over, 0.0) ** 2
    else:
        # Through exp(x/2)*2*cosh to stay clear of the code's own softplus.
        x = over / mirror.v_ekv
        softplus = x / 2 + np.log(2 * np.cosh(x / 2))
        saturated = mirror.beta / 2 * mirror.v_ekv**2 * softplus**2
    return saturated * (1 + mirror.modulation * gate)


@settings(deadline=None, max_examples=200)
@given(mirrors, supplies)
def test_the_current_through_load_and_transistor_is_the_same(mirror, vdd):
    gate = brentq(lambda g: drain(mirror, g) * mirror.R_S - (vdd - g), -2, 1.01, xtol=1e-15)
    current = mirror.current(mirror.overdrive(vdd))
    assert current == pytest.approx((vdd - gate) / mirror.R_S, rel=1e-6, abs=1e-15)
    assert current == pytest.approx(drain(mirror, gate), rel=1e-6, abs=1e-18)


@settings(deadline=None)
@given(mirrors, st.floats(0.7, 1.0))
def test_the_supply_of_a_current_is_the_one_that_gave_it(mirror, vdd):
    current = mirror.current(mirror.overdrive(vdd))
    assert float(mirror.vdd_for(current)) == pytest.approx(vdd, rel=1e-8)


@settings(deadline=None)
@given(mirrors, st.floats(0.71, 1.0))
def test_transconductance_is_the_slope_of_current_over_supply(mirror, vdd):
    at = np.array([vdd - 1e-5, vdd + 1e-5])
    rise = np.diff(mirror.current(mirror.overdrive(at)))[0] / 2e-5
    assert float(mirror.transconductance(vdd)) == pytest.approx(rise, rel=1e-4)


def test_below_threshold_ekv_conducts_exponentially_and_the_square_law_not_at_all():
    square, ekv = (Mirror(law, 0.5e-6, 0.35, 1.0, V_EKV) for law in LAWS)
    vdd = np.array([0.35 - 12 * V_EKV / 2, 0.35 - 11 * V_EKV / 2])
    assert not square.current(square.overdrive(vdd)).any()
    low, high = ekv.current(ekv.overdrive(vdd))
    # Half of v_ekv is the slope factor times the thermal voltage: one e-fold.
    assert high / low == pytest.approx(np.e, rel=4e-3)


def test_far_above_threshold_ekv_joins_the_square_law():
    square, ekv = (Mirror(law, 0.5e-6, 0.0, 1e3, 0.02) for law in LAWS)
    vdd = 0.97
    off = ekv.current(ekv.overdrive(vdd)) / square.current(square.overdrive(vdd)) - 1
    assert abs(off) < 1e-12


def test_single_neurons_may_each_have_a_mirror_of_their_own():
    vto, vdd = np.array([0.31, 0.36, 0.42]), np.array([0.63, 0.77, 0.91])
    together = Mirror("ekv", 0.5e-6, vto, 20e6, V_EKV, 0.1)
    alone = [Mirror("ekv", 0.5e-6, t, 20e6, V_EKV, 0.1) for t in vto]
    expected = [m.current(m.overdrive(v)) for m, v in zip(alone, vdd, strict=True)]
    np.testing.assert_allclose(together.current(together.overdrive(vdd)), expected, rtol=1e-12)


def test_a_transistor_that_is_off_has_no_transconductance_and_gives_no_warning(recwarn):
    mirror = Mirror("square", 0.5e-6, 0.6, 20e6, V_EKV, 0.2)
    assert mirror.current(mirror.overdrive(0.55)) == 0
    assert mirror.transconductance(0.55) == 0
    assert not recwarn.list
