import numpy as np
import pandas as pd
import pytest

from neuromod.errors import UserError
from neuromod.sweeps.chunks import Outcome
from neuromod.sweeps.folder import CHUNKS, INFO, LOCK, Folder, taken

OUTCOME = Outcome(
    {
        "table": pd.DataFrame({"point": [3, 4], "x": [0.1, np.nan], "word": ["a, b", None]}),
        "fits": pd.DataFrame({"point": [3], "n": [7], "sure": [True]}),
    },
    {5: "It failed: “why”."},
)


def test_a_chunk_comes_back_to_the_bit(tmp_path):
    with taken(tmp_path / "sweep", resume=False) as folder:
        assert not folder.has(12)
        folder.write_chunk(12, OUTCOME)
        assert folder.has(12)
        tables, failures = folder.read_chunk(12)
    assert failures == OUTCOME.failures
    assert np.array_equal(tables["table"]["x"], [0.1, np.nan], equal_nan=True)
    assert tables["table"]["word"].tolist() == ["a, b", ""]
    assert tables["fits"]["sure"].tolist() == [True]


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_a_damaged_chunk_is_told(tmp_path, keep):
    with taken(tmp_path / "sweep", resume=False) as folder:
        folder.write_chunk(0, OUTCOME)
        path = folder.chunk(0)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UserError, match="is damaged"):
            folder.read_chunk(0)


def test_one_process_alone_has_a_sweep(tmp_path):
    place = tmp_path / "sweep"
    with taken(place, resume=False) as folder:
        folder.write_info({"protocol": "tiny"})
        with pytest.raises(UserError, match="is computing"), taken(place, resume=True):
            pass
    with taken(place, resume=True) as again:
        assert again.read_info() == {"protocol": "tiny"}


def test_a_sweep_is_neither_overwritten_nor_resumed_by_mistake(tmp_path):
    with pytest.raises(UserError, match="no sweep in"), taken(tmp_path / "none", resume=True):
        pass
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="not empty"), taken(other, resume=False):
        pass
    with taken(tmp_path / "sweep", resume=False) as folder:
        folder.write_info({})
    with (
        pytest.raises(UserError, match="--resume goes on"),
        taken(tmp_path / "sweep", resume=False),
    ):
        pass


def test_what_was_killed_at_its_start_begins_anew_and_leaves_nothing(tmp_path):
    place = tmp_path / "sweep"
    (place / CHUNKS).mkdir(parents=True)
    (place / LOCK).mkdir()
    (place / f".{INFO}.4711").write_text("{")
    with taken(place, resume=True) as folder:
        assert not folder.is_begun
        assert {path.name for path in place.iterdir()} == {CHUNKS, LOCK}
    folder.write_info({})
    half = place / CHUNKS / ".0000003.npz.4711"
    half.write_bytes(b"PK")
    with taken(place, resume=True) as folder:
        assert folder.is_begun
        assert not half.exists()


def test_a_description_that_is_damaged_is_told(tmp_path):
    (tmp_path / INFO).write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        Folder(tmp_path).read_info()
