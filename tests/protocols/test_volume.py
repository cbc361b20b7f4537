from functools import cache

import numpy as np
import pytest
from brian2 import Hz, ms, nA, second, um, umolar

import neuromod
from neuromod.errors import UserError
from neuromod.models.gain_lif import GainLIF
from neuromod.protocols.volume import Volume
from neuromod.runs.report import draw

SMALL = {
    "cells": 37,
    "side": 110 * um,
    "length": 23 * um,
    "amount": 0.37 * umolar,
    "seed": 5,
    "tau_clear": 170 * ms,
    "active": 1.4 * second,
    "after": 0.3 * second,
    "releasing": 40,
    "rate": 17 * Hz,
    "burst": 4,
}


@cache
def run(dimensions=2):
    return neuromod.run(Volume(**SMALL, dimensions=dimensions))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_space_constant_and_the_amount_are_recovered_from_one_release(dimensions):
    profile = run(dimensions).tables["profile"].iloc[0]
    assert profile.fitted_length_um == pytest.approx(23, rel=1e-6)
    assert profile.fitted_amount_uM == pytest.approx(0.37, rel=1e-4)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_concentrations_are_the_sum_of_all_releases(dimensions):
    # A trapezoidal step of decay is off by (dt/tau)^3/12, over tau/dt steps; the kernel's end 1e-3.
    assert run(dimensions).tables["profile"].conc_deviation[0] < 1e-3


def test_the_steady_mean_is_amount_times_rate_times_clearance_times_the_kernels():
    tissue = run().tables["tissue"]
    spikes = 40 * 17 * (1.4 - 4 * 0.17)
    expected = tissue.expected_conc_uM.sum()
    # Poisson spikes, and those before the window which reach into it: within 4 standard errors.
    assert tissue.mean_conc_uM.sum() == pytest.approx(expected, rel=4 / np.sqrt(spikes))


def test_by_hand_the_first_release_of_the_burst():
    protocol, recording = run().protocol, run().recordings["burst"]
    places, sites = protocol.places()
    apart = np.sqrt((((places - sites["burst"]) / um) ** 2).sum(axis=1))
    conc = np.asarray(recording.signals["cells"]["conc_modulator"].values / umolar)
    # Fired in step 100, acting in step 101, seen one step of 1 ms of clearance later.
    expected = 0.37 * np.exp(-apart / 23) * np.exp(-1 / 170)
    assert not conc[:, :102].any()
    np.testing.assert_allclose(conc[:, 102], expected, rtol=1e-6)


def test_nearer_cells_have_more_gain_and_later_peaks_than_the_concentration():
    table = run().table
    assert (np.diff(table.distance_um) >= 0).all()
    assert (np.diff(table.peak_gain) <= 1e-12).all()
    assert (table.peak_s > 3 * 0.05).all()


def test_an_inhibitory_receptor_lowers_the_gain_of_the_neighbourhood():
    neuron = GainLIF(receptors="D2")
    tissue = neuromod.run(Volume(**{**SMALL, "cells": 11}, neuron=neuron)).tables["tissue"]
    assert (tissue.peak_gain < 1).all()


def test_the_figure_can_be_drawn_in_three_dimensions():
    found = run(3)
    assert draw(found.protocol, found.tables, found.recordings).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 120 * um}, "at most half of the tissue"),
        ({"active": 300 * ms}, "at least 4 times tau_clear"),
        # Nothing would be left to average.
        ({"active": 0.2 * second, "tau_clear": 50 * ms}, "at least 4 times tau_clear = 50 ms, and"),
        ({"dimensions": 4}, "dimensions"),
        ({"after": 0.3015 * second}, "whole number of time steps"),
        ({"neuron": GainLIF(receptors=())}, "needs a receptor"),
    ],
)
def test_what_no_tissue_can_be_is_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Volume(**{**SMALL, **settings})


def test_cells_of_one_s_own_lie_in_the_tissue_and_their_activation_is_told(own_cell):
    changed = {"cells": 13, "tau_clear": 50 * ms, "active": 0.3 * second, "after": 0.1 * second}
    tiny = SMALL | changed | {"amount": 1.37 * umolar, "dt": 0.5 * ms, "I": 0.9 * nA}
    made = neuromod.run(Volume(neuron=own_cell("rk2"), **tiny))
    assert {"peak_activation"} <= set(made.table)
    assert {"mean_activation", "peak_activation"} <= set(made.tables["tissue"])
    assert not [name for found in made.tables.values() for name in found if "gain" in name]
    cells = made.table.sort_values("peak_conc_uM")
    assert cells.peak_activation.is_monotonic_increasing
    assert cells.peak_activation.iloc[-1] > 0.2
    words = " ".join(section.text for section in made.protocol.report(made.tables))
    assert "reaches activation" in words
    assert "gain" not in words
    assert draw(made.protocol, made.tables, made.recordings).png
