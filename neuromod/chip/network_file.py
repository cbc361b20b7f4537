"""A network of a user's own in a file: codes, or weights to be stored as codes.

A CSV file (or Excel's) has a row for each synapse, with columns ``neuron`` and ``input``, both
counted from 0, and ``code`` or ``weight``; a column ``layer``, counted from 1, where there are
several. The inputs of a later layer are the neurons of the one before. Pairs without a row have no
synapse. A safetensors file has a tensor for each layer, of shape (neurons, inputs), in the order
of their names: whole numbers are codes, others weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from neuromod.chip.conversion import Design, deploy
from neuromod.electrophysiology.grids import Column, Grid, decimal_mark, read_grid, read_numbers
from neuromod.errors import UserError, listed
from neuromod.models.circuit import CircuitNeuron
from neuromod.support.paths import file_at

TENSORS = ".safetensors"
COUNTED = {"layer": 1, "neuron": 0, "input": 0}
"""Columns of whole numbers, and the lowest of each."""
STRENGTHS = ("code", "weight")
ROLES: Any = {name: ((name,), {}) for name in (*COUNTED, *STRENGTHS)}
THETA = 1.0
"""Weight that takes a neuron at rest to its threshold with one spike."""
MOST = 30_000_000
"""Places of a layer, neurons times inputs."""


@dataclass(frozen=True, eq=False)
class StoredLayer:
    """A layer of a network whose synapses have codes.

    Attributes
    ----------
    inputs, neurons : int
    i, j : ndarray of int, shape (synapses,)
        Input and neuron of each synapse.
    codes : ndarray of int, shape (synapses,)
    scale : float
        How many times weaker than the circuit's its mirrors are, so that codes are weights at the
        circuit's reference supply; see `Design`. 1 where codes were given.
    rms_error_lsb : float
        Of the codes, root mean square over the synapses, where weights were given.
    """

    inputs: int
    neurons: int
    i: np.ndarray
    j: np.ndarray
    codes: np.ndarray
    scale: float = 1.0
    rms_error_lsb: float = 0.0


def read_network(path: str | Path, circuit: CircuitNeuron) -> list[StoredLayer]:
    """Read a feedforward network from a file.

    Parameters
    ----------
    path : str or Path
        See above.
    circuit : CircuitNeuron
        Whose bits hold the codes.

    Returns
    -------
    list of StoredLayer
        First the one that the network's inputs reach.

    Raises
    ------
    UserError
        When the file cannot be read, layers do not fit each other, or a value is no number, no
        whole code, or more than the bits hold.
    """
    file = file_at(path, "network file")
    found = _from_tensors(file) if file.suffix == TENSORS else _from_table(file)
    return [_stored(file, layer, circuit) for layer in found]


@dataclass(frozen=True, eq=False)
class _Given:
    """A layer as the file has it; `where` tells where the value of a synapse stands."""

    strength: str
    inputs: int
    neurons: int
    i: np.ndarray
    j: np.ndarray
    values: np.ndarray
    where: Callable[[int], str]


def _from_table(file: Path) -> list[_Given]:
    grid = read_grid(file, ROLES, {"neuron"})
    places = {name: _place(grid, name) for name in (*COUNTED, *STRENGTHS)}
    given = [name for name in STRENGTHS if places[name] is not None]
    if len(given) != 1 or places["neuron"] is None or places["input"] is None or not grid.rows:
        raise UserError(
            f"{file} needs columns neuron, input and one of code and weight, with a row for each "
            f"synapse; it has {len(grid.rows)} rows and {listed(filter(None, grid.header))}."
        )
    used = {name: Column(place) for name, place in places.items() if place is not None}
    mark = decimal_mark(grid, used)
    columns = {name: read_numbers(grid, column, mark) for name, column in used.items()}
    table = pd.DataFrame({"layer": 1.0, **columns, "row": list(grid.rows)})
    for name, lowest in COUNTED.items():
        wrong = (table[name] % 1 != 0) | (table[name] < lowest)
        if wrong.any():
            first = table[wrong].iloc[0]
            raise UserError(
                f"{file}: {name} in row {first.row:g} is {first[name]:g}: a whole number from "
                f"{lowest} on was expected."
            )
    twice = table[table.duplicated([*COUNTED])]
    if len(twice):
        first = twice.iloc[0]
        raise UserError(
            f"{file}: row {first.row:g} gives the synapse from input {first.input:g} to neuron "
            f"{first.neuron:g} a second time."
        )
    return list(_layers(file, table, given[0]))


def _place(grid: Grid, name: str) -> int | None:
    """Where a column is, if it is there."""
    named = [place for place, header in enumerate(grid.header) if header.lower() == name]
    if len(named) > 1:
        raise UserError(f"{grid.path} has {len(named)} columns {name}: one was expected.")
    return named[0] if named else None


def _layers(file: Path, table: pd.DataFrame, strength: str) -> Iterator[_Given]:
    before: int | None = None
    for expected, (number, rows) in enumerate(table.groupby("layer"), 1):
        if number != expected:
            raise UserError(f"{file} has a layer {number:g} and no layer {expected}.")
        i, j, row = (rows[name].to_numpy().astype(int) for name in ("input", "neuron", "row"))
        neurons = int(j.max()) + 1
        silent = np.setdiff1d(np.arange(min(neurons, len(j) + 1)), j)
        if len(silent):
            raise UserError(f"{file}: neuron {silent[0]} of layer {number:g} has no synapse.")
        if before is not None and i.max() >= before:
            raise UserError(
                f"{file}: row {row[i.argmax()]} has input {i.max()} of layer {number:g}, and layer "
                f"{expected - 1} has neurons 0 to {before - 1}."
            )
        inputs = int(i.max()) + 1 if before is None else before
        values = rows[strength].to_numpy()
        yield _Given(strength, inputs, neurons, i, j, values, partial(_in_row, strength, row))
        before = neurons


def _in_row(strength: str, rows: np.ndarray, synapse: int) -> str:
    return f"{strength} in row {rows[synapse]}"


def _from_tensors(file: Path) -> list[_Given]:
    try:
        tensors = load_file(file)
    # What a foreign file raises depends on its first bytes.
    except Exception as error:
        raise UserError(f"{file} is no safetensors file, or a damaged one: {error}.") from error
    if not tensors:
        raise UserError(f"{file} has no tensors: one of shape (neurons, inputs) for each layer.")
    found: list[_Given] = []
    for name in sorted(tensors, key=_natural):
        values = tensors[name]
        if values.ndim != 2 or not values.size or values.dtype.kind not in "iuf":
            raise UserError(
                f"{file}: {name} has shape {values.shape} and type {values.dtype}: numbers of "
                "shape (neurons, inputs) were expected. A bias has no input here that spikes for "
                "it: leave it out."
            )
        if found and values.shape[1] != found[-1].neurons:
            raise UserError(
                f"{file}: {name} has {values.shape[1]} inputs, and the layer before it "
                f"{found[-1].neurons} neurons."
            )
        strength = "weight" if values.dtype.kind == "f" else "code"
        j, i = (index.ravel() for index in np.indices(values.shape))
        where = partial(_in_tensor, name, values.shape)
        plain = values.ravel().astype(float)
        found.append(_Given(strength, values.shape[1], len(values), i, j, plain, where))
    return found


def _in_tensor(name: str, shape: tuple[int, ...], synapse: int) -> str:
    neuron, source = np.unravel_index(synapse, shape)
    return f"{name}[{neuron}, {source}]"


def _natural(name: str) -> list[Any]:
    """Key by which layer10 comes after layer2."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _stored(file: Path, layer: _Given, circuit: CircuitNeuron) -> StoredLayer:
    """A layer with codes that the circuit can hold."""
    values, most = layer.values, circuit.code_max
    ends = layer.inputs, layer.neurons, layer.i, layer.j

    def refuse(wrong: np.ndarray, expected: str) -> None:
        if wrong.any():
            first = int(np.argmax(wrong))
            raise UserError(f"{file}: {layer.where(first)} is {values[first]:g}: {expected}.")

    refuse(~np.isfinite(values), "a finite number was expected")
    if layer.strength == "code":
        refuse(values % 1 != 0, "a code is a whole number; call the column weight to have it coded")
        limits = f"{-most} to {most} was expected for {circuit.bits} bits and a sign"
        refuse(np.abs(values) > most, limits)
        return StoredLayer(*ends, values.astype(int))
    refuse(np.full(len(values), not values.any()), "so are all others of its layer")
    if layer.inputs * layer.neurons > MOST:
        raise UserError(
            f"{file}: a layer of {layer.neurons} neurons and {layer.inputs} inputs is too large: "
            f"at most {MOST} weights were expected."
        )
    weight = np.zeros((layer.neurons, layer.inputs))
    weight[layer.j, layer.i] = values
    nothing, one = np.zeros(layer.neurons), np.ones(layer.neurons)
    design = Design("layer", circuit.vdd_reference)
    made = deploy(circuit, weight, nothing, one, THETA, design)
    codes = made.codes[layer.j, layer.i]
    off = codes - values * most / np.abs(values).max()
    scale = float(np.unique(made.scale)[0])
    return StoredLayer(*ends, codes, scale, float(np.sqrt(np.mean(off**2))))
