"""A network in a file is read as it is meant, or refused by what is wrong with it."""

from __future__ import annotations

import numpy as np
import pytest
from brian2 import volt
from safetensors.numpy import save_file

from neuromod.chip.network_file import read_network
from neuromod.errors import UserError
from neuromod.models.circuit import CircuitNeuron

CHIP = CircuitNeuron()
TWO_LAYERS = """layer,neuron,input,code
1,0,0,7
1,0,2,-3
1,1,1,5
2,0,1,-1
2,0,0,0
"""


def written(tmp_path, text, name="network.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_table_has_a_row_for_each_synapse(tmp_path):
    first, second = read_network(written(tmp_path, TWO_LAYERS), CHIP)
    assert (first.inputs, first.neurons, second.inputs, second.neurons) == (3, 2, 2, 1)
    found = list(zip(first.i.tolist(), first.j.tolist(), first.codes.tolist(), strict=True))
    assert found == [(0, 0, 7), (2, 0, -3), (1, 1, 5)]
    # A code of 0 is a synapse, which clocks the comparator.
    assert second.i.tolist() == [1, 0]
    assert second.codes.tolist() == [-1, 0]
    assert first.scale == second.scale == 1


def test_one_layer_needs_no_column_for_it_and_any_separator_will_do(tmp_path):
    (layer,) = read_network(written(tmp_path, "neuron;input;code\n0;0;3\n0;1;-7\n"), CHIP)
    assert layer.codes.tolist() == [3, -7]


def test_tensors_are_layers_in_the_order_of_their_names(tmp_path):
    tensors = {
        "layer10": np.array([[2, -1]], dtype=np.int64),
        "layer2": np.array([[3, 0, 1], [-7, 6, 4]], dtype=np.int8),
    }
    save_file(tensors, tmp_path / "codes.safetensors")
    first, second = read_network(tmp_path / "codes.safetensors", CHIP)
    assert (first.inputs, first.neurons, second.neurons) == (3, 2, 1)
    matrix = np.zeros((2, 3), dtype=int)
    matrix[first.j, first.i] = first.codes
    np.testing.assert_array_equal(matrix, tensors["layer2"])


def test_the_largest_weight_of_a_layer_has_the_largest_code(tmp_path):
    text = "neuron,input,weight\n0,0,0.35\n0,1,-0.1\n1,0,0.16\n"
    (layer,) = read_network(written(tmp_path, text), CHIP)
    # In units of 0.05: 7, -2 and 3.2.
    assert layer.codes.tolist() == [7, -2, 3]
    assert layer.rms_error_lsb == pytest.approx(np.sqrt(0.2**2 / 3), rel=1e-9)
    # A unit of code is a twentieth of the way to threshold, at the reference supply.
    step = float(CHIP.step(CHIP.vdd_reference) / volt) / layer.scale
    assert step == pytest.approx(0.05 * 0.1, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("neuron,input,code\n0,0,2.5\n", r"code in row 1 is 2\.5: a code is a whole number"),
        (
            "neuron,input,code\n0,0,1\n0,1,-8\n",
            "code in row 2 is -8: -7 to 7 was expected for 3 bits and a sign",
        ),
        ("neuron,input,code\n0,0,nan\n", "code in row 1 is 'nan', not a finite number"),
        ("neuron,input,code\n0,0,\n", "code is missing in row 1"),
        ("neuron,input,weight\n0,0,0\n", "weight in row 1 is 0: so are all others"),
        ("neuron,input\n0,0\n", "needs columns neuron, input and one of code and weight"),
        ("neuron,input,code,weight\n0,0,1,1\n", "one of code and weight"),
        ("neuron,input,code\n", "it has 0 rows"),
        ("neuron,input,code\n0.5,0,1\n", r"neuron in row 1 is 0\.5: a whole number from 0 on"),
        ("layer,neuron,input,code\n0,0,0,1\n", "layer in row 1 is 0: a whole number from 1 on"),
        ("neuron,input,code\n0,1,1\n0,1,2\n", "row 2 gives the synapse from input 1 to neuron 0"),
        ("neuron,input,code\n0,0,1\n2,0,1\n", "neuron 1 of layer 1 has no synapse"),
        ("layer,neuron,input,code\n1,0,0,1\n3,0,0,1\n", "has a layer 3 and no layer 2"),
        (
            "layer,neuron,input,code\n1,0,0,1\n2,0,1,1\n",
            "row 2 has input 1 of layer 2, and layer 1 has neurons 0 to 0",
        ),
        ("neuron,input,code,code\n0,0,1,1\n", "2 columns code"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, problem):
    with pytest.raises(UserError, match=problem):
        read_network(written(tmp_path, text), CHIP)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"a": np.array([[1.0, np.nan]])}, r"a\[0, 1\] is nan: a finite number"),
        ({"a": np.array([[1, 2], [3, 9]])}, r"a\[1, 1\] is 9: -7 to 7"),
        ({"a.bias": np.array([1.0])}, r"a\.bias has shape \(1,\).*A bias has no input"),
        ({"a": np.ones((2, 3)), "b": np.ones((1, 3))}, "b has 3 inputs, and the layer before it 2"),
        ({"a": np.array([[True]])}, "type bool"),
        ({}, "has no tensors"),
    ],
)
def test_what_is_wrong_with_tensors_is_said(tmp_path, tensors, problem):
    save_file(tensors, tmp_path / "wrong.safetensors")
    with pytest.raises(UserError, match=problem):
        read_network(tmp_path / "wrong.safetensors", CHIP)


def test_a_file_that_is_not_there_or_no_tensors_is_refused(tmp_path):
    with pytest.raises(UserError, match="no network file"):
        read_network(tmp_path / "none.csv", CHIP)
    with pytest.raises(UserError, match="no safetensors file"):
        read_network(written(tmp_path, "x", "mine.safetensors"), CHIP)
