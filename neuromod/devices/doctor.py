"""What works on this machine, found by trying it, and how to get what does not."""

from __future__ import annotations

import platform
import sysconfig
import time
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from brian2 import ms, nA, second

from neuromod.devices.builds import GET_COMPILER
from neuromod.devices.finding import Finding, Look, Step, look_at, program
from neuromod.devices.genn import installation
from neuromod.devices.simulation import DEVICES, simulate
from neuromod.devices.spice import ngspice
from neuromod.devices.target import computed_by
from neuromod.errors import unknown
from neuromod.experiment import Connection, Experiment, Population
from neuromod.models.gain_lif import GainLIF

PACKAGES = ("brian2-neuromod", "brian2", "numpy", "cython", "setuptools", "neo", "elephant")
NEURON = GainLIF(receptors=())
DRIVE = 0.783 * nA
DURATION = 2.0213 * second
GET_HEADERS = "apt install python3-dev, or the package of this Python's headers"
GET_TORCH = "pip install 'brian2-neuromod[train]'"


def examine() -> dict[str, list[Finding]]:
    """Check versions, compilers, GeNN, devices, SPICE and what training needs, by heading."""
    python = Finding("python", True, platform.python_version())
    return {
        "Versions": [python, *map(_package, PACKAGES)],
        "Compilers": look_at(_compiling()),
        **_genn(gpu=True),
        "Devices": [*map(try_device, DEVICES)],
        "SPICE (optional)": [_ngspice()],
        "Training": [_imports("torch"), _imports("torchvision")],
    }


def examine_device(device: str) -> dict[str, list[Finding]]:
    """Check every step of the way to one device, or of both ways to GeNN, and try it.

    Raises
    ------
    UserError
        When there is no such device.
    """
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    if not device.startswith("genn"):
        found = {"Compilers": look_at(_compiling())}
    else:
        found = _genn(gpu=device == "genn")
    return {**found, "Devices": [try_device(device)]}


def try_device(device: str) -> Finding:
    """Build and run two neurons on a device and check the first one's firing rate."""
    lacking = _lacking(device)
    if lacking:
        return Finding(device, False, f"{lacking.name}: {lacking.found}", lacking.get)
    started = time.perf_counter()
    try:
        with computed_by("cython"):
            counts = simulate(two_neurons(), device).spikes["pair"].counts()
    # Compilers fail in many ways.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return Finding(device, False, reason, GET_COMPILER)
    expected = np.floor(expected_spikes())
    if counts[0] != expected or not counts[1]:
        return Finding(device, False, f"{counts[0]} spikes where theory says {expected:.0f}")
    seconds = time.perf_counter() - started
    way = f" through {installation.taken()}" if device.startswith("genn") else ""
    return Finding(device, True, f"two neurons built and run{way} in {seconds:.1f} s")


def two_neurons() -> Experiment:
    """One neuron driven by a constant current, and a second one that it drives."""
    pair = Population("pair", NEURON, 2, {"I_ext": np.array([1, 0]) * DRIVE})
    synapse = Connection("pair", "pair", "I_syn", i=np.array([0]), j=np.array([1]), weight=8.3 * nA)
    return Experiment(
        populations=(pair,), connections=(synapse,), duration=DURATION, dt=0.1 * ms, seed=1
    )


def expected_spikes() -> float:
    """Spikes of the driven neuron by the closed form of its rate, before rounding down."""
    return float((NEURON.rate(DRIVE) * DURATION)[0])


def _lacking(device: str) -> Finding | None:
    """The first thing that a GeNN device lacks; other devices need only a compiler."""
    return installation.first_lacking(device == "genn") if device.startswith("genn") else None


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install {name}")


def _genn(gpu: bool) -> dict[str, list[Finding]]:
    """Every step of both ways to GeNN."""
    order = {
        installation.PYGENN: "optional; taken where it is installed",
        installation.BRIAN2GENN: "optional; taken otherwise",
    }
    ways = installation.ways(gpu)
    return {f"GeNN through {way} ({order[way]})": look_at(steps) for way, steps in ways.items()}


def _compiling() -> list[Step]:
    return [
        Step("g++", partial(program, "g++", "CXX")),
        Step("make", partial(program, "make")),
        Step("Python headers", _python_headers),
    ]


def _python_headers() -> Look:
    path = Path(sysconfig.get_paths()["include"], "Python.h")
    return (str(path), "") if path.is_file() else (f"no {path}", GET_HEADERS)


def _ngspice() -> Finding:
    found = ngspice.version()
    if not found:
        return Finding("ngspice", False, "not found", ngspice.GET_NGSPICE)
    return Finding("ngspice", True, found)


def _imports(name: str) -> Finding:
    # A torchvision built for another torch fails at import.
    try:
        module = import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        return Finding(name, False, str(error).partition("\n")[0], GET_TORCH)
    return Finding(name, True, str(module.__version__))
