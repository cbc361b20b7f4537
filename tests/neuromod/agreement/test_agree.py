import json

import pytest

from neuromod.agreement.agree import agree
from neuromod.agreement.suite import SAME_SPIKES
from neuromod.devices.simulation import DEVICES
from neuromod.errors import UserError


def broken(*_):
    raise RuntimeError("the driver is gone")


def test_a_right_device_agrees_and_all_is_written(pretended, tmp_path):
    pretended()
    found = agree("genn", tmp_path, ["gain-curve"], largest=30)
    assert not found.problems
    data = json.loads((tmp_path / "agreement.json").read_text())
    assert (data["schema"], data["agrees"], data["complete"]) == (1, True, True)
    assert {row["outcome"] for row in data["compared"]} == {"agrees"}
    assert [run["precision"] for run in data["repeated"]] == ["double", "single"]
    assert len(data["timed"]) == 6
    command = "neuromod agree --device genn --protocol gain-curve --largest 30"
    page = (tmp_path / "agreement.html").read_text()
    assert "The device agrees with Brian2&#39;s runtime in all of 2 comparisons." in page
    assert data["command"] == command
    assert f"In a shell: {command}" in page
    # Nothing is loaded from elsewhere.
    assert 'src="data:image/png;base64,' in page
    # The style sheet names links to elsewhere; there are none.
    assert "http" not in page.replace('a[href^="http"]', "")


def test_a_device_on_which_nothing_runs_fails_and_all_is_written(pretended, tmp_path):
    pretended(broken)
    found = agree("genn", tmp_path, ["gain-curve"], largest=30)
    assert "2 comparisons of gain-curve failed." in found.problems
    assert "No experiment could be compared." in found.problems
    assert any("Repeating a network in double precision" in text for text in found.problems)
    assert "nothing" not in json.loads((tmp_path / "agreement.json").read_text())["problems"]
    page = (tmp_path / "agreement.html").read_text()
    assert "The device does not agree." in page
    assert "the driver is gone" in page


def test_what_came_in_stands_in_the_file_whatever_ends_the_process(pretended, tmp_path):
    def change(recording, *_):
        change.runs += 1
        if change.runs > 2:
            raise KeyboardInterrupt
        return recording

    change.runs = 0
    pretended(change)
    with pytest.raises(KeyboardInterrupt) as ended:
        agree("genn", tmp_path, ["gain-curve"], largest=30)
    assert str(tmp_path / "agreement.json") in ended.value.__notes__[0]
    data = json.loads((tmp_path / "agreement.json").read_text())
    assert len(data["compared"]) == 2
    assert not data["complete"]


def test_results_are_not_written_over(pretended, tmp_path):
    pretended(broken)
    (tmp_path / "agreement.json").touch()
    with pytest.raises(UserError, match="already holds results"):
        agree("genn", tmp_path)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"device": "gen"}, "There is no device named 'gen': did you mean"),
        ({"device": "cython"}, "cython is what other devices are compared with"),
        ({"device": "cpp", "protocols": ["gain-curv"]}, "did you mean gain-curve"),
        ({"device": "cpp", "largest": 0}, "largest = 0 is no number of neurons"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(request_, words, tmp_path):
    with pytest.raises(UserError, match=words):
        agree(**request_, out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_all_devices_but_gpus_are_to_give_the_same_spikes():
    assert set(DEVICES) - set(SAME_SPIKES) == {"genn"}


@pytest.mark.thorough
def test_cpp_agrees(neuromod, tmp_path):
    """On the command line, as a GPU's owner would."""
    options = ["--protocol", "gain-curve", "--largest", "30", "--out", str(tmp_path / "here")]
    ended = neuromod("agree", "--device", "cpp", *options)
    assert (ended.code, ended.err) == (0, "")
    assert "cpp agrees with Brian2's runtime." in ended.out


def test_the_command_says_in_a_sentence_what_does_not_agree(neuromod, pretended):
    pretended(broken)
    ended = neuromod("agree", "--device", "genn", "--protocol", "gain-curve", "--largest", "30")
    assert ended.code == 1
    assert ended.err.startswith("Repeating a network in double precision: the driver is gone")
