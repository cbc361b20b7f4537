from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for this test process alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEUROMOD_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def backbone(cache: Path, pretrained: Path):
    from neuromod.tuning.backbone import load_backbone

    shutil.copytree(pretrained, cache, dirs_exist_ok=True)
    return load_backbone()


@pytest.fixture(scope="session")
def features(backbone):
    from neuromod.tuning.datasets import load_digits
    from neuromod.tuning.features import extract_features

    return extract_features(backbone, load_digits())


@pytest.fixture
def class_folder(tmp_path: Path) -> Path:
    """Three classes of 8 small images: dark, middling, bright."""
    import numpy as np
    from PIL import Image

    root = tmp_path / "shades"
    drawn = np.random.default_rng(5)
    for name, level in (("bright", 220), ("dark", 30), ("middling", 120)):
        (root / name).mkdir(parents=True)
        for i in range(8):
            pixels = level + drawn.integers(-20, 20, (9, 11, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.png")
    return root
