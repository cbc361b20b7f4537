"""Current-clamp recordings in Axon Binary Files."""

from __future__ import annotations

from pathlib import Path

from neuromod.electrophysiology.sweeps import Sweep


def read_sweeps(path: Path) -> list[Sweep]:
    """Sweeps of an ABF file, one per episode and electrode.

    Parameters
    ----------
    path : Path
        An ABF file (version 1 or 2).

    Returns
    -------
    list of Sweep
        Their only label is the file's name without its ending, as the format has no place for a
        condition; their cell is empty.

    Raises
    ------
    UserError
        When the file is damaged or holds no sweep.
    """
    raise NotImplementedError
