"""What works on this machine, found by trying it, and how to get what does not."""

from __future__ import annotations

import os
import platform
import shutil
import time
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

import numpy as np
from brian2 import ms, nA, second

from neuromod.devices.builds import GET_COMPILER
from neuromod.devices.finding import Finding
from neuromod.devices.genn.installation import said, steps
from neuromod.devices.simulation import DEVICES, simulate
from neuromod.devices.spice import ngspice
from neuromod.experiment import Connection, Experiment, Population
from neuromod.models.gain_lif import GainLIF

PACKAGES = ("brian2-neuromod", "brian2", "numpy", "cython", "setuptools", "neo", "elephant")
NEURON = GainLIF(receptors=())
DRIVE = 0.783 * nA
# Long enough to be compiled on every device.
DURATION = 2.0213 * second
GET_TORCH = "pip install 'brian2-neuromod[train]'"


def examine() -> dict[str, list[Finding]]:
    """Check versions, compilers, GeNN, devices, SPICE and what training needs, by heading."""
    return {
        "Versions": [Finding("python", True, platform.python_version()), *map(_package, PACKAGES)],
        "Compilers": [_program("g++", "CXX"), _program("make")],
        "GeNN (optional)": list(steps(gpu=True)),
        "Devices": [*map(try_device, DEVICES)],
        "SPICE (optional)": [_ngspice()],
        "Training": [_imports("torch"), _imports("torchvision")],
    }


def try_device(device: str) -> Finding:
    """Build and run two neurons on a device and check the first one's firing rate."""
    lacking = _lacking(device)
    if lacking:
        return Finding(device, False, f"{lacking.name}: {lacking.found}", lacking.get)
    started = time.perf_counter()
    try:
        counts = simulate(two_neurons(), device).spikes["pair"].counts()
    # Compilers fail in many ways.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        return Finding(device, False, reason, GET_COMPILER)
    expected = np.floor(expected_spikes())
    if counts[0] != expected or not counts[1]:
        return Finding(device, False, f"{counts[0]} spikes where theory says {expected:.0f}")
    seconds = time.perf_counter() - started
    return Finding(device, True, f"two neurons built and run in {seconds:.1f} s")


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
    if not device.startswith("genn"):
        return None
    return next((step for step in steps(gpu=device == "genn") if not step.works), None)


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install {name}")


def _program(name: str, variable: str = "") -> Finding:
    path = shutil.which(os.environ.get(variable, name))
    if path is None:
        return Finding(name, False, "not found", GET_COMPILER)
    return Finding(name, True, f"{path}: {said(path, '--version').partition(chr(10))[0]}")


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
