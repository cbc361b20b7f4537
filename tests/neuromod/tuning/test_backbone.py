from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from safetensors.torch import load_file, save_file  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.backbone import (  # noqa: E402
    DigitsVGG,
    PretrainingRecipe,
    load_backbone,
    normalise,
    pretrain,
    with_weights,
)

QUICK = PretrainingRecipe(convolutions=(4, "M", 8, "M"), hidden=(6, 5), epochs=1)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_embedded_backbone_knows_its_source_task(backbone) -> None:
    assert backbone.source_accuracy >= 0.98
    assert [layer.in_features for layer in backbone.linears] == [384, 96, 72]
    assert backbone.linears[-1].out_features == 5
    assert not any(parameter.requires_grad for parameter in backbone.network.parameters())
    assert not backbone.network.training


def test_classifier_and_features_make_up_the_network(backbone) -> None:
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    by_parts = backbone.network.classifier(backbone.embed(images))
    assert torch.equal(by_parts, backbone.network(images))


def test_pretraining_is_done_once_for_a_recipe(own_cache: Path) -> None:
    epochs: list[tuple[int, int]] = []
    first = pretrain(QUICK, lambda done, total: epochs.append((done, total)))
    again = pretrain(QUICK, lambda *_: pytest.fail("trained again"))
    assert epochs == [(1, 1)]
    assert again.weight_hash == first.weight_hash
    assert again.source_accuracy == first.source_accuracy
    assert [path.suffix for path in own_cache.iterdir()] == [".safetensors"]
    other = pretrain(PretrainingRecipe(**{**QUICK.__dict__, "seed": 1}))
    assert other.weight_hash != first.weight_hash


def test_pretraining_depends_on_nothing_but_its_recipe(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pretrain(QUICK)
    monkeypatch.setenv("NEUROMOD_CACHE", str(own_cache / "second"))
    torch.rand(1)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert pretrain(QUICK).weight_hash == first.weight_hash
        assert torch.get_num_threads() == threads + 1
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "damage", ["truncated", "foreign", "other network", "signs", "other recipe", "old"]
)
def test_a_damaged_cache_is_made_anew(
    own_cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    expected = pretrain(QUICK).weight_hash
    (path,) = own_cache.iterdir()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "foreign":
        path.write_text("not ours")
    elif damage == "signs":
        flip_signs(path, 97)
    elif damage == "other recipe":
        pretrain(replace(QUICK, seed=QUICK.seed + 1))
        (other,) = set(own_cache.iterdir()) - {path}
        other.replace(path)
    elif damage == "old":
        # Version 0.1 wrote no checksum.
        header = {"format": "neuromod-backbone-1", "source_accuracy": 0.37}
        save_file(load_file(path), path, {"neuromod": json.dumps(header)})
    else:
        save_file({"w": torch.ones(2)}, path, {"neuromod": '{"source_accuracy": 1.0}'})
    with caplog.at_level(logging.WARNING):
        assert pretrain(QUICK).weight_hash == expected
    assert "trained anew" in caplog.text


def flip_signs(path: Path, count: int) -> None:
    """Flip the signs of numbers at the end of a file, where tensors lie."""
    content = bytearray(path.read_bytes())
    content[-1 : -4 * count : -4] = bytes(b ^ 0x80 for b in content[-1 : -4 * count : -4])
    path.write_bytes(content)


@pytest.mark.thorough
def test_4000_signs_of_the_embedded_backbone_are_not_believed(
    own_cache: Path, backbone, caplog: pytest.LogCaptureFixture
) -> None:
    pretrain()
    (path,) = own_cache.iterdir()
    flip_signs(path, 4001)
    assert pretrain().weight_hash == backbone.weight_hash
    assert caplog.messages == [
        f"{path} is damaged, of version 0.1 or not neuromod's: it is trained anew."
    ]


def test_a_backbone_that_cannot_be_kept_is_used(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert pretrain(QUICK).source_accuracy > 0
    assert "is full" in caplog.text
    assert not list(own_cache.iterdir())


def test_normalising_changes_sizes_and_no_decision() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = DigitsVGG(QUICK).eval().requires_grad_(False)
        images = torch.randn(40, 3, 32, 32)
    before = network(images)
    normalise(network, images, quantile=0.9)
    after = network(images)
    torch.testing.assert_close(
        after / after.relu().quantile(0.9), before / before.relu().quantile(0.9)
    )
    x = network.avgpool(network.features(images)).flatten(1)
    for module in network.classifier:
        if isinstance(module, torch.nn.Linear):
            torch.testing.assert_close(x.relu().quantile(0.9), torch.tensor(1.0))
        x = module(x)


def test_an_unknown_backbone_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no backbone named 'vgg18': did you mean .*vgg19"):
        load_backbone("vgg18")


def test_weights_that_are_not_there_are_never_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"weights of vgg19 are not at .*: fetch https://.*vgg19"):
        load_backbone("vgg19")
    with pytest.raises(UserError, match=r"There is no file of weights .*mine\.pth"):
        load_backbone("vgg11", tmp_path / "mine.pth")
    with pytest.raises(UserError, match=r"^There is no file of weights ' '\.$"):
        load_backbone("vgg11", " ")
    with pytest.raises(
        UserError, match=r"^'x{39}\.\.\.x{39}' cannot be used: File name too long\.$"
    ):
        load_backbone("vgg11", "x" * 10_000)


def test_weights_that_do_not_fit_are_refused_by_layer_and_shape(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"features.0.weight": torch.ones(64, 1, 3, 3)}, path)
    sentence = r"'features.0.weight' of shape \(64, 1, 3, 3\) where vgg11 needs \(64, 3, 3, 3\)"
    with pytest.raises(UserError, match=sentence):
        load_backbone("vgg11", path)
    save_file({"features.0.weight": torch.ones(64, 3, 3, 3)}, path)
    with pytest.raises(UserError, match=r"lacks 'features.0.bias', which vgg11 needs"):
        load_backbone("vgg11", path)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_text("not weights")
    with pytest.raises(UserError, match=r"weights\.pth cannot be read as weights"):
        load_backbone("vgg11", path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="holds no state dict"):
        load_backbone("vgg11", path)


def test_a_file_must_have_the_hash_in_its_name(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.ones(64, 1, 3, 3)}, tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    whole = tmp_path / f"vgg11-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    whole.write_bytes(content)
    with pytest.raises(UserError, match=r"shape \(64, 1, 3, 3\) where"):
        load_backbone("vgg11", whole)
    whole.write_bytes(content[:-1])
    with pytest.raises(UserError, match=rf"is damaged: .* begins with {whole.stem[6:]}, but"):
        load_backbone("vgg11", whole)


def test_random_weights_are_those_of_the_seed_and_known_as_random() -> None:
    before = torch.get_rng_state()
    backbone = load_backbone("digits-vgg", "random", seed=3)
    assert not backbone.trained
    assert load_backbone("digits-vgg", "random", seed=3).weight_hash == backbone.weight_hash
    assert load_backbone("digits-vgg", "random", seed=4).weight_hash != backbone.weight_hash
    assert [layer.in_features for layer in backbone.linears] == [384, 96, 72]
    assert torch.equal(torch.get_rng_state(), before)


def test_random_weights_come_in_torchvision_s_architecture() -> None:
    # On the meta device, which needs neither the memory nor the time of 133 million weights
    with torch.device("meta"):
        backbone = load_backbone("vgg11", "random")
        expected = torchvision.models.vgg11(weights=None)
    shapes = {name: t.shape for name, t in backbone.network.state_dict().items()}
    assert shapes == {name: t.shape for name, t in expected.state_dict().items()}
    assert backbone.image.size == 256
    assert not backbone.trained


def test_pre_trained_weights_are_known_as_such(backbone) -> None:
    assert backbone.trained


def test_the_embedded_backbone_takes_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes no weights from a file"):
        load_backbone("digits-vgg", tmp_path / "w.pth")


def test_other_weights_make_another_backbone_and_leave_the_first_as_it_was(backbone) -> None:
    before, hashed = backbone.linears[1].weight.clone(), backbone.weight_hash
    halved = [
        (linear.weight.double().numpy() / 2, linear.bias.double().numpy() / 2)
        for linear in backbone.linears
    ]
    changed = with_weights(backbone, halved)
    for old, new in zip(backbone.linears, changed.linears, strict=True):
        torch.testing.assert_close(new.weight, old.weight / 2)
        torch.testing.assert_close(new.bias, old.bias / 2)
        assert not new.weight.requires_grad
    assert torch.equal(backbone.linears[1].weight, before)
    assert backbone.weight_hash == hashed != changed.weight_hash
    assert backbone.feature_hash == changed.feature_hash
    assert changed.source_accuracy is None
