"""Current-mirror, optocoupler and digital synapses on the same circuit neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from brian2 import Quantity, mV, nA, nsecond, nsiemens, second, usecond, uwatt, volt
from brian2.units.allunits import fjoule, khertz, pjoule

from neuromod.chip.conversion import VDD_HIGH, VDD_LOW, gain_of
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace, code_pulses
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.optocoupler import Optocoupler
from neuromod.parameters import parameter, refuse_changed
from neuromod.protocol import Protocol, Section
from neuromod.recording import Recording
from neuromod.support.figures import BLACK, BLUE, GREEN, ORANGE, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FAMILIES = {"mirror": BLUE, "optocoupler": ORANGE, "digital": GREEN}
MARKERS = {"mirror": "s-", "optocoupler": "^-", "digital": "o-"}
SIGNS = {"up": 1, "down": -1}


@dataclass(frozen=True, eq=False)
class SynapseFamilies(Protocol):
    """Current mirrors against analog and digital conductances: linearity, range and energy.

    The same circuit neuron gets one pulse through each of three synapses. The current mirror
    (Barton et al. 2022) stores a signed code and pushes or pulls a current. The other two are
    those of Ryndin et al. 2021, of which the abstract was at hand: conductances to the supply or
    to ground, set by the diode current of a photoresistive optocoupler, or by a stored code that
    switches binary-scaled conductances without a converter. All three move a membrane at rest
    equally far at full scale upwards; what differs is what lies between, and what it costs.
    """

    shown = ("summary",)

    circuit: CircuitNeuron = parameter(CircuitNeuron(), "the neuron", source="see its own")
    optocoupler: Optocoupler = parameter(
        Optocoupler(), "memory of the analog synapse", source="see its own"
    )
    stored: np.ndarray = parameter(
        np.linspace(0, 1, 29),
        "stored values as shares of full scale: diode current, or code",
        source="chosen here",
        low=0,
        high=1,
    )
    v_start: Quantity = parameter(
        [210, 250, 290, 330] * mV,
        "membrane potentials at which a pulse begins; one must be the resting potential",
        source="chosen here: below threshold, around rest",
        low=0 * mV,
    )
    input_rate: Quantity = parameter(
        1400 * khertz,
        "mean rate of the input that drives the neurons to spike",
        source="chosen here: below the neuron's own 3.3 MHz",
        low=0 * khertz,
        low_excluded=True,
    )
    duration: Quantity = parameter(
        100 * usecond,
        "length of that input",
        source="chosen here: five membrane time constants",
        low=0 * second,
        low_excluded=True,
    )
    dt: Quantity = parameter(
        10 * nsecond,
        "time step",
        source="chosen here: a tenth of a pulse",
        low=0 * second,
        low_excluded=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_changed(
            "circuit", self.circuit, ["synapse", "output", "R_supply", "domains"],
            "the three synapses are ideal and share one supply",
        )  # fmt: skip
        self.circuit.check_step(self.dt)
        if not np.any(np.isclose(self.v_start / mV, self.circuit.v_rest / mV)):
            raise UserError(f"v_start must contain the resting potential, {self.circuit.v_rest}.")
        if np.any(self.v_start >= self.circuit.v_th):
            raise UserError(f"v_start must stay below the threshold, {self.circuit.v_th}.")
        if not {0.0, 1.0} <= set(self.stored) or np.any(np.diff(self.stored) <= 0):
            raise UserError("stored must rise from 0 to 1.")
        least = 1 / self.optocoupler.R_dark
        if least >= self._full_scale:
            raise UserError(
                f"optocoupler.R_dark = {self.optocoupler.R_dark} conducts more than full scale, "
                f"{self._full_scale}."
            )

    def experiments(self) -> dict[str, Experiment]:
        """One pulse to every neuron; and one train of pulses to neurons of every stored value."""
        return {"pulse": self._pulses(), "train": self._trains()}

    def measure(self, recordings: Mapping[str, Recording]) -> dict[str, pd.DataFrame]:
        """Steps by stored value and potential, their summary, and spikes by stored value."""
        steps = self._steps(recordings["pulse"])
        spikes = pd.DataFrame({"stored": self.stored})
        for family, codes in self._codes.items():
            counts = recordings["train"].spikes[family].counts()
            spikes[f"{family}_spikes"] = counts
            spikes[f"{family}_units"] = codes
        return {"table": steps, "summary": self._summary(steps),
                "spikes": spikes}  # fmt: skip

    def plot(self, tables: dict[str, pd.DataFrame], recordings: Mapping[str, Recording]) -> Figure:
        """Steps against stored value, against the membrane, and spikes against stored value."""
        del recordings
        figure, axes = panels([["linear", "membrane"], ["spikes", "energy"]])
        steps, rest = tables["table"], float(self.circuit.v_rest / mV)
        for family, color in FAMILIES.items():
            own = steps[steps.family == family]
            for sign, line in (("up", "-"), ("down", "--")):
                at_rest = own[(own.sign == sign) & np.isclose(own.v_start_mV, rest)]
                axes["linear"].plot(at_rest.stored, at_rest.step_mV, line, color=color,
                                    drawstyle=_drawn(family),
                                    label=family if sign == "up" else None)  # fmt: skip
                full = own[(own.sign == sign) & (own.stored == 1)]
                reference = full[np.isclose(full.v_start_mV, rest)].step_mV.item()
                if family != "optocoupler":
                    axes["membrane"].plot(full.v_start_mV, full.step_mV / reference, "o" + line,
                                          color=color, ms=4)  # fmt: skip
            axes["spikes"].plot(tables["spikes"].stored, tables["spikes"][f"{family}_spikes"],
                                MARKERS[family], color=color, fillstyle="none",
                                drawstyle=_drawn(family))  # fmt: skip
        axes["linear"].axhline(0, color=BLACK, lw=0.6)
        axes["linear"].legend()
        axes["linear"].set(xlabel="stored value (share of full scale)", ylabel="step at rest (mV)",
                           title="a  One pulse, up (solid) and down (dashed)")  # fmt: skip
        axes["membrane"].set(xlabel="membrane when the pulse begins (mV)",
                             ylabel="step over step at rest",
                             title="b  Full scale; both conductances are alike")  # fmt: skip
        axes["spikes"].set(xlabel="stored value (share of full scale)", ylabel="output spikes",
                           title="c  Output of the same input train")  # fmt: skip
        self._plot_energy(axes["energy"], tables["summary"])
        return figure

    def report(self, tables: dict[str, pd.DataFrame]) -> list[Section]:
        """What each family is good for, in numbers."""
        by = tables["summary"].set_index("family")
        mirror, analog, digital = (by.loc[family] for family in FAMILIES)
        return [
            Section(
                "Three synapses on one neuron",
                "Nonlinearity is the largest distance of the step at rest from a straight line "
                "between its ends, in shares of full scale. The mirror's is "
                f"{abs(mirror.nonlinearity_percent):.1f} %. A digital conductance bends by "
                f"{digital.nonlinearity_percent:.1f} %, because its driving force shrinks while "
                f"it charges the membrane; the optocoupler by {analog.nonlinearity_percent:.1f} %, "
                "mostly because light acts on its conductance with the power "
                f"{self.optocoupler.gamma:g}, and it is never quite dark: at a stored 0 it still "
                f"moves the membrane by {analog.smallest_percent:.2g} % of full scale.\n\n"
                "A current source does not care where the membrane is. Conductances "
                f"push {-digital.change_up_percent:.0f} % less when the pulse begins at "
                f"{float(np.max(self.v_start) / mV):.0f} mV instead of at rest, and pull "
                f"{digital.down_over_up:.2f} times as far as they push at rest, because ground "
                "and supply are not equally far: weights of the two signs need scales of their "
                "own.",
                "summary",
            ),
            Section(
                "Range and energy",
                f"A supply from 0.5 to 1 V scales the mirror's step from {mirror.gain_low:.2f} to "
                f"{mirror.gain_high:.2f} of that at 0.75 V, a conductance's only from "
                f"{digital.gain_low:.2f} to {digital.gain_high:.2f}. Per full-scale pulse up the "
                f"mirror draws {mirror.energy_per_pulse_fJ:.3g} fJ, its reference included, and "
                f"the conductances {digital.energy_per_pulse_fJ:.3g} fJ. The optocoupler's diode "
                f"shines all the time: {analog.static_power_uW:.3g} µW at full scale, at this "
                f"input {analog.static_per_pulse_pJ:.3g} pJ for every pulse. Its values here are "
                "chosen for a membrane of 50 fF; couplers on the market conduct a thousand times "
                "more and need as much larger capacitors.",
                "table",
            ),
            Section(
                "What drives the neuron to spike",
                "The same input train, through every stored value.",
                "spikes",
            ),
        ]

    @cached_property
    def _conducting(self) -> CircuitNeuron:
        """The neuron with conductances that move it at rest as far as a mirror's unit does."""
        chip = replace(self.circuit, synapse="conductance", law="square")
        unit = self.circuit.unit_current(self.circuit.vdd) / (self.circuit.vdd - chip.v_rest)
        for _ in range(50):
            # A conductance also loads the membrane, the more units the more.
            chip = replace(chip, G_unit=unit)
            reached = self._exact(chip, self._most, chip.v_rest, 1) - chip.v_rest
            wanted = self._most * self.circuit.step(self.circuit.vdd)
            unit = unit * float(wanted / reached)
        return chip

    @property
    def _most(self) -> int:
        return self.circuit.code_max

    @property
    def _full_scale(self) -> Quantity:
        return self._most * self._conducting.G_unit

    @cached_property
    def _codes(self) -> dict[str, np.ndarray]:
        """Units that every stored value stands for, by family."""
        whole = np.round(self.stored * self._most)
        led = self.stored * self.optocoupler.current_for(self._full_scale)
        analog = self.optocoupler.conductance(led) / self._conducting.G_unit
        return {"mirror": whole, "optocoupler": np.asarray(analog), "digital": whole}

    def _model(self, family: str) -> CircuitNeuron:
        return self.circuit if family == "mirror" else self._conducting

    def _grid(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Index of the stored value, sign and starting potential of every neuron of a family."""
        signs = np.array(list(SIGNS.values()))
        value, sign, start = (
            side.ravel() for side in np.indices((len(self.stored), len(signs), len(self.v_start)))
        )
        return value, signs[sign], start

    def _pulses(self) -> Experiment:
        value, sign, start = self._grid()
        everyone = np.arange(len(value))
        once = Spikes("inputs", 1, np.array([0]), [0] * second)
        populations: list[Population] = []
        synapses: list[Connection] = []
        for family, codes in self._codes.items():
            values = {"v": self.v_start[start]}
            populations.append(Population(family, self._model(family), len(value), values))
            synapses += code_pulses("inputs", family, np.zeros_like(everyone), everyone,
                                    sign * codes[value], self.circuit.t_pulse)  # fmt: skip
        traces = tuple(Trace(family, ("v",), everyone) for family in FAMILIES)
        length = self.circuit.t_pulse + 3 * self.dt
        return Experiment(populations=tuple(populations), sources=(once,), connections=tuple(synapses), traces=traces, duration=length, dt=self.dt,
                          seed=self.seed)  # fmt: skip

    def _trains(self) -> Experiment:
        everyone = np.arange(len(self.stored))
        train = circuit_inputs(self.circuit, 1, self.input_rate, self.duration, self.dt, self.seed)
        populations = tuple(Population(f, self._model(f), len(everyone)) for f in FAMILIES)
        synapses = [
            pulse
            for family, codes in self._codes.items()
            for pulse in code_pulses("inputs", family, np.zeros_like(everyone), everyone, codes,
                                     self.circuit.t_pulse)
        ]  # fmt: skip
        return Experiment(populations=populations, sources=(train,), connections=tuple(synapses), duration=self.duration, dt=self.dt,
                          seed=self.seed)  # fmt: skip

    def _steps(self, recording: Recording) -> pd.DataFrame:
        """One row per family, stored value, sign and starting potential."""
        value, sign, start = self._grid()
        # An input acts in the step after its own; samples show the start of a step.
        end = 1 + round(float(self.circuit.t_pulse / self.dt))
        parts = []
        for family, codes in self._codes.items():
            v = recording.signals[family]["v"].values
            begun, units = self.v_start[start], sign * codes[value]
            exact = self._exact(self._model(family), np.abs(units), begun, np.sign(units))
            at_end = self._leaked(begun)
            parts.append(
                pd.DataFrame(
                    {
                        "family": family,
                        "sign": np.where(sign > 0, "up", "down"),
                        "stored": self.stored[value],
                        "units": units,
                        "v_start_mV": np.asarray(begun / mV),
                        "step_mV": np.asarray((v[:, end] - at_end) / mV),
                        "closed_form_mV": np.asarray((exact - at_end) / mV),
                        "energy_fJ": np.asarray(recording.totals[family]["energy"] / fjoule),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def _leaked(self, begun: Quantity) -> Quantity:
        """Where a membrane is at the end of a pulse that did nothing."""
        decay = np.exp(-float(self._since / (self.circuit.R_leak * self.circuit.C)))
        return self.circuit.v_rest + (begun - self.circuit.v_rest) * decay

    @property
    def _since(self) -> Quantity:
        """From the start until the pulse has ended: it begins with the second step."""
        return self.circuit.t_pulse + self.dt

    def _exact(self, chip: CircuitNeuron, units: Any, begun: Quantity, sign: Any) -> Quantity:
        """Membrane at the end of a pulse, in closed form for the linear leak."""
        leak = 1 / chip.R_leak
        wait = np.exp(-float(self.dt * leak / chip.C))
        at_start = chip.v_rest + (begun - chip.v_rest) * wait
        if chip.synapse == "mirror":
            load, target = leak, sign * units * chip.unit_current(chip.vdd) / leak + chip.v_rest
        else:
            opened = units * chip.G_unit
            load = leak + opened
            rail = np.where(np.asarray(sign) > 0, float(chip.vdd / volt), 0.0) * volt
            target = (leak * chip.v_rest + opened * rail) / load
        return target + (at_start - target) * np.exp(-np.asarray(chip.t_pulse * load / chip.C))

    def _summary(self, steps: pd.DataFrame) -> pd.DataFrame:
        """One row per family."""
        rest = np.isclose(steps.v_start_mV, float(self.circuit.v_rest / mV))
        highest = np.isclose(steps.v_start_mV, float(np.max(self.v_start) / mV))
        pulses = float(self.input_rate * self.duration)
        rows = []
        for family in FAMILIES:
            chip, own = self._model(family), steps.family == family
            up = steps[own & rest & (steps.sign == "up")]
            full = steps[own & (steps.stored == 1)]
            at_rest = full[rest[full.index]].set_index("sign")
            above = full[highest[full.index]].set_index("sign")
            led = self.optocoupler.current_for(self._full_scale)
            static = self.optocoupler.power(led) if family == "optocoupler" else 0 * uwatt
            low, high = gain_of(chip, np.array([VDD_LOW / volt, VDD_HIGH / volt]) * volt)
            rows.append(
                {
                    "family": family,
                    "levels": "continuous" if family == "optocoupler" else str(self._most + 1),
                    "full_scale_mV": at_rest.step_mV["up"],
                    "smallest_percent": 100 * up.step_mV.iloc[0] / at_rest.step_mV["up"],
                    "nonlinearity_percent": _nonlinearity(up),
                    "change_up_percent": 100 * (above.step_mV["up"] / at_rest.step_mV["up"] - 1),
                    "down_over_up": -at_rest.step_mV["down"] / at_rest.step_mV["up"],
                    "gain_low": low,
                    "gain_high": high,
                    "energy_per_pulse_fJ": at_rest.energy_fJ["up"],
                    "static_power_uW": float(static / uwatt),
                    "static_per_pulse_pJ": float(static * self.duration / pjoule) / pulses,
                    "unit_nA": float(chip.unit_current(chip.vdd) / nA),
                    "unit_nS": float(chip.G_unit / nsiemens)
                    if chip is not self.circuit
                    else np.nan,
                }
            )
        return pd.DataFrame(rows)

    def _plot_energy(self, axes: Any, summary: pd.DataFrame) -> None:
        """Energy of one full-scale pulse, with what the diode takes meanwhile."""
        places = np.arange(len(summary))
        drawn = summary.energy_per_pulse_fJ / 1e3 + summary.static_per_pulse_pJ
        axes.scatter(places, drawn, color=[FAMILIES[f] for f in summary.family], zorder=2)
        for place, energy in zip(places, drawn, strict=True):
            axes.annotate(f"{energy:.3g} pJ", (place, energy), (0, 6), ha="center",
                          textcoords="offset points", fontsize=8)  # fmt: skip
        axes.set_xticks(places, summary.family)
        axes.set(yscale="log", ylabel="energy per pulse (pJ)", xlim=(-0.5, len(places) - 0.5),
                 ylim=(drawn.min() / 3, drawn.max() * 5),
                 title="d  Synapse's energy, diode included")  # fmt: skip


def _drawn(family: str) -> str:
    """Codes hold steps."""
    return "default" if family == "optocoupler" else "steps-mid"


def _nonlinearity(steps: pd.DataFrame) -> float:
    """Largest distance from the line between the ends, of stored values that codes can hold."""
    held = steps.drop_duplicates("units", keep="last") if steps.units.nunique() < 20 else steps
    units = held.stored if held is steps else held.units / held.units.max()
    line = np.interp(units, [0, 1], [held.step_mV.iloc[0], held.step_mV.iloc[-1]])
    return float(100 * np.max(np.abs(held.step_mV - line)) / held.step_mV.iloc[-1])
