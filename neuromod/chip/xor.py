"""XOR by three circuit neurons, and every set of codes that computes it.

Two inputs reach two hidden neurons, and these an output neuron. A 1 is a train of spikes on an
input, a 0 none; fewer than three output spikes read 0 (Barton et al. 2022, section 6.2, which
gives no codes). All pulses of a gate come in volleys, so that codes are tried in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

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
LAYERS = {"hidden": slice(0, 2), "output": slice(2, 3)}
"""Which of a gate's three neurons make up each population."""


@dataclass(frozen=True, eq=False)
class Gates:
    """Gates of three neurons with two synapses each, the third neuron being the output.

    Attributes
    ----------
    codes : ndarray, shape (gates, 3, 2)
        Of the synapses from the two inputs, or from the two hidden neurons. Real numbers are
        currents in units.
    mirrors : ndarray, shape (gates, 3, 2)
        Currents of the synapses' references during a pulse, in units.
    values : mapping of str to Quantity, each of shape (gates, 3)
        Of single neurons, with their synapse supplies ``vdd``, volt.
    """

    codes: np.ndarray
    mirrors: np.ndarray
    values: Mapping[str, Quantity]

    @classmethod
    def of(cls, solutions: pd.DataFrame) -> Gates:
        """Gates as designed: rows of what `search` gives."""
        codes = solutions[list(CODES)].to_numpy().reshape(-1, 3, 2)
        vdd = np.repeat(solutions[["vdd_V"]].to_numpy(), 3, axis=1) * volt
        return cls(codes, (codes != 0) * 1.0, {"vdd": vdd})

    def take(self, gates: np.ndarray) -> Gates:
        """Some of the gates, or copies of them, by number or mask."""
        values = {name: value[gates] for name, value in self.values.items()}
        return Gates(self.codes[gates], self.mirrors[gates], values)

    def made(self, circuit: CircuitNeuron, deviations: Deviations) -> Gates:
        """Gates as a chip has them.

        `deviations` are of neurons of shape (gates, 3) with two synapses each, or shared by all.
        What a hidden neuron's wider spike lets through in addition is in the codes of the
        output's synapses: the charge is the same.
        """
        vdd = self.values["vdd"]
        codes, mirrors = effective_codes(circuit, self.codes, vdd, deviations)
        width = np.ones((*vdd.shape, 2))
        width[:, 2] = np.exp(np.broadcast_to(deviations.t_spike, vdd.shape)[:, :2])
        values = {"vdd": vdd} | neuron_values(circuit, deviations, vdd.shape)
        return Gates(codes * width, mirrors * width, values)

    def answers(self, circuit: CircuitNeuron, train: PulseTrain) -> np.ndarray:
        """Output spikes in closed form, shape (gates, 4), in the order of `ROWS`."""
        hidden = self.respond(circuit, train, "hidden", ROWS[:, None, :, None]).fires
        output = self.respond(circuit, train, "output", hidden[:, :, None]).fires
        spikes: np.ndarray = output[:, :, 0].sum(axis=-1)
        return spikes

    def respond(
        self, circuit: CircuitNeuron, train: PulseTrain, layer: str, inputs: np.ndarray
    ) -> Response:
        """What the hidden neurons or the output of every gate do, in closed form.

        `inputs` say which pulses come, broadcast to shape (gates, 4, neurons, 2, volleys); the
        response is of shape (gates, 4, neurons).
        """
        neurons = LAYERS[layer]
        codes = circuit.pushed(self.codes, self.values["vdd"][..., None])
        drive = (codes[:, None, neurons, :, None] * inputs).sum(axis=-2)
        drive = np.broadcast_to(drive, (*drive.shape[:-1], train.count))
        values = {name: value[:, None, neurons] for name, value in self.values.items()}
        vdd = values.pop("vdd")
        return respond(circuit, train, drive, vdd, values)

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
        populations = [self._population(layer, circuit, train.dt) for layer in LAYERS]
        sizes = {p.name: p.size // len(self.codes) for p in populations}
        return Experiment(
            populations=populations,
            sources=(train.spikes("inputs", 2),),
            connections=self._connections(circuit.t_pulse),
            traces=[
                Trace(name, ("v",), (shown[:, None] * size + np.arange(size)).ravel())
                for name, size in sizes.items()
            ],
            duration=train.duration,
            dt=train.dt,
            seed=seed,
            # As made, a neuron whose threshold lies below rest fires without pause. Its pulses
            # have the charge of its spikes' own width, which may be less than a pulse's.
            overlaps="t_spike" in self.values,
        )

    def _population(self, layer: str, circuit: CircuitNeuron, dt: Quantity) -> Population:
        # An input that is off has its mirrors, too.
        counts = {"built": self.mirrors.sum(axis=-1)}
        if circuit.skewed:
            counts["n_built"] = (self.mirrors * (self.codes < 0)).sum(axis=-1)
        # Repeated for every row, an array keeps the order of gate, row and neuron when made flat.
        values = {
            name: np.repeat(value[:, LAYERS[layer]], len(ROWS), axis=0).ravel()
            for name, value in {**self.values, **counts}.items()
        }
        if "t_spike" in values:
            # A membrane is released at the start of the step in which its spike ends.
            values["t_spike"] = np.floor(np.asarray(values["t_spike"] / dt) + 1e-3) * dt
        return Population(layer, circuit, len(values["vdd"]), values)

    def _connections(self, width: Quantity) -> list[Connection]:
        """From inputs that are on to hidden neurons, and from these to outputs."""
        shape = len(self.codes), len(ROWS), 3, 2
        gate, row, neuron, source = (index.ravel() for index in np.indices(shape))
        codes, mirrors = self.codes[gate, neuron, source], self.mirrors[gate, neuron, source]
        copy = gate * len(ROWS) + row
        first, last = (neuron < 2) & (ROWS[row, source] == 1), neuron == 2
        units = np.maximum(codes, 0), np.maximum(-codes, 0), mirrors
        made: list[Connection] = []
        for ends, there, i, j in (
            (("inputs", "hidden"), first, source, copy * 2 + neuron),
            (("hidden", "output"), last, copy * 2 + source, copy),
        ):
            up, down, references = (unit[there] for unit in units)
            made += mirror_pulses(*ends, i[there], j[there], up, down, references, width)
        return made


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
    circuit, train
        See `respond`.
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
    pairs = np.array(list(product(codes, repeat=2)))
    fires, within, count, best, least = _hidden_cases(circuit, train, vdd, pairs)
    one, other = np.triu_indices(len(count))
    pushed = circuit.pushed(pairs, vdd)
    drive = sum(
        pushed[:, side, None, None] * fires[case][:, None] for side, case in enumerate((one, other))
    )
    output = respond(circuit, train, drive, vdd)
    spikes = output.fires.sum(axis=-1)
    silent = np.zeros((*spikes.shape[:2], 1), dtype=int)
    k, pair = np.nonzero(computes(np.concatenate([silent, spikes], axis=-1)).all(axis=-1))
    one, other = one[k], other[k]
    made = np.hstack([pairs[best[one]], pairs[best[other]], pairs[pair]])
    table = pd.DataFrame(made, columns=list(CODES))
    table.insert(0, "vdd_V", float(vdd / volt))
    table[list(PAPER_SPIKES)] = spikes[k, pair]
    margins = (output.margin.min(axis=-1)[k, pair], least[one], least[other])
    table["margin_mV"] = np.min(margins, axis=0) * 1e3
    table["networks"] = np.where(one == other, 1, 2) * count[one] * count[other]
    table["within_rails"] = within[one] & within[other] & _within(output, vdd)[k, pair]
    return table.sort_values("margin_mV", ascending=False, kind="stable", ignore_index=True)


def join(parts: Sequence[Gates]) -> Gates:
    """All gates of several sets, which have values of the same names."""
    return _merged(parts, np.concatenate)


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
    return _merged(levels, lambda arrays: np.stack(arrays)[level, gate, neuron])


def retune(
    circuit: CircuitNeuron, train: PulseTrain, levels: Sequence[Gates], home: int
) -> np.ndarray:
    """Supplies with which most rows of the truth table come out right.

    Every combination of levels is tried, the least change of supplies first, as one would on a
    chip: by counting output spikes.

    Parameters
    ----------
    circuit, train
        See `respond`.
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
    inputs = ROWS[:, None, :, None]
    hidden = [gates.respond(circuit, train, "hidden", inputs).fires for gates in failing]
    combinations = sorted(
        product(range(len(levels)), repeat=3), key=lambda c: np.abs(np.array(c) - home).sum()
    )
    level = np.full((len(levels[home].codes), 3), home)
    most = np.full(len(wrong), -1)
    for one, other, last in combinations:
        fires = np.stack([hidden[one][:, :, 0], hidden[other][:, :, 1]], axis=2)[:, :, None]
        output = failing[last].respond(circuit, train, "output", fires)
        right = computes(output.fires[:, :, 0].sum(axis=-1)).sum(axis=-1)
        better = right > most
        level[wrong[better]], most[better] = (one, other, last), right[better]
    return level


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


def _hidden_cases(
    circuit: CircuitNeuron, train: PulseTrain, vdd: Quantity, pairs: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Ways in which a hidden neuron fires in the rows with any input, and pairs of codes for it.

    Of each case the volleys in which it fires, shape (cases, 3, volleys), whether it stays within
    the rails, how many pairs there are, which one has the widest margin, and that margin.
    """
    drive = np.repeat((circuit.pushed(pairs, vdd) @ ROWS[1:].T)[..., None], train.count, axis=-1)
    response = respond(circuit, train, drive, vdd)
    margin = response.margin.min(axis=-1)
    kinds = np.column_stack([response.fires.reshape(len(pairs), -1), _within(response, vdd)])
    order = np.argsort(-margin, kind="stable")
    kinds, first, count = np.unique(kinds[order], axis=0, return_index=True, return_counts=True)
    fires, best = kinds[:, :-1].reshape(len(kinds), 3, train.count), order[first]
    return fires, kinds[:, -1], count, best, margin[best]


def _within(response: Response, vdd: Quantity) -> np.ndarray:
    """Whether membranes stay between ground and the supply in all rows."""
    inside = (response.lowest >= 0) & (response.highest <= float(vdd / volt))
    return np.asarray(inside.all(axis=-1))


def _merged(parts: Sequence[Gates], merge: Callable[[list[np.ndarray]], np.ndarray]) -> Gates:
    """Gates whose arrays are made of those of several; NumPy's functions forget units."""
    values = {
        name: Quantity(merge([np.asarray(part.values[name]) for part in parts]), dim=value.dim)
        for name, value in parts[0].values.items()
    }
    codes, mirrors = merge([part.codes for part in parts]), merge([part.mirrors for part in parts])
    return Gates(codes, mirrors, values)
