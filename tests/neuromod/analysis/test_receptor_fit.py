"""Receptors are found again from what they do, or the fit says what the data leave open."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import pA, second, umolar
from scipy.optimize import brentq
from scipy.stats import t as student

from neuromod.analysis.dose_response import fit_hill
from neuromod.analysis.receptor_data import Course, Steady, Supplied
from neuromod.analysis.receptor_fit import fit_receptor
from neuromod.analysis.schild import gaddum_schild
from neuromod.analysis.time_course import integrated_gain
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor

TRUE = Receptor(
    k_on=0.7 * PER_UMOLAR_SECOND,
    k_off=1.9 / second,
    tau_messenger=0.31 * second,
    n=1.63,
    K=0.37,
    gain_max=2.7,
)
DOSES = np.array([0, 0.03, 0.11, 0.3, 1.1, 3, 11, 30, 110])
TIMES = np.linspace(0, 21, 61) * second


def supplied(conc):
    return Supplied(conc * umolar, 1.7 * second, 8.3 * second, 0.23 * second)


def gains(receptor, conc):
    """Gains over time by the solver that protocols are checked with."""

    def level(time):
        return conc.level(np.array([time])) * 1e-3

    return integrated_gain(GainLIF(receptors=(receptor,)), level, TIMES, conc.kinks)[0]


def noise(size, seed=5):
    return np.random.default_rng(seed).standard_normal(size)


def test_steady_and_washed_gains_together_give_back_the_whole_receptor():
    washes = [Course(times=TIMES, response=gains(TRUE, c), conc=c) for c in map(supplied, (1, 13))]
    fit = fit_receptor(Steady(conc=DOSES * umolar, response=TRUE.gain(DOSES * umolar)), *washes)
    assert not fit.undetermined
    assert not fit.given
    for name in ("k_on", "k_off", "tau_messenger", "n", "K", "gain_max"):
        found, true = (float(getattr(r, name)) for r in (fit.receptor, TRUE))
        assert found == pytest.approx(true, rel=1e-3), name
    assert float(fit.intervals["K_D"].value / umolar) == pytest.approx(1.9 / 0.7, rel=1e-3)
    assert float(fit.intervals["ec50"].value / umolar) == pytest.approx(
        float(TRUE.ec50 / umolar), rel=1e-3
    )


def test_steady_gains_say_nothing_of_rates_and_leave_reserve_and_affinity_to_each_other():
    response = TRUE.gain(DOSES * umolar) + 0.03 * noise(len(DOSES))
    fit = fit_receptor(Steady(conc=DOSES * umolar, response=response))
    assert set(fit.undetermined) == {"k_off", "tau_messenger", "K"}
    assert fit.undetermined["k_off"] == "held at 1/s, because no response depends on it"
    assert "K_D" in fit.undetermined["K"]
    assert "can make up for it" in fit.undetermined["K"]
    assert fit.given["K_D"] == ("K",)
    assert fit.given["k_on"] == ("k_off", "K")
    assert "ec50" not in fit.given
    assert fit.receptor.K == 0.5
    assert fit.receptor.tau_messenger == 0.5 * second
    assert fit.intervals["K"].high == np.inf or fit.intervals["K"].low == 0
    assert fit.intervals["ec50"].low < TRUE.ec50 < fit.intervals["ec50"].high
    # Whatever the value of K, the curve is the same within the scatter.
    again = fit_receptor(
        Steady(conc=DOSES * umolar, response=response), start=Receptor(K=0.11), fixed=["K"]
    )
    assert float(again.intervals["ec50"].value / fit.intervals["ec50"].value) == pytest.approx(
        1, rel=0.05
    )
    assert float(again.intervals["K_D"].value / fit.intervals["K_D"].value) > 2


def test_for_a_hill_coefficient_of_1_the_fit_is_that_of_a_hill_function():
    """Then EC50 is K_D*K/(1 + K), and the greatest gain 1 + (gain_max - 1)/(1 + K)."""
    response = Receptor(n=1.0, K=0.37).gain(DOSES * umolar) + 0.04 * noise(len(DOSES))
    fit = fit_receptor(
        Steady(conc=DOSES * umolar, response=response), start=Receptor(n=1.0, K=0.37), fixed=["n"]
    )
    hill = fit_hill(DOSES * umolar, response, bottom=1.0, slope=1.0)
    for end in ("value", "low", "high"):
        ours, theirs = (getattr(one, end) / umolar for one in (fit.intervals["ec50"], hill.ec50))
        assert float(ours) == pytest.approx(float(theirs), rel=1e-3)
    k_d = fit.intervals["K_D"].value
    assert float(k_d * 0.37 / 1.37 / hill.ec50.value) == pytest.approx(1, rel=1e-4)
    assert 1 + (fit.receptor.gain_max - 1) / 1.37 == pytest.approx(hill.top, rel=1e-4)


def test_a_profile_ends_where_the_squares_exceed_the_best_by_the_quantile():
    """With K_D and K known, for an exponent alone: a sum of squares that is written down here."""
    receptor = Receptor(n=1.63, K=0.37, gain_max=2.7)
    response = receptor.gain(DOSES * umolar) + 0.03 * noise(len(DOSES))
    fit = fit_receptor(
        Steady(conc=DOSES * umolar, response=response),
        start=receptor,
        fixed=["K_D", "K", "gain_max"],
    )
    occupancy = DOSES / (DOSES + 1)

    def squares(n):
        with np.errstate(divide="ignore"):
            active = 1 / (1 + (0.37 / occupancy) ** n)
        return np.sum((response - 1 - 1.7 * active) ** 2)

    best = squares(fit.receptor.n)
    most = best * (1 + student.ppf(0.975, len(DOSES) - 1) ** 2 / (len(DOSES) - 1))
    found = fit.intervals["n"]
    assert best <= min(squares(n) for n in np.linspace(1, 3, 201)) + 1e-12
    assert found.low == pytest.approx(
        brentq(lambda n: squares(n) - most, 0.5, fit.receptor.n), rel=1e-3
    )
    assert found.high == pytest.approx(
        brentq(lambda n: squares(n) - most, fit.receptor.n, 9), rel=1e-3
    )


def test_a_current_has_an_offset_and_a_scale_of_its_own_and_says_nothing_of_gain_max():
    conc = supplied(4)
    current = (-31 + 47 * (gains(TRUE, conc) - 1) / 1.7) * pA
    course = Course(times=TIMES, response=current, readout="current", conc=conc)
    fit = fit_receptor(course, start=TRUE, fixed=["n", "K"])
    offset, scale = fit.readouts["current"]
    assert offset == pytest.approx(-31e-12, rel=1e-3)
    assert scale == pytest.approx(47e-12, rel=1e-2)
    assert fit.undetermined["gain_max"] == "held at 2.7, because no response is a gain"
    assert float(fit.receptor.tau_messenger / second) == pytest.approx(0.31, rel=1e-2)
    assert float(fit.receptor.k_off * second) == pytest.approx(1.9, rel=1e-2)
    assert (fit.points.unit == "A").all()


def test_desensitisation_is_fitted_where_the_start_has_it():
    true = Receptor(k_desensitise=0.43 / second, tau_recover=7.1 * second)
    course = Course(times=TIMES, response=gains(true, supplied(9)), conc=supplied(9))
    start = Receptor(k_desensitise=0.2 / second, tau_recover=10 * second)
    fit = fit_receptor(course, start=start, fixed=["n", "K", "K_D", "gain_max"])
    assert float(fit.receptor.k_desensitise * second) == pytest.approx(0.43, rel=1e-2)
    assert float(fit.receptor.tau_recover / second) == pytest.approx(7.1, rel=1e-2)


def test_an_antagonists_constant_is_that_of_gaddum_and_schilds_equation():
    true = Receptor(n=1.0, K=0.37, antagonist="rival")
    conc, rival = (side.ravel() * umolar for side in np.meshgrid(DOSES, [0, 0.2, 1.7]))
    response = true.gain(conc, rival) + 0.03 * noise(len(conc))
    fit = fit_receptor(
        Steady(conc=conc, response=response, antagonist=rival), start=true, fixed=["n", "K"]
    )
    joint = gaddum_schild(conc, response, rival, bottom=1.0, slope=1.0, schild_slope=1.0)
    constant = fit.intervals["K_B"]
    ends = [float(end / umolar) for end in (constant.value, constant.low, constant.high)]
    theirs = [10 ** (6 - end) for end in (joint.pA2.value, joint.pA2.high, joint.pA2.low)]
    assert ends == pytest.approx(theirs, rel=2e-3)
    k_b = fit.receptor.k_off_antagonist / fit.receptor.k_on_antagonist
    assert float(k_b / umolar) == pytest.approx(ends[0])


def test_missing_responses_are_left_out_and_counted_and_residuals_are_told():
    response = TRUE.gain(DOSES * umolar) + 0.03 * noise(len(DOSES))
    response[[2, 7]] = np.nan
    fit = fit_receptor(Steady(conc=DOSES * umolar, response=response, name="cell 3"), fixed=["K"])
    assert fit.left_out == 2
    assert len(fit.points) == len(DOSES) - 2
    assert np.allclose(fit.points.fit + fit.points.residual, fit.points.response)
    assert np.allclose(fit.points.fit, fit.receptor.gain(fit.points.conc_uM.to_numpy() * umolar))
    assert set(fit.curves.data) == {"cell 3"}
    lines = repr(fit).splitlines()
    assert lines[0] == "generic, fitted to 7 responses"
    assert any("tau_messenger: held at 0.5 s, because no response" in line for line in lines)
    assert len(fit.plot().axes) == 2


def test_a_puff_between_two_samples_is_a_dose_all_the_same():
    conc = Supplied(30 * umolar, 1.8 * second, 0.2 * second)
    assert not np.any(conc.level(np.asarray(TIMES / second)) > 0)
    course = Course(times=TIMES, response=gains(TRUE, conc), conc=conc)
    fit = fit_receptor(course, start=TRUE, fixed=["n", "K", "gain_max", "K_D"])
    assert float(fit.receptor.k_off * second) == pytest.approx(1.9, rel=1e-2)


def test_an_interval_with_all_parameters_free_is_wider_than_one_with_reserve_known():
    response = TRUE.gain(DOSES * umolar) + 0.03 * noise(len(DOSES))
    data = Steady(conc=DOSES * umolar, response=response)
    free, known = fit_receptor(data), fit_receptor(data, fixed=["K"])
    assert free.receptor.n == pytest.approx(known.receptor.n, rel=1e-3)
    assert free.intervals["n"].low < known.intervals["n"].low
    assert free.intervals["n"].high > known.intervals["n"].high


def test_errors_weight_the_points():
    response = TRUE.gain(DOSES * umolar)
    response[-1] = 9.0
    error = np.where(np.arange(len(DOSES)) == len(DOSES) - 1, 100.0, 0.01)
    fit = fit_receptor(
        Steady(conc=DOSES * umolar, response=response, error=error), start=TRUE, fixed=["K"]
    )
    assert float(fit.intervals["ec50"].value / TRUE.ec50) == pytest.approx(1, rel=1e-2)
    assert fit.receptor.gain_max == pytest.approx(2.7, rel=1e-2)


@pytest.mark.parametrize(
    ("start", "fixed", "message"),
    [
        (Receptor(gain_max=1.0), [], "A gain_max of 1 is no start"),
        (Receptor(), ["tau_mesenger"], "did you mean tau_messenger"),
        (Receptor(), ["k_on", "k_off", "K_D"], "two of the three"),
        (Receptor(), ["K_D", "n", "K", "gain_max"], "determine no parameter"),
    ],
)
def test_a_fit_that_cannot_be_is_refused_and_says_why(start, fixed, message):
    data = Steady(conc=DOSES * umolar, response=TRUE.gain(DOSES * umolar))
    with pytest.raises(UserError, match=message):
        fit_receptor(data, start=start, fixed=fixed)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: (), "nothing to fit"),
        (lambda: (DOSES,), "must be Steady or Course"),
        (lambda: (Steady(conc=DOSES * umolar, response=np.full(9, 1.3)),), "must change"),
        (lambda: (Steady(conc=np.zeros(9) * umolar, response=DOSES),), "presence of the ligand"),
        (
            lambda: (Steady(conc=DOSES * umolar, response=DOSES, antagonist=DOSES * umolar),),
            "give start one",
        ),
    ],
)
def test_data_that_no_receptor_can_be_fitted_to_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        fit_receptor(*make())
