"""Brian2's C++ standalone device with programs that serve any size and duration.

Sizes and the duration are read from files when a program starts, as values are (see `builds`).
Brian2 writes a size as its decimal digits wherever it stands; here it is a `Size` while text is
written, which stands there by a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from brian2 import prefs
from brian2.codegen.generators.cpp_generator import CPPCodeGenerator
from brian2.core.variables import ArrayVariable, Constant, DynamicArrayVariable
from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

from neuromod.devices.builds import CompiledOnce, call, compiler
from neuromod.devices.vectors import in_blocks, independent

VECTORISED = {
    "code_objects/*_stateupdater_codeobject.cpp": independent,
    "code_objects/*_thresholder_codeobject.cpp": in_blocks,
}
"""Files of code of which the compiler makes vectors, and what lets it."""

SIZES = "static_arrays/sizes"
"""File of the sizes, one a line, in the order of their names."""

RUNS = re.compile(r"\.run\(([^,]+),")
"""Where a program says how long it runs."""

DECLARED = """\
#include <stdint.h>
namespace brian {{
{}}}
"""
# Before the program's arrays, whose sizes need them.
DEFINED = """\
#include <cstdlib>
#include <fstream>
#include "objects.h"
namespace brian {{
static int64_t _next_size() {{
    static std::ifstream file("{}");
    int64_t size;
    if (!(file >> size)) std::exit(EXIT_FAILURE);
    return size;
}}
{}}}
"""


RULE = "%.o : %.cpp makefile\n\t$(CXX) $(CXXFLAGS) $< -o $@"
# Every source begins with the same headers, on which a compiler spends a third of its time.
PRECOMPILED = """\
objects.h.gch : objects.h makefile
\t$(CXX) $(CXXFLAGS) -x c++-header $< -o $@

%.o : %.cpp makefile objects.h.gch
\t$(CXX) $(CXXFLAGS) -include objects.h $< -o $@"""


class Size(int):
    """A whole number that stands in text by its name."""

    name: str

    def __repr__(self) -> str:
        return self.name


class Generator(CPPCodeGenerator):  # type: ignore[misc]
    """Brian2's generator of C++, for which a group of one neuron is like any other."""

    def determine_keywords(self) -> Any:
        """Pointers that the code needs; Brian2's to an array of size 1 are not restricted."""
        ones = {
            (var, "size"): 2
            for var in self.variables.values()
            if isinstance(var, ArrayVariable) and not var.scalar and var.size == 1
        }
        with _replaced(ones):
            return super().determine_keywords()


class Code(CPPStandaloneCodeObject):  # type: ignore[misc]
    """A piece of code that this generator writes."""

    generator_class = Generator


class Standalone(CompiledOnce, CPPStandaloneDevice):  # type: ignore[misc]
    """Brian2's C++ standalone device.

    Attributes
    ----------
    sizes : dict of str to int
        What the program reads, by name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    def code_object_class(self, codeobj_class: Any = None, fallback_pref: Any = None) -> Any:
        """The class of a piece of code."""
        return super().code_object_class(codeobj_class or Code, fallback_pref)

    def resize(self, var: DynamicArrayVariable, new_size: int) -> None:
        """Give an array a size that the program reads."""
        super().resize(var, new_size)
        function, (name, size) = self.main_queue[-1]
        read = self.static_array(f"size_{name}", np.int64(size))
        self.main_queue[-1] = (function, (name, f"{read}[0]"))

    def build(self, **options: Any) -> None:
        """Write the program, compile it where need be, and run it."""
        for function, arguments in self.main_queue:
            if function == "run_network":
                _, lines = arguments
                lines[:] = [RUNS.sub(self._for_a_time, line) for line in lines]
        super().build(**options)

    def _for_a_time(self, found: re.Match[str]) -> str:
        return f".run({self.static_array('duration', np.float64(found[1]))}[0],"

    def write_static_arrays(self, directory: str) -> None:
        """Write the values that the program reads."""
        super().write_static_arrays(directory)
        self.static_array_specs: list[tuple[str, str, int, str]] = [
            (name, kind, self._size(name, size), file)
            for name, kind, size, file in self.static_array_specs
        ]

    def generate_objects_source(self, writer: Any, *arguments: Any) -> None:
        """Write the text of all arrays and connections."""
        with _replaced(self._sizes()):
            super().generate_objects_source(writer, *arguments)

    def generate_codeobj_source(self, writer: Any) -> None:
        """Write the text of every piece of code."""
        with _replaced(self._sizes()):
            super().generate_codeobj_source(writer)

    def compile_source(self, *_: Any) -> None:
        """Compile what `build` has written, or take a kept program."""
        folder, names = Path(self.project_dir), sorted(self.sizes)
        (folder / SIZES).write_text("".join(f"{self.sizes[name]}\n" for name in names))
        declared = "".join(f"extern const int64_t {name};\n" for name in names)
        defined = "".join(f"const int64_t {name} = _next_size();\n" for name in names)
        _prepend(folder / "objects.h", DECLARED.format(declared))
        _prepend(folder / "objects.cpp", DEFINED.format(SIZES, defined))
        for pattern, vectorised in VECTORISED.items():
            for code in folder.glob(pattern):
                code.write_text(vectorised(code.read_text(encoding="utf-8")), encoding="utf-8")
        makefile = folder / "makefile"
        makefile.write_text(makefile.read_text(encoding="utf-8").replace(RULE, PRECOMPILED))
        super().compile_source()

    def identity(self) -> str:
        """What decides on the program besides its text."""
        return compiler()

    def make(self, folder: Path) -> None:
        """Compile."""
        standalone = prefs.devices.cpp_standalone
        # What depends on which header does not matter where everything is compiled once.
        call([standalone.make_cmd_unix, "DEPS=", *standalone.extra_make_args_unix], folder)

    def _sizes(self) -> dict[tuple[Any, str], Any]:
        """Every size, by where Brian2 takes it from: an object and its attribute."""
        sizes: dict[tuple[Any, str], Any] = {}
        for var, name in self.arrays.items():
            if isinstance(var.size, tuple):
                each = (self._size(f"{name}_{axis}", size) for axis, size in enumerate(var.size))
                sizes[var, "size"] = tuple(each)
            # One number for all is one number at any size of the group.
            elif not var.scalar:
                sizes[var, "size"] = self._size(name, var.size)
        for code in self.code_objects.values():
            for var in code.variables.values():
                # Numbers without an owner are the user's.
                if (
                    isinstance(var, Constant)
                    and isinstance(var.value, int)
                    and var.owner is not None
                ):
                    sizes[var, "value"] = self._size(f"{var.owner.name}_{var.name}", var.value)
        for synapses in self.synapses:
            for path in synapses._pathways:
                source = path.source
                sizes[source, "stop"] = self._size(f"{source.name}_stop", source.stop)
        return sizes

    def _size(self, name: str, size: int) -> Size:
        """A size that the program reads."""
        read = Size(size)
        read.name = f"_size_{name}"
        self.sizes[read.name] = int(size)
        return read


@contextmanager
def _replaced(places: Mapping[tuple[Any, str], Any]) -> Iterator[None]:
    """Other values in places, which are objects and attributes, for a while."""
    before = {place: getattr(*place) for place in places}
    try:
        for place, value in places.items():
            setattr(*place, value)
        yield
    finally:
        for place, value in before.items():
            setattr(*place, value)


def _prepend(text: Path, first: str) -> None:
    text.write_text(first + text.read_text(encoding="utf-8"), encoding="utf-8")
