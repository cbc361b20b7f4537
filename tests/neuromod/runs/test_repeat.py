import pytest

from neuromod.devices.simulation import simulate
from neuromod.runs.files import verify
from neuromod.runs.repeat import repeat
from neuromod.runs.run import load_run, run
from neuromod.settings import flatten, read


def test_a_repeated_run_says_what_is_the_same_to_the_bit_and_what_not(tiny, tmp_path, monkeypatch):
    run(tiny(), out=tmp_path / "run", seed=7)
    # What a damaged table held is known all the same.
    (tmp_path / "run" / "table.csv").write_text("torn")
    found = repeat(tmp_path / "run", tmp_path / "again")
    assert (found.same, found.different) == (("table.csv", "recording tiny"), ())
    assert verify(tmp_path / "again") == 6

    def measure(self, recordings):
        tables = original(self, recordings)
        return {"table": tables["table"].assign(rate_Hz=lambda t: t.rate_Hz * (1 + 2**-52) + 1e-12)}

    original = tiny.measure
    monkeypatch.setattr(tiny, "measure", measure)
    found = repeat(tmp_path / "again")
    assert (found.same, found.different) == (("recording tiny",), ("table.csv",))


@pytest.mark.thorough
def test_a_trace_that_ends_in_another_last_bit_is_not_the_same(tiny, tmp_path, monkeypatch):
    def nearly(*arguments):
        recording = simulate(*arguments)
        recording.signals["cells"]["v"].values[0, -1] *= 1 + 2**-52
        return recording

    run(tiny(), out=tmp_path / "run", seed=7)
    monkeypatch.setattr("neuromod.runs.run.simulate", nearly)
    found = repeat(tmp_path / "run")
    assert (found.same, found.different) == (("table.csv",), ("recording tiny",))


OWN_RECEPTOR = """
[H3]
about = "Histamine H3: Gi."
full_name = "histamine H3"
ligand = "histamine"
K_D = [0.043, "a paper"]
k_off = [0.7, "estimate"]
tau_messenger = [0.35, "chosen here"]
n = [1.3, "chosen here"]
K = [0.21, "chosen here"]
gain_max = [0.65, "chosen here"]
"""


@pytest.mark.thorough
def test_a_run_with_a_receptor_from_a_file_is_repeated_without_the_file(tiny, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(OWN_RECEPTOR)
    names = {"receptors": f"{path}:H3", "H3.gain_max": "0.7"}
    made = run(tiny(), out=tmp_path / "run", **read(tiny(), names))
    path.unlink()
    found = repeat(tmp_path / "run", tmp_path / "again")
    assert (found.same, found.different) == (("table.csv", "recording tiny"), ())
    (before,), (after,) = (
        r.protocol.neuron.receptors for r in (made, load_run(tmp_path / "again"))
    )
    assert (after.name, after.ligand, after.n) == ("H3", "histamine", 1.3)
    assert flatten(after) == flatten(before)
