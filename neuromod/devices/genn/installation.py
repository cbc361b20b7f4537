"""Which GeNN is installed and what it lacks, step by step."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from brian2 import prefs
from packaging.version import InvalidVersion, Version

from neuromod.devices.finding import Finding
from neuromod.errors import UserError

BRIAN2_TESTED = ("2.5.4", "2.6.0", "2.7.1", "2.8.0", "2.9.0")
"""Releases of Brian2 on which Brian2GeNN 1.7 was tested here; the first as it stands."""
GENN_TESTED = ("4.8.1", "4.9.0")
USUAL_CUDA = Path("/usr/local/cuda")
CUDA_TOO_NEW = Version("13")

GET_GENN = (
    "git clone --branch 4.9.0 https://github.com/genn-team/genn and export GENN_PATH=.../genn "
    "(pip's genn is something else)"
)
GET_CUDA = "install the CUDA toolkit 11 or 12 and export CUDA_PATH=/usr/local/cuda-12"


def require(gpu: bool) -> None:
    """Refuse GeNN, on a GPU or not, where it cannot work: what is missing and how to get it."""
    for finding in steps(gpu):
        if not finding.works:
            name = "genn" if gpu else "genn-cpu"
            raise UserError(
                f"The device {name} cannot be used here, {finding.name}: {finding.found} "
                f"(next step: {finding.get})."
            )


def steps(gpu: bool) -> Iterator[Finding]:
    """Look at everything that GeNN needs, each step only if those before it work."""
    looks = {
        "brian2genn": _brian2genn,
        "brian2 for GeNN": _brian2,
        "GeNN": _genn,
        "GeNN version": _genn_version,
        "GeNN tree": _genn_tree,
    }
    if gpu:
        looks |= {
            "CUDA": _cuda,
            "CUDA version": _cuda_version,
            "CUDA headers": _cuda_headers,
            "GPU": _gpu,
        }
    for name, look in looks.items():
        found, get = look()
        yield Finding(name, not get, found, get)
        if get:
            return


def genn_path() -> Path:
    """Where GeNN is, once `require` has found it."""
    found = look_for_genn()
    assert found is not None, "a step before this one has found it"
    return found[0]


def look_for_genn() -> tuple[Path, str] | None:
    """Where GeNN is, as Brian2GeNN looks for it, and how it was found."""
    # The preference exists once Brian2GeNN is imported.
    preference = prefs.get("devices.genn.path", None)
    if preference:
        return Path(preference), "preference devices.genn.path"
    if "GENN_PATH" in os.environ:
        return Path(os.environ["GENN_PATH"]), "GENN_PATH"
    program = shutil.which("genn-buildmodel.sh")
    return (Path(program).parent.parent, "PATH") if program else None


def cuda_path() -> Path | None:
    """Where the CUDA toolkit is: ``$CUDA_PATH``, around nvcc on the path, or its usual place."""
    if os.environ.get("CUDA_PATH"):
        return Path(os.environ["CUDA_PATH"])
    program = shutil.which("nvcc")
    around = [Path(program).resolve().parent.parent] if program else []
    # The nvcc on the path may be a script that calls the one elsewhere.
    whole = (p for p in (*around, USUAL_CUDA) if (p / "include" / "cuda_runtime.h").is_file())
    return next(whole, None)


def said(*command: str | Path) -> str:
    """Standard output of a program; empty where it fails or is missing."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return ""
    return ended.stdout if ended.returncode == 0 else ""


# What each step found, and how to get what does not work; nothing where it works.
Look = tuple[str, str]


def _brian2genn() -> Look:
    get = "pip install --no-deps 'brian2genn>=1.7'"
    try:
        found = version("brian2genn")
    except PackageNotFoundError:
        return "not installed", get
    return (f"{found}, too old", get) if Version(found) < Version("1.7") else (found, "")


def _brian2() -> Look:
    found = version("brian2")
    if found in BRIAN2_TESTED:
        return found, ""
    reason = f"{found} was not tested with Brian2GeNN; {', '.join(BRIAN2_TESTED)} were"
    return reason, f"pip install brian2=={BRIAN2_TESTED[-1]}"


def _genn() -> Look:
    found = look_for_genn()
    if found is None:
        return "not found: no GENN_PATH, no genn-buildmodel.sh", GET_GENN
    path, how = found
    if not (path / "bin" / "genn-buildmodel.sh").is_file():
        return f"{how} = {path} holds no bin/genn-buildmodel.sh", GET_GENN
    return f"{path} (from {how})", ""


def _genn_version() -> Look:
    path = genn_path()
    try:
        text = (path / "version.txt").read_text().strip()
        found = Version(text)
    except (OSError, InvalidVersion):
        return f"{path} does not say which it is", GET_GENN
    if found >= Version("5"):
        needed = " or ".join(GENN_TESTED)
        return f"{text}, which Brian2GeNN cannot use: {needed} is needed", GET_GENN
    if found < Version(GENN_TESTED[0]):
        return f"{text}, older than {GENN_TESTED[0]}", GET_GENN
    return text, ""


def _genn_tree() -> Look:
    path = genn_path()
    # GeNN compiles itself there when first used.
    places = [path / folder for folder in ("lib", "src/genn/generator") if (path / folder).exists()]
    closed = [place for place in (path, *places) if not os.access(place, os.W_OK)]
    if closed:
        return f"{closed[0]} is not writable", f"cp -r {path} ~/genn and export GENN_PATH=~/genn"
    return "writable", ""


def _cuda() -> Look:
    path = cuda_path()
    if path is None or not (path / "bin" / "nvcc").is_file():
        return "no CUDA_PATH, no nvcc on the path, none in /usr/local", GET_CUDA
    return str(path), ""


def _cuda_version() -> Look:
    path = cuda_path()
    release = re.search(r"release ([\d.]+)", said(f"{path}/bin/nvcc", "--version"))
    if release is None:
        return f"{path}/bin/nvcc does not say its release", GET_CUDA
    if Version(release[1]) >= CUDA_TOO_NEW:
        reason = (
            f"{release[1]}, for which GeNN 4.9 does not compile: its block-size optimiser calls "
            "cuCtxCreate, which takes one more argument since CUDA 13"
        )
        return reason, f"{GET_CUDA}, beside the present one"
    return release[1], ""


def _cuda_headers() -> Look:
    path = f"{cuda_path()}/include/curand_kernel.h"
    if not Path(path).is_file():
        get = "install cuRAND's headers, such as apt install libcurand-dev-12-4 from NVIDIA"
        return f"there is no {path}", get
    return path, ""


def _gpu() -> Look:
    listed = said("nvidia-smi", "-L").strip()
    if not listed:
        get = "use genn-cpu, or a machine with an NVIDIA GPU and its driver"
        return "nvidia-smi shows none", get
    return listed.partition("\n")[0], ""
