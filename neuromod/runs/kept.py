"""What the cache folder holds, by kind: how much, whether it is as it was written, removing it.

Data sets that users unpacked there are theirs: they are neither checked nor removed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from neuromod.support.cache import layers, remove


@dataclass(frozen=True)
class Kind:
    """A kind of what is kept: patterns of its names, and the module that knows one that is whole.

    That module is imported to check: it may need torch or Brian2.
    """

    name: str
    patterns: tuple[str, ...]
    module: str = ""

    def paths(self) -> list[Path]:
        """Return what there is of it, but for what a living process is writing."""
        # The folder of programs may have a stand-in of its own.
        folders = {layers()[0], layers("builds")[0].parent}
        found = {
            path for each in folders for pattern in self.patterns for path in each.glob(pattern)
        }
        return sorted(path for path in found if path.name[0] != "." or _is_abandoned(path))

    def size(self) -> int:
        """Return how many bytes of the disk it takes."""
        files = [file for path in self.paths() for file in (path, *path.rglob("*"))]
        return sum(file.stat().st_blocks * 512 for file in files if file.is_file())

    def damaged(self) -> list[Path]:
        """Return what is not as it was written."""
        if not self.module:
            return []
        is_whole = import_module(f"neuromod.{self.module}").is_whole
        return [path for path in self.paths() if not is_whole(path)]

    def remove(self) -> int:
        """Remove all, and return how many those were."""
        paths = self.paths()
        for path in paths:
            with suppress(FileNotFoundError):
                remove(path)
        return len(paths)


NETWORKS = ("digits-vgg-*.safetensors", "plastic-*.safetensors", "tuned-*.safetensors")

KINDS = (
    Kind("compiled programs", ("builds/[!.]*",), "devices.builds"),
    Kind("features", ("features-*.npy", "projections-*.npy"), "tuning.row_file"),
    Kind("digests of features", ("features-*.rows", "projections-*.rows")),
    Kind("finished trainings", ("tuned-*.json",), "tuning.grid"),
    Kind("trained networks", NETWORKS, "support.tensor_file"),
    Kind("logs", ("*.log",)),
    # Whatever is written whole has its process's number behind its name until then.
    Kind("files of killed processes", (".*.[0-9]*", "builds/.*")),
)


def _is_abandoned(path: Path) -> bool:
    """Whether the process whose number a name ends in has ended."""
    with suppress(PermissionError):
        try:
            os.kill(int(path.name.rpartition(".")[2]), 0)
        except (ValueError, ProcessLookupError):
            return True
    return False
