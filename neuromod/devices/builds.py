"""Programs of Brian2's standalone devices, compiled once and kept.

The text of a program decides. Values of parameters, weights and input spikes are read from files
when the program starts, so that a run with other values needs no compiler.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import prefs
from brian2.core.variables import ArrayVariable, DynamicArrayVariable

from neuromod.errors import UserError
from neuromod.support.cache import (
    cache_dir,
    check_room,
    checksum,
    digest,
    discard,
    is_full,
    layers,
    no_room,
    written_whole,
)

log = logging.getLogger(__name__)

GET_COMPILER = "apt install build-essential (macOS: xcode-select --install)"
# About half a megabyte each.
KEPT = 100

CLOSED = re.compile(r"(outfile_\w+)\.close\(\);")
"""Where a program has written results; it does not look whether it could."""
CHECKED = r"\1.close(); if (!\1) std::exit(EXIT_FAILURE);"
NO_SPACE = "No space left on device"

SEAL = "sha256"
"""File of a kept program with the hash over its text and what was compiled from it."""


class CompiledOnce:
    """What lets a standalone device be compiled once for all values.

    Attributes
    ----------
    products : tuple of str
        Files that compiling makes.
    data : tuple of str
        Patterns of the files that a program reads and writes; its text is all the others.
    compiled : bool
        Whether this run had to compile.
    started_at, ended_at : float
        When the program was started and when it ended, by `time.perf_counter`.
    """

    products: tuple[str, ...] = ("main",)
    data: tuple[str, ...] = ("static_arrays/*", "results/*")
    compiled = False
    started_at = ended_at = 0.0

    def fill_with_array(self: Any, var: ArrayVariable, arr: Any) -> None:
        """Read a variable's values from a file; Brian2 writes a single value into the text."""
        values = np.asarray(arr, dtype=var.dtype)
        super().fill_with_array(var, values)  # type: ignore[misc]
        if not values.size:
            return
        function, (name, *rest) = self.main_queue[-1]
        read = rest[0] if function == "set_by_array" else self.static_array(name, values)
        count = f"{name}.size()" if isinstance(var, DynamicArrayVariable) else f"_num_{name}"
        # A group of one neuron has the text of a larger one.
        value = f"{read}[_num_{read} == 1 ? 0 : i]"
        loop = f"for (int i = 0; i < {count}; i++) {name}[i] = {value};"
        self.main_queue[-1] = ("insert_code", loop)

    def compile_source(self: Any, *_: Any) -> None:
        """Compile what `build` has written, or take a kept program."""
        folder = Path(self.project_dir)
        _check_results(folder / "objects.cpp")
        self.compiled = compiled_once(folder, self.products, self.data, self.identity(), self.make)

    def run(self: Any, *arguments: Any, **options: Any) -> None:
        """Run the program."""
        self.started_at = time.perf_counter()
        super().run(*arguments, **options)  # type: ignore[misc]
        self.ended_at = time.perf_counter()


def compiled_once(
    folder: Path,
    products: Sequence[str],
    data: Sequence[str],
    identity: str,
    make: Callable[[Path], None],
) -> bool:
    """Compile what is written in a folder, or take what was kept of the same text.

    Parameters
    ----------
    folder : Path
    products : sequence of str
        Files that compiling makes.
    data : sequence of str
        Patterns of files in it that are no part of the text.
    identity : str
        What decides on the products besides the text.
    make : callable
        Compiles in the folder.

    Returns
    -------
    bool
        Whether anything had to be compiled.
    """
    key, shelves = _key(folder, data, identity), layers("builds")
    if any(_take(shelf / key, folder, products) for shelf in shelves):
        return False
    make(folder)
    _keep(shelves[0] / key, folder, products)
    return True


def call(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a step of a build in a folder, with variables beyond the process's own.

    Its output is kept only if it fails; the error names the first problem and the log.
    """
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            # Compilers leave files behind when they are killed, and speak the user's language.
            env={**os.environ, "TMPDIR": str(folder), "LC_ALL": "C", **(environment or {})},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise UserError(
            f"Building needs {command[0]}, which cannot be started ({error.strerror}): "
            f"{GET_COMPILER} brings what compiles."
        ) from error
    if ended.returncode:
        check_room(folder)
        if NO_SPACE in ended.stderr:
            # What filled the disk is gone by now.
            raise no_room(folder)
        whole = cache_dir() / "failed-build.log"
        with suppress(OSError):
            whole.write_text(f"{ended.stdout}\n{ended.stderr}", encoding="utf-8")
        lines = ended.stderr.splitlines() or ["it gave no reason"]
        first = next((line for line in lines if "error:" in line), lines[0])
        raise UserError(
            f"Building failed in {Path(command[0]).name}: {first.strip()[:200]} (the whole log is "
            f"{whole}; neuromod doctor checks the compilers)."
        )


def compiler() -> str:
    """The compiler's description of itself and of the processor that it compiles for.

    It says what ``-march=native`` means on this machine; it is empty where there is no compiler.
    """
    program = shlex.split(os.environ.get("CXX") or "g++")
    asked = [*program, *flags(), "-E", "-v", "-x", "c++", os.devnull]
    try:
        ended = subprocess.run(asked, capture_output=True, text=True, errors="replace", check=False)
        return ended.stderr
    except OSError:
        return ""


def flags() -> list[str]:
    """Compiler options of Brian2's preferences."""
    chosen = prefs["codegen.cpp.extra_compile_args"]
    return list(prefs["codegen.cpp.extra_compile_args_gcc"] if chosen is None else chosen)


def _check_results(text: Path) -> None:
    """Let a program fail that cannot write all of its results, as on a full disk."""
    written = text.read_text(encoding="utf-8")
    text.write_text(f"#include <cstdlib>\n{CLOSED.sub(CHECKED, written)}", encoding="utf-8")


def _key(folder: Path, data: Sequence[str], identity: str) -> str:
    """Hash of the program's text and of what it is compiled with."""
    text = hashlib.sha256(identity.encode())
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(map(name.match, data)):
            text.update(f"\0{name}\0".encode())
            text.update(path.read_bytes())
    return text.hexdigest()


def _take(kept: Path, folder: Path, products: Sequence[str]) -> bool:
    """Copy a kept program to where it runs, if it is what was compiled from this text."""
    try:
        for name in products:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(kept / Path(name).name, folder / name)
        whole = (kept / SEAL).read_text() == _seal(kept.name, [folder / name for name in products])
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_full(error):
            raise no_room(folder) from error
        # Another process may be removing it.
        whole = False
    if whole:
        # Where it is only read, nobody makes room.
        with suppress(OSError):
            os.utime(kept)
    elif kept.exists():
        log.warning("The kept program %s is damaged or old: it is compiled anew.", kept)
    return whole


def is_whole(kept: Path) -> bool:
    """Whether a kept program is as it was compiled."""
    try:
        files = [path for path in kept.iterdir() if path.name != SEAL]
        return (kept / SEAL).read_text() == _seal(kept.name, files)
    except (OSError, ValueError):
        return False


def _seal(key: str, compiled: Iterable[Path]) -> str:
    """Hash of a program's text, which is its key, and of what was compiled from it."""
    return digest([key, *sorted([path.name, checksum(path)] for path in compiled)])


def _keep(kept: Path, folder: Path, products: Sequence[str]) -> None:
    """Keep a program, whole or not at all, and the `KEPT` programs used last."""
    if not is_whole(kept):
        discard(kept)
    partial = kept.with_name(f".{kept.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(mode=0o700, parents=True)
        for name in products:
            shutil.copy(folder / name, partial)
        with written_whole(partial / SEAL) as seal:
            seal.write_text(_seal(kept.name, [folder / name for name in products]))
        partial.rename(kept)
    except (OSError, UserError):
        # Another process kept the same program first, or the disk is full: this run has its own.
        shutil.rmtree(partial, ignore_errors=True)
    every = sorted(kept.parent.glob("[!.]*"), key=_last_used, reverse=True)
    for old in every[KEPT:]:
        discard(old)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
