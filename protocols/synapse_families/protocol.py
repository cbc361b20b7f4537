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
from neuromod.chip.conversion import VDD_HIGH, VDD_LOW, gain_of
from neuromod.chip.pulses import code_pulses
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.optocoupler import Optocoupler
from neuromod.parameters import not_negative, parameter
from neuromod.protocol import Recordings, Tables
from neuromod.protocols.families.chips import ChipProtocol, input_rate, supply
from neuromod.protocols.families.timing import time
from neuromod.protocols.synapse_families import page
from neuromod.recording import Recording
from neuromod.support.text import say

FAMILIES = ("mirror", "optocoupler", "digital")
SIGNS = np.array([1, -1])


@dataclass(frozen=True, eq=False)
class SynapseFamilies(ChipProtocol):
    """Current mirrors against analog and digital conductances: linearity, range and energy.

    The same circuit neuron gets one pulse through each of three synapses. The current mirror
    (Barton et al. 2022) stores a signed code and pushes or pulls a current. The other two are
    those of Ryndin et al. 2021, of which the abstract was at hand: conductances to the supply or
    to ground, set by the diode current of a photoresistive optocoupler, or by a stored code that
    switches binary-scaled conductances without a converter. All three push a membrane at rest
    equally far at full scale; they differ in what lies between, and in what it costs.
    """

    shown: ClassVar[tuple[str, ...]] = ("summary",)

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
        chip = self.circuit
        if (chip.synapse, chip.output, chip.R_supply / ohm) != ("mirror", "ideal", 0):
            raise UserError(
                "circuit must keep synapse=mirror, output=ideal and R_supply=0 ohm: ideal "
                "synapses are compared here."
            )
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
        once = Spikes("inputs", 1, np.array([0]), [0] * second)
        pulsed = {family: sign * units[value] for family, units in self.units.items()}
        train = circuit_inputs(self.circuit, 1, self.input_rate, self.duration, self.dt, self.seed)
        traces = [Trace(family, ("v",), np.arange(len(value))) for family in FAMILIES]
        length = self.circuit.t_pulse + 3 * self.dt
        pulse = self._experiment(once, pulsed, length, {"v": self.v_start[start]})
        return {
            "pulse": replace(pulse, traces=traces),
            "train": self._experiment(train, self.units, self.duration, {}),
        }

    def measure(self, recordings: Recordings) -> Tables:
        """Steps by stored value and potential, their summary, and spikes by stored value."""
        steps = self._steps(recordings["pulse"])
        spikes = pd.DataFrame({"stored": self.stored})
        for family, units in self.units.items():
            spikes[f"{family}_spikes"] = recordings["train"].spikes[family].counts()
            spikes[f"{family}_units"] = units
        return {"table": steps, "summary": self._summary(steps), "spikes": spikes}

    @cached_property
    def units(self) -> dict[str, np.ndarray]:
        """Units of current or conductance that every stored value stands for, by family."""
        whole = np.round(self.stored * self._most)
        led = self.stored * self.optocoupler.current_for(self._full_scale)
        analog = self.optocoupler.conductance(led) / self._conducting.G_unit
        return {"mirror": whole, "optocoupler": np.asarray(analog), "digital": whole}

    @cached_property
    def _conducting(self) -> CircuitNeuron:
        """The neuron with conductances that move it at rest as far as a mirror's unit does."""
        chip = replace(self.circuit, synapse="conductance")
        unit = self.circuit.unit_current(self.vdd) / (self.vdd - chip.v_rest)
        wanted = self._most * self.circuit.step(self.vdd)
        for _ in range(50):
            # A conductance also loads the membrane, the more units the more.
            chip = replace(chip, G_unit=unit)
            reached = self._exact(chip, self._most, chip.v_rest, 1) - chip.v_rest
            unit = unit * float(wanted / reached)
        return chip

    @property
    def _most(self) -> int:
        return self.circuit.code_max

    @property
    def _full_scale(self) -> Quantity:
        return self._most * self._conducting.G_unit

    def _model(self, family: str) -> CircuitNeuron:
        return self.circuit if family == "mirror" else self._conducting

    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices of stored value, sign and starting potential of every neuron of a family."""
        sides = (len(self.stored), len(SIGNS), len(self.v_start))
        value, sign, start = (side.ravel() for side in np.indices(sides))
        return value, SIGNS[sign], start

    def _experiment(
        self,
        source: Spikes,
        units: Mapping[str, np.ndarray],
        duration: Quantity,
        values: Mapping[str, Any],
    ) -> Experiment:
        """One population of each family, every neuron with one synapse from the source."""
        populations: list[Population] = []
        synapses: list[Connection] = []
        for family, own in units.items():
            model, everyone = self._model(family), np.arange(len(own))
            given = {"vdd": self.vdd, **values}
            populations.append(Population(family, model, len(own), given))
            i = np.zeros_like(everyone)
            synapses += code_pulses(source.name, family, i, everyone, own, model.t_pulse)
        return Experiment(
            populations=populations,
            sources=[source],
            connections=synapses,
            duration=duration,
            dt=self.dt,
            seed=self.seed,
        )

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
        leak = 1 / chip.R_leak
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

    def _summary(self, steps: pd.DataFrame) -> pd.DataFrame:
        """One row per family."""
        rest = np.isclose(steps.v_start_mV, float(self.circuit.v_rest / mV))
        highest = np.isclose(steps.v_start_mV, float(np.max(self.v_start) / mV))
        led = self.optocoupler.current_for(self._full_scale)
        pulses = float(self.input_rate * self.duration)
        rows = []
        for family in FAMILIES:
            chip, own = self._model(family), steps.family == family
            up = steps[own & rest & (steps.sign == "up")]
            full = steps[own & (steps.stored == 1)]
            at_rest = full[rest[full.index]].set_index("sign")
            above = full[highest[full.index]].set_index("sign")
            analog, conducts = family == "optocoupler", family != "mirror"
            static = self.optocoupler.power(led) if analog else 0 * uwatt
            low, high = gain_of(chip, np.array([VDD_LOW / volt, VDD_HIGH / volt]) * volt)
            rows.append(
                {
                    "family": family,
                    "levels": "continuous" if analog else str(self._most + 1),
                    "full_scale_mV": at_rest.step_mV["up"],
                    "smallest_percent": 100 * up.step_mV.iloc[0] / at_rest.step_mV["up"],
                    "nonlinearity_percent": _nonlinearity(up, up.stored if analog else up.units),
                    "change_up_percent": 100 * (above.step_mV["up"] / at_rest.step_mV["up"] - 1),
                    "down_over_up": -at_rest.step_mV["down"] / at_rest.step_mV["up"],
                    "gain_low": low,
                    "gain_high": high,
                    "energy_per_pulse_fJ": at_rest.energy_fJ["up"],
                    "static_power_uW": float(static / uwatt),
                    "static_per_pulse_pJ": float(static * self.duration / pjoule) / pulses,
                    "unit_nA": float(chip.unit_current(self.vdd) / nA),
                    "unit_nS": float(chip.G_unit / nsiemens) if conducts else np.nan,
                }
            )
        return pd.DataFrame(rows)


def _nonlinearity(steps: pd.DataFrame, held: pd.Series) -> float:
    """Largest distance of steps from the line between their ends, percent of full scale."""
    line = np.interp(held / held.max(), [0, 1], [steps.step_mV.iloc[0], steps.step_mV.iloc[-1]])
    return float(100 * np.max(np.abs(steps.step_mV - line)) / steps.step_mV.iloc[-1])
