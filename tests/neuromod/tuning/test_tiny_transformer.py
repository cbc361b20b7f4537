from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import attach, tiny_transformer  # noqa: E402
from neuromod.tuning.backbone import load_backbone  # noqa: E402
from neuromod.tuning.datasets import load_data, load_digits  # noqa: E402
from neuromod.tuning.datasets.sounds import FrameSpec, SoundRecipe  # noqa: E402
from neuromod.tuning.datasets.texts import TokenSpec, as_bytes  # noqa: E402
from neuromod.tuning.features import extract_features  # noqa: E402
from neuromod.tuning.tiny_transformer import (  # noqa: E402
    SoundNetworkRecipe,
    TextRecipe,
    TinyTransformer,
    TransformerRecipe,
    pretrained,
    untrained,
)

SMALL = {"width": 8, "heads": 2, "layers": 1, "hidden": 12}
TEXT = TextRecipe(**SMALL, epochs=1, topics=("signals", "graphs"), per_topic=23, words=70)
SOUND = SoundNetworkRecipe(
    **SMALL, epochs=1, timbres=("drum", "flute"), sounds=SoundRecipe(per_class=19)
)
BOTH = pytest.mark.parametrize("recipe", [TEXT, SOUND], ids=["text", "sound"])


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in network.state_dict().values()])


@BOTH
def test_pretraining_is_done_once_for_a_recipe(own_cache: Path, recipe: TransformerRecipe) -> None:
    epochs: list[tuple[int, int]] = []
    state = torch.get_rng_state()
    first = pretrained(recipe, lambda done, total: epochs.append((done, total)))
    again = pretrained(recipe, lambda *_: pytest.fail("trained again"))
    assert epochs == [(1, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert (first.from_cache, again.from_cache) == (False, True)
    assert torch.equal(weights(again.network), weights(first.network))
    assert (again.spec, again.source_accuracy) == (first.spec, first.source_accuracy)
    assert not again.network.training
    assert not any(p.requires_grad for p in again.network.parameters())
    other = pretrained(replace(recipe, seed=5))
    assert not torch.equal(weights(other.network), weights(first.network))
    assert len(list(own_cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "foreign", "other recipe"])
def test_a_damaged_cache_is_made_anew(
    own_cache: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    expected = weights(pretrained(SOUND).network)
    (path,) = own_cache.iterdir()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "foreign":
        path.write_text("not ours")
    else:
        pretrained(replace(SOUND, seed=5))
        (other,) = set(own_cache.iterdir()) - {path}
        other.replace(path)
    with caplog.at_level(logging.WARNING):
        assert torch.equal(weights(pretrained(SOUND).network), expected)
    assert "trained anew" in caplog.text


def test_texts_of_other_versions_make_another_network(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained(TEXT)
    monkeypatch.setattr(tiny_transformer, "versions", lambda _: {"scipy": "0.0.1"})
    assert not pretrained(TEXT).from_cache
    assert len(list(own_cache.iterdir())) == 2


def test_padding_is_looked_at_by_no_word() -> None:
    spec = TokenSpec(("of", "spline"), length=6)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = TinyTransformer(TEXT, spec, 3).eval().requires_grad_(False)
    text = spec.prepare(as_bytes("spline of splines"))[None]
    before = network(text)
    # Layer norm would not see the same number added to all.
    shift = torch.arange(8.0)
    network.features.embedding.weight[0] += shift
    network.features.positions[3:] -= shift
    torch.testing.assert_close(network(text), before)
    network.features.positions[2] -= shift
    assert not torch.allclose(network(text), before)


def test_a_text_without_words_has_finite_features() -> None:
    spec = TokenSpec(("of",), length=4)
    network = TinyTransformer(TEXT, spec, 3).eval()
    assert network(spec.prepare(as_bytes(""))[None]).isfinite().all()


@pytest.mark.parametrize("method", ["nt1", "nt1_both", "nt2", "lora", "tft"])
@BOTH
def test_every_linear_layer_can_be_tuned_and_starts_as_it_was(
    recipe: TransformerRecipe, method: str
) -> None:
    network, spec = untrained(recipe, seed=3)
    samples = (
        torch.stack([spec.prepare(as_bytes("a filter of the spline")), torch.ones(48).long()])
        if isinstance(spec, TokenSpec)
        else torch.randn(2, spec.length, spec.bands, generator=torch.Generator().manual_seed(1))
    )
    before = network(samples)
    names = attach(network, method, "*")
    parts = ("attention.query", "attention.key", "attention.value", "attention.output")
    inside = {f"features.layers.0.{part}" for part in (*parts, "feed.0", "feed.3")}
    assert inside | {"classifier.0"} <= set(names)
    assert len(names) == 7 + isinstance(spec, FrameSpec)
    torch.testing.assert_close(network(samples), before)
    network(samples).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small recipes under the names of the small transformers."""
    recipes: dict[str, Callable[[], TransformerRecipe]] = {
        "tiny-text": lambda: TEXT,
        "tiny-sound": lambda: SOUND,
    }
    monkeypatch.setattr("neuromod.tuning.backbone.RECIPES", recipes)


@pytest.mark.usefixtures("own_cache", "quick")
def test_the_transformers_are_backbones() -> None:
    backbone = load_backbone("tiny-sound")
    data = load_data("timbres")
    sounds = torch.stack([backbone.image.prepare(data.image(i)) for i in (3, 401, 1207)])
    by_parts = backbone.network.classifier(backbone.embed(sounds))
    assert torch.equal(by_parts, backbone.network(sounds))
    assert [layer.in_features for layer in backbone.linears] == [8]
    assert backbone.trained
    drawn = load_backbone("tiny-text", "random", seed=3)
    assert not drawn.trained
    assert load_backbone("tiny-text", "random", seed=3).weight_hash == drawn.weight_hash
    assert load_backbone("tiny-text", "random", seed=4).weight_hash != drawn.weight_hash
    with pytest.raises(
        UserError, match=r"^tiny-text is trained by its recipe and takes no weights"
    ):
        load_backbone("tiny-text", "w.safetensors")


@pytest.mark.usefixtures("own_cache", "quick")
def test_samples_of_another_kind_are_refused_in_one_sentence() -> None:
    digits, timbres = load_digits(), load_data("timbres")
    text, sound = load_backbone("tiny-text"), load_backbone("tiny-sound")
    image = load_backbone("digits-vgg", "random")
    for backbone, data in ((text, digits), (text, timbres), (sound, digits), (image, timbres)):
        with pytest.raises(UserError, match=f"^{backbone.name} takes .*, and {data.name} holds "):
            extract_features(backbone, data)
    for spec, sentence in (
        (text.image, "^A text backbone reads texts, and not samples of shape"),
        (sound.image, "^A sound backbone hears sounds, and not samples of shape"),
        (image.image, "^An image backbone sees images, and not samples of shape"),
    ):
        foreign = timbres if spec is image.image else digits
        with pytest.raises(UserError, match=sentence):
            spec.prepare(foreign.image(0))
