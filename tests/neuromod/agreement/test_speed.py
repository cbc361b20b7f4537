import pytest
from brian2 import second

from neuromod.agreement import speed
from neuromod.agreement.speed import ALONE, Timed, network, planned, sizes, timed
from neuromod.models.gain_lif import GainLIF


def test_sizes_grow_tenfold():
    assert sizes(1_000_000) == [10_000, 100_000, 1_000_000]
    assert sizes(9_999_999) == [10_000, 100_000, 1_000_000]
    assert sizes(130) == [130]


def test_a_cell_receives_a_thousand_events_a_second():
    made = network(7)
    (inputs,), (synapses,) = made.sources, made.connections
    events = inputs.counts()[synapses.i].sum() / 7 / float(made.duration / second)
    assert events == pytest.approx(1000, rel=0.05)


def test_without_synapses_there_are_no_inputs():
    made = network(7, 0)
    assert not made.sources
    assert not made.connections


def test_cells_without_synapses_fire_too():
    assert float(GainLIF().rate(ALONE)[0]) == pytest.approx(20, rel=0.01)


def test_everything_is_timed_beside_cpp():
    rows = planned("genn", 130)
    assert [(row.device, row.precision) for row in rows[:3]] == [
        ("cpp", "double"),
        ("genn", "double"),
        ("genn", "single"),
    ]
    assert [row.synapses for row in rows] == [0] * 3 + [130 * 20] * 3
    # It is not timed against itself.
    assert len(planned("cpp", 130)) == 4


def test_the_build_is_the_first_and_the_program_the_best(pretended, monkeypatch):
    pretended()
    monkeypatch.setattr(speed, "ROUNDS", 3)
    told = iter([(9.0, 0.5, True), (0.2, 0.3, False), (0.2, 0.4, False)])
    real = speed.simulate

    def run(*request):
        recording = real(*request)
        names = ("build_s", "binary_s", "compiled")
        recording.provenance.update(zip(names, next(told), strict=True))
        return recording

    monkeypatch.setattr(speed, "simulate", run)
    found = timed(Timed("genn", "double", 30, 0))
    assert (found.build_s, found.program_s, found.compiled) == (9.0, 0.3, True)
    assert not found.why


def test_what_takes_long_runs_once(pretended, monkeypatch):
    pretended()
    monkeypatch.setattr(speed, "ROUNDS", 3)
    runs = []
    monkeypatch.setattr(speed, "LONG_S", 0.1)
    monkeypatch.setattr(
        speed, "simulate", lambda *r, run=speed.simulate: (runs.append(r), run(*r))[1]
    )
    timed(Timed("genn", "single", 30, 0))
    assert len(runs) == 1


def test_what_memory_does_not_hold_is_not_tried(monkeypatch):
    monkeypatch.setattr(speed, "memory", lambda: 1e9)
    found = timed(Timed("cpp", "double", 10_000_000, 200_000_000))
    assert found.program_s is None
    assert "GB of memory, and this machine gives 1 GB" in found.why


def test_a_failure_is_told_and_the_rest_goes_on(pretended, monkeypatch):
    pretended()
    monkeypatch.setattr(speed, "simulate", lambda *_: (_ for _ in ()).throw(RuntimeError("full")))
    assert timed(Timed("genn", "double", 30, 0)).why == "full"
