"""What the cache folder holds, by kind: how much, whether it is as it was written, removing it.

Data sets that users unpacked there are theirs: they are neither checked nor removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from neuromod.support.cache import layers

# What reads a kind of file is imported where it is used: it may need torch or Brian2.


def _program(path: Path) -> bool:
    from neuromod.devices.builds import is_whole

    return is_whole(path)


def _rows(path: Path) -> bool:
    from neuromod.tuning.row_file import is_whole

    return is_whole(path)


def _training(path: Path) -> bool:
    from neuromod.tuning.grid import is_whole

    return is_whole(path)


def _tensors(path: Path) -> bool:
    from neuromod.support.tensor_file import is_whole

    return is_whole(path)


@dataclass(frozen=True)
class Kind:
    """A kind of what is kept: patterns of its names, and whether one of these is whole."""

    name: str
    patterns: tuple[str, ...]
    is_whole: Callable[[Path], bool] = Path.exists

    def paths(self) -> list[Path]:
        """Return what there is of it."""
        # The folder of programs may have a stand-in of its own.
        folders = {layers()[0], layers("builds")[0].parent}
        found = {
            path for each in folders for pattern in self.patterns for path in each.glob(pattern)
        }
        return sorted(path for path in found if path.name[0] != "." or _is_abandoned(path))

    def size(self) -> int:
        """Return how many bytes of the disk it takes."""
        files = [f for path in self.paths() for f in (path, *path.rglob("*"))]
        return sum(file.stat().st_blocks * 512 for file in files if file.is_file())

    def damaged(self) -> list[Path]:
        """Return what is not as it was written."""
        return [path for path in self.paths() if not self.is_whole(path)]

    def remove(self) -> int:
        """Remove all, and return how many those were.

        Each loses its name first: who reads it meanwhile finds it whole or not at all.
        """
        paths = self.paths()
        for path in paths:
            aside = path.with_name(f".{path.name}.{os.getpid()}")
            with suppress(FileNotFoundError):
                path.rename(aside)
                shutil.rmtree(aside) if aside.is_dir() else aside.unlink()
        return len(paths)


def _is_abandoned(path: Path) -> bool:
    """Whether nobody is writing a file any more: its name ends in a process's number."""
    number = path.name.rpartition(".")[2]
    try:
        os.kill(int(number), 0)
    except (ValueError, ProcessLookupError):
        return True
    except OSError:
        pass
    return False


UNFINISHED = tuple(f".*.{kind}.*" for kind in ("npy", "rows", "json", "safetensors"))

KINDS = (
    Kind("compiled programs", ("builds/[!.]*",), _program),
    Kind("features", ("features-*.npy", "projections-*.npy"), _rows),
    Kind("digests of features", ("features-*.rows", "projections-*.rows")),
    Kind("finished trainings", ("tuned-*.json",), _training),
    Kind(
        "trained networks",
        ("digits-vgg-*.safetensors", "plastic-*.safetensors", "tuned-*.safetensors"),
        _tensors,
    ),
    Kind("logs", ("*.log",)),
    Kind("files of killed processes", (*UNFINISHED, "builds/.*")),
)
