"""Image files: read with the range and the orientation that they declare, and looked over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from PIL.ExifTags import Base
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

from neuromod.errors import UserError
from neuromod.support.cache import checksum
from neuromod.support.paths import file_at
from neuromod.support.progress import watched

UNREADABLE = (OSError, SyntaxError, ValueError)
"""What Pillow raises for files that are no images, or truncated."""

MOST_NAMED = 3
# Of TIFF.
BITS, SAMPLES, MEANING = 258, 339, 262
SIGNED, WHITE_IS_ZERO = 2, 0
SIXTEEN_BITS = 2**16 - 1


def read_image(path: str | Path) -> Tensor:
    """Read an image file as RGB with values 0 to 1, shape (3, h, w), upright as its EXIF data say.

    Grey images of 16 and 32 bits keep their range: 1 is the largest number of their type, as in
    torchvision. Transparency is dropped, as there.

    Raises
    ------
    UserError
        For what is no image, is too large for Pillow, holds several, or has no known range:
        fractions, negative numbers, and numbers of 32 bits of which all would fit into 16.
    """
    with _opened(file_at(path, "image")) as image:
        upright = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            grey = _grey(path, np.asarray(upright, dtype=np.int64), image)
            return torch.from_numpy(grey).expand(3, -1, -1)
        pixels: Tensor = pil_to_tensor(upright.convert("RGB"))
        return pixels / 255


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Image in a file; what it is not able to give is a sentence that begins with its name."""
    try:
        with Image.open(path) as image:
            if image.mode == "F":
                raise UserError(f"{path} holds fractions for pixels: convert it to 8 or 16 bits.")
            # Telephones add a smaller picture to a photograph, as MPO.
            if (frames := getattr(image, "n_frames", 1)) > 1 and image.format != "MPO":
                raise UserError(f"{path} holds {frames} images: save each to a file of its own.")
            yield image
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise UserError(
            f"{path} is too large, with more than {most:.3g} million pixels: make it smaller or "
            "remove it."
        ) from error
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as an image: replace or remove it.") from error


def _grey(path: str | Path, values: np.ndarray, image: Image.Image) -> np.ndarray:
    """Whole numbers as shares of the largest of their type."""
    tags = getattr(image, "tag_v2", {})
    # Formats other than TIFF have no wider numbers.
    bits = tags.get(BITS, (16,))[0]
    largest = 2 ** (bits - (SIGNED in tags.get(SAMPLES, ()))) - 1
    if values.min() < 0:
        raise UserError(
            f"{path} holds pixels down to {values.min()}: convert it to 16 bits without a sign."
        )
    if largest > SIXTEEN_BITS >= values.max() > 0:
        raise UserError(
            f"{path} holds 32-bit numbers of at most {values.max()}, nearly black in a range up to "
            f"{largest}: convert it to 16 bits."
        )
    if tags.get(MEANING) == WHITE_IS_ZERO:
        values = largest - values
    return np.asarray(values / largest, dtype=np.float32)


def check_readable(files: Sequence[Path]) -> None:
    """Read image files to their ends, and name those that fail.

    JPEG files are decoded at an eighth of their size, which still reads every byte.

    Raises
    ------
    UserError
        With the first one's reason.
    """
    failing = [(path, error) for path in files if (error := _failure(path))]
    if failing:
        names = named([path for path, _ in failing])
        raise UserError(
            f"{len(failing)} of {len(files)} images cannot be used ({names}): {failing[0][1]}"
        )


def _failure(path: Path) -> UserError | None:
    try:
        with _opened(path) as image:
            image.draft(None, (max(image.width // 8, 1), max(image.height // 8, 1)))
            image.load()
            if image.mode.startswith("I"):
                _grey(path, np.asarray(image, dtype=np.int64), image)
            return None
    except UserError as error:
        return error


def named(names: Sequence[object]) -> str:
    """Join the first few of many names."""
    more = ", ..." if len(names) > MOST_NAMED else ""
    return ", ".join(map(str, names[:MOST_NAMED])) + more


def turned(files: Sequence[Path]) -> list[Path]:
    """Files whose EXIF data turn or mirror the image; what is no image is none of them."""
    return [path for path in watched("orientations", files) if _orientation(path) != 1]


def _orientation(path: Path) -> int:
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(Base.Orientation, 1))
    except (*UNREADABLE, Image.DecompressionBombError):
        return 1


def repeated(parts: Mapping[str, Sequence[Path]]) -> list[tuple[Path, Path]]:
    """Files of different parts that are the same to the byte, each with one of an earlier part."""
    sizes = {path: path.stat().st_size for files in parts.values() for path in files}
    by_size = sorted(sizes, key=lambda path: sizes[path])
    same_size = [list(group) for _, group in groupby(by_size, key=lambda path: sizes[path])]
    suspects = [path for group in same_size if len(group) > 1 for path in group]
    sums = {path: checksum(path) for path in watched("identical images", suspects)}
    first: dict[str, tuple[str, Path]] = {}
    found = []
    for part, files in parts.items():
        for path in filter(sums.__contains__, files):
            earlier, other = first.setdefault(sums[path], (part, path))
            if earlier != part:
                found.append((other, path))
    return found
