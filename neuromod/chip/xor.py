"""XOR by three circuit neurons, and every set of codes that computes it.

Two inputs reach two hidden neurons, and these an output neuron. A 1 is a train of spikes on an
input, a 0 none; fewer than three output spikes read 0 (Barton et al. 2022, section 6.2, which
gives no codes). All pulses of a gate come in volleys, so that codes are tried in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from brian2 import Quantity, volt

from neuromod.chip.pulses import PulseTrain, Response, mirror_pulses, respond
from neuromod.chip.variation import Deviations, effective_codes, neuron_values
from neuromod.errors import UserError
from neuromod.experiment import Connection, Experiment, Population, Trace
from neuromod.models.circuit import CircuitNeuron

ROWS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
ROW_NAMES = ("00", "01", "10", "11")
TRUTH = np.array([False, True, True, False])
READS_ONE = 3
# The paper's: 4 output spikes for a 1, and 2 for a 0, of the rows with any input.
PAPER_SPIKES = {"spikes_01": 4, "spikes_10": 4, "spikes_11": 2}
# First hidden neuron's from the inputs a and b, second hidden neuron's, output's from these two.
CODES = ("code_a1", "code_b1", "code_a2", "code_b2", "code_1", "code_2")


@dataclass(frozen=True, eq=False)
class Gates:
    """Gates of three neurons with two synapses each, the third neuron being the output.

    Attributes
    ----------
    codes : ndarray, shape (gates, 3, 2)
        Of the synapses from the two inputs, or from the two hidden neurons. Real numbers are
        currents in units.
    vdd : Quantity, shape (gates, 3)
        Synapse supplies, volt.
    mirrors : ndarray, shape (gates, 3, 2)
        Currents of the synapses' references during a pulse, in units.
    values : mapping of str to Quantity, each of shape (gates, 3)
        Further values of single neurons.
    """

    codes: np.ndarray
    vdd: Quantity
    mirrors: np.ndarray
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, solutions: pd.DataFrame) -> Gates:
        """Gates as designed: rows of what `search` gives."""
        codes = solutions[list(CODES)].to_numpy().reshape(-1, 3, 2)
        vdd = np.repeat(solutions[["vdd_V"]].to_numpy(), 3, axis=1) * volt
        return cls(codes, vdd, (codes != 0) * 1.0)

    def take(self, gates: np.ndarray) -> Gates:
        """Some of the gates, or copies of them, by number or mask."""
        values = {name: value[gates] for name, value in self.values.items()}
        return Gates(self.codes[gates], self.vdd[gates], self.mirrors[gates], values)

    def made(self, circuit: CircuitNeuron, deviations: Deviations) -> Gates:
        """Gates as a chip has them.

        `deviations` are of neurons of shape (gates, 3) with two synapses each, or shared by all.
        What a hidden neuron's wider spike lets through in addition is in the codes of the
        output's synapses: the charge is the same.
        """
        codes, mirrors = effective_codes(circuit, self.codes, self.vdd, deviations)
        shape = self.vdd.shape
        width = np.ones((*shape, 2))
        width[:, 2] = np.exp(np.broadcast_to(deviations.t_spike, shape)[:, :2])
        values = neuron_values(circuit, deviations, shape)
        return Gates(codes * width, self.vdd, mirrors * width, values)

    def answers(self, circuit: CircuitNeuron, train: PulseTrain) -> np.ndarray:
        """Output spikes in closed form, shape (gates, 4), in the order of `ROWS`."""
        hidden = self.respond(circuit, train, slice(0, 2), ROWS[:, None, :, None]).fires
        output = self.respond(circuit, train, slice(2, 3), hidden[:, :, None]).fires
        spikes: np.ndarray = output[:, :, 0].sum(axis=-1)
        return spikes

    def respond(
        self, circuit: CircuitNeuron, train: PulseTrain, neurons: slice, inputs: np.ndarray
    ) -> Response:
        """What some of the three neurons of every gate do, in closed form.

        `inputs` say which pulses come, broadcast to shape (gates, 4, neurons, 2, volleys); the
        response is of shape (gates, 4, neurons).
        """
        drive = (self.codes[:, None, neurons, :, None] * inputs).sum(axis=-2)
        drive = np.broadcast_to(drive, (*drive.shape[:-1], train.count))
        values = {name: value[:, None, neurons] for name, value in self.values.items()}
        return respond(circuit, train, drive, self.vdd[:, None, neurons], values)

    def experiment(
        self, circuit: CircuitNeuron, train: PulseTrain, seed: int, shown: np.ndarray
    ) -> Experiment:
        """All rows of the truth table of every gate at once.

        Parameters
        ----------
        circuit : CircuitNeuron
        train : PulseTrain
        seed : int
            For the record.
        shown : ndarray of int
            Gates whose membranes to record.

        Returns
        -------
        Experiment
            Populations ``hidden``, by gate, row and neuron, and ``output``, by gate and row.
        """
        of_gate = {"hidden": 8, "output": 4}
        traces = [
            Trace(name, ("v",), (shown[:, None] * size + np.arange(size)).ravel())
            for name, size in of_gate.items()
        ]
        return Experiment(
            populations=(
                self._population("hidden", circuit, slice(0, 2), train.dt),
                self._population("output", circuit, slice(2, 3), train.dt),
            ),
            sources=(train.spikes("inputs", 2),),
            connections=(*self._from_inputs(circuit.t_pulse), *self._from_hidden(circuit.t_pulse)),
            traces=traces,
            duration=train.duration,
            dt=train.dt,
            seed=seed,
        )

    def _population(
        self, name: str, circuit: CircuitNeuron, neurons: slice, dt: Quantity
    ) -> Population:
        # Repeated for every row, an array keeps the order of gate, row and neuron when made flat.
        values = {
            key: np.repeat(value[:, neurons], len(ROWS), axis=0).ravel()
            for key, value in {"vdd": self.vdd, **self.values}.items()
        }
        if "t_spike" in values:
            # A membrane is released at the start of the step in which its spike ends.
            values["t_spike"] = np.floor(np.asarray(values["t_spike"] / dt) + 1e-3) * dt
        return Population(name, circuit, len(values["vdd"]), values)

    def _from_inputs(self, width: Quantity) -> tuple[Connection, ...]:
        gate, row, neuron, source = np.indices((len(self.codes), 4, 2, 2))
        on = ROWS[row, source] == 1
        gate, row, neuron, source = (index[on] for index in (gate, row, neuron, source))
        target = (gate * 4 + row) * 2 + neuron
        return self._synapses("inputs", "hidden", source, target, (gate, neuron, source), width)

    def _from_hidden(self, width: Quantity) -> tuple[Connection, ...]:
        gate, row, source = (index.ravel() for index in np.indices((len(self.codes), 4, 2)))
        copy = gate * 4 + row
        return self._synapses("hidden", "output", copy * 2 + source, copy, (gate, 2, source), width)

    def _synapses(
        self, source: str, target: str, i: np.ndarray, j: np.ndarray, own: Any, width: Quantity
    ) -> tuple[Connection, ...]:
        up, down = np.maximum(self.codes[own], 0), np.maximum(-self.codes[own], 0)
        return mirror_pulses(source, target, i, j, up, down, self.mirrors[own], width)


def computes(answers: np.ndarray) -> np.ndarray:
    """Which rows of the truth table come out right, by output spikes, both of shape (..., 4)."""
    right: np.ndarray = np.equal(answers >= READS_ONE, TRUTH)
    return right


def search(circuit: CircuitNeuron, train: PulseTrain, vdd: Quantity) -> pd.DataFrame:
    """Every set of codes with which a gate at one supply computes XOR.

    All pairs of codes of a hidden neuron are tried first; those that fire alike in all rows are
    one case. Then every pair of cases is tried with every pair of output codes.

    Parameters
    ----------
    circuit : CircuitNeuron
        See `respond`.
    train : PulseTrain
    vdd : Quantity
        Supply of all three neurons, volt.

    Returns
    -------
    DataFrame
        One row for each way to compute it, best margin first: ``vdd_V``, the codes of a network
        that does so with the widest margin, output ``spikes_01`` and so on, ``margin_mV`` as in
        `Response` over all three neurons, ``networks`` that do the same, and whether they stay
        ``within_rails``, between ground and their supply, where sources can be ideal.
    """
    codes = np.arange(-circuit.code_max, circuit.code_max + 1)
    pairs = np.stack(np.meshgrid(codes, codes, indexing="ij"), axis=-1).reshape(-1, 2)
    cases = _hidden_cases(circuit, train, vdd, pairs)
    one, other = np.triu_indices(len(cases.count))
    drive = sum(
        pairs[:, side, None, None] * cases.fires[case][:, None]
        for side, case in enumerate((one, other))
    )
    output = respond(circuit, train, drive, vdd)
    spikes = output.fires.sum(axis=-1)
    silent = np.zeros((*spikes.shape[:2], 1), dtype=int)
    k, pair = np.nonzero(computes(np.concatenate([silent, spikes], axis=-1)).all(axis=-1))
    one, other = one[k], other[k]
    margin = output.margin.min(axis=-1)[k, pair]
    made = np.hstack([pairs[cases.best[one]], pairs[cases.best[other]], pairs[pair]])
    both = np.where(one == other, 1, 2) * cases.count[one] * cases.count[other]
    table = pd.DataFrame(made, columns=list(CODES))
    table.insert(0, "vdd_V", float(vdd / volt))
    table[["spikes_01", "spikes_10", "spikes_11"]] = spikes[k, pair]
    table["margin_mV"] = (
        np.minimum(margin, np.minimum(cases.margin[one], cases.margin[other])) * 1e3
    )
    table["networks"] = both
    table["within_rails"] = cases.within[one] & cases.within[other] & _within(output, vdd)[k, pair]
    return table.sort_values("margin_mV", ascending=False, kind="stable", ignore_index=True)


def pick(levels: Sequence[Gates], level: np.ndarray) -> Gates:
    """Gates each neuron of which runs at a supply of its own.

    Parameters
    ----------
    levels : sequence of Gates
        The same gates at different supplies.
    level : ndarray of int, shape (gates, 3)
        Which of them to take each neuron from.
    """
    gate, neuron = np.indices(level.shape)
    codes, vdd, mirrors = (
        np.stack([np.asarray(getattr(gates, name)) for gates in levels])[level, gate, neuron]
        for name in ("codes", "vdd", "mirrors")
    )
    return Gates(codes, vdd * volt, mirrors, levels[0].values)


def retune(
    circuit: CircuitNeuron, train: PulseTrain, levels: Sequence[Gates], home: int
) -> np.ndarray:
    """Supplies with which most rows of the truth table come out right.

    Every combination of levels is tried, the least change of supplies first, as one would on a
    chip: by counting output spikes.

    Parameters
    ----------
    circuit : CircuitNeuron
        See `respond`.
    train : PulseTrain
    levels : sequence of Gates
        The same gates with all supplies at one level after another, in order.
    home : int
        The level of the design.

    Returns
    -------
    ndarray of int, shape (gates, 3)
        Level of each neuron; `home` for all that are right there.
    """
    wrong = np.flatnonzero(~computes(levels[home].answers(circuit, train)).all(axis=-1))
    failing = [gates.take(wrong) for gates in levels]
    hidden = [
        gates.respond(circuit, train, slice(0, 2), ROWS[:, None, :, None]).fires
        for gates in failing
    ]
    combinations = sorted(
        product(range(len(levels)), repeat=3), key=lambda c: np.abs(np.array(c) - home).sum()
    )
    level = np.full(levels[home].vdd.shape, home)
    most = np.full(len(wrong), -1)
    for one, other, last in combinations:
        fires = np.stack([hidden[one][:, :, 0], hidden[other][:, :, 1]], axis=2)[:, :, None]
        output = failing[last].respond(circuit, train, slice(2, 3), fires)
        right = computes(output.fires[:, :, 0].sum(axis=-1)).sum(axis=-1)
        better = right > most
        level[wrong[better]], most[better] = (one, other, last), right[better]
    return level


def join(parts: Sequence[Gates]) -> Gates:
    """All gates of several sets, which have values of the same names."""
    values = {
        name: _concatenated([part.values[name] for part in parts]) for name in parts[0].values
    }
    codes, vdd, mirrors = (
        _concatenated([getattr(part, name) for part in parts])
        for name in ("codes", "vdd", "mirrors")
    )
    return Gates(codes, vdd, mirrors, values)


def like_the_paper(solutions: pd.DataFrame) -> pd.Series:
    """Which of the solutions from `search` give the output spikes of the paper's simulation."""
    return (solutions[list(PAPER_SPIKES)] == list(PAPER_SPIKES.values())).all(axis=1)


def designs(solutions: pd.DataFrame) -> pd.DataFrame:
    """Networks to build: of those within the rails, the ones with the widest margin.

    Parameters
    ----------
    solutions : DataFrame
        From `search`, of any supplies.

    Returns
    -------
    DataFrame
        At most two rows, ``design`` being ``"widest"`` of all and ``"paper"`` of those that are
        `like_the_paper`.

    Raises
    ------
    UserError
        When none stays within the rails.
    """
    if not solutions.within_rails.any():
        raise UserError(
            "No network of such codes computes XOR at any of these supplies with its membranes "
            "within the rails; a higher supply, more bits or more spikes would give larger sums."
        )
    within = solutions[solutions.within_rails].sort_values(
        "margin_mV", ascending=False, kind="stable"
    )
    chosen = pd.concat([within.head(1), within[like_the_paper(within)].head(1)], ignore_index=True)
    chosen.insert(0, "design", ["widest", "paper"][: len(chosen)])
    return chosen


@dataclass(frozen=True, eq=False)
class _Cases:
    """Ways in which hidden neurons fire in the rows with any input; each of shape (cases, ...)."""

    fires: np.ndarray
    within: np.ndarray
    count: np.ndarray
    best: np.ndarray
    margin: np.ndarray


def _hidden_cases(
    circuit: CircuitNeuron, train: PulseTrain, vdd: Quantity, pairs: np.ndarray
) -> _Cases:
    """Pairs of codes of a hidden neuron that fire alike, and of each case the widest margin's."""
    drive = np.repeat((pairs @ ROWS[1:].T)[..., None], train.count, axis=-1)
    response = respond(circuit, train, drive, vdd)
    within, margin = _within(response, vdd), response.margin.min(axis=-1)
    kinds = np.column_stack([response.fires.reshape(len(pairs), -1), within])
    order = np.argsort(-margin, kind="stable")
    kinds, best, count = np.unique(kinds[order], axis=0, return_index=True, return_counts=True)
    fires = kinds[:, :-1].reshape(len(kinds), 3, train.count)
    chosen = order[best]
    return _Cases(fires, kinds[:, -1], count, chosen, margin[chosen])


def _within(response: Response, vdd: Quantity) -> np.ndarray:
    """Whether membranes stay between ground and the supply in all rows."""
    inside = (response.lowest >= 0) & (response.highest <= float(vdd / volt))
    return np.asarray(inside.all(axis=-1))


def _concatenated(arrays: Sequence[Any]) -> Any:
    """NumPy's concatenation forgets units."""
    whole = np.concatenate([np.asarray(array) for array in arrays])
    return Quantity(whole, dim=arrays[0].dim) if isinstance(arrays[0], Quantity) else whole
