"""Brian2GeNN's device, with what current releases of Brian2 and setuptools no longer provide.

Brian2GeNN 1.7 was written for Brian2 2.5. With later releases its template of the program's arrays
needs a list of timed arrays (here empty), and the folder of results has no name. Since Brian2 2.8
there is no random number generator in C to compile and seed; nothing here uses one. No installed
file is changed.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from packaging.version import parse

from neuromod.devices.builds import CompiledOnce, call, compiler
from neuromod.devices.genn.compiling import copy_constants, gpu_tools, optimising
from neuromod.devices.genn.installation import cuda_path, genn_environment, genn_path
from neuromod.support.claim import TEMPORARY

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    try:
        import pkg_resources  # noqa: F401
    except ModuleNotFoundError:
        # All that Brian2GeNN asks of it; setuptools 82 dropped it.
        stand_in = ModuleType("pkg_resources")
        stand_in.parse_version = parse  # type: ignore[attr-defined]
        sys.modules["pkg_resources"] = stand_in
        import brian2genn.device  # noqa: F401

        del sys.modules["pkg_resources"]
    from brian2genn.codeobject import GeNNUserCodeObject
    from brian2genn.device import GeNNDevice

RANDOMKIT = "brianlib/randomkit/randomkit"
NO_RANDOMKIT = """\
#ifndef NO_RANDOMKIT
#define NO_RANDOMKIT
#define rk_randomseed(state)
#endif
"""

GeNNUserCodeObject.templater.env.globals.setdefault("timed_arrays", {})


def remove_links(folder: Path, place: Path = Path("/tmp")) -> None:
    """Remove the links to a folder that GeNN's script leaves behind when it is interrupted.

    Those of builds that were killed go as well, once their temporary folders are gone.
    """
    for link in place.glob("genn.*"):
        with suppress(OSError):
            target = link.readlink()
            if target == folder or (TEMPORARY in str(target) and not target.exists()):
                link.unlink()


class GeNN(CompiledOnce, GeNNDevice):  # type: ignore[misc]
    """Brian2GeNN's device, on a GPU or on one CPU core."""

    products = ("main", "magicnetwork_model_CODE/librunner.so")
    # These count synapses while GeNN's code is generated; `identity` holds the result.
    data = (*CompiledOnce.data, "code_objects/*_max_row_length*.cpp")

    def network_run(self, *arguments: Any, **options: Any) -> None:
        """Run a network without what Brian2GeNN prints."""
        with redirect_stdout(io.StringIO()):
            super().network_run(*arguments, **options)

    def code_object(self, *arguments: Any, template_kwds: Any = None, **options: Any) -> Any:
        """Write a piece of code; sort what a spike monitor records, which comes as a set."""
        if template_kwds and "record_variables" in template_kwds:
            recorded = sorted(template_kwds["record_variables"].items())
            template_kwds = {**template_kwds, "record_variables": dict(recorded)}
        return super().code_object(*arguments, template_kwds=template_kwds, **options)

    def build(self, directory: str, use_GPU: bool, **options: Any) -> None:
        """Write the program, compile it where need be, and run it."""
        self.use_GPU = use_GPU
        self.results_dir = f"{Path(directory, 'results')}{os.sep}"
        # The order of sets differs between processes, in the text and in sums of currents.
        self.max_row_length_synapses: list[str] = sorted(self.max_row_length_synapses)
        self.net_objects: list[Any] = sorted(self.net_objects, key=lambda part: str(part.name))
        super().build(directory=directory, use_GPU=use_GPU, **options)

    def identity(self) -> str:
        """What decides on the program besides its text."""
        path = genn_path()
        machine = [compiler(), str(path), (path / "version.txt").read_text()]
        if self.use_GPU:
            machine += gpu_tools()
        return "\0".join([*machine, *self._most_synapses()])

    def make(self, folder: Path) -> None:
        """Generate GeNN's code, then compile it."""
        generate = [str(genn_path() / "bin" / "genn-buildmodel.sh")]
        if not self.use_GPU:
            generate.append("-c")
        include = f"{folder}:{folder / 'brianlib' / 'randomkit'}"
        try:
            call(
                [*generate, "-i", include, "magicnetwork_model.cpp"],
                folder,
                genn_environment() if self.use_GPU else {},
            )
        finally:
            remove_links(folder)
        if not self.use_GPU:
            copy_constants(folder / "magicnetwork_model_CODE" / "neuronUpdate.cc")
        cuda = {"CUDA_PATH": str(cuda_path())} if self.use_GPU else {}
        call(["make"], folder, {"CXX": optimising(), **cuda})

    def generate_makefile(self, directory: str, use_GPU: bool) -> None:
        """Write the makefile, its files in the same order in every process."""
        self.source_files: list[str] = sorted(self.source_files)
        super().generate_makefile(directory, use_GPU)

    def copy_source_files(self, writer: Any, directory: str) -> None:
        """Copy what all programs share."""
        super().copy_source_files(writer, directory)
        source = Path(directory, f"{RANDOMKIT}.c")
        if not source.exists():
            source.parent.mkdir(exist_ok=True)
            source.write_text(NO_RANDOMKIT)
            self.header_files.add(f"{RANDOMKIT}.cc")

    def _most_synapses(self) -> list[str]:
        """Most synapses of any source and target: GeNN's tables are compiled to hold these."""
        ends = sorted(n for n in self.static_arrays if n.endswith(("_sources", "_targets")))
        return [f"{name} {np.bincount(self.static_arrays[name]).max()}" for name in ends]
