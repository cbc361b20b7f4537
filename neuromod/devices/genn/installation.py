"""Which ways to GeNN are open on this machine, and what each lacks, step by step.

PyGeNN 5 is taken where it is installed, otherwise Brian2GeNN with GeNN 4.9.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from brian2 import prefs
from packaging.version import InvalidVersion, Version

from neuromod.devices.finding import Finding, Look, Step, look_at, program, said
from neuromod.errors import UserError

PYGENN, BRIAN2GENN = "PyGeNN", "Brian2GeNN"

PYGENN_TESTED, PYGENN_TOO_NEW = Version("5.4.0"), Version("6")
BRIAN2_TESTED = ("2.5.4", "2.6.0", "2.7.1", "2.8.0", "2.9.0")
"""Releases of Brian2 on which Brian2GeNN 1.7 was tested here; the first as it stands.

On 2.11, once it compiles there, spikes come out wrong.
"""
GENN_TESTED = ("4.8.1", "4.9.0")
USUAL_CUDA = Path("/usr/local/cuda")
CUDA_13, CUDA_TOO_NEW = Version("13"), Version("14")
SHIM = Path(__file__).with_name("cuda13.h")
"""What GeNN 4.9 needs to compile against CUDA 13."""

ARCHIVE = f"https://github.com/genn-team/genn/archive/refs/tags/{PYGENN_TESTED}.tar.gz"
GET_PYGENN = f"apt install libffi-dev pkg-config build-essential; pip install {ARCHIVE}"
PYGENN_AGAIN = f"pip install --force-reinstall --no-deps --no-cache-dir {ARCHIVE}"
GET_GENN = (
    "git clone --branch 4.9.0 https://github.com/genn-team/genn and export GENN_PATH=$PWD/genn "
    "(pip's genn is something else)"
)
GET_CUDA = "install the CUDA toolkit 11, 12 or 13 and export CUDA_PATH=/usr/local/cuda"
# What make and the shell read otherwise than as part of a name.
UNFIT = re.compile(r"[^\w./+@%,=~-]")


def require(gpu: bool) -> None:
    """Refuse GeNN, on a GPU or not, where it cannot work: what is missing and how to get it."""
    name = "genn" if gpu else "genn-cpu"
    lacking = first_lacking(gpu)
    if lacking:
        raise UserError(
            f"The device {name} cannot be used here, {lacking.name}: {lacking.found} (next step: "
            f"{lacking.get}; neuromod doctor --device {name} shows every step)."
        )


def first_lacking(gpu: bool) -> Finding | None:
    """The first thing that the way taken lacks."""
    findings = look_at(ways(gpu)[taken()])
    return next((finding for finding in findings if not finding.works), None)


def taken() -> str:
    """The way to GeNN that runs take, or would take: ``"PyGeNN"`` or ``"Brian2GeNN"``."""
    return BRIAN2GENN if _installed("brian2genn") and not pygenn_version() else PYGENN


def ways(gpu: bool) -> dict[str, list[Step]]:
    """Everything that each way to GeNN needs."""
    tools = [Step("g++", partial(program, "g++", "CXX")), Step("make", partial(program, "make"))]
    folder = Step("temporary folder", _temporary_folder)
    cuda = [Step("CUDA", _cuda), Step("CUDA version", _cuda_version, after="CUDA")]
    headers = Step("CUDA headers", _cuda_headers, after="CUDA")
    card = Step("GPU", _gpu)
    pygenn = [Step("pygenn", _pygenn), Step("pygenn's library", _pygenn_library, after="pygenn")]
    back_end = Step("pygenn's CUDA back end", _pygenn_cuda, after="pygenn's library")
    brian2genn = [
        Step("brian2genn", _brian2genn),
        Step("brian2 for Brian2GeNN", _brian2),
        Step("GeNN", _genn),
        Step("GeNN version", _genn_version, after="GeNN"),
        Step("GeNN tree", _genn_tree, after="GeNN"),
    ]
    return {
        PYGENN: [*pygenn, *tools, *([cuda[0], back_end, headers, card] if gpu else [])],
        BRIAN2GENN: [*brian2genn, *tools, folder, *([*cuda, headers, card] if gpu else [])],
    }


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


def pygenn_version() -> str:
    """The release of PyGeNN that is installed, 5 or later; empty where there is none."""
    found = _installed("pygenn")
    return found if found and Version(found) >= Version("5") else ""


def genn_version() -> str:
    """The release of GeNN that computes: PyGeNN's, or the one that Brian2GeNN finds."""
    return pygenn_version() or (genn_path() / "version.txt").read_text().strip()


def _installed(package: str) -> str:
    """The release of a package that is installed, empty where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _unfit(path: Path) -> str:
    """The first character of a path that makefiles cannot take, in words; empty if all are fit."""
    found = UNFIT.search(str(path))
    if found is None:
        return ""
    return "a space" if found[0] == " " else repr(found[0])


def _temporary_folder() -> Look:
    path = Path(tempfile.gettempdir())
    if unfit := _unfit(path):
        return f"{path} has {unfit} in it, at which make fails", "export TMPDIR=/tmp"
    return str(path), ""


def _pygenn() -> Look:
    found = _installed("pygenn")
    if not found:
        return "not installed", GET_PYGENN
    if not PYGENN_TESTED <= Version(found) < PYGENN_TOO_NEW:
        return f"{found}; {PYGENN_TESTED} was tested", GET_PYGENN
    return found, ""


def _pygenn_library() -> Look:
    # One built for another NumPy or compiler fails at import.
    try:
        module = import_module("pygenn")
    except (ImportError, OSError) as error:
        return f"cannot be imported: {str(error).partition(chr(10))[0]}", PYGENN_AGAIN
    return str(Path(module.__file__ or "").parent), ""


def _pygenn_cuda() -> Look:
    if "cuda" not in import_module("pygenn.genn_model").backend_modules:
        return "pygenn was built without it", f"CUDA_PATH=/usr/local/cuda {PYGENN_AGAIN}"
    return "built", ""


def _brian2genn() -> Look:
    get = "pip install --no-deps 'brian2genn>=1.7'"
    found = _installed("brian2genn")
    if not found:
        return "not installed", get
    return (f"{found}, too old", get) if Version(found) < Version("1.7") else (found, "")


def _brian2() -> Look:
    found = version("brian2")
    if found in BRIAN2_TESTED:
        return found, ""
    reason = f"{found} was not tested with Brian2GeNN; {', '.join(BRIAN2_TESTED)} were"
    # That Brian2 does not import with NumPy 2.4, and Python 3.14 has none.
    get = f"pip install brian2=={BRIAN2_TESTED[-1]} 'numpy<2.4'"
    return reason, get if sys.version_info < (3, 14) else GET_PYGENN


def _genn() -> Look:
    found = look_for_genn()
    if found is None:
        return "not found: no GENN_PATH, no genn-buildmodel.sh", GET_GENN
    path, how = found
    if not (path / "bin" / "genn-buildmodel.sh").is_file():
        return f"{how} = {path} holds no bin/genn-buildmodel.sh", GET_GENN
    if unfit := _unfit(path):
        get = f"mv {shlex.quote(str(path))} /opt/genn and export GENN_PATH=/opt/genn"
        return f"{path} has {unfit} in it, at which make fails", get
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
    if unfit := _unfit(path):
        get = f"ln -s {shlex.quote(str(path))} /opt/cuda and export CUDA_PATH=/opt/cuda"
        return f"{path} has {unfit} in it, at which make fails", get
    return str(path), ""


def cuda_release() -> str:
    """The release of CUDA that nvcc says; empty where it says none."""
    told = re.search(r"release ([\d.]+)", said(f"{cuda_path()}/bin/nvcc", "--version"))
    return told[1] if told else ""


def genn_environment() -> dict[str, str]:
    """Variables with which GeNN 4.9 compiles itself for GPUs."""
    found = {"CUDA_PATH": str(cuda_path())}
    if Version(cuda_release()) >= CUDA_13:
        found["CXXFLAGS"] = f"{os.environ.get('CXXFLAGS', '')} -include {SHIM}".strip()
    return found


def _cuda_version() -> Look:
    release = cuda_release()
    if not release:
        return f"{cuda_path()}/bin/nvcc does not say its release", GET_CUDA
    if Version(release) >= CUDA_TOO_NEW:
        return f"{release}, with which GeNN 4.9 was never compiled", f"{GET_CUDA} of that one"
    if Version(release) < CUDA_13:
        return release, ""
    if unfit := _unfit(SHIM):
        get = "install neuromod in a virtual environment at another path"
        return f"{SHIM}, which CUDA {release} needs, has {unfit} in its path", get
    return f"{release}; GeNN 4.9 compiles there with {SHIM.name}, and was never run", ""


def _cuda_headers() -> Look:
    path = f"{cuda_path()}/include/curand_kernel.h"
    if not Path(path).is_file():
        package = f"libcurand-dev-{cuda_release().replace('.', '-')}"
        get = f"install cuRAND's headers, such as apt install {package} from NVIDIA's repository"
        return f"there is no {path}", get
    return path, ""


def _gpu() -> Look:
    listed = said("nvidia-smi", "-L").strip()
    if not listed:
        get = "use genn-cpu, or a machine with an NVIDIA GPU and its driver"
        return "nvidia-smi shows none", get
    return listed.partition("\n")[0], ""
