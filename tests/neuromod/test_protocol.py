import matplotlib.figure
import pandas as pd
import pytest
from brian2 import ms

from neuromod import Experiment, Population, Protocol, Training, UserError
from neuromod.models import GainLIF
from neuromod.runs.run import run


class Short(Protocol):
    """A protocol that writes neither figure nor words."""

    def experiments(self):
        cells = Population("cells", GainLIF(), 3)
        return {"one": Experiment(populations=[cells], duration=0.7 * ms, dt=0.1 * ms)}

    def measure(self, recordings):
        counts = recordings["one"].spikes["cells"].counts()
        return {"table": pd.DataFrame({"neuron": range(3), "spikes": counts})}


class Alone(Training):
    """A training that writes neither figure nor words."""

    def train(self):
        return {"table": pd.DataFrame({"epoch": [1, 2], "right_percent": [31.4, 57.9]})}


@pytest.mark.parametrize("study", [Short(), Alone()])
def test_a_study_without_figure_and_words_gets_plain_ones(study):
    finished = run(study)
    figure = study.plot(finished.tables, finished.recordings)
    assert isinstance(figure, matplotlib.figure.Figure)
    (section,) = study.report(finished.tables)
    assert section.table == "table"
    assert section.text


def test_a_protocol_simulates_every_experiment_and_measures_all():
    asked = []

    def simulate(experiment):
        asked.append(experiment)
        return run(Short()).recordings["one"]

    results = Short().perform(simulate)
    assert [experiment.duration for experiment in asked] == [0.7 * ms]
    assert results.tables["table"].spikes.tolist() == [0, 0, 0]


def test_a_zero_in_a_table_has_no_sign():
    class Signed(Training):
        def train(self):
            return {"table": pd.DataFrame({"name": ["a", "b"], "step_mV": [-0.0, -1.3]})}

    column = Signed().perform(None).tables["table"].step_mV
    assert column.tolist() == [0.0, -1.3]
    assert str(column[0]) == "0.0"


def test_a_training_simulates_nothing():
    def simulate(_):
        raise AssertionError

    assert not Alone().perform(simulate).recordings


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 23.7 TiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate 71.0 GiB."),
    ],
)
def test_work_that_memory_does_not_hold_ends_in_a_sentence(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(Alone, "train", fail)
    monkeypatch.setattr(Short, "measure", fail)
    for study in (Alone(), Short()):
        with pytest.raises(UserError, match=r"Memory does not suffice .*shorten the run"):
            run(study)


def test_other_failures_of_work_are_not_taken_for_want_of_memory(monkeypatch):
    def fail(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Alone, "train", fail)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        run(Alone())
