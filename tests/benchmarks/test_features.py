"""Extraction of features against the plain loop that a torchvision user would write.

VGG-19 with random weights, images of 256 x 256, two threads; by turns and in the same run, the best
of several rounds each. Compared is processor time, which other work on a machine disturbs least.
Run with ``pytest tests/benchmarks``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from torchvision.datasets import ImageFolder  # noqa: E402
from torchvision.models import VGG  # noqa: E402
from torchvision.transforms import v2 as transforms  # noqa: E402

from neuromod.tuning.backbone import Backbone, load_backbone  # noqa: E402
from neuromod.tuning.datasets import load_folder  # noqa: E402
from neuromod.tuning.features import extract_features  # noqa: E402
from neuromod.tuning.hardware import Hardware  # noqa: E402

THREADS = 2
ROUNDS = 5
IMAGES = 8
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@pytest.fixture(scope="module", autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def vgg19() -> Backbone:
    return load_backbone("vgg19", "random")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise as large as photographs on the web, 512 x 384."""
    root = tmp_path_factory.mktemp("photographs")
    drawn = np.random.default_rng(1)
    for i in range(IMAGES):
        coarse = drawn.integers(0, 256, (48, 64, 3), np.uint8)
        path = root / f"class {i % 2}" / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(coarse).resize((512, 384), Image.Resampling.BICUBIC).save(path)
    return root


def plain(network: VGG, folder: Path, layout: torch.memory_format, lower: bool) -> np.ndarray:
    """Features as a short script computes them, in the order of the files."""
    prepare = transforms.Compose(
        [
            transforms.PILToTensor(),
            transforms.ToDtype(torch.float32, scale=True),
            transforms.Resize((256, 256), antialias=True),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    network = network.to(memory_format=layout)
    found = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=lower):
        for images, _ in DataLoader(ImageFolder(folder, prepare), batch_size=16):
            pooled = network.avgpool(network.features(images.to(memory_format=layout)))
            found.append(pooled.flatten(1).float().numpy())
    return np.concatenate(found)


def timed(work: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_extraction_is_as_fast_as_a_plain_loop(
    benchmark, vgg19, photographs, precision, tmp_path, monkeypatch
):
    seconds: dict[str, list[float]] = {"ours": [], "contiguous": [], "channels_last": []}
    data, lower = load_folder(photographs), precision == "bfloat16"
    vgg19.feature_hash  # noqa: B018 - worked out once for a backbone

    def everything() -> None:
        monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / f"{len(seconds['ours'])}"))
        results = {
            "ours": timed(
                lambda: extract_features(vgg19, data, hardware=Hardware(mixed=lower)).values
            )
        }
        for name, layout in FORMATS.items():
            results[name] = timed(lambda f=layout: plain(vgg19.network, photographs, f, lower))
        vgg19.network.to(memory_format=torch.contiguous_format)
        for name, (taken, _) in results.items():
            seconds[name].append(taken)
        ours, other = results["ours"][1], results["channels_last"][1]
        assert np.linalg.norm(ours - other) < (2e-2 if lower else 1e-4) * np.linalg.norm(other)

    benchmark.pedantic(everything, rounds=ROUNDS, warmup_rounds=1)
    best = {name: min(kept[1:]) / IMAGES for name, kept in seconds.items()}
    ratios = {name: best["ours"] / best[name] for name in FORMATS}
    benchmark.extra_info.update(seconds_per_image=best, ratios=ratios)
    print(
        f"\n{precision}: {best['ours']:.3f} s of processor time an image; against a plain loop "
        + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    )
    assert ratios["contiguous"] < 1
    # The same convolutions, and the disk besides: as fast but for the measurement's noise
    assert ratios["channels_last"] < 1.05


@pytest.mark.slow
def test_the_memory_format_and_batch_that_are_built_in_are_the_fastest(benchmark, vgg19):
    """With one thread, and for batches of 1, 4 and 16 images."""
    stack = vgg19.network.get_submodule("features")
    images = torch.rand(16, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    taken: dict[tuple[str, str, int], list[float]] = {}

    @torch.no_grad()
    def everything() -> None:
        for (name, layout), lower, batch in product(FORMATS.items(), (False, True), (1, 4, 16)):
            stack.to(memory_format=layout)
            batched = images[:batch].to(memory_format=layout)
            start = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled=lower):
                stack(batched)
            key = (name, "bfloat16" if lower else "float32", batch)
            taken.setdefault(key, []).append((time.process_time() - start) / batch)
        stack.to(memory_format=torch.contiguous_format)

    torch.set_num_threads(1)
    benchmark.pedantic(everything, rounds=3)
    torch.set_num_threads(THREADS)
    best = pd.Series({key: min(kept) for key, kept in taken.items()}).sort_index()
    table = best.rename_axis(["format", "precision", "batch"]).unstack()
    benchmark.extra_info["seconds_per_image"] = table.to_dict()
    print(f"\nseconds of processor time an image, by images in a batch\n{table.round(3)}")
    for precision in ("float32", "bfloat16"):
        assert best["channels_last", precision, 16] < best["contiguous", precision].min()
