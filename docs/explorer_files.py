"""What the explorer's page loads: its scripts and style, and data written from the package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from brian2 import Hz, Quantity, Unit, farad, ms, mV, nA, ohm, second, umolar, volt

from neuromod import __version__
from neuromod.chip.conversion import TIME_SCALE
from neuromod.models import CircuitNeuron, GainLIF, Receptor, circuits, library
from neuromod.parameters import About, Parameters, parameters
from neuromod.protocols import BioVsCircuit, DoseResponse, GainCurve
from neuromod.protocols.bio_vs_circuit.page import SHOWN
from neuromod.runs.report import describe
from neuromod.support.text import handy, say, symbol

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SOURCES = Path(__file__).parent / "explorer"
BINDING = ("k_on", "k_off", "n", "K", "gain_max")
MEMBRANE = ("v_rest", "v_th", "v_reset", "tau_m", "R", "t_ref")
MIRROR = ("law", "beta", "vto", "R_S", "slope_factor", "vdd_low", "vdd_reference", "vdd_high")
CORE = ("C", "R_leak", "v_rest", "v_th", "t_pulse", "t_spike", "comparator", "leak")
PERCENT = 0.01
COMPARED = ("codes", "input_rate", "duration", "dt", "window")
NUMBERS = {
    "dose": {
        "receptor_gain": ("gain", 1),
        "occupancy": ("occupancy", 1),
        "activation": ("activation", 1),
        "ec50": ("EC50", umolar),
        "hill_slope": ("Hill slope at EC50", 1),
        "K_D": ("K_D = k_off/k_on", umolar),
    },
    "rate": {
        "gain": ("gain, receptor × trained", 1),
        "rate": ("rate", Hz),
        "control_rate": ("rate at gain 1", Hz),
        "rheobase": ("rheobase", nA),
    },
    "mirror": {
        "vdd": ("VDD", volt),
        "chip_gain": ("gain", 1),
        "unit_current": ("unit current", nA),
        "other_current": ("by the other law", nA),
        "sensitivity": ("rise per mV of VDD", PERCENT / mV),
        "step": ("membrane step of one bit", mV),
    },
    "membranes": {
        "cell_spikes": ("spikes of the cell", 1),
        "chip_spikes": ("spikes of the chip", 1),
        "coincidence_factor": ("coincidence factor", 1),
        "rmse": ("RMSE below threshold", 1),
        "v_cell": ("cell at that time", mV),
        "v_chip": ("chip at that time", mV),
    },
    "": {"trained_gain": ("trained gain", 1)},
}
"""What the page tells beside each drawing, and in which unit."""


@dataclass(frozen=True)
class Slider:
    """A number that the reader moves.

    Attributes
    ----------
    name, label : str
        Of the parameter, and in words.
    about : About
        Its meaning and source in the package.
    low, high, start : float
        Range and start on the page, in `unit`.
    unit : number or Unit
    typed : str
        What follows the number in Python.
    log, zero : bool
        Whether it moves in decades, and whether it has a 0 below them.
    step : float
        Of one that does not move in decades.
    """

    name: str
    label: str
    about: About
    low: float
    high: float
    start: float
    unit: Any = 1
    typed: str = ""
    log: bool = False
    zero: bool = False
    step: float = 0.01

    def data(self) -> dict[str, Any]:
        """What the page needs of it."""
        unit = {"unit": written(self.unit), "si": float(self.unit)}
        told = {"meaning": self.about.meaning, "source": self.about.source}
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        del own["about"]
        return own | unit | told


def sliders() -> list[Slider]:
    """All sliders: ranges are those of protocols and of the circuit, or else chosen here."""
    receptor, found = Receptor(), abouts(Receptor)
    dose, curve, circuit = DoseResponse(), GainCurve(), CircuitNeuron()
    conc, current = (np.asarray(dose.conc / umolar), np.asarray(curve.I / nA))
    vdd, gain = circuit.inputs["vdd"].about, GainLIF().inputs["trained_gain"]
    low, high, one = (
        float(getattr(circuit, f"vdd_{name}") / volt) for name in ("low", "high", "reference")
    )
    return [
        Slider(
            *("conc", "concentration", abouts(DoseResponse)["conc"]),
            *(float(conc[conc > 0].min()), float(conc.max()), 0.5, umolar, "* umolar"),
            log=True,
            zero=True,
        ),
        Slider("gain_max", "gain_max", found["gain_max"], 0, 5, receptor.gain_max),
        Slider(
            *("k_off", "k_off", found["k_off"], 0.01, 100, float(receptor.k_off * second)),
            *(1 / second, "/ second"),
            log=True,
        ),
        Slider("n", "n (Hill)", found["n"], 0.5, 6, receptor.n),
        Slider("K", "K (half)", found["K"], 0.05, 2, receptor.K),
        Slider("trained_gain", "trained gain", gain.about, 0, 3, float(gain.default)),
        Slider(
            *("I", "current", abouts(GainCurve)["I"]),
            *(float(current.min()), float(current.max()), 0.6, nA, "* nA"),
            step=0.005,
        ),
        Slider("vdd", "VDD", vdd, low, high, one, volt, "* volt", step=0.002),
        Slider(
            *("time", "time", About("where the membranes are read, biological time", "")),
            *(0, float(SHOWN / ms), 3.35, ms, "* ms"),
            step=0.05,
        ),
    ]


def abouts(kind: type[Parameters]) -> dict[str, About]:
    """What the package tells of each parameter of a class."""
    return {name: about for name, _, about in parameters(kind)}


def written(unit: Any) -> str:
    """Symbol of a unit; empty for a number without one."""
    if isinstance(unit, Unit):
        return symbol(unit)
    return "%/mV" if isinstance(unit, Quantity) else ""


def base(value: Any) -> Any:
    """A value as the page computes with it: numbers in base units."""
    return value if isinstance(value, str) else float(value)


def told(settings: Parameters, names: Iterable[str]) -> list[dict[str, Any]]:
    """Value, meaning and source of some parameters in words."""
    rows = {row["name"]: row for row in describe(settings)}
    return [
        {key: rows[name][key] for key in ("name", "value", "meaning", "source")}
        | {"calibrated": "calibrated here" in rows[name]["source"]}
        for name in names
    ]


def receptor_data(receptor: Receptor) -> dict[str, Any]:
    """A receptor's constants, the sliders' values, and sources."""
    return {
        "ligand": receptor.ligand,
        "k_on": float(receptor.k_on),
        "sliders": {
            "gain_max": receptor.gain_max,
            "k_off": float(receptor.k_off * second),
            "n": receptor.n,
            "K": receptor.K,
        },
        "told": told(receptor, BINDING),
    }


def circuit_data(circuit: CircuitNeuron) -> dict[str, Any]:
    """A circuit's constants and sources."""
    drawn = circuit.synapse, circuit.output, circuit.leak, circuit.comparator, circuit.C_gate
    if drawn != ("mirror", "ideal", "linear", "clocked", 0 * farad) or circuit.skewed:
        raise ValueError(f"The explorer has no closed form for a circuit with {drawn}.")
    mirror = circuit.mirror()
    return {
        "law": mirror.law,
        "beta": float(mirror.beta),
        "vto": float(mirror.vto),
        "R_S": float(mirror.R_S),
        "v_ekv": mirror.v_ekv,
        "C": float(circuit.C / farad),
        "R_leak": float(circuit.leak_resistance / ohm),
        "vdd": [float(getattr(circuit, f"vdd_{end}") / volt) for end in ("low", "high")],
        **{
            name: base(getattr(circuit, name))
            for name in ("v_rest", "v_th", "t_pulse", "t_spike", "vdd_reference")
        },
        "told": told(circuit, (*MIRROR, *CORE)),
    }


def cell_data(cell: GainLIF) -> dict[str, Any]:
    """A cell's constants and sources."""
    return {name: base(getattr(cell, name)) for name in MEMBRANE} | {"told": told(cell, MEMBRANE)}


def data() -> dict[str, Any]:
    """All that the page knows."""
    comparison = BioVsCircuit()
    inputs = comparison.random_inputs(comparison.duration)
    for circuit in circuits.values():
        # One set of inputs serves all circuits.
        own = BioVsCircuit(circuit=circuit, gain=1).random_inputs(comparison.duration)
        if not np.array_equal(own.times, inputs.times):
            raise ValueError("Circuits get different inputs, and the explorer has one set.")
    return {
        "version": __version__,
        "sliders": {slider.name: slider.data() for slider in sliders()},
        "receptors": {name: receptor_data(receptor) for name, receptor in library.items()},
        "circuits": {name: circuit_data(circuit) for name, circuit in circuits.items()},
        "cell": cell_data(GainLIF()),
        "numbers": {
            name: {"card": card, "label": label, "unit": written(unit), "si": float(unit)}
            for card, names in NUMBERS.items()
            for name, (label, unit) in names.items()
        },
        "comparison": {
            "cell": cell_data(comparison.bio),
            "codes": comparison.codes,
            "code_max": comparison.circuit.code_max,
            "dt": float(comparison.dt / second),
            "duration": float(comparison.duration / second),
            "window": float(comparison.window / second),
            "time_scale": TIME_SCALE,
            "step": say(comparison.dt),
            "whole": say(TIME_SCALE * comparison.duration),
            "chip_unit": handy(ms / TIME_SCALE)[1],
            "steps": [int(step) for step in np.round(np.asarray(inputs.times / comparison.dt))],
            "neurons": [int(neuron) for neuron in inputs.neurons],
            "told": told(comparison, COMPARED),
        },
    }


def write_explorer(folder: Path) -> None:
    """Write whatever the page loads into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("closed_forms.js", "explorer.js", "explorer.css"):
        shutil.copyfile(SOURCES / name, folder / name)
    text = json.dumps(data(), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "data.js").write_text(f'"use strict";\nconst DATA = {text};\n', encoding="utf-8")


def add_explorer(app: Sphinx, failure: Exception | None) -> None:
    """Put it beside the page that was built."""
    if failure is None and app.builder.format == "html":
        write_explorer(Path(app.outdir) / "explorer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("build-finished", add_explorer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
