from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from safetensors.torch import save_file  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.models.classifier import SpikingClassifier  # noqa: E402
from neuromod.support.tensor_file import TensorFileError, read_tensors  # noqa: E402
from neuromod.tuning import attach, load_trained, save_trained, trained_state_dict  # noqa: E402
from neuromod.tuning.backbone import DigitsVGG, PretrainingRecipe  # noqa: E402
from neuromod.tuning.gains import load_gains, save_gains  # noqa: E402
from neuromod.tuning.methods import METHODS  # noqa: E402
from neuromod.tuning.recipe import SharedGains, TuningRecipe  # noqa: E402
from neuromod.tuning.trained import GAINS, Base  # noqa: E402
from neuromod.tuning.training import TuningResult, tune  # noqa: E402


@pytest.fixture(scope="module")
def tuned(features, backbone) -> TuningResult:
    return tune(features, backbone, TuningRecipe("nt1", "spiking", "membrane", 0.1, 2, seed=3))


@pytest.fixture
def saved(tmp_path: Path, tuned, backbone, features) -> Path:
    path = tmp_path / "gains.safetensors"
    save_gains(path, tuned, backbone, features)
    return path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("kind", "loss"), [("rate", "cross_entropy"), ("spiking", "simple")])
def test_a_network_comes_back_as_it_was(
    tmp_path: Path, features, backbone, method: str, kind: str, loss: str
) -> None:
    result = tune(features, backbone, TuningRecipe(method, kind, loss, 0.01, 1))
    path = tmp_path / "gains.safetensors"
    save_gains(path, result, backbone, features)
    loaded = load_gains(path, backbone)
    x = torch.from_numpy(np.array(features.values[:100]))
    for left, right in zip(loaded(x), result.classifier(x), strict=True):
        assert torch.equal(left, right)
    assert not loaded.training


def test_power_domains_come_back_with_their_gains(tmp_path: Path, features, backbone) -> None:
    shared = SharedGains(np.arange(96 + 72 + 5) % 4, np.array([0.7, 1.3, 0.9, 1.1]))
    recipe = TuningRecipe("nt1", "spiking", "membrane", 0.1, 1)
    result = tune(features, backbone, recipe, shared=shared)
    save_gains(tmp_path / "gains.safetensors", result, backbone, features)
    loaded = load_gains(tmp_path / "gains.safetensors", backbone)
    assert loaded.n_trained == 4
    x = torch.from_numpy(np.array(features.values[:100]))
    assert torch.equal(loaded(x).membrane, result.classifier(x).membrane)


def test_the_header_tells_where_the_gains_belong(saved: Path, tuned, backbone) -> None:
    gains = read_tensors(saved, GAINS)
    assert {name: tuple(tensor.shape) for name, tensor in gains.tensors.items()} == {
        "layers.0.gain": (96,),
        "layers.1.gain": (72,),
        "layers.2.gain": (5,),
    }
    header = gains.header
    assert header["recipe"]["method"] == "nt1"
    assert header["recipe"]["seed"] == 3
    assert header["base"] == {"name": "digits-vgg", "weight_hash": backbone.weight_hash}
    assert header["data"] == "digits 56789"
    assert header["accuracy"] == tuned.accuracy
    assert set(header["versions"]) == {"brian2-neuromod", "torch", "safetensors"}


def test_gains_of_version_0_1_are_loaded(saved: Path, tuned, backbone) -> None:
    """It had another name for the base, and no list of the tuned layers."""
    gains = read_tensors(saved, GAINS)
    base, tuned_layers = gains.header.pop("base"), gains.header.pop("tuned")
    old = rewritten(saved, {**gains.header, "backbone": base}, gains.tensors)
    assert tuned_layers["layers.1"] == {"method": "nt1", "options": {}}
    for name, tensor in trained_state_dict(load_gains(old, backbone)).items():
        assert torch.equal(tensor, tuned.tensors[name])
    with pytest.raises(TensorFileError, match=r"load_gains loads a classifier of version 0\.1"):
        load_trained(old, torch.nn.Sequential(torch.nn.Linear(2, 2)))


def test_a_saved_classifier_can_be_attached_to_as_any_model(saved: Path, tuned, backbone) -> None:
    plain = SpikingClassifier(backbone.linears, tuned.recipe.theta)
    base = Base(backbone.name, backbone.weight_hash)
    assert load_trained(saved, plain, base) == ["layers.0", "layers.1", "layers.2"]
    for name, tensor in trained_state_dict(plain).items():
        assert torch.equal(tensor, tuned.tensors[name])


def test_files_that_are_no_gains_are_refused(saved: Path, backbone) -> None:
    with pytest.raises(TensorFileError, match=r"There is no gains file .*nowhere"):
        load_gains(saved.with_name("nowhere"), backbone)
    with pytest.raises(TensorFileError, match=r"^There is no gains file ' '\.$"):
        load_gains(" ", backbone)
    with pytest.raises(TensorFileError, match=r"^'x{39}\.\.\.x{39}' cannot be used: File name too"):
        load_gains("x" * 10_000, backbone)
    foreign = saved.with_name("foreign.safetensors")
    save_file({"w": torch.ones(2)}, foreign)
    with pytest.raises(TensorFileError, match="lacks the header of a gains file"):
        load_gains(foreign, backbone)
    saved.write_bytes(saved.read_bytes()[:-7])
    with pytest.raises(TensorFileError, match="is no gains file, or a truncated one"):
        load_gains(saved, backbone)
    saved.write_text("gain = 1")
    with pytest.raises(TensorFileError, match="is no gains file, or a truncated one"):
        load_gains(saved, backbone)


def test_gains_with_changed_bits_are_refused_in_one_sentence(saved: Path, backbone) -> None:
    whole = saved.read_bytes()
    for place in (-1, -173, whole.index(b"nt1")):
        changed = bytearray(whole)
        changed[place] ^= 4
        saved.write_bytes(changed)
        with pytest.raises(TensorFileError, match=r"gains\.safetensors is damaged: its content"):
            load_gains(saved, backbone)


def rewritten(path: Path, header: dict[str, object], tensors: dict[str, torch.Tensor]) -> Path:
    """With no checksum, as version 0.1 wrote files."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    rest["versions"] = {"brian2-neuromod": "0.1.0"}
    save_file(tensors, path, {"neuromod": json.dumps(rest)})
    return path


def test_gains_that_do_not_fit_are_refused_by_layer_and_shape(saved: Path, backbone) -> None:
    gains = read_tensors(saved, GAINS)
    short = {**gains.tensors, "layers.1.gain": torch.ones(64)}
    with pytest.raises(TensorFileError, match=r"'layers.1.gain' of shape \(64,\) where .* \(72,\)"):
        load_gains(rewritten(saved, gains.header, short), backbone)
    del short["layers.1.gain"]
    with pytest.raises(TensorFileError, match=r"lacks 'layers.1.gain'"):
        load_gains(rewritten(saved, gains.header, short), backbone)
    extra = {**gains.tensors, "layers.7.gain": torch.ones(2)}
    with pytest.raises(
        TensorFileError, match=r"has 'layers.7.gain', for which SpikingClassifier has no place"
    ):
        load_gains(rewritten(saved, gains.header, extra), backbone)
    broken = {**gains.tensors, "layers.2.gain": torch.full((5,), torch.nan)}
    with pytest.raises(TensorFileError, match=r"values in 'layers.2.gain' that are not finite"):
        load_gains(rewritten(saved, gains.header, broken), backbone)
    with pytest.raises(TensorFileError, match="header that cannot be understood"):
        load_gains(rewritten(saved, {**gains.header, "recipe": {}}, gains.tensors), backbone)


def test_gains_of_other_weights_are_refused(saved: Path, backbone) -> None:
    other = replace(backbone, network=DigitsVGG(PretrainingRecipe()))
    with pytest.raises(TensorFileError, match="fit only the weights that they were trained with"):
        load_gains(saved, other)


def test_gains_of_a_model_that_was_attached_to_are_refused(tmp_path: Path, backbone) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    attach(model, "nt1")
    save_trained(tmp_path / "attached.safetensors", model)
    with pytest.raises(TensorFileError, match="header that cannot be understood"):
        load_gains(tmp_path / "attached.safetensors", backbone)


def test_saving_into_a_folder_that_is_not_there_is_told(
    tmp_path: Path, tuned, backbone, features
) -> None:
    with pytest.raises(UserError, match="cannot be written"):
        save_gains(tmp_path / "no" / "gains.safetensors", tuned, backbone, features)


def test_importing_neuromod_takes_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, neuromod, neuromod.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
