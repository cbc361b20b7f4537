from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.tuning.backbone import Backbone  # noqa: E402
from neuromod.tuning.datasets import load_digits, load_folder  # noqa: E402
from neuromod.tuning.features import extract_features  # noqa: E402


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def never(*_: int) -> None:
    pytest.fail("computed again")


def test_features_are_what_the_frozen_stack_gives(features, backbone: Backbone) -> None:
    data = load_digits()
    assert features.values.shape == (896, 384)
    assert features.values.dtype == np.float32
    assert isinstance(features.values, np.memmap)
    images = torch.stack([backbone.image.prepare(data.images[i][0]) for i in (0, 411, 895)])
    np.testing.assert_allclose(
        features.values[[0, 411, 895]], backbone.embed(images).numpy(), rtol=1e-4, atol=1e-6
    )


@pytest.mark.usefixtures("own_cache")
def test_features_are_computed_once(backbone: Backbone, class_folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    data = load_folder(class_folder)
    first = extract_features(backbone, data, 10, lambda done, total: seen.append((done, total)))
    again = extract_features(backbone, data, progress=never)
    assert seen == [(10, 24), (20, 24), (24, 24)]
    assert (first.from_cache, again.from_cache) == (False, True)
    assert np.array_equal(first.values, again.values)

    shutil.copy(class_folder / "dark" / "0.png", class_folder / "bright" / "0.png")
    assert not extract_features(backbone, load_folder(class_folder)).from_cache


@pytest.mark.parametrize("content", [b"", b"not ours", None])
def test_damaged_features_are_computed_anew(
    own_cache: Path,
    backbone: Backbone,
    class_folder: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    data = load_folder(class_folder)
    expected = np.array(extract_features(backbone, data).values)
    (path,) = own_cache.iterdir()
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(extract_features(backbone, data).values, expected)
    assert "computed anew" in caplog.text


def test_an_interruption_leaves_nothing_behind(
    own_cache: Path, backbone: Backbone, class_folder: Path
) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(backbone, load_folder(class_folder), 10, interrupt)
    assert list(own_cache.iterdir()) == []
