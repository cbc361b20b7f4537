"""A supply that follows a gain gives the chip the cell's output, the better the finer it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from brian2 import ms, nS, nsecond, second, umolar, volt

import neuromod
from neuromod.chip.conversion import gain_of
from neuromod.models import AdEx, Izhikevich
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.receptor_library import library
from neuromod.models.receptors import PER_UMOLAR_SECOND, Receptor
from neuromod.protocols.gain_trace import GainTrace
from neuromod.runs.report import draw

QUICK = Receptor(k_on=9 * PER_UMOLAR_SECOND, k_off=13 / second, tau_messenger=30 * ms, gain_max=1.7)
SMALL = {
    "bio": replace(GainTrace().bio, receptors=(QUICK,)),
    "onset": 20 * ms,
    "width": 60 * ms,
    "tau_clear": 17 * ms,
    "duration": 230 * ms,
    "bin": 23 * ms,
    "update": 1 * ms,
    "bits": (1, 3, 7),
}


@pytest.fixture(scope="module")
def run():
    return neuromod.run(GainTrace(**SMALL))


def row(run, supply):
    return run.table.set_index("supply").loc[supply]


def test_the_chips_gain_is_the_cells_but_for_what_changes_between_updates(run):
    gain = np.asarray(run.recordings["bio"].trace("cell", "gain", 0))
    per_update = 50
    largest = np.abs(gain[per_update:] - gain[:-per_update]).max()
    assert 1.3 < gain.max() < 1.7
    assert 0 < row(run, "exact").gain_error_max < 1.1 * largest


def test_a_converter_of_few_bits_is_off_by_half_a_step_and_the_slope_of_gain_there(run):
    chip = CircuitNeuron()
    for bits in (3, 7):
        half = 0.5 / (2**bits - 1) / 2
        slope = float(chip.mirror().transconductance(1.0)) * 1e8
        assert row(run, f"{bits} bits").gain_error_max < half * slope + 0.1
        supply = run.recordings["circuit"].trace("chip", "vdd", 1 + (1, 3, 7).index(bits)) / volt
        steps = (supply - 0.5) / 0.5 * (2**bits - 1)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)


def test_finer_supplies_fire_more_like_the_cell(run):
    factors = [row(run, s).coincidence_factor for s in ("1 bit", "3 bits", "7 bits", "exact")]
    assert factors[0] < factors[1] <= factors[2]
    assert factors[3] > 0.9
    assert row(run, "constant").chip_spikes < row(run, "exact").chip_spikes


def test_a_constant_supply_stays_where_the_gain_began(run):
    supply = run.recordings["circuit"].trace("chip", "vdd", 4) / volt
    np.testing.assert_array_equal(np.asarray(supply), supply[0])
    assert supply[0] == pytest.approx(0.75)


def test_rates_count_every_spike(run):
    rates = run.tables["rates"]
    fired = {
        "cell_Hz": row(run, "exact").cell_spikes,
        "chip_3_bits_Hz": row(run, "3 bits").chip_spikes,
    }
    for column, spikes in fired.items():
        assert rates[column].sum() * 0.023 == pytest.approx(spikes)


def test_one_resolution_is_drawn_and_told():
    few = neuromod.run(GainTrace(**{**SMALL, "bits": (5,), "duration": 110 * ms}))
    assert draw(few.protocol, few.tables, few.recordings).png
    assert "Of the resolutions" in few.protocol.report(few.tables)[0].text


CLOSED = replace(QUICK, gain_max=1.0, g_K=-3 * nS)


def without_gain():
    few = {**SMALL, "bits": (3,), "duration": 160 * ms, "bin": 40 * ms, "dt": 100 * nsecond}
    return GainTrace(**{**few, "bio": Izhikevich(receptors=(CLOSED,))})


@pytest.mark.thorough
def test_a_neuron_without_gain_fires_and_is_followed_in_the_same_steps_on_cpp():
    runs = [neuromod.run(without_gain(), device=device) for device in ("cython", "cpp")]
    pd.testing.assert_frame_equal(*(run.tables["gain_by_activation"] for run in runs))
    for side, name in (("bio", "cell"), ("circuit", "chip")):
        one, other = (run.recordings[side].spikes[name] for run in runs)
        assert len(one.times)
        np.testing.assert_array_equal(one.neurons, other.neurons)
        np.testing.assert_array_equal(one.times, other.times)


@pytest.mark.thorough
def test_the_gain_of_a_neuron_without_one_is_measured_and_the_supply_follows_it(tmp_path):
    run = neuromod.run(without_gain(), out=tmp_path / "run")
    cell = run.protocol.bio
    curve = run.tables["gain_by_activation"]
    steady = cell.activations({"modulator": curve.conc_uM.to_numpy() * umolar})["generic"]
    np.testing.assert_allclose(curve.activation, steady, rtol=1e-9)
    assert curve.gain.iloc[0] == 1
    # Less K+ current excites.
    assert curve.gain.iloc[-1] > 1.05
    chip = CircuitNeuron()
    supply = np.asarray(run.recordings["circuit"].trace("chip", "vdd", 0) / volt)
    bio = run.recordings["bio"]
    activation = np.asarray(bio.trace("cell", "activation_generic", 0))
    wanted = np.interp(activation, curve.activation, curve.gain)
    assert np.abs(gain_of(chip, supply * volt) - wanted).max() < 0.02
    assert "measured instead" in neuromod.load_run(tmp_path / "run").report()


BIO = GainTrace().bio


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bio": replace(BIO, receptors=(Receptor(gain_max=3.0),))}, "Change conc"),
        (
            {
                "bio": replace(BIO, receptors=(Receptor(gain_max=0.03),)),
                "conc": 700 * umolar,
                "width": 2 * second,
            },
            "Change conc",
        ),
        ({"bio": replace(BIO, receptors=())}, "one ligand, .*not none"),
        ({"bio": replace(BIO, receptors=(library["D1"], library["M1"]))}, "one ligand"),
        (
            {"bio": AdEx(receptors=(QUICK, replace(QUICK, name="other", ahp_max=0.3)))},
            "not of generic and other",
        ),
        ({"width": 3 * second}, "must end before"),
        ({"update": 1.003 * ms}, "update"),
        ({"codes": (8,)}, "code 8"),
        ({"bin": 1.6 * second}, r"bin = 1\.6 s must be at most half of duration = 3 s"),
        ({"update": 3 * second}, "update = 3 s must be shorter than duration = 3 s"),
    ],
)
def test_what_a_supply_cannot_follow_is_refused(settings, message):
    with pytest.raises(neuromod.UserError, match=message):
        GainTrace(**settings)
