from neuromod.runs.files import verify
from neuromod.runs.repeat import repeat
from neuromod.runs.run import run


def test_a_repeated_run_says_what_is_the_same_to_the_bit_and_what_not(tiny, tmp_path, monkeypatch):
    run(tiny(), out=tmp_path / "run", seed=7)
    # What a damaged table held is known all the same.
    (tmp_path / "run" / "table.csv").write_text("torn")
    found = repeat(tmp_path / "run", tmp_path / "again")
    assert (found.same, found.different) == (("table.csv", "spikes of tiny"), ())
    assert verify(tmp_path / "again") == 5

    def measure(self, recordings):
        tables = original(self, recordings)
        return {"table": tables["table"].assign(rate_Hz=lambda t: t.rate_Hz * (1 + 2**-52) + 1e-12)}

    original = tiny.measure
    monkeypatch.setattr(tiny, "measure", measure)
    found = repeat(tmp_path / "again")
    assert (found.same, found.different) == (("spikes of tiny",), ("table.csv",))
