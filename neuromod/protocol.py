"""Protocols and trainings: settings, experiments, measures, figure and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from neuromod.devices.target import one_run
from neuromod.experiment import Experiment
from neuromod.parameters import LARGEST, Parameters, not_negative
from neuromod.recording import Recording
from neuromod.support.log import stage
from neuromod.support.machine import within_means
from neuromod.support.text import plain_sections

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Tables = dict[str, "pd.DataFrame"]
"""Tables by name; ``"table"`` is the main one, and names of columns end in their unit."""
Recordings = Mapping[str, Recording]
"""Recordings by the name of their experiment."""
Simulate = Callable[[Experiment], Recording]
"""Runs an experiment on the device that the user has chosen."""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    title : str
    text : str
        Plain sentences; blank lines separate paragraphs.
    table : str
        Name of the table to show under it, if any.

    Examples
    --------
    >>> from neuromod import Section
    >>> section = Section("Rates", "They rise with the gain.", table="table")
    """

    title: str
    text: str
    table: str = ""


@dataclass(frozen=True, eq=False)
class Results:
    """Results of a study.

    Attributes
    ----------
    tables : dict of str to DataFrame
        ``"table"`` is the main one; names of columns end in their unit.
    recordings : mapping of str to Recording
        One for each experiment, if there are any.
    """

    tables: Tables
    recordings: Recordings = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A zero has no sign in the tables that people read.
        plain = {name: _without_signed_zeros(table) for name, table in self.tables.items()}
        object.__setattr__(self, "tables", plain)


def _without_signed_zeros(table: pd.DataFrame) -> pd.DataFrame:
    floats = [name for name in table if table[name].dtype.kind == "f"]
    return table.assign(**{name: table[name] + 0.0 for name in floats})


@dataclass(frozen=True, eq=False)
class Study(Parameters):
    """Base of all protocols and trainings; the fields of a subclass are its settings.

    The first line of a subclass's docstring is its title. `plot` and `report` must work from
    their arguments and the settings alone, because a stored run is rendered again from those.
    """

    shown: ClassVar[tuple[str, ...]] = ("table",)
    """Tables that the command line prints after a run, of those that there are."""

    text_columns: ClassVar[tuple[str, ...]] = ()
    """Columns of names, which a stored run keeps as text where they look like numbers."""

    by_row: ClassVar[tuple[str, ...]] = ()
    """Settings of which every value has a row of its own in the only table, whatever the others
    are, so that a sweep may give thousands of them at once."""

    shares_work: ClassVar[bool] = False
    """Whether processes that torchrun has started may share the work; the first writes the run."""

    seed: int = not_negative(1, "seed of everything random", "chosen here", high=LARGEST)

    def perform(self, simulate: Simulate) -> Results:
        """Do the work; `simulate` gives the recording of an experiment."""
        raise NotImplementedError

    def plot(self, tables: Tables, recordings: Recordings) -> Figure:
        """The study's figure: by default the main table's columns against its first, or traces."""
        # Imported here because Matplotlib takes its time.
        from neuromod.support.figures import plain_figure

        return plain_figure(tables, recordings)

    def report(self, tables: Tables) -> list[Section]:
        """What the tables say, in words; by default their sizes and ranges."""
        return [Section(*section) for section in plain_sections(tables)]

    def save_extras(self, folder: Path) -> None:
        """Write files beyond the common ones into the run's folder; none by default."""


@dataclass(frozen=True, eq=False)
class Protocol(Study):
    """Base of all studies that simulate: experiments, and what is measured in their recordings.

    Examples
    --------
    >>> from neuromod import Experiment, Protocol
    >>> from neuromod.protocols import GainCurve
    >>> issubclass(GainCurve, Protocol)
    True
    >>> [type(made) is Experiment for made in GainCurve().experiments().values()]
    [True]
    """

    small: ClassVar[Mapping[str, Any]] = {}
    """Settings at which its experiments take seconds, so that a device can be tried with them; a
    protocol that gives none is left out of that."""

    def experiments(self) -> dict[str, Experiment]:
        """Experiments by name, every grid point a neuron of one network."""
        raise NotImplementedError

    def measure(self, recordings: Recordings) -> Tables:
        """Tables from recordings; names of columns end in their unit.

        Parameters
        ----------
        recordings : mapping of str to Recording
            One for each experiment.

        Returns
        -------
        dict of str to DataFrame
            ``"table"`` is the main one.
        """
        raise NotImplementedError

    @within_means()
    def perform(self, simulate: Simulate) -> Results:
        """Simulate every experiment and measure the recordings."""
        with stage("preparing"):
            experiments = self.experiments()
        recordings = {}
        with one_run(experiments.values()):
            for name, experiment in experiments.items():
                with stage(f"simulating {name}"):
                    recordings[name] = simulate(experiment)
        with stage("measuring"):
            return Results(self.measure(recordings), recordings)


@dataclass(frozen=True, eq=False)
class Training(Study):
    """Base of all studies that work with torch alone.

    Examples
    --------
    >>> import pandas as pd
    >>> from neuromod import Training
    >>> class Nothing(Training):
    ...     def train(self):
    ...         return {"table": pd.DataFrame({"epoch": [0], "accuracy": [0.2]})}
    >>> Nothing().train()["table"].accuracy.tolist()
    [0.2]
    """

    def train(self) -> Tables:
        """Tables of what was trained, as `Protocol.measure` gives those of recordings."""
        raise NotImplementedError

    @within_means()
    def perform(self, simulate: Simulate) -> Results:
        """Train; nothing is simulated."""
        del simulate
        with stage("training"):
            return Results(self.train())
