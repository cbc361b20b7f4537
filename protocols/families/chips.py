"""Settings of protocols on the chip: circuit, supplies, codes, input, and gates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from brian2 import Quantity, coulomb, farad, khertz, linspace, ms, nsecond, second, volt

from neuromod.chip.conversion import TIME_SCALE, reachable_gains, vdd_of
from neuromod.chip.pulses import PulseTrain, code_pulses
from neuromod.chip.twins import firing_event, has_pulse_threshold, twins, unit_weight
from neuromod.chip.xor import designs, search
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Spikes, Trace
from neuromod.inputs.events import Entrance
from neuromod.inputs.spikes import circuit_inputs
from neuromod.models.circuit import CircuitNeuron
from neuromod.models.gain_lif import GainLIF
from neuromod.models.process import circuits
from neuromod.models.receptive import Receptive
from neuromod.parameters import EXACT, Parameters, parameter, positive, unit_of
from neuromod.protocol import Protocol, Tables
from neuromod.protocols.families.neurons import NEURONS, check_current
from neuromod.protocols.families.timing import time, time_step
from neuromod.support.text import say

ONE_PULSE = Spikes("inputs", 1, np.array([0]), [0] * second)
REFERENCE = CircuitNeuron().vdd_reference
IS_SUPPLY = {"supply": True}
"""Marks a setting whose values a circuit must be able to run at."""


def circuit_setting(meaning: str = "the neuron") -> Any:
    """Setting of a protocol's circuit neuron: by the name of its process, or made in Python."""
    return parameter(CircuitNeuron(), meaning, "see its own", named=circuits)


def check_alone(circuit: CircuitNeuron) -> None:
    """Refuse a resistance of supplies that neurons share, which they do in no protocol."""
    if circuit.R_domain:
        raise UserError(
            "Here no neurons share a supply: circuit.R_supply is each one's own resistance, and "
            "R_domain is for experiments of your own, by share_supplies."
        )


def check_closed_form(circuit: CircuitNeuron) -> None:
    """Refuse options that the closed form of a neuron under a train leaves out."""
    why = "spikes are worked out in closed form, too, which leaves it out"
    keep(circuit, why, t_comparator=0 * second, Q_kick=0 * coulomb, Q_reset=0 * coulomb)
    check_settled(circuit)


def check_settled(circuit: CircuitNeuron) -> None:
    """Refuse gates that pulses charge, whose mirrors give other gains than those that settle."""
    if circuit.references == "pulsed":
        keep(circuit, "gains are those of gates that settle within a pulse", C_gate=0 * farad)


@dataclass(frozen=True, eq=False)
class ChipProtocol(Protocol):
    """Base of protocols that simulate circuit neurons.

    Raises
    ------
    UserError
        When a pulse or a spike is no whole number of time steps, or a supply is out of the
        circuit's range.
    """

    circuit: CircuitNeuron = circuit_setting()
    dt: Quantity = time_step(10 * nsecond, "a tenth of a pulse")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.circuit.check_step(self.dt)
        check_alone(self.circuit)
        check_supplies(self, self.circuit)

    def pulsed(
        self, driven: Sequence[tuple[Population, Any]], source: Spikes, duration: Quantity
    ) -> Experiment:
        """Populations whose neurons have one synapse each, of given codes; membranes are traced."""
        connections: list[Connection] = []
        for population, codes in driven:
            neurons = np.arange(population.size)
            ends = source.name, population.name, 0 * neurons, neurons
            connections += code_pulses(*ends, codes, self.circuit.t_pulse)
        return Experiment(
            populations=[population for population, _ in driven],
            sources=[source],
            connections=connections,
            traces=[Trace(p.name, ("v",), np.arange(p.size)) for p, _ in driven],
            duration=duration,
            dt=self.dt,
            seed=self.seed,
        )


def supply(
    default: Quantity = REFERENCE,
    meaning: str = "synapse supply",
    source: str = "Barton et al. 2022, section 5.2.1: 0.5 to 1 V",
) -> Any:
    """Setting of one or several synapse supplies, which must be in the circuit's range."""
    setting = positive(default, meaning, source)
    metadata = {**setting.metadata, **IS_SUPPLY}
    return dataclasses.field(default_factory=setting.default_factory, metadata=metadata)


def check_supplies(settings: Parameters, circuit: CircuitNeuron) -> None:
    """Refuse supplies at which a protocol's circuit cannot be run, and say which would do."""
    low, high = circuit.vdd_low, circuit.vdd_high
    for field in dataclasses.fields(settings):
        if "supply" not in field.metadata:
            continue
        given = np.atleast_1d(getattr(settings, field.name))
        beyond = [vdd for vdd in given if not low <= vdd <= high]
        if beyond:
            example = say(circuit.vdd_reference)
            if len(given) > 1:
                ends = f"{float(low):g}, {float(high):g}, {len(given)}"
                example = f"{field.name}=linspace({ends})*volt"
            raise UserError(
                f"{field.name} = {say(beyond[0], digits=EXACT)} is out of range: expected "
                f"{circuit.supply_range}, from the circuit's vdd_low to its vdd_high, such as "
                f"{example}."
            )


def input_rate(default: Quantity, meaning: str = "mean rate of each input, chip time") -> Any:
    """Setting of the rate of random inputs."""
    return positive(default, meaning, "chosen here: below the neuron's own 3.3 MHz")


def keep(circuit: CircuitNeuron, why: str, **settings: Any) -> None:
    """Refuse a circuit whose parameters have other values than those a protocol is for."""
    for name, value in settings.items():
        if getattr(circuit, name) != value:
            raise UserError(f"circuit.{name} must stay {say(value)}: {why}.")


@dataclass(frozen=True, eq=False)
class DrivenProtocol(ChipProtocol):
    """Base of protocols in which the same random spikes reach every neuron, through codes."""

    codes: tuple[int, ...] = parameter((4, 3, 2, -2), "code of each input's synapse", "chosen here")
    input_rate: Quantity = input_rate(300 * khertz)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.circuit.check_codes(self.codes)

    def random_inputs(self, duration: Quantity) -> Spikes:
        """Those spikes over a duration of chip time."""
        size, rate = len(self.codes), self.input_rate
        return circuit_inputs(self.circuit, size, rate, duration, self.dt, self.seed)


@dataclass(frozen=True, eq=False)
class TwinProtocol(DrivenProtocol):
    """Base of protocols that compare cells with circuit neurons, the chip 1000 times faster.

    A code is onto a cell what it is onto the circuit: the same share of the single event that makes
    it fire from rest.
    """

    text_columns: ClassVar[tuple[str, ...]] = ("variable", "unit")

    bio: Receptive = parameter(
        GainLIF(t_ref=0.1 * ms, synapse="pulse", receptors=()),
        "the biological neuron, any that a current drives",
        "see its own; refractory for 1000 times the chip's 100 ns",
        named=NEURONS,
        kinds=(Receptive,),
    )
    dt: Quantity = time(10 * nsecond, "time step, chip time", "a tenth of a pulse")
    window: Quantity = time(
        0.2 * ms, "largest distance of coinciding spikes, biological time", "two pulses"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_current(self.bio)
        check_settled(self.circuit)

    def twins(
        self,
        cells: Population,
        chips: Population,
        traces: Sequence[Trace],
        duration: Quantity,
        scale: Any = 1.0,
    ) -> dict[str, Experiment]:
        """Experiments of cells and circuit neurons, over a duration of chip time; see `twins`."""
        weights = self.codes, self.unit
        inputs = self.random_inputs(duration)
        return twins(
            cells, chips, inputs, *weights, traces, duration, self.dt, self.seed, scale=scale
        )

    @cached_property
    def unit(self) -> Quantity:
        """What one code adds to a cell, in the unit of what it adds to."""
        return unit_weight(self.circuit, firing_event(self.bio, self._pulse, TIME_SCALE * self.dt))

    @property
    def entrance(self) -> Entrance:
        """Where input spikes arrive in a cell."""
        return Entrance.of(self.bio, self._pulse)

    def scale_table(self) -> Tables:
        """Table of what a code is onto a cell, where that is measured."""
        if has_pulse_threshold(self.bio):
            return {}
        entrance, width = self.entrance, self.entrance.width
        row = {
            "variable": entrance.variable,
            "pulse_ms": np.nan if width is None else float(width / ms),
            "one_code": float(self.unit),
            "unit": unit_of(self.unit),
            "firing_codes": 1 / float(unit_weight(self.circuit, 1.0)),
        }
        return {"scale": pd.DataFrame([row])}

    def about_scale(self, tables: Tables) -> str:
        """What a code is onto a cell, in a sentence; empty where it is known in closed form."""
        if "scale" not in tables:
            return ""
        row = tables["scale"].iloc[0]
        step = Quantity(row.one_code, dim=self.entrance.dim)
        event = f"a step of {say(step, digits=3)} of {row.variable}, which decays by itself"
        if np.isfinite(row.pulse_ms):
            event = f"a pulse of {say(step, digits=3)} onto {row.variable} for {row.pulse_ms:g} ms"
        return (
            f"One code onto the cell is {event}; {say(row.firing_codes, digits=3)} codes in one "
            "event make either neuron fire from rest"
        )

    @property
    def alike(self) -> bool:
        """Whether the cell is the LIF that the circuit is, but for the circuit's comparator."""
        cell, circuit = self.bio, self.circuit
        if not has_pulse_threshold(cell) or cell.adapts or circuit.leak != "linear":
            return False
        times = (cell.tau_m, circuit.leak_resistance * circuit.C), (cell.t_ref, circuit.t_spike)
        return cell.v_reset == cell.v_rest and all(
            np.isclose(float(slow / fast), TIME_SCALE) for slow, fast in times
        )

    @property
    def _pulse(self) -> Quantity:
        """Length of a pulse onto a cell."""
        return TIME_SCALE * self.circuit.t_pulse

    def check_reach(self, gain: np.ndarray, remedy: str) -> None:
        """Refuse gains that need a supply out of the circuit's range."""
        vdd = vdd_of(self.circuit, gain)
        if np.any(vdd < self.circuit.vdd_low) or np.any(vdd > self.circuit.vdd_high):
            low, high = reachable_gains(self.circuit)
            raise UserError(
                f"Gains from {say(gain.min())} to {say(gain.max())} are out of the circuit's "
                f"reach: supplies from {self.circuit.supply_range} give {say(low)} to {say(high)}. "
                f"{remedy}"
            )


@dataclass(frozen=True, eq=False)
class GateProtocol(ChipProtocol):
    """Base of protocols with XOR gates, whose codes are searched in closed form.

    Raises
    ------
    UserError
        When the circuit is none that the search is for, or neurons cannot follow the input.
    """

    vdd: Quantity = supply(
        linspace(0.5, 1.0, 11) * volt,
        "supplies at which codes are searched, each for all three neurons of a gate",
    )
    spikes: int = parameter(
        10, "input spikes of a 1", "Barton et al. 2022, section 6.2", low=1, high=64
    )
    period: Quantity = time(
        370 * nsecond,
        "from one input spike to the next; at least a neuron's dead time, 300 ns",
        "off the dead time, far below the membrane's 20 us",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        why = "codes are searched for mirrors and a clocked comparator"
        keep(self.circuit, why, synapse="mirror", comparator="clocked")
        check_closed_form(self.circuit)
        self.train.check(self.circuit)

    @property
    def train(self) -> PulseTrain:
        """Input of a 1."""
        return PulseTrain(self.spikes, self.period, self.dt)

    @cached_property
    def found(self) -> list[pd.DataFrame]:
        """What the search finds at each supply."""
        return [search(self.circuit, self.train, vdd) for vdd in self.vdd]

    @cached_property
    def designs(self) -> pd.DataFrame:
        """Gates to build: the widest margin of all, and that of those like the paper's."""
        return designs(pd.concat(self.found, ignore_index=True))
