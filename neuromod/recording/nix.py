"""Recordings in NIX files, which hold every recording, through Neo.

Spikes of a population are one signal, the neuron over time: tens of thousands of neurons are then
written in a moment, and nobody takes the spikes of all for those of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from neo.io import NixIO
from nixio.exceptions import InvalidFile

from neuromod.errors import UserError
from neuromod.recording.blocks import from_block, to_block
from neuromod.recording.recording import UNREADABLE, Recording

# What NIX adds to every array, and to a file, at most.
ARRAY_BYTES = 40_000


def write(recording: Recording, path: Path) -> None:
    """Write a NIX file of that name, whatever it ends in."""
    with _nix(path, "ow") as file:
        file.write_block(to_block(recording, together=True))


def read(path: Path) -> Recording:
    """Recording in a NIX file.

    Raises
    ------
    UserError
        When the file is damaged or somebody else's.
    """
    try:
        with _nix(path, "ro") as file:
            return from_block(file.read_block())
    except (*UNREADABLE, InvalidFile) as error:
        raise UserError(f"{path} is damaged, or no recording of neuromod.") from error


def most_bytes(recording: Recording) -> int:
    """Bytes that a NIX file of a recording takes, at most."""
    arrays = [a for s in recording.spikes.values() for a in (s.neurons, s.times)]
    arrays += [one.values for own in recording.signals.values() for one in own.values()]
    arrays += [values for own in recording.totals.values() for values in own.values()]
    return sum(array.nbytes for array in arrays) + ARRAY_BYTES * (1 + len(arrays))


@contextmanager
def _nix(path: Path, mode: str) -> Iterator[NixIO]:
    """NIX file, opened from inside its folder: HDF5 takes no path with bytes that are no UTF-8."""
    with chdir(path.parent), NixIO(path.name, mode) as file:
        yield file
