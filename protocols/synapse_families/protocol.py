"""Current-mirror, optocoupler and digital synapses on the same circuit neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, khertz, mV, nA, nsiemens, ohm, second, usecond, uwatt, volt
from brian2.units.allunits import fjoule, pjoule

from neuromod.checks import steps_in
from neuromod.chip.conversion import nearest, reachable_gains
from neuromod.errors import UserError
from neuromod.experiment import Experiment, Population
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.optocoupler import Optocoupler
from neuromod.parameters import not_negative, parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import ONE_PULSE, ChipProtocol, input_rate, keep, supply
from neuromod.protocols.families.timing import time
from neuromod.protocols.synapse_families import page
from neuromod.recording import Recording
from neuromod.support.text import say

FAMILIES = ("mirror", "optocoupler", "digital")
SIGNS = np.array([1, -1])


@dataclass(frozen=True, eq=False)
class SynapseFamilies(ChipProtocol):
    """Current mirrors against analog and digital conductances: linearity, range and energy.

    Current mirror, optocoupler or digital conductance: which is linear, and what does it cost?

    The same circuit neuron gets one pulse through each of three synapses. The current mirror
    (Barton et al. 2022) stores a signed code and pushes or pulls a current. The other two are
    those of Ryndin et al. 2021, of which the abstract was at hand: conductances to the supply or
    to ground, set by the diode current of a photoresistive optocoupler, or by a stored code that
    switches binary-scaled conductances without a converter. All three push a membrane at rest
    equally far at full scale; they differ in what lies between, and in what it costs.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)
    small: ClassVar[Mapping[str, Any]] = {
        "stored": np.array([0, 0.31, 1]),
        "duration": 31 * usecond,
    }

    vdd: Quantity = supply()
    optocoupler: Optocoupler = parameter(
        Optocoupler(), "memory of the analog synapse", "see its own"
    )
    stored: np.ndarray = parameter(
        np.linspace(0, 1, 29),
        "stored values as shares of full scale: diode current, or code",
        "chosen here",
        low=0,
        high=1,
    )
    v_start: Quantity = not_negative(
        [210, 250, 290, 330] * mV,
        "membrane potentials at which a pulse begins; one must be the resting potential",
        "chosen here: below threshold, around rest",
    )
    input_rate: Quantity = input_rate(
        1400 * khertz, "mean rate of the input that drives the neurons to spike"
    )
    duration: Quantity = time(100 * usecond, "length of that input", "five membrane time constants")

    plot = page.plot
    report = page.report

    def __post_init__(self) -> None:
        super().__post_init__()
        chip, why = self.circuit, "ideal synapses are compared"
        keep(chip, why, synapse="mirror", output="ideal", R_supply=0 * ohm)
        if not np.any(np.isclose(self.v_start / mV, chip.v_rest / mV)):
            raise UserError(f"v_start must contain the resting potential, {say(chip.v_rest)}.")
        if np.any(self.v_start >= chip.v_th):
            raise UserError(f"v_start must stay below the threshold, {say(chip.v_th)}.")
        if not {0.0, 1.0} <= set(self.stored) or np.any(np.diff(self.stored) <= 0):
            raise UserError("stored must rise from 0 to 1.")
        if 1 / self.optocoupler.R_dark >= self._full_scale:
            raise UserError(
                f"optocoupler.R_dark = {say(self.optocoupler.R_dark)} conducts more than full "
                f"scale, {say(self._full_scale)}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One pulse to every neuron; and one train of pulses to neurons of every stored value."""
        value, sign, start = self._grid()
        begun, length = {"v": self.v_start[start]}, self.circuit.t_pulse + 3 * self.dt
        pulsed = [
            (self._population(family, len(value), begun), sign * units[value])
            for family, units in self.units.items()
        ]
        driven = [(self._population(f, len(units), {}), units) for f, units in self.units.items()]
        train = circuit_inputs(self.circuit, 1, self.input_rate, self.duration, self.dt, self.seed)
        return {
            "pulse": self.pulsed(pulsed, ONE_PULSE, length),
            "train": replace(self.pulsed(driven, train, self.duration), traces=()),
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Steps by stored value and potential, their summary, and spikes by stored value."""
        steps = self._steps(recordings["pulse"])
        summary = [self._summary(family, steps[steps.family == family]) for family in FAMILIES]
        spikes = pd.DataFrame({"stored": self.stored})
        for family, units in self.units.items():
            spikes[f"{family}_spikes"] = recordings["train"].spikes[family].counts()
            spikes[f"{family}_units"] = units
        return {"table": steps, "summary": pd.DataFrame(summary), "spikes": spikes}

    @cached_property
    def units(self) -> dict[str, np.ndarray]:
        """Units of current or conductance that every stored value stands for, by family."""
        whole = nearest(self.stored * self.circuit.code_max)
        led = self.stored * self.optocoupler.current_for(self._full_scale)
        analog = self.optocoupler.conductance(led) / self._conducting.G_unit
        return {"mirror": whole, "optocoupler": np.asarray(analog), "digital": whole}

    @cached_property
    def _conducting(self) -> CircuitNeuron:
        """The neuron with conductances that move it at rest as far as a mirror's unit does."""
        chip = replace(self.circuit, synapse="conductance")
        unit = self.circuit.unit_current(self.vdd) / (self.vdd - chip.v_rest)
        wanted = self.circuit.code_max * self.circuit.step(self.vdd)
        for _ in range(50):
            # A conductance also loads the membrane, the more units the more.
            chip = replace(chip, G_unit=unit)
            reached = self._exact(chip, self.circuit.code_max, chip.v_rest, 1) - chip.v_rest
            unit = unit * float(wanted / reached)
        return chip

    @property
    def _full_scale(self) -> Quantity:
        return self.circuit.code_max * self._conducting.G_unit

    def _model(self, family: str) -> CircuitNeuron:
        return self.circuit if family == "mirror" else self._conducting

    def _population(self, family: str, size: int, values: dict[str, Quantity]) -> Population:
        return Population(family, self._model(family), size, {"vdd": self.vdd, **values})

    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number of the stored value, sign, and number of the potential of every neuron."""
        sides = len(self.stored), len(SIGNS), len(self.v_start)
        value, sign, start = (side.ravel() for side in np.indices(sides))
        return value, SIGNS[sign], start

    def _steps(self, recording: Recording) -> pd.DataFrame:
        """One row per family, stored value, sign and starting potential."""
        value, sign, start = self._grid()
        begun = self.v_start[start]
        # An input acts in the step after its own; samples show the start of a step.
        end = 1 + steps_in("t_pulse", self.circuit.t_pulse, self.dt)
        # Where a pulse that does nothing leaves the membrane.
        leaked = self._exact(self.circuit, 0, begun, sign)
        parts = []
        for family, units in self.units.items():
            v = recording.signals[family]["v"].values
            exact = self._exact(self._model(family), units[value], begun, sign)
            parts.append(
                pd.DataFrame(
                    {
                        "family": family,
                        "sign": np.where(sign > 0, "up", "down"),
                        "stored": self.stored[value],
                        "units": sign * units[value],
                        "v_start_mV": np.asarray(begun / mV),
                        "step_mV": np.asarray((v[:, end] - leaked) / mV),
                        "closed_form_mV": np.asarray((exact - leaked) / mV),
                        "energy_fJ": np.asarray(recording.totals[family]["energy"] / fjoule),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def _exact(self, chip: CircuitNeuron, units: Any, begun: Quantity, sign: Any) -> Quantity:
        """Membrane at the end of a pulse, in closed form for the linear leak.

        The pulse begins one step after the start.
        """
        leak = 1 / chip.leak_resistance
        wait = np.exp(-float(self.dt * leak / chip.C))
        at_start = chip.v_rest + (begun - chip.v_rest) * wait
        if chip.synapse == "mirror":
            load, target = leak, sign * units * chip.unit_current(self.vdd) / leak + chip.v_rest
        else:
            opened = units * chip.G_unit
            load = leak + opened
            rail = np.where(np.asarray(sign) > 0, float(self.vdd / volt), 0.0) * volt
            target = (leak * chip.v_rest + opened * rail) / load
        return target + (at_start - target) * np.exp(-np.asarray(chip.t_pulse * load / chip.C))

    def _summary(self, family: str, steps: pd.DataFrame) -> dict[str, Any]:
        """One family's row of the summary."""
        shape = len(self.stored), len(SIGNS), -1
        step, energy = (steps[n].to_numpy().reshape(shape) for n in ("step_mV", "energy_fJ"))
        rest = int(np.argmin(np.abs(np.asarray((self.v_start - self.circuit.v_rest) / mV))))
        highest = int(np.argmax(self.v_start))
        up, chip = step[:, 0, rest], self._model(family)
        analog, conducts = family == "optocoupler", family != "mirror"
        held = self.stored if analog else self.units[family]
        line = np.interp(held / held.max(), [0, 1], up[[0, -1]])
        led = self.optocoupler.current_for(self._full_scale)
        stays_on = family == "mirror" and self.circuit.references == "always"
        reference = self.vdd * chip.unit_current(self.vdd) if stays_on else 0 * uwatt
        static = self.optocoupler.power(led) if analog else reference
        pulses = float(self.input_rate * self.duration)
        paid = self.circuit.t_pulse if stays_on else 0 * second
        low, high = reachable_gains(chip)
        return {
            "family": family,
            "levels": "continuous" if analog else str(self.circuit.code_max + 1),
            "full_scale_mV": up[-1],
            "smallest_percent": 100 * up[0] / up[-1],
            "nonlinearity_percent": 100 * np.max(np.abs(up - line)) / up[-1],
            "change_up_percent": 100 * (step[-1, 0, highest] / up[-1] - 1),
            "down_over_up": -step[-1, 1, rest] / up[-1],
            "gain_low": low,
            "gain_high": high,
            "energy_per_pulse_fJ": energy[-1, 0, rest],
            "static_power_uW": float(static / uwatt),
            # A pulse's energy has that of its reference.
            "static_per_pulse_pJ": float(static * (self.duration / pulses - paid) / pjoule),
            "unit_nA": float(chip.unit_current(self.vdd) / nA),
            "unit_nS": float(chip.G_unit / nsiemens) if conducts else np.nan,
        }
