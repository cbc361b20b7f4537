"""Current-clamp recordings in NWB files."""

from __future__ import annotations

from pathlib import Path

from neuromod.electrophysiology.sweeps import Sweep


def read_sweeps(path: Path) -> list[Sweep]:
    """Sweeps of an NWB file.

    Parameters
    ----------
    path : Path
        A file with CurrentClampSeries and the CurrentClampStimulusSeries that drove them.

    Returns
    -------
    list of Sweep
        Their labels are a column condition of the intracellular tables, the response's
        description and its stimulus_description. Those that cannot be used say why.

    Raises
    ------
    UserError
        When the file is damaged or holds no sweep.
    """
    raise NotImplementedError
