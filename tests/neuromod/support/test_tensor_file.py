"""Tensors come back from disk as they were, or are refused in a sentence."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.support.tensor_file import (  # noqa: E402
    DamagedError,
    Kind,
    TensorFileError,
    check_fit,
    is_whole,
    read_tensors,
    write_tensors,
)

MAP = Kind("map of weights", "neuromod-map-1")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_tensors_come_back_bit_by_bit(tmp_path, dtype):
    tensor = (torch.arange(21).reshape(3, 7) * 1.37).to(dtype)
    path = tmp_path / "a.safetensors"
    write_tensors(path, MAP, {"about": "thirds"}, {"row": tensor, "turned": tensor.T})
    found = read_tensors(path, MAP)
    assert found.header["about"] == "thirds"
    assert torch.equal(found.tensors["row"], tensor)
    assert torch.equal(found.tensors["turned"], tensor.T)
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_parameters_are_written_without_their_gradients(tmp_path):
    parameter = torch.nn.Parameter(torch.full((4,), 2.7))
    write_tensors(tmp_path / "a", MAP, {}, {"p": parameter})
    assert not read_tensors(tmp_path / "a", MAP).tensors["p"].requires_grad


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(TensorFileError, match=r"There is no map of weights .*a\.safetensors"):
        read_tensors(path, MAP)
    write_tensors(path, Kind("recipe", "neuromod-recipe-1"), {}, {"w": torch.ones(2)})
    with pytest.raises(TensorFileError, match=r"header of a map of weights \(neuromod-map-1\)"):
        read_tensors(path, MAP)
    for header in (None, {"neuromod": "[1]"}, {"other": "x"}):
        save_file({"w": torch.ones(2)}, path, header)
        with pytest.raises(TensorFileError, match="lacks the header of a map of weights"):
            read_tensors(path, MAP)


def test_a_checksum_that_is_lost_is_missed(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, MAP, {}, {"w": torch.ones(200)})
    content = path.read_bytes()
    path.write_bytes(content.replace(b"sha256", b"sha257")[:-3] + b"\0\0\x40")
    with pytest.raises(DamagedError, match="is damaged: its content is not what was written"):
        read_tensors(path, MAP)
    assert not is_whole(path)


@pytest.mark.parametrize("left", [0, 5, 60, -7])
def test_a_truncated_file_is_refused(tmp_path, left):
    path = tmp_path / "a.safetensors"
    write_tensors(path, MAP, {}, {"w": torch.ones(200)})
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(TensorFileError, match="is no map of weights, or a truncated one"):
        read_tensors(path, MAP)


def test_every_bit_that_changes_is_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"w": torch.arange(14.0), "v": torch.arange(14.0) * 1.3}
    write_tensors(path, MAP, {"accuracy": 0.731, "keys": {3: "c", 12: "b"}}, tensors)
    written = path.read_bytes()
    assert is_whole(path)
    silent = []
    for bit in range(0, 8 * len(written), 3):
        changed = bytearray(written)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            found = read_tensors(path, MAP)
        except TensorFileError:
            continue
        # The name of the checksum itself; all else is then as it was.
        if not is_whole(path) and found.header["accuracy"] == 0.731:
            same = [torch.equal(found.tensors[name], tensor) for name, tensor in tensors.items()]
            silent += [bit] if not all(same) else []
        else:
            silent.append(bit)
    assert silent == []


def test_tensors_that_change_places_are_noticed(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, MAP, {}, {"w": torch.arange(14.0), "v": torch.ones(14)})
    path.write_bytes(path.read_bytes().replace(b'"v"', b'"x"').replace(b'"w"', b'"v"'))
    with pytest.raises(DamagedError, match=r"a.safetensors is damaged: .* take another copy of it"):
        read_tensors(path, MAP)


def test_a_file_of_version_0_1_has_no_checksum_and_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.ones(2)}, path, {"neuromod": '{"format": "neuromod-map-1"}'})
    assert torch.equal(read_tensors(path, MAP).tensors["w"], torch.ones(2))
    assert not is_whole(path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no/a cannot be written"):
        write_tensors(tmp_path / "no" / "a", MAP, {}, {"w": torch.ones(2)})


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "File lacks 'w', which the net needs"),
        ({"w": torch.ones(3)}, r"File has 'w' of shape \(3,\) where the net needs \(2,\)"),
        ({"w": torch.ones(2), "v": torch.ones(2)}, "File has 'v', for which the net has no place"),
        ({"w": torch.tensor([1, torch.inf])}, "File has values in 'w' that are not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(found, message):
    check_fit("File", {"w": torch.zeros(2)}, {"w": torch.ones(2)}, "the net")
    with pytest.raises(TensorFileError, match=message):
        check_fit("File", found, {"w": torch.ones(2)}, "the net")
