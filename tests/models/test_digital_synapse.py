import numpy as np
import pytest
from brian2 import ms

from neuromod.devices.simulation import simulate
from neuromod.errors import UserError
from neuromod.experiment import Experiment, PlasticConnection, Population, Spikes
from neuromod.models.digital_synapse import (
    MODULUS,
    MULTIPLIER,
    DigitalSynapse,
    TaughtLIF,
    largest_code,
)

DT = 1 * ms
KEPT_V, KEPT_Y = np.exp(-1 / 13), np.exp(-1 / 29)
CELL = TaughtLIF(tau_m=13 * ms, tau_y=29 * ms)
MODEL = DigitalSynapse(w_max=0.31, margin=0.7)


def simulated(at, steps, values, cells):
    """One input onto a cell for each synapse, and what is left in them; the cells' spikes."""
    size = len(values["code"])
    i, j = np.zeros(size, int), np.arange(size)
    inputs = Spikes("inputs", 1, np.zeros(len(at), int), np.asarray(at) * DT)
    plastic = PlasticConnection("synapses", "inputs", "cells", MODEL, i=i, j=j, values=values)
    experiment = Experiment(
        populations=[Population("cells", CELL, size, cells)],
        sources=[inputs],
        plastic=[plastic],
        duration=steps * DT,
        dt=DT,
    )
    recording = simulate(experiment)
    kept = {name: np.asarray(found) for name, found in recording.totals["synapses"].items()}
    return kept, recording.spikes["cells"].counts()


def silent(changes, draws, stochastic, spikes=1):
    """What is left in synapses onto silent cells whose every spike asks for a change of the code.

    `changes` are in steps of the code, for all synapses or for each.
    """
    goal = np.copysign(3.7, changes) * np.ones(len(draws))
    values = {
        "code": np.full(len(draws), -11.0),
        "draw": draws.astype(float),
        "top": 1e6,
        "eta": np.abs(changes) * MODEL.w_max / (1e6 * 3.7),
        "stochastic": stochastic,
    }
    at = np.arange(1, 1 + spikes)
    kept, fired = simulated(at, spikes + 3, values, {"goal": goal, "taught": 1.0})
    assert not fired.any()
    return kept


def test_the_generator_comes_by_every_number_once_in_a_period_and_single_precision_keeps_it():
    numbers = [1]
    while (following := MULTIPLIER * numbers[-1] % MODULUS) != 1:
        numbers.append(following)
    assert sorted(numbers) == list(range(1, MODULUS))
    x = np.arange(1, MODULUS, dtype=np.float32)
    product = np.float32(MULTIPLIER) * x
    for whole in (product / np.float32(MODULUS), product * np.float32(1 / MODULUS)):
        found = product - np.float32(MODULUS) * np.floor(whole)
        np.testing.assert_array_equal(found, MULTIPLIER * np.arange(1, MODULUS) % MODULUS)


@pytest.mark.parametrize("change", [0.0137, -0.383, 2.71])
def test_stochastic_rounding_has_the_mean_of_the_change_and_the_variance_of_a_coin(change):
    # Over all states of the generator: exact, but for the 32748 numbers that it has.
    rose = silent(change, np.arange(1, MODULUS), 1.0)["code"] + 11
    share = change - np.floor(change)
    assert set(rose) == {np.floor(change), np.floor(change) + 1}
    assert rose.mean() == pytest.approx(change, abs=1 / MODULUS)
    assert rose.var() == pytest.approx(share * (1 - share), abs=2 / MODULUS)


def test_rounded_to_the_nearest_code_less_than_half_a_step_never_writes():
    changes = np.array([-0.49, -0.02, 0.3, 0.499, 0.501, 1.49, -0.51, -1.7])
    found = silent(changes, np.ones(8), 0.0, spikes=40)
    np.testing.assert_array_equal(found["updates"], 40)
    np.testing.assert_array_equal(found["writes"], [0, 0, 0, 0, 40, 40, 40, 40])
    np.testing.assert_array_equal(found["code"] + 11, [0, 0, 0, 0, 40, 40, -40, -80])


def test_a_cell_that_is_not_taught_or_near_its_goal_leaves_the_memory_alone():
    values = {"code": np.full(3, -2.0), "top": 31.0, "eta": 0.3, "stochastic": 0.0}
    cells = {"goal": np.array([2.3, 0.69, 0.71]), "taught": np.array([0.0, 1.0, 1.0])}
    kept, _ = simulated([2, 5], 9, values, cells)
    np.testing.assert_array_equal(kept["updates"], [0, 0, 2])
    np.testing.assert_array_equal(kept["writes"] > 0, [False, False, True])


def test_a_code_stays_within_its_bits_and_is_not_written_there():
    assert [largest_code(bits) for bits in (2, 3, 4, 8)] == [1, 3, 7, 127]
    values = {"code": np.array([-5.0, 2.0]), "top": 7.0, "stochastic": 0.0, "eta": 0.09}
    # 0.09*2.7*7/0.31 = 5.49 codes at once; the first cell never fires, nor does the second after.
    cells = {"goal": np.array([-2.7, 2.7]), "taught": 1.0, "v": np.array([-9.0, -9.0])}
    kept, _ = simulated([1, 2, 3], 6, values, cells)
    np.testing.assert_array_equal(kept["code"], [-7, 7])
    np.testing.assert_array_equal(kept["writes"], 1)
    np.testing.assert_array_equal(kept["updates"], 3)


def by_hand(at, steps, code, draw, top, eta, goal, how):
    """One synapse and its cell, one step after another: code, updates, writes and spikes."""
    v = y = 0.0
    updates = writes = spikes = 0
    for step in range(steps):
        if step - 1 in at:
            v += MODEL.w_max * code / top
            draw = MULTIPLIER * draw % MODULUS
            if abs(goal - y) > MODEL.margin:
                change, new = eta * (goal - y) * top / MODEL.w_max, code
                if how == "nearest":
                    new += int(np.floor(change + 0.5))
                elif how == "stochastic":
                    new += int(np.floor(change)) + int(draw / MODULUS >= 1 - change % 1)
                else:
                    new += change
                new = min(max(new, -top), top)
                updates, writes, code = updates + 1, writes + (new != code), new
        v, y = v * KEPT_V, y * KEPT_Y
        if v >= 1:
            v, y, spikes = v - 1, y + 1, spikes + 1
    return code, updates, writes, spikes


def compared(tops, codes, etas, goals, how):
    """What is found in synapses and by hand; each in a row."""
    rng = np.random.default_rng(5)
    at = np.flatnonzero(rng.random(400) < 0.6)
    draws = rng.integers(1, MODULUS, len(tops))
    values = {"top": tops, "code": codes, "eta": etas, "draw": draws.astype(float)}
    values["stochastic"] = float(how == "stochastic")
    kept, fired = simulated(at, 402, values, {"goal": goals, "taught": 1.0})
    rows = zip(codes, draws, tops, etas, goals, strict=True)
    hand = np.array([by_hand(set(at), 402, *map(float, row), how) for row in rows])
    assert (hand[:, 3] > 20).sum() > 2
    found = np.column_stack([kept["code"], kept["updates"], kept["writes"], fired])
    return found, hand


TOPS = np.array([3.0, 7.0, 31.0, 127.0, 127.0])
ETAS = np.array([3e-3, 2e-3, 7e-4, 5e-4, 3e-3])
GOALS = np.array([7.3, 5.1, 9.7, 4.9, 3.3])


@pytest.mark.parametrize("how", ["nearest", "stochastic"])
def test_codes_updates_and_writes_are_those_counted_by_hand(how):
    codes = np.array([2.0, 6.0, 25.0, 110.0, -30.0])
    found, hand = compared(TOPS, codes, ETAS, GOALS, how)
    np.testing.assert_array_equal(found, hand)
    assert (hand[:, 2] < hand[:, 1]).all()


def test_with_many_bits_weights_become_those_that_are_not_rounded():
    tops = np.full(5, float(largest_code(20)))
    codes = np.array([0.7, 0.9, 0.8, 0.95, -0.2]) * tops
    found, hand = compared(tops, np.round(codes), ETAS, GOALS, "real")
    np.testing.assert_allclose(found[:, 0] / tops, hand[:, 0] / tops, atol=3e-4)
    np.testing.assert_array_equal(found[:, 3], hand[:, 3])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"code": np.array([3.0, 2.5])}, "code = 2.5 must be a whole number"),
        ({"code": np.array([3.0, -8.0])}, "between -top and top = 7"),
        ({"draw": np.array([1.0, 0.0])}, "from 1 to 32748"),
        ({"draw": np.array([32749.0, 5.0])}, "from 1 to 32748"),
        ({"top": np.array([7.0, 7.5])}, "top = 7.5 must be a whole number"),
        ({"stochastic": 1.1}, "stochastic"),
    ],
)
def test_what_no_memory_or_generator_holds_is_refused(values, words):
    with pytest.raises(UserError, match=words):
        simulated([1], 3, {"code": np.zeros(2), **values}, {})
