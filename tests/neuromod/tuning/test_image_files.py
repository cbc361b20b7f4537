from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from PIL import Image, TiffImagePlugin  # noqa: E402
from PIL.ExifTags import Base  # noqa: E402

from neuromod.errors import UserError  # noqa: E402
from neuromod.tuning.datasets import load_folder  # noqa: E402
from neuromod.tuning.datasets.image_files import check_readable, read_image  # noqa: E402


def test_all_unreadable_images_are_named_at_once(class_folder: Path) -> None:
    files = load_folder(class_folder).files
    check_readable(files)
    photograph = class_folder / "bright" / "9.JPG"
    Image.effect_noise((200, 160), 60).save(photograph, "jpeg")
    whole = photograph.read_bytes()
    check_readable([photograph])
    photograph.write_bytes(whole[: len(whole) // 2])
    (class_folder / "dark" / "3.png").write_text("no image")
    files = load_folder(class_folder).files
    with pytest.raises(
        UserError, match=r"2 of 25 images cannot be used \(.*9\.JPG, .*3\.png\): .*9\.JPG cannot"
    ):
        check_readable(files)


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("RGB", (51, 102, 204), "png", (0.2, 0.4, 0.8)),
        ("L", 153, "png", (0.6,) * 3),
        ("1", 1, "png", (1.0,) * 3),
        ("LA", (153, 10), "png", (0.6,) * 3),
        ("RGBA", (51, 102, 204, 10), "png", (0.2, 0.4, 0.8)),
        ("I;16", 13107, "png", (0.2,) * 3),
        ("I", 429496729, "tiff", (0.2,) * 3),
        ("CMYK", (204, 153, 51, 0), "tiff", (0.2, 0.4, 0.8)),
    ],
)
def test_images_of_every_mode_become_rgb_between_0_and_1(
    tmp_path: Path, mode: str, colour: int, suffix: str, expected: tuple[float, ...]
) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.new(mode, (3, 2), colour).save(path)
    image = read_image(path)
    assert image.shape == (3, 2, 3)
    torch.testing.assert_close(image, torch.tensor(expected)[:, None, None].expand(3, 2, 3))
    check_readable([path])


def test_a_cmyk_photograph_is_read(tmp_path: Path) -> None:
    path = tmp_path / "image.jpeg"
    Image.new("CMYK", (40, 24), (204, 153, 51, 0)).save(path, quality=95)
    check_readable([path])
    torch.testing.assert_close(
        read_image(path).mean((1, 2)), torch.tensor([0.2, 0.4, 0.8]), atol=0.02, rtol=0
    )


def test_images_of_fractions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tiff"
    Image.new("F", (3, 2), 0.3).save(path)
    with pytest.raises(UserError, match="holds fractions for pixels"):
        read_image(path)


ORIENTATIONS = {
    1: lambda seen: seen,
    2: np.fliplr,
    3: lambda seen: np.rot90(seen, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda seen: np.rot90(seen, -1),
    7: lambda seen: np.rot90(seen, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_images_stand_upright_as_their_exif_data_say(
    tmp_path: Path, orientation: int, kind: type
) -> None:
    stored = np.arange(0, 240, 20, dtype=kind).reshape(3, 4)
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    Image.fromarray(stored).save(tmp_path / "image.png", exif=exif)
    expected = ORIENTATIONS[orientation](stored) / np.iinfo(kind).max
    found = read_image(tmp_path / "image.png")[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def tiff(path: Path, pixels: np.ndarray, mode: str, **tags: int) -> Path:
    """A TIFF file of whole numbers as other programs write it."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        directory[{"meaning": 262, "samples": 339}[name]] = value
    Image.fromarray(pixels).save(path, tiffinfo=directory)
    with Image.open(path) as image:
        assert image.mode == mode
    return path


def test_whole_numbers_are_shares_of_the_largest_of_their_type(tmp_path: Path) -> None:
    wide = np.array([[0, 70_000, 1_500_000_000], [2**31 - 1, 3, 0]], np.int32)
    found = read_image(tiff(tmp_path / "wide.tif", wide, "I"))[0].numpy()
    np.testing.assert_allclose(found, wide / (2**31 - 1), rtol=1e-6)
    short = np.array([[0, 999, 65_535]], np.uint16)
    found = read_image(tiff(tmp_path / "short.tif", short, "I;16"))[0].numpy()
    np.testing.assert_allclose(found, short / 65_535, rtol=1e-6)


def test_white_may_be_0(tmp_path: Path) -> None:
    pixels = np.array([[0, 999, 65_535]], np.uint16)
    path = tiff(tmp_path / "negative.tif", pixels, "I;16", meaning=0)
    np.testing.assert_allclose(read_image(path)[0].numpy(), 1 - pixels / 65_535, atol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.array([[0, 1, 13_107]], np.int32), "32-bit numbers of at most 13107, nearly black"),
        (np.array([[-7, 1, 2**30]], np.int32), "pixels down to -7: convert"),
    ],
)
def test_numbers_of_unknown_range_are_refused_before_the_work(
    tmp_path: Path, pixels: np.ndarray, message: str
) -> None:
    path = tiff(tmp_path / "image.tif", pixels, "I")
    for read in (read_image, lambda path: check_readable([path])):
        with pytest.raises(UserError, match=message):
            read(path)


def test_an_image_that_is_too_large_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (70, 50)).save(tmp_path / "panorama.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000)
    for read in (read_image, lambda path: check_readable([path])):
        with pytest.raises(UserError, match=r"is too large, with more than 0\.002 million pixels"):
            read(tmp_path / "panorama.png")


def test_files_of_several_images_are_refused_but_not_photographs_of_telephones(
    tmp_path: Path,
) -> None:
    first, *rest = (Image.new("RGB", (6, 5), (0, 0, shade)) for shade in (10, 200))
    for name in ("stack.tif", "moving.webp"):
        first.save(tmp_path / name, save_all=True, append_images=rest)
        with pytest.raises(UserError, match="holds 2 images: save each to a file of its own"):
            read_image(tmp_path / name)
    first.save(tmp_path / "telephone.jpg", "mpo", save_all=True, append_images=rest)
    assert read_image(tmp_path / "telephone.jpg").shape == (3, 5, 6)
