from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import local

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning import features as features_module  # noqa: E402
from neuromod.tuning.backbone import Backbone, load_backbone, with_weights  # noqa: E402
from neuromod.tuning.datasets import ImageData, balanced, load_digits, load_folder  # noqa: E402
from neuromod.tuning.features import extract_features, projections  # noqa: E402
from neuromod.tuning.hardware import Hardware  # noqa: E402


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEUROMOD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def never(*_: int) -> None:
    pytest.fail("computed")


def counted(data: ImageData, read: list[int]) -> ImageData:
    """Data that note which of their images are read."""

    def image(index: int) -> torch.Tensor:
        read.append(index)
        return data.image(index)

    return replace(data, image=image)


def test_features_are_what_the_frozen_stack_gives(features, backbone: Backbone) -> None:
    data = load_digits()
    assert features.values.shape == (896, 384)
    assert features.values.dtype == np.float32
    assert isinstance(features.values, np.memmap)
    images = torch.stack([backbone.image.prepare(data.image(i)) for i in (0, 411, 895)])
    np.testing.assert_allclose(
        features.values[[0, 411, 895]], backbone.embed(images).numpy(), rtol=1e-4, atol=1e-6
    )


@pytest.mark.usefixtures("own_cache")
def test_samples_of_another_kind_are_refused_before_any_is_read(backbone: Backbone) -> None:
    texts = replace(load_digits(), image=never, kind="texts", name="notes")
    sentence = "digits-vgg takes images, and notes holds texts: take data of images, such as digits"
    with pytest.raises(UserError, match=sentence):
        extract_features(backbone, texts)


@pytest.mark.usefixtures("own_cache")
def test_features_are_computed_once(backbone: Backbone, class_folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    data = load_folder(class_folder)
    first = extract_features(backbone, data, 10, lambda done, total: seen.append((done, total)))
    again = extract_features(backbone, data)
    assert seen == [(0, 24), (10, 24), (20, 24), (24, 24)]
    assert (first.from_cache, again.from_cache) == (False, True)
    assert np.array_equal(first.values, again.values)
    assert first.identity == again.identity

    shutil.copy(class_folder / "dark" / "0.png", class_folder / "bright" / "0.png")
    changed = extract_features(backbone, load_folder(class_folder))
    assert not changed.from_cache
    assert changed.identity != first.identity


@pytest.mark.usefixtures("own_cache")
def test_features_depend_on_no_weights_of_the_classifier(
    backbone: Backbone, class_folder: Path
) -> None:
    data = load_folder(class_folder)
    extract_features(backbone, data)
    zeros = [(0 * each.weight.numpy(), 0 * each.bias.numpy()) for each in backbone.linears]
    assert extract_features(with_weights(backbone, zeros), data).from_cache
    assert not extract_features(load_backbone("digits-vgg", "random"), data).from_cache


@pytest.mark.usefixtures("own_cache")
def test_what_an_interruption_left_is_gone_on_from(backbone: Backbone, class_folder: Path) -> None:
    data, read = load_folder(class_folder), []

    def interrupt(done: int, _total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(backbone, data, 10, interrupt)
    resumed = extract_features(backbone, counted(data, read), 10)
    assert read == [20, 21, 22, 23]
    whole = extract_features(backbone, replace(data, identity="once more"), 24)
    np.testing.assert_allclose(resumed.values, whole.values, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("own_cache")
def test_images_outside_the_split_are_computed_when_a_split_asks_for_them(
    backbone: Backbone, class_folder: Path
) -> None:
    read: list[int] = []
    data = counted(load_folder(class_folder), read)
    first = extract_features(backbone, balanced(data, 2, seed=1))
    assert sorted(read) == first.split.rows.tolist()
    assert len(read) == 6 + 5 + 7
    read.clear()
    second = extract_features(backbone, balanced(data, 2, seed=2))
    assert set(read) == set(second.split.train) - set(first.split.train)
    assert (first.key, len(first.values)) == (second.key, 24)
    assert first.identity != second.identity
    whole = extract_features(backbone, replace(data, identity="once more"))
    for features in (first, second):
        rows = features.split.rows
        np.testing.assert_allclose(features.values[rows], whole.values[rows], rtol=1e-4, atol=1e-6)


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
    (path,) = own_cache.glob("*.npy")
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(extract_features(backbone, data).values, expected)
    assert "computed anew" in caplog.text


@pytest.mark.usefixtures("own_cache")
def test_float16_halves_the_file_and_rounds_to_three_digits(
    backbone: Backbone, class_folder: Path
) -> None:
    data = load_folder(class_folder)
    single = extract_features(backbone, data).values
    half = extract_features(backbone, data, dtype="float16").values
    assert (half.dtype, half.nbytes) == (np.float16, single.nbytes // 2)
    np.testing.assert_allclose(half, single, rtol=2**-11, atol=1e-6)
    with pytest.raises(UserError, match=r"no type of number to keep named 'float8': did you mean"):
        extract_features(backbone, data, dtype="float8")


@pytest.mark.usefixtures("own_cache")
def test_bfloat16_convolutions_are_near_those_in_float32(
    backbone: Backbone, class_folder: Path
) -> None:
    data = load_folder(class_folder)
    single = extract_features(backbone, data).values
    lower = extract_features(backbone, data, hardware=Hardware(mixed=True)).values
    error = np.linalg.norm(lower - single) / np.linalg.norm(single)
    # One rounding is up to 2**-9, and there are some ten in a row
    assert 2**-12 < error < 10 * 2**-9


@pytest.mark.usefixtures("own_cache")
def test_unreadable_images_are_all_named_before_anything_is_computed(
    backbone: Backbone, class_folder: Path
) -> None:
    for name in ("bright/1.png", "middling/6.png"):
        path = class_folder / name
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match=r"2 of 24 images cannot be used \(.*1\.png, .*6\.png\)"):
        extract_features(backbone, load_folder(class_folder), progress=never)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Disks under folders with these names in their paths lack a byte."""
    names: list[str] = []
    usage = shutil.disk_usage("/")
    little = usage._replace(free=24 * 384 * 4 - 1)
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda path: little if any(name in str(path) for name in names) else usage,
    )
    return names


def test_where_every_disk_is_full_that_is_told_before_anything_is_computed(
    own_cache: Path, backbone: Backbone, class_folder: Path, full: list[str]
) -> None:
    full += [str(own_cache), tempfile.gettempdir()]
    data = load_folder(class_folder)
    with pytest.raises(
        UserError, match=r"features.* disk /.* is full: it lacks 1 byte of 36\.9 kB\. .*float16"
    ):
        extract_features(backbone, data, progress=never)
    extract_features(backbone, data, dtype="float16")


def test_a_full_cache_costs_no_features(
    own_cache: Path,
    backbone: Backbone,
    class_folder: Path,
    full: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    data, linear = load_folder(class_folder), backbone.linears[0]
    whole = np.array(extract_features(backbone, replace(data, identity="once more")).values)
    full.append(str(own_cache))
    found = extract_features(backbone, data)
    assert not found.from_cache
    assert np.array_equal(found.values, whole)
    (told,) = caplog.messages
    assert "cache" in told
    assert "is full: it lacks 1 byte of 36.9 kB" in told
    assert "is computed for this run alone" in told
    full.clear()
    expected = np.array(projections(found, linear).values)
    extract_features(backbone, data)
    assert extract_features(backbone, data).from_cache
    assert np.array_equal(projections(extract_features(backbone, data), linear).values, expected)
    assert not list((tmp_path / "temporary").iterdir())


def test_a_cache_that_fills_up_meanwhile_costs_no_features(
    own_cache: Path,
    backbone: Backbone,
    class_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = load_folder(class_folder)
    whole = np.array(extract_features(backbone, replace(data, identity="once more"), 5).values)
    wait = os.fsync

    def fsync(opened: int) -> None:
        if str(own_cache) in str(Path(f"/proc/self/fd/{opened}").readlink()) and begun:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        wait(opened)

    begun: list[int] = []
    monkeypatch.setattr(os, "fsync", fsync)
    found = extract_features(backbone, data, 5, lambda done, _: begun.append(done))
    assert np.array_equal(found.values, whole)
    (told,) = caplog.messages
    assert "is full" in told


@pytest.mark.usefixtures("own_cache")
def test_projections_are_the_first_layer_s_products(backbone: Backbone, class_folder: Path) -> None:
    features = extract_features(backbone, balanced(load_folder(class_folder), 2))
    linear = backbone.linears[0]
    first = projections(features, linear)
    rows = features.split.rows
    expected = features.values[rows].astype(np.float64) @ linear.weight.double().numpy().T
    np.testing.assert_allclose(first.values[rows], expected, rtol=1e-4, atol=1e-5)
    assert isinstance(first.values, np.memmap)
    assert first.values.shape == (24, 96)
    assert first.split is features.split
    assert projections(features, linear).from_cache
    doubled = torch.nn.Linear(384, 96).requires_grad_(False)
    doubled.weight.copy_(2 * linear.weight)
    again = projections(features, doubled, dtype="float16")
    assert not again.from_cache
    np.testing.assert_allclose(again.values[rows], 2 * expected, rtol=2e-3, atol=1e-3)


@pytest.mark.usefixtures("own_cache")
def test_projections_of_a_larger_split_compute_what_is_missing(
    backbone: Backbone, class_folder: Path
) -> None:
    data = load_folder(class_folder)
    linear = backbone.linears[0]
    projections(extract_features(backbone, balanced(data, 1)), linear)
    whole = extract_features(backbone, data)
    seen: list[tuple[int, int]] = []
    projected = projections(whole, linear, lambda *each: seen.append(each))
    assert seen == [(15, 24), (24, 24)]
    expected = whole.values @ linear.weight.numpy().T
    np.testing.assert_allclose(projected.values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("own_cache")
def test_two_workers_share_the_images(
    backbone: Backbone, class_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, read, own = load_folder(class_folder), ([], []), local()

    def extract(rank: int) -> np.ndarray:
        own.rank = rank
        return extract_features(backbone, counted(data, read[rank]), 4).values

    with ThreadPoolExecutor(2) as pool, monkeypatch.context() as patch:
        patch.setattr(features_module, "rank_and_size", lambda: (own.rank, 2))
        values = list(pool.map(extract, (0, 1)))
    assert read == (list(range(0, 24, 2)), list(range(1, 24, 2)))
    alone = extract_features(backbone, replace(data, identity="once more")).values
    for each in values:
        np.testing.assert_allclose(each, alone, rtol=1e-4, atol=1e-6)


def test_features_with_changed_bits_are_computed_again(
    backbone: Backbone, class_folder: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, read = load_folder(class_folder), []
    first = extract_features(backbone, data)
    expected = np.array(first.values)
    (path,) = own_cache.glob("features-*.npy")
    kept = np.load(path, mmap_mode="r+")
    places = np.random.default_rng(7).choice(kept[:17].size, 2000, replace=False)
    kept.view(np.uint32).reshape(-1)[places] ^= 1 << 30
    kept.flush()
    again = extract_features(backbone, counted(data, read))
    # The last bits depend on which images are computed together.
    np.testing.assert_allclose(again.values, expected, rtol=1e-4, atol=1e-6)
    assert not again.from_cache
    assert sorted(read) == list(range(17))
    assert caplog.messages == [f"{path}: 17 rows are damaged and computed anew."]


def test_a_cache_that_is_only_read_gives_what_it_has_in_full(
    backbone: Backbone, class_folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_folder(class_folder)
    expected = np.array(extract_features(backbone, data).values)
    monkeypatch.setenv("NEUROMOD_SHARED_CACHE", str(own_cache))
    monkeypatch.setenv("NEUROMOD_CACHE", str(own_cache.with_name("private")))
    again = extract_features(backbone, data, progress=never)
    assert again.from_cache
    assert np.array_equal(again.values, expected)
    (path,) = own_cache.glob("features-*.npy")
    before = bytearray(path.read_bytes())
    before[-5] ^= 1
    path.write_bytes(before)
    anew = extract_features(backbone, data)
    assert not anew.from_cache
    assert np.array_equal(anew.values, expected)
    assert path.read_bytes() == before
