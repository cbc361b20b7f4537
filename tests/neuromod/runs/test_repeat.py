from neuromod.devices.simulation import simulate
from neuromod.runs.files import verify
from neuromod.runs.repeat import repeat
from neuromod.runs.run import run


def test_a_repeated_run_says_what_is_the_same_to_the_bit_and_what_not(tiny, tmp_path, monkeypatch):
    run(tiny(), out=tmp_path / "run", seed=7)
    # What a damaged table held is known all the same.
    (tmp_path / "run" / "table.csv").write_text("torn")
    found = repeat(tmp_path / "run", tmp_path / "again")
    assert (found.same, found.different) == (("table.csv", "recording tiny"), ())
    assert verify(tmp_path / "again") == 5

    def measure(self, recordings):
        tables = original(self, recordings)
        return {"table": tables["table"].assign(rate_Hz=lambda t: t.rate_Hz * (1 + 2**-52) + 1e-12)}

    original = tiny.measure
    monkeypatch.setattr(tiny, "measure", measure)
    found = repeat(tmp_path / "again")
    assert (found.same, found.different) == (("recording tiny",), ("table.csv",))


def test_a_trace_that_ends_in_another_last_bit_is_not_the_same(tiny, tmp_path, monkeypatch):
    def nearly(*arguments):
        recording = simulate(*arguments)
        recording.signals["cells"]["v"].values[0, -1] *= 1 + 2**-52
        return recording

    run(tiny(), out=tmp_path / "run", seed=7)
    monkeypatch.setattr("neuromod.runs.run.simulate", nearly)
    found = repeat(tmp_path / "run")
    assert (found.same, found.different) == (("table.csv",), ("recording tiny",))
