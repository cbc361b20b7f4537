import matplotlib.figure
import pandas as pd
import pytest
from brian2 import ms

from neuromod import Experiment, Population, Protocol, Training
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


def test_a_training_simulates_nothing():
    def simulate(_):
        raise AssertionError

    assert not Alone().perform(simulate).recordings
