"""What is done to neurons: settings, experiments, measures, a figure and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from neuromod.experiment import Experiment
from neuromod.parameters import Parameters, parameter
from neuromod.recording import Recording

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
    """

    title: str
    text: str
    table: str = ""


@dataclass(frozen=True, eq=False)
class Protocol(Parameters):
    """Base of all protocols; the fields of a subclass are its settings.

    The first line of a subclass's docstring is its title. `plot` and `report` must work from
    their arguments and the settings alone, because a stored run is rendered again from those.
    """

    shown: ClassVar[tuple[str, ...]] = ("table",)
    """Tables that the command line prints after a run."""

    simulates: ClassVar[bool] = True
    """Whether it has experiments for Brian2's devices, or works with torch alone."""

    together: ClassVar[bool] = False
    """Whether processes that torchrun has started share the work; the first writes the run."""

    seed: int = parameter(1, "seed of everything random", source="chosen here", low=0)

    def experiments(self) -> dict[str, Experiment]:
        """Experiments by name, every grid point a neuron of one network.

        Returns
        -------
        dict of str to Experiment
        """
        raise NotImplementedError

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
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

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """The protocol's figure.

        Parameters
        ----------
        tables : dict of str to DataFrame
        recordings : mapping of str to Recording

        Returns
        -------
        matplotlib.figure.Figure
        """
        raise NotImplementedError

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What the tables say, in words for someone who has not read the paper.

        Parameters
        ----------
        tables : dict of str to DataFrame

        Returns
        -------
        list of Section
        """
        raise NotImplementedError

    def save_extras(self, folder: Path) -> None:
        """Write files beyond the common ones into the run's folder; none by default.

        Parameters
        ----------
        folder : Path
        """
