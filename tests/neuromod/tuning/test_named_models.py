"""Models of timm and torchvision by name: as their libraries build them, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
timm = pytest.importorskip("timm", reason="timm is not installed")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import named_models  # noqa: E402
from neuromod.tuning.backbone import Backbone, load_backbone  # noqa: E402
from neuromod.tuning.datasets import balanced, load_digits  # noqa: E402
from neuromod.tuning.features import extract_features  # noqa: E402
from neuromod.tuning.recipe import TuningRecipe  # noqa: E402
from neuromod.tuning.training import tune  # noqa: E402
from neuromod.tuning.whole_network import CONTENDERS, WholeRecipe, whole_network, why_not  # noqa: E402

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A small model of torchvision and a file of its weights."""
    torch.manual_seed(3)
    network = torchvision.models.mobilenet_v3_small().eval()
    path = tmp_path_factory.mktemp("weights") / "mobile.pth"
    torch.save(network.state_dict(), path)
    return network, path


def small(backbone: Backbone, size: int = 32) -> Backbone:
    return replace(backbone, image=replace(backbone.image, size=size))


def images(size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(8))


@pytest.mark.parametrize(
    ("name", "head", "inputs", "normal"),
    [
        ("torchvision:mobilenet_v3_small", "classifier.3", 1024, IMAGENET),
        ("torchvision:resnet18", "fc", 512, IMAGENET),
        ("timm:resnet18", "fc", 512, IMAGENET),
        ("timm:vit_tiny_patch16_224", "head", 192, ((0.5,) * 3, (0.5,) * 3)),
    ],
)
def test_a_model_s_head_reads_its_features(name: str, head: str, inputs: int, normal) -> None:
    backbone = load_backbone(name, "random", seed=4)
    assert (backbone.head, backbone.trained) == (head, False)
    assert (backbone.image.size, backbone.image.mean, backbone.image.std) == (224, *normal)
    (linear,) = backbone.linears
    assert (linear.in_features, linear.out_features) == (inputs, 1000)
    x = images(224 if "vit" in name else 32)
    with torch.no_grad():
        torch.testing.assert_close(linear(backbone.embed(x)), backbone.network(x))


def test_weights_of_a_file_give_the_outputs_of_the_network_that_was_saved(mobile) -> None:
    network, path = mobile
    backbone = load_backbone("torchvision:mobilenet_v3_small", path)
    with torch.no_grad():
        torch.testing.assert_close(backbone.network(images()), network(images()))
    assert backbone.trained
    assert not any(p.requires_grad for p in backbone.network.parameters())


def test_timm_s_weights_come_from_safetensors_and_its_tags_bring_their_format(tmp_path) -> None:
    torch.manual_seed(5)
    network = timm.create_model("vit_tiny_patch16_224").eval()
    path = tmp_path / "vit.safetensors"
    save_file(network.state_dict(), path)
    backbone = load_backbone("timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", path)
    with torch.no_grad():
        torch.testing.assert_close(backbone.network(images(224)), network(images(224)))


def test_old_weights_that_count_no_batches_fit(mobile, tmp_path) -> None:
    network, _ = mobile
    path = tmp_path / "old.pth"
    state = {k: t for k, t in network.state_dict().items() if "num_batches" not in k}
    torch.save(state, path)
    backbone = load_backbone("torchvision:mobilenet_v3_small", path)
    with torch.no_grad():
        torch.testing.assert_close(backbone.network(images()), network(images()))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("timm:mobilenetv3_small_050", marks=pytest.mark.thorough),
        "torchvision:mobilenet_v3_small",
    ],
)
@pytest.mark.thorough
def test_all_ways_tune_a_convolutional_network_whole(name: str) -> None:
    network = load_backbone(name, "random").network
    for contender in CONTENDERS:
        recipe = WholeRecipe(contender.method, 0.01, 1, rank=contender.rank)
        headed = whole_network(network, recipe, 3)
        trained = [p for p in headed.network.parameters() if p.requires_grad]
        loss = headed.network(images()).square().sum()
        assert all(g.isfinite().all() for g in torch.autograd.grad(loss, trained))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name",
    ["timm:resnet18", "timm:vit_tiny_patch16_224", "timm:convnext_atto", "torchvision:vit_b_16"],
)
def test_all_ways_that_fit_tune_other_networks_whole(name: str) -> None:
    backbone = load_backbone(name, "random")
    for contender in CONTENDERS:
        if why_not(backbone.network, contender.method):
            continue
        recipe = WholeRecipe(contender.method, 0.01, 1, rank=contender.rank)
        headed = whole_network(backbone.network, recipe, 3)
        trained = [p for p in headed.network.parameters() if p.requires_grad]
        loss = headed.network(images(backbone.image.size)).square().sum()
        assert all(g.isfinite().all() for g in torch.autograd.grad(loss, trained))


@pytest.mark.usefixtures("cache")
def test_a_head_is_tuned_as_any_classifier(mobile) -> None:
    data = balanced(load_digits(), 4)
    data = replace(data, split=replace(data.split, validation=data.split.validation[:9]))
    data = replace(data, split=replace(data.split, test=data.split.test[:9]))
    backbone = small(load_backbone("torchvision:mobilenet_v3_small", mobile[1]))
    features = extract_features(backbone, data)
    assert features.values.shape == (len(data), 1024)
    outcome = tune(features, backbone, TuningRecipe("nt1", "rate", "cross_entropy", 0.1, 2))
    assert outcome.n_trained == 1000 + 1000 * 5 + 5
    assert np.isfinite(outcome.history.loss).all()


def test_models_whose_weights_have_the_same_names_are_told_apart(mobile) -> None:
    """Two models of timm that differ in padding alone have the same tensors."""
    backbone = load_backbone("torchvision:mobilenet_v3_small", mobile[1])
    other = replace(backbone, name="timm:another")
    assert other.weight_hash != backbone.weight_hash
    assert other.feature_hash != backbone.feature_hash


@pytest.mark.parametrize(
    ("name", "weights", "sentence"),
    [
        ("timm:resnt18", "random", "no model of timm named 'resnt18': did you mean resnet18"),
        (
            "torchvision:resnet19",
            "random",
            "no model of torchvision named 'resnet19': did you mean",
        ),
        ("tim:resnet18", "random", "no backbone named 'tim:resnet18'"),
        ("torchvision:vgg11", "random", "torchvision:vgg11 is called vgg11 here"),
        ("timm:resnet18", None, "timm:resnet18 needs weights, and nothing is downloaded"),
        ("torchvision:squeezenet1_1", "random", "SqueezeNet has no linear layer"),
        ("timm:deit_tiny_distilled_patch16_224", "random", "last linear layer does not give"),
        ("timm:levit_128s", "random", r"levit_128s has 11 tensors that its outputs do not depend"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(name, weights, sentence) -> None:
    with pytest.raises(UserError, match=sentence):
        load_backbone(name, weights)


def test_files_that_do_not_fit_or_are_not_there_are_refused(
    mobile, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"mobile\.pth lacks 'conv1\.weight', which timm:resnet18"):
        load_backbone("timm:resnet18", mobile[1])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"weights of resnet18 are not at .*: fetch https://.*pth"):
        load_backbone("torchvision:resnet18")


def test_the_size_of_images_is_that_of_the_weights_that_a_file_is_named_like() -> None:
    """Weights of one architecture can differ in it."""
    sizes = []
    for file in ("any.pth", "vit_b_16_swag-9ac1b537.pth"):
        with torch.device("meta"):
            _, path, image = named_models._torchvision("vit_b_16", file)
        assert path == Path(file)
        sizes.append(image.size)
    assert sizes == [224, 384]


def test_timm_is_named_with_its_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_models, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs the package timm: install .*\[imagenet\]\.$"):
        load_backbone("timm:resnet18", "random")
