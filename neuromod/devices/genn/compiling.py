"""How the code that GeNN generates is compiled, whichever release has generated it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from neuromod.devices.builds import flags
from neuromod.devices.finding import said
from neuromod.devices.genn.installation import cuda_path

# How the code of a group begins on a CPU, and what takes its place.
BEHIND_POINTER = re.compile(r"const auto \*group = &(merged\w+)\[g\];")
OWN_COPY = r"const auto own = \1[g]; const auto *group = &own;"


def copy_constants(update: Path) -> None:
    """Let the code of a time step on a CPU have constants of its own.

    Behind a pointer any write might change them, so that every exponential of a time constant is
    computed for each cell in each step. That took 6 times as long.
    """
    update.write_text(BEHIND_POINTER.sub(OWN_COPY, update.read_text()))


def optimising() -> str:
    """The compiler with options: GeNN's own makefile does not optimise, 5 times slower."""
    return " ".join([os.environ.get("CXX") or "g++", *flags()])


def gpu_tools() -> list[str]:
    """What decides on a program for a GPU besides its text: the compiler's release and the GPUs."""
    return [said(f"{cuda_path()}/bin/nvcc", "--version"), said("nvidia-smi", "-L")]
