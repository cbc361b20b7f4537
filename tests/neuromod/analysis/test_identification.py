"""What was done to an f-I curve is told from the curves, as surely as the data allow."""

import numpy as np
import pytest
from brian2 import Hz, nA

from neuromod.analysis.identification import (
    ADDITIVE,
    EFFECTS,
    INPUT,
    NONE,
    OUTPUT,
    SHIFT,
    Curve,
    estimate,
    identify,
    lif_check,
)
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF

CURRENTS = np.linspace(0.17, 1.43, 16)
TRUTHS = [
    (INPUT, 1.37),
    (INPUT, 0.73),
    (OUTPUT, 0.61),
    (OUTPUT, 1.53),
    (ADDITIVE, 11.3),
    (ADDITIVE, -13.7),
    (SHIFT, 0.143),
    (SHIFT, -0.117),
]


def lif(current):
    return np.asarray(GainLIF(receptors=()).rate(current * nA) / Hz)


def sigmoid(current):
    """A curve that no LIF neuron has: smooth at its foot, saturating."""
    return 71 / (1 + np.exp(-(current - 0.83) / 0.13))


def modulated(f, effect, value, current):
    rate = effect.scale(current, value) * f(effect.argument(current, value))
    return np.maximum(rate + effect.offset(current, value), 0)


def pair(f, effect, value, draw, trials=4, currents=CURRENTS):
    """Poisson counts over a second of both conditions."""
    current = np.repeat(currents, trials)
    rates = f(current), modulated(f, effect, value, current)
    return [Curve(current, draw.poisson(rate).astype(float)) for rate in rates]


def found(identification, effect):
    return next(fit for fit in identification.fits if fit.hypothesis is effect)


@pytest.mark.parametrize("f", [lif, sigmoid])
@pytest.mark.parametrize(("effect", "value"), TRUTHS)
def test_without_noise_every_parameter_comes_back_from_curves_of_any_shape(f, effect, value):
    current = np.linspace(0.17, 1.43, 43)
    pure = Curve(current, f(current)), Curve(current, modulated(f, effect, value, current))
    fit = estimate(effect, *pure)
    change = abs(value - effect.neutral)
    assert fit.value == pytest.approx(value, abs=0.06 * change)


@pytest.mark.parametrize(("effect", "value"), TRUTHS)
def test_the_closed_form_of_the_lif_neuron_agrees_with_the_spline(effect, value):
    current = np.linspace(0.17, 1.43, 31)
    pure = Curve(current, lif(current)), Curve(current, modulated(lif, effect, value, current))
    checked, rmse = lif_check(estimate(effect, *pure))
    assert checked == pytest.approx(value, rel=0.01)
    assert rmse < 0.5


@pytest.mark.parametrize(
    ("effect", "value"), [(INPUT, 1.37), (OUTPUT, 0.61), (ADDITIVE, 17.3), (SHIFT, -0.217)]
)
def test_each_modulation_is_named_from_noisy_counts(effect, value):
    draw = np.random.default_rng(31)
    result = identify(*pair(sigmoid, effect, value, draw, trials=12), margin=0.1)
    assert result.verdict == effect.name
    low, high = found(result, effect).interval()
    assert low < value < high


@pytest.mark.slow
@pytest.mark.parametrize(
    "truths", [[(INPUT, 1.37)], [(OUTPUT, 0.61), (ADDITIVE, 11.3), (SHIFT, 0.143)]]
)
def test_intervals_hold_the_truth_as_often_as_they_say(truths):
    draw = np.random.default_rng(5)
    inside = []
    for number in range(200):
        effect, value = truths[number % len(truths)]
        low, high = estimate(effect, *pair(lif, effect, value, draw, trials=3)).interval()
        inside.append(low < value < high)
    assert 0.90 <= np.mean(inside) <= 0.99


def test_intervals_shrink_with_the_root_of_the_number_of_trials():
    widths = []
    for trials in (3, 27):
        draw = np.random.default_rng(8)
        several = [
            np.ptp(estimate(INPUT, *pair(sigmoid, INPUT, 1.37, draw, trials)).interval())
            for _ in range(5)
        ]
        widths.append(np.mean(several))
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.3)


def test_equal_conditions_are_hardly_ever_told_apart():
    draw = np.random.default_rng(17)
    verdicts = [identify(*pair(lif, NONE, 0, draw), margin=0.1).verdict for _ in range(20)]
    assert verdicts.count(NONE.name) >= 17
    assert not {effect.name for effect in EFFECTS} & set(verdicts)


def test_no_modulation_is_not_claimed_where_a_change_of_the_margin_could_hide():
    draw = np.random.default_rng(3)
    few = pair(lif, NONE, 0, draw, trials=1)
    low, high = found(identify(*few, margin=0.1), INPUT).interval()
    assert max(1 / low, high) > 1.03
    assert identify(*few, margin=0.03).verdict == "undecided"


def test_on_the_straight_part_of_a_curve_adding_and_shifting_cannot_be_told_apart():
    # f = 93*(I - 0.4): adding 13 Hz and taking 13/93 nA from the threshold are one and the same.
    draw = np.random.default_rng(2)
    currents = np.linspace(0.71, 1.13, 9)
    result = identify(*pair(lambda i: 93 * (i - 0.4), ADDITIVE, 13, draw, 4, currents), margin=0.1)
    assert result.verdict == "undecided"
    assert {ADDITIVE.name, SHIFT.name} <= set(result.candidates)
    assert found(result, SHIFT).value == pytest.approx(-13 / 93, rel=0.2)


def test_a_change_that_no_hypothesis_describes_is_called_other():
    draw = np.random.default_rng(4)
    current = np.repeat(CURRENTS, 6)
    steeper = 55 / (1 + np.exp(-(current - 0.93) / 0.04)) + 7
    curves = [Curve(current, draw.poisson(r).astype(float)) for r in (sigmoid(current), steeper)]
    assert identify(*curves, margin=0.1).verdict == "other"


def test_input_gain_moves_rheobase_and_output_gain_does_not():
    draw = np.random.default_rng(6)
    for effect, moved in ((INPUT, 0.5 / 1.6), (OUTPUT, 0.5)):
        control, changed = pair(lif, effect, 1.6, draw, trials=6)
        fine = np.linspace(0.2, 1.0, 801)
        _, rate = estimate(effect, control, changed).rates(fine, fine)
        # To within the distance of two currents.
        assert fine[np.argmax(rate > 3)] == pytest.approx(moved, abs=0.084)


@pytest.mark.parametrize(("effect", "value"), TRUTHS[::2])
def test_the_unit_of_current_and_the_order_of_trials_do_not_matter(effect, value):
    draw = np.random.default_rng(12)
    control, changed = pair(sigmoid, effect, value, draw)
    fit = estimate(effect, control, changed)
    order = draw.permutation(len(changed.rate))
    shuffled = Curve(changed.current[order], changed.rate[order])
    assert estimate(effect, control, shuffled).value == pytest.approx(fit.value, rel=1e-3)
    scaled = [Curve(1000 * c.current, c.rate) for c in (control, changed)]
    factor = 1000 if effect is SHIFT else 1
    again = estimate(effect, *scaled)
    assert again.value == pytest.approx(factor * fit.value, rel=1e-3)
    assert again.interval() == pytest.approx([factor * end for end in fit.interval()], rel=1e-2)


def test_fitted_curves_never_fall_and_never_go_below_zero():
    draw = np.random.default_rng(9)
    fine = np.linspace(0.1, 1.6, 400)
    result = identify(*pair(lif, ADDITIVE, -13.7, draw, trials=1), margin=0.1)
    for fit in result.fits:
        for rate in fit.rates(fine, fine):
            assert (np.diff(rate) > -1e-9).all()
            assert (rate >= 0).all()


def test_weights_are_shares_and_candidates_carry_95_percent():
    draw = np.random.default_rng(10)
    result = identify(*pair(lif, SHIFT, 0.07, draw, trials=2), margin=0.1)
    assert sum(result.weights.values()) == pytest.approx(1)
    assert sum(result.weights[name] for name in result.candidates) >= 0.95
    assert sum(result.weights[name] for name in result.candidates[:-1]) < 0.95


def test_a_gain_beyond_the_range_searched_has_no_interval():
    current = np.repeat(np.linspace(0.1, 2.0, 21), 2)
    draw = np.random.default_rng(1)
    steep = Curve(current, draw.poisson(7.3 * sigmoid(current)).astype(float))
    fit = estimate(OUTPUT, Curve(current, sigmoid(current)), steep)
    assert np.isnan(fit.interval()).all()


def test_least_squares_of_a_ramp_are_those_worked_by_hand():
    # Control 100*I, modulated 100*g*I with residuals that cancel: the output gain is exact.
    current = np.linspace(0.1, 1.0, 10)
    control = Curve(current, 100 * current)
    fit = estimate(OUTPUT, control, Curve(current, 137 * current))
    assert fit.value == pytest.approx(1.37, rel=1e-4)
    assert fit.rss == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize(
    ("current", "rate", "message"),
    [
        ([0.1, 0.2], [1.0], "one rate for each current"),
        ([0.1, np.nan], [1.0, 2.0], "finite"),
        ([0.1, 0.2], [1.0, np.inf], "finite"),
        ([0.1, 0.2], [1.0, -2.0], "-2 Hz must not be negative"),
    ],
)
def test_impossible_curves_are_refused(current, rate, message):
    with pytest.raises(UserError, match=message):
        Curve(np.array(current), np.array(rate))


@pytest.mark.parametrize(
    ("levels", "rate", "message"),
    [
        (4, 10.0, "The control has 4 different currents, 4 of which"),
        (5, 10.0, "10 rates at currents .* too few"),
        (9, 0.0, "The control has 9 different currents, 0 of which"),
    ],
)
def test_too_few_currents_or_rates_are_refused(levels, rate, message):
    curve = Curve(np.linspace(0.1, 1.3, levels), np.full(levels, rate))
    with pytest.raises(UserError, match=message):
        identify(curve, curve, margin=0.1)


@pytest.mark.parametrize("trials", [3, 4])
def test_a_gain_that_few_exact_rates_leave_open_has_an_interval_and_its_middle(trials):
    # A rising curve goes through rates at 0, 100, ... 400 pA and those of the gain 1.4, moved to
    # 1.4 times their currents, for any gain that leaves their order as it is: 4/3 to 3/2.
    current = np.repeat([0.0, 0.1, 0.2, 0.3, 0.4], trials)
    control, drug = (
        Curve(current, np.maximum(0, 250 * (gain * current - 0.06))) for gain in (1.0, 1.4)
    )
    found = identify(control, drug, 0.1)
    fit = next(fit for fit in found.fits if fit.hypothesis is INPUT)
    low, high = fit.interval()
    assert found.verdict == INPUT.name
    assert fit.value == pytest.approx(1.4, rel=0.02)
    assert 4 / 3 < low < 1.38
    assert 1.43 < high < 3 / 2
