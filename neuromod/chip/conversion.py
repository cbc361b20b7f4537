"""Conversion of gains into supplies and of weights into codes, and the energy of a chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Quantity, nwatt, uwatt, volt
from brian2.units.allunits import Mhertz, pjoule

from neuromod.errors import UserError, unknown
from neuromod.models.circuit import CALIBRATED, PAPER, CircuitNeuron
from neuromod.parameters import Parameters, not_negative

ROUNDING = 1e-12
SINGLE = 1e-6
"""What rounding to single precision, in which gains are tuned, may change of one."""
SHARED_BY = ("layer", "neuron")
TOTALS = {"always": "always on", "pulsed": "pulsed"}
# Biological over chip time: a membrane time constant of 20 ms against 20 us.
TIME_SCALE = 1000
# The paper's least energy and its highest rate (abstract; table 9), which it never ties together.
LEAST_ENERGY, MAX_RATE = 1.08 * pjoule, 3.3 * Mhertz
DECISION, RESET, LEAKAGE = 0.12 * pjoule, 0.01 * pjoule, 10 * nwatt
CONTINUOUS = 1 * uwatt


def nearest(values: Any) -> Any:
    """Nearest whole numbers; a half, also one that is off by rounding, goes away from zero.

    NumPy takes a half to the even neighbour: of values in steps of a quarter, five would become an
    even code and three an odd one.

    Parameters
    ----------
    values : ndarray of any shape
    """
    return np.copysign(np.floor(np.abs(values) * (1 + ROUNDING) + 0.5), values) + 0.0


def gain_of(circuit: CircuitNeuron, vdd: Quantity) -> np.ndarray:
    """Gain of a synapse at a supply voltage, relative to the circuit's `vdd_reference`.

    Parameters
    ----------
    circuit : CircuitNeuron
    vdd : Quantity, shape () or (n,)
        In volt.

    Returns
    -------
    ndarray, shape () or (n,)
    """
    return np.asarray(circuit.unit_current(vdd) / circuit.unit_current(circuit.vdd_reference))


def vdd_of(circuit: CircuitNeuron, gain: np.ndarray) -> Quantity:
    """Supply voltage that gives a gain relative to `vdd_reference`: the inverse of `gain_of`.

    Parameters
    ----------
    circuit : CircuitNeuron
    gain : ndarray, shape () or (n,)
        Not negative.

    Returns
    -------
    Quantity, shape () or (n,)
        In volt, whether or not a synapse can be run there.
    """
    one = circuit.unit_current(circuit.vdd_reference)
    vdd = np.asarray(circuit.vdd_for(np.asarray(gain) * one))
    # Rounding must not take the gain of an end of the range out of it.
    for end in (circuit.vdd_low, circuit.vdd_high):
        of_end = gain_of(circuit, end)
        vdd = np.where(np.abs(gain - of_end) < SINGLE * of_end, float(end), vdd)
    return vdd * volt


def reachable_gains(circuit: CircuitNeuron, untuned: Quantity | None = None) -> tuple[float, float]:
    """Gains at the ends of the circuit's range of supplies, relative to that at one supply.

    Parameters
    ----------
    circuit : CircuitNeuron
    untuned : Quantity, optional
        Supply at which the gain is 1, volt; the circuit's `vdd_reference` without it.

    Returns
    -------
    tuple of float
        Those of `vdd_low` and `vdd_high`.
    """
    one = circuit.vdd_reference if untuned is None else untuned
    ends = Quantity([circuit.vdd_low, circuit.vdd_high, one])
    low, high, one = gain_of(circuit, ends)
    return float(low / one), float(high / one)


@dataclass(frozen=True, eq=False)
class Costs(Parameters):
    """What one event of the neuron core costs.

    The paper gives its least energy, 1.08 pJ a spike, and its highest rate, 3.3 MHz (table 9),
    neither a split of the energy nor the rate that it belongs to. Chosen here: it is that of the
    highest rate. The split is calibrated so that the parts add up to it there, where every spike
    goes with two decisions of the comparator, one after an input and one after the spike itself.
    """

    decision: Quantity = not_negative(DECISION, "one decision of the comparator", CALIBRATED)
    continuous: Quantity = not_negative(
        CONTINUOUS,
        "static power of a continuous comparator, instead of decisions",
        "chosen here: 1 uA at the core's 1 V",
    )
    reset: Quantity = not_negative(RESET, "switching the reset transistor once", CALIBRATED)
    leakage: Quantity = not_negative(LEAKAGE, "static power of the core", CALIBRATED)
    spike: Quantity = not_negative(
        LEAST_ENERGY - 2 * DECISION - RESET - LEAKAGE / MAX_RATE,
        "one spike of the spike generator",
        f"calibrated here: what is left of 1.08 pJ ({PAPER}, table 9), taken at 3.3 MHz",
    )


IDLE = "idle references"
SOURCES = {
    "synapses": (
        "synapse",
        "VDD times the current of outputs and references in pulses, integrated",
    ),
    IDLE: ("synapse", "VDD times the current of references between pulses, integrated"),
    "comparator": ("core", CALIBRATED),
    "spike generator": ("core", "calibrated here: what is left of 1.08 pJ (paper's table 9)"),
    "reset": ("core", CALIBRATED),
    "leakage": ("core", CALIBRATED),
}


def energies(
    circuit: CircuitNeuron,
    costs: Costs,
    totals: Mapping[str, Any],
    spikes: np.ndarray,
    duration: Quantity,
) -> dict[str, Quantity]:
    """Energy that each neuron draws from its supplies, by what it is spent on.

    Parameters
    ----------
    circuit : CircuitNeuron
    costs : Costs
    totals : mapping of str to Quantity or ndarray, each of shape (neurons,)
        ``energy`` that the synapses drew and ``idle`` of references between pulses, joule, and
        ``clocks`` of the comparator; a recording's `totals` of a population.
    spikes : ndarray, shape (neurons,)
        Number of output spikes.
    duration : Quantity
        In seconds.

    Returns
    -------
    dict of str to Quantity, each of shape (neurons,)
        In joule, the keys of `SOURCES`. What the synapses pull off a membrane goes to ground and
        is drawn from no supply; their references are. `IDLE` is there for either kind of
        references, and drawn only by those that stay on: see `drawn`.
    """
    every = np.ones(len(spikes))
    if circuit.comparator == "clocked":
        comparator = np.asarray(totals["clocks"]) * costs.decision
    else:
        comparator = every * costs.continuous * duration
    return {
        "synapses": totals["energy"],
        IDLE: totals["idle"],
        "comparator": comparator,
        "spike generator": spikes * costs.spike,
        "reset": spikes * costs.reset,
        "leakage": every * costs.leakage * circuit.leakage_growth * duration,
    }


def drawn(circuit: CircuitNeuron, entries: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the entries that a circuit's supplies pay for.

    Parameters
    ----------
    circuit : CircuitNeuron
    entries : mapping of str to Quantity, each of shape (neurons,)
        From `energies`.
    """
    paid = circuit.references == "always"
    return {name: energy for name, energy in entries.items() if paid or name != IDLE}


def by_supply(circuit: CircuitNeuron, entries: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Energy of each neuron by supply.

    Parameters
    ----------
    circuit : CircuitNeuron
    entries : mapping of str to Quantity, each of shape (neurons,)
        From `energies`.

    Returns
    -------
    dict of str to Quantity, each of shape (neurons,)
        ``"core"`` and ``"synapse"``, joule.
    """
    paid = drawn(circuit, entries)
    return {
        supply: sum(e for name, e in paid.items() if SOURCES[name][0] == supply)
        for supply in ("core", "synapse")
    }


def by_references(entries: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Energy of each neuron for references that stay on, and for those that their pulses switch.

    Parameters
    ----------
    entries : mapping of str to Quantity, each of shape (neurons,)
        From `energies`.

    Returns
    -------
    dict of str to Quantity, each of shape (neurons,)
        ``"always"`` and ``"pulsed"``, joule. Where `R_supply` makes a supply sag, the kind that
        the circuit does not have is an estimate: its references would load the supply otherwise.
    """
    every = sum(entries.values())
    return {"always": every, "pulsed": every - entries[IDLE]}


def ledger(circuit: CircuitNeuron, entries: Mapping[str, Quantity], spikes: float) -> pd.DataFrame:
    """Table of energies with the source of each.

    Parameters
    ----------
    circuit : CircuitNeuron
    entries : mapping of str to Quantity, each of shape (neurons,)
        From `energies`.
    spikes : float
        Output spikes over which the energy is shared out.

    Returns
    -------
    DataFrame
        ``entry``, ``supply``, ``energy_pJ``, ``per_spike_pJ`` (nan without spikes), ``source``; the
        last rows the total of the circuit, and what it would be with references of the other kind.
    """
    kinds = by_references(entries)
    other = next(kind for kind in kinds if kind != circuit.references)
    unpaid = entries.keys() - drawn(circuit, entries).keys()
    estimate = "sum; the calibrated entries make it an estimate"
    rows = [
        (name, "none" if name in unpaid else SOURCES[name][0], energy, SOURCES[name][1])
        for name, energy in entries.items()
    ]
    rows.append(("total", "both", kinds[circuit.references], estimate))
    rows.append((f"total, references {TOTALS[other]}", "both", kinds[other], estimate))
    table = pd.DataFrame(rows, columns=["entry", "supply", "energy_pJ", "source"])
    table["energy_pJ"] = [float(np.sum(energy) / pjoule) for energy in table.energy_pJ]
    table.insert(3, "per_spike_pJ", table["energy_pJ"] / spikes if spikes else np.nan)
    return table


@dataclass(frozen=True, eq=False)
class Design:
    """How a chip's mirrors are made to fit a network.

    With a large fan-in, weights are small, and so is what one unit of a code has to move the
    membrane. A mirror whose transistors are `scale` times weaker and whose load is as many times
    larger gives exactly that part of the current at every supply, and the same gains.

    Attributes
    ----------
    per : str
        What shares one size of mirrors and one scale of codes: a ``"layer"``, or each
        ``"neuron"``.
    untuned : Quantity, optional
        Supply at which the codes are the weights, so that the gain is 1, volt; the circuit's
        `vdd_reference` without it.
    """

    per: str = "layer"
    untuned: Quantity | None = None

    def __post_init__(self) -> None:
        if self.per not in SHARED_BY:
            raise unknown("way of sizing mirrors", self.per, SHARED_BY)

    def largest(self, table: np.ndarray) -> np.ndarray:
        """Weight that the largest code stands for, by neuron: shape (neurons,)."""
        of_neuron: np.ndarray = np.abs(table).max(axis=1)
        return of_neuron if self.per == "neuron" else np.full(len(table), of_neuron.max())


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of neurons on the chip.

    Attributes
    ----------
    codes : ndarray of int, shape (neurons, inputs)
        Signed codes of the weights.
    bias_codes : ndarray of int, shape (neurons,)
    vdd : Quantity, shape (neurons,) or (neurons, supplies)
        In volt.
    changes : dict of str to number
        What did not fit, counted, and the error of the codes.
    scale : float or ndarray, shape () or (neurons,)
        How many times weaker than the circuit's its mirrors are; see `Design`.
    supply : ndarray of int, shape (neurons, inputs + 1), optional
        Which of its neuron's supplies feeds each synapse, the bias's last, where there are several.
    """

    codes: np.ndarray
    bias_codes: np.ndarray
    vdd: Quantity
    changes: dict[str, Any]
    scale: Any = 1.0
    supply: np.ndarray | None = None

    @property
    def supplies(self) -> int:
        """Number of supplies of a neuron, at most."""
        return 1 if self.supply is None else self.vdd.shape[1]

    def fed_by(self, supply: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes and bias codes of the synapses that one of the supplies feeds, others 0."""
        if self.supply is None:
            return (self.codes, self.bias_codes) if supply == 0 else self._none
        fed = self.supply == supply
        return self.codes * fed[:, :-1], self.bias_codes * fed[:, -1]

    def mirrors(self, supply: int) -> np.ndarray:
        """How many mirrors of each neuron one of the supplies feeds, shape (neurons,)."""
        codes, biases = self.fed_by(supply)
        return np.asarray(np.count_nonzero(codes, axis=1) + (biases != 0.0))

    def n_mirrors(self, supply: int) -> np.ndarray:
        """N-type ones of them, which pull, shape (neurons,)."""
        codes, biases = self.fed_by(supply)
        return np.asarray(np.count_nonzero(codes < 0, axis=1) + (biases < 0))

    @property
    def _none(self) -> tuple[np.ndarray, np.ndarray]:
        return 0 * self.codes, 0 * self.bias_codes

    def vdd_of(self, supply: int) -> Quantity:
        """Voltage of one of the supplies, shape (neurons,); of one that is not there, the first."""
        if self.supply is None:
            return self.vdd
        return self.vdd[:, supply if supply < self.supplies else 0]


def grouped(
    circuit: CircuitNeuron, layer: Layer, supply: np.ndarray, gain: np.ndarray, untuned: Quantity
) -> Layer:
    """A layer with the same codes whose groups of synapses have supplies of their own.

    Parameters
    ----------
    circuit : CircuitNeuron
    layer : Layer
    supply : ndarray of int, shape (neurons, inputs + 1)
        Which of its neuron's supplies feeds each synapse, the bias's last.
    gain : ndarray, shape (neurons, supplies)
        Of each supply, not negative, within reach.
    untuned : Quantity
        Supply at which the gain is 1, volt.

    Raises
    ------
    UserError
        If a gain asks for a supply that synapses cannot be run at.
    """
    least, most = reachable_gains(circuit, untuned)
    outside = (gain < least * (1 - SINGLE)) | (gain > most * (1 + SINGLE))
    if np.any(outside):
        raise UserError(
            f"{np.count_nonzero(outside)} groups of synapses ask for a supply beyond "
            f"{circuit.supply_range}: gains from {least:.3g} to {most:.3g} are within reach."
        )
    vdd = vdd_of(circuit, gain * gain_of(circuit, untuned))
    return replace(layer, vdd=vdd, supply=supply)


def deploy(
    circuit: CircuitNeuron,
    weight: np.ndarray,
    bias: np.ndarray,
    gain: np.ndarray,
    theta: float,
    design: Design | None = None,
    vdd: Quantity | None = None,
) -> Layer:
    """Put a layer ``v = gain*(weight @ x + bias)`` with threshold `theta` onto the chip.

    Each neuron has one scale, chosen so that its largest weight has the largest code; scale and
    gain together ask for a step per least significant bit, and the mirror's inverse gives the
    supply for it. Where that supply is out of the circuit's range the nearest end is taken and the
    scale, hence the codes, make up for it: codes get coarser at the lower end and the largest
    weights saturate at the upper end. A supply cannot turn a current's sign, so a negative gain
    is stored in the codes' signs. With a design, mirrors are sized so that a gain of 1 runs at
    its untuned supply; the supply is then that of the gain alone.

    Parameters
    ----------
    circuit : CircuitNeuron
    weight : ndarray, shape (neurons, inputs)
    bias, gain : ndarray, shape (neurons,)
    theta : float
        Threshold in the units of v.
    design : Design, optional
        Of mirrors made for the network; those of `circuit` without it.
    vdd : Quantity, shape (neurons,), optional
        Supplies that are there already, such as shared ones; the codes make up for them.

    Returns
    -------
    Layer
        Nothing is clipped in silence: `changes` counts it.

    Raises
    ------
    UserError
        When synapses without mirrors are to be sized, or the layer is a convolution.
    """
    check_dense(weight)
    table = np.column_stack([weight, bias])
    # Volt on the membrane that one unit of the network's weight stands for.
    per_unit = float((circuit.v_th - circuit.v_rest) / volt) / theta
    fit = design or Design("neuron")
    smallest = fit.largest(table) / circuit.code_max * per_unit
    scale = np.ones(len(table)) if design is None else _sized(circuit, smallest, fit.untuned)
    ends = circuit.vdd_low, circuit.vdd_high
    least, most = (float(circuit.step(end) / volt) for end in ends)
    wanted = smallest * scale * np.abs(gain)
    if vdd is None:
        given = np.clip(wanted, least, most)
        vdd = vdd_of(circuit, given / float(circuit.step(circuit.vdd_reference) / volt))
        # The inverse is exact up to rounding, which must not leave the range.
        vdd = np.clip(vdd, *ends)
    else:
        given = np.asarray(circuit.step(vdd) / volt)
    # A mirror that conducts nothing at the lowest supply reaches down to a step of 0.
    per_code = np.divide(gain * per_unit * scale, given, out=np.zeros(len(table)), where=given > 0)
    exact = table * per_code[:, None]
    codes = np.clip(nearest(exact), -circuit.code_max, circuit.code_max).astype(int)
    changes = {
        "neurons": len(gain),
        "negative_gain": int(np.count_nonzero(gain < 0)),
        "supply_at_lower_end": int(np.count_nonzero(wanted < least * (1 - 1e-9))),
        "supply_at_upper_end": int(np.count_nonzero(wanted > most * (1 + 1e-9))),
        "weights": int(table.size),
        "weights_rounded": int(np.count_nonzero(np.abs(codes - exact) > 1e-9)),
        "weights_to_zero": int(np.count_nonzero((codes == 0) & (table != 0))),
        "weights_saturated": int(np.count_nonzero(np.abs(exact) > circuit.code_max + 0.5)),
        "rms_error_lsb": float(np.sqrt(np.mean((codes - exact) ** 2))),
        "mirror_scale": float(np.median(scale)),
    }
    return Layer(codes[:, :-1], codes[:, -1], vdd, changes, scale)


def check_dense(weight: np.ndarray) -> None:
    """Refuse weights that neurons share, which have no synapses of their own to be stored in."""
    if np.ndim(weight) != 2:
        raise UserError(
            f"Weights of shape {np.shape(weight)} are no linear layer's, (neurons, inputs): "
            "convolutions are not built from neurons."
        )


def _sized(circuit: CircuitNeuron, smallest: np.ndarray, untuned: Quantity | None) -> np.ndarray:
    """How many times weaker mirrors must be so that one unit moves a membrane so far, V."""
    if circuit.synapse != "mirror":
        raise UserError(
            f"Only synapse=mirror can be sized for a network, not {circuit.synapse}; deploy it "
            "without a design."
        )
    one = circuit.vdd_reference if untuned is None else untuned
    step = np.full(len(smallest), float(circuit.step(one) / volt))
    return np.asarray(np.divide(step, smallest, out=np.ones(len(smallest)), where=smallest > 0))


def stored(
    circuit: CircuitNeuron, layer: Layer, theta: float, untuned: Quantity
) -> tuple[np.ndarray, np.ndarray]:
    """The weights and biases that a layer's codes stand for: what `deploy` left of them.

    Parameters
    ----------
    circuit : CircuitNeuron
    layer : Layer
    theta : float
        Threshold in the units of the weights.
    untuned : Quantity
        Supply at which the gain is 1, volt.

    Returns
    -------
    tuple of ndarray, shapes (neurons, inputs) and (neurons,)
        Weights and biases.
    """
    per_unit = float((circuit.v_th - circuit.v_rest) / volt) / theta
    of_one = float(circuit.step(untuned) / volt) / per_unit / np.asarray(layer.scale)
    of_one = np.broadcast_to(of_one, len(layer.codes))
    return layer.codes * of_one[:, None], layer.bias_codes * of_one
