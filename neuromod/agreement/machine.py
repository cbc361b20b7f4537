"""The machine and the programs that a device's results belong to."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from neuromod.devices.finding import said
from neuromod.devices.genn.installation import (
    cuda_release,
    genn_version,
    look_for_genn,
    pygenn_version,
)
from neuromod.runs.registry import version_of
from neuromod.support.machine import GB, memory

PACKAGES = ("brian2-neuromod", "brian2", "pygenn", "brian2genn", "numpy", "cython")
ASKED = ("name", "driver_version", "memory.total", "compute_cap")


def machine() -> dict[str, Any]:
    """GPUs and their driver, CUDA, the processor, and versions; empty where there is none."""
    listed = said("nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader")
    cards = [dict(zip(ASKED, row.split(", "), strict=False)) for row in listed.splitlines()]
    versions = {name: version_of(name) for name in PACKAGES}
    return {
        "gpus": cards,
        "cuda": cuda_release(),
        "genn": _genn(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_GB": round(memory() / GB, 1),
        "platform": platform.platform(),
        "compiler": said(os.environ.get("CXX") or "g++", "--version").partition("\n")[0],
        "versions": {"python": platform.python_version()}
        | {name: found for name, found in versions.items() if found},
    }


def _genn() -> str:
    # A folder that is named need not be GeNN's.
    with suppress(OSError):
        return genn_version() if pygenn_version() or look_for_genn() else ""
    return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8", errors="replace") if info.exists() else ""
    named = re.search(r"model name\s*: (.*)", text)
    return named[1] if named else platform.processor()
