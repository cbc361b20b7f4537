import numpy as np
import pandas as pd
import pytest
from brian2 import ms, mV, nA, volt

import neuromod.sweeps.chunks as chunks
from neuromod import run
from neuromod.sweeps.chunks import Chunk, Outcome, Request, chunk_size, compute


def chunk(protocol="tiny", settings=None, first=5, **values):
    size = len(next(iter(values.values())))
    return Chunk(Request(protocol, settings or {}), np.arange(first, first + size), values)


@pytest.fixture
def simulated(monkeypatch):
    """Sizes of the networks that were simulated."""
    sizes, simulate = [], chunks.simulate

    def counted(experiment, *about):
        sizes.append(sum(population.size for population in experiment.populations))
        return simulate(experiment, *about)

    monkeypatch.setattr(chunks, "simulate", counted)
    return sizes


@pytest.mark.usefixtures("plugin")
def test_points_run_side_by_side_and_give_what_each_gives_alone(simulated):
    values = {"tau_m": [14.5, 23.5, 14.5] * ms, "seed": np.array([1, 2, 3])}
    outcome = compute(chunk(**values))
    assert simulated == [6]
    assert outcome.failures == {}
    assert outcome.tables["table"].point.tolist() == [5, 5, 6, 6, 7, 7]
    for place in range(3):
        alone = run("tiny", tau_m=values["tau_m"][place], seed=int(values["seed"][place])).table
        own = outcome.tables["table"].query(f"point == {5 + place}")
        assert np.array_equal(own.spikes, alone.spikes)


@pytest.mark.usefixtures("plugin")
def test_points_of_another_kind_run_by_themselves(simulated):
    outcome = compute(chunk(site=["input", "threshold", "input"]))
    assert sorted(simulated) == [2, 4]
    assert outcome.tables["table"].point.tolist() == [5, 5, 6, 6, 7, 7]


@pytest.mark.usefixtures("plugin")
def test_a_point_that_fails_is_named_and_the_others_go_on():
    outcome = compute(chunk(tau_m=[14.5, -3, 20.5] * ms, broken=[False, False, True]))
    assert outcome.tables["table"].point.tolist() == [5, 5]
    assert set(outcome.failures) == {6, 7}
    assert "tau_m" in outcome.failures[6]
    assert outcome.failures[7] == "RuntimeError: measuring failed"


@pytest.mark.usefixtures("plugin")
def test_a_simulation_that_fails_fails_for_one_point_alone():
    # From here an explicit step of the membrane leaves all numbers behind.
    outcome = compute(chunk(current=[0.7, 1e308] * nA))
    assert outcome.tables["table"].point.tolist() == [5]
    assert set(outcome.failures) == {6}


def test_a_setting_with_a_row_for_each_value_is_given_as_a_list(simulated):
    short = {"duration": "2 * usecond"}
    values = {"vdd": [0.61, 0.83, 0.61, 0.83] * volt, "v_th": [340, 340, 360, 360] * mV}
    outcome = compute(chunk("vdd-sweep", short, **values))
    assert simulated == [2, 2]
    found = outcome.tables["table"]
    assert found.point.tolist() == [5, 6, 7, 8]
    assert "vdd_V" not in found
    alone = run("vdd-sweep", duration=2e-3 * ms, vdd=[0.83] * volt, v_th=360 * mV).table
    assert found.energy_core_pJ[3] == pytest.approx(alone.energy_core_pJ[0], rel=1e-12)


@pytest.mark.usefixtures("plugin")
def test_networks_stay_below_their_bound(simulated, monkeypatch):
    monkeypatch.setattr(chunks, "NEURONS", 6)
    whole = chunk(seed=np.arange(5))
    # Two neurons, and a trace of 317 samples that counts less than one.
    assert chunk_size(whole.part(0, 1), 6, workers=1) == 2
    assert compute(whole).tables["table"].point.tolist() == np.repeat(range(5, 10), 2).tolist()
    assert simulated == [4, 4, 2]


@pytest.mark.usefixtures("plugin")
def test_workers_have_as_many_chunks_each_where_chunks_are_worth_it():
    first = chunk(seed=np.array([1]))
    assert chunk_size(first, 10, workers=2) == 5
    assert chunk_size(first, 2000, workers=2) == 250
    assert chunk_size(first, 10**6, workers=2) < chunks.NEURONS
    assert -(-(10**6) // chunk_size(first, 10**6, workers=2)) % 2 == 0


def test_what_rows_of_a_list_share_is_no_weight_of_each():
    """Two traces of 4000 steps would be more than ten neurons; a row is one with its synapses."""
    size = chunk_size(chunk("vdd-sweep", vdd=[0.61] * volt), 10**6, workers=1)
    assert chunks.NEURONS / 2 < size < chunks.NEURONS


def test_outcomes_of_parts_are_one_in_order_of_the_points():
    late = Outcome({"table": pd.DataFrame({"x": [3.5], "point": [8]})}, {9: "why"})
    early = Outcome({"table": pd.DataFrame({"x": [1.5, 2.5], "point": [2, 2]})})
    whole = Outcome.of([late, early])
    assert whole.tables["table"].x.tolist() == [1.5, 2.5, 3.5]
    assert whole.failures == {9: "why"}
