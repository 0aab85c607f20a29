"""The bytes of one image file → a square of red, green and blue, whatever the file's own mode and orientation.

Colour profiles are not applied: what a camera or a browser would call sRGB is taken as it stands.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

Box = tuple[int, int, int, int]  # left, top, right, bottom in the file's pixels; right and bottom are outside
Area = tuple[float, float, float, float]  # the same in fractions of pixels

# Formats that decode in the process itself: PIL hands EPS to Ghostscript, which runs what the file says.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

TURNS: dict[object, Image.Transpose] = {  # EXIF orientation: how to turn the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(Exception):
    """These bytes are no picture; the message is the reason, for a person."""


def decode(content: bytes, size: int, box: Box | None = None, *, squash: bool = False) -> NDArray[np.uint8]:
    """The centre square of a picture, its first frame, (3, size, size); of the part in `box`, where one is given.

    With `squash` it is the whole picture or part, pressed into a square. Decode inside `strict_warnings`, or a picture
    of 90 to 180 million pixels is read after all.
    """
    if not content:
        raise UnreadableImageError("an empty file")
    try:
        square = _read(content, size, box, squash=squash)
    except UnreadableImageError:
        raise
    except UnidentifiedImageError:  # whose message is an address in memory
        raise UnreadableImageError(f"no image, or cut off; formats that are read: {', '.join(_formats())}") from None
    except MemoryError:  # ours to run out of, not the file's fault
        raise
    except Exception as error:  # PIL raises a dozen kinds of error for broken files
        raise UnreadableImageError(str(error) or type(error).__name__) from error
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


@contextmanager
def strict_warnings() -> Iterator[None]:
    """A suspiciously large picture is an error here; other warnings about odd files would name none, and are hushed.

    Stands around the threads that decode, not in them: the filters belong to the whole process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """What this build of PIL knows of FORMATS."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _read(content: bytes, size: int, box: Box | None, *, squash: bool) -> Image.Image:
    with Image.open(BytesIO(content), formats=_formats()) as image:
        if box is None:  # whose pixels are counted in the file's own size
            image.draft(None, (2 * size, 2 * size))  # a JPEG of twice the size wanted costs less, and looks the same
        image.load()
        turn = TURNS.get(_orientation(image))  # TIFF turns itself while loading, and then says 1
        area = _part(box, image.size)
        square = _resized(_rgb(image), size, area if squash else _centre(area))
    return square if turn is None else square.transpose(turn)


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - PIL raises many kinds; a broken tag says nothing against the pixels
        return 1


def _part(box: Box | None, size: tuple[int, int]) -> Area:
    """The part of a picture that is to be seen: a box that reaches beyond the edge is cut there."""
    width, height = size
    left, top, right, bottom = box or (0, 0, width, height)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        raise UnreadableImageError(f"its box {box} holds nothing of its {width} by {height} pixels")
    return left, top, right, bottom


def _centre(area: Area) -> Area:
    """The middle square of an area, as large as the short side allows."""
    left, top, right, bottom = area
    side = min(right - left, bottom - top)
    x, y = left + (right - left - side) / 2, top + (bottom - top - side) / 2
    return x, y, x + side, y + side


def _resized(image: Image.Image, size: int, area: Area) -> Image.Image:
    """An area as a square: the same as resizing and then cropping, but cheaper."""
    return image.resize((size, size), Image.Resampling.BICUBIC, box=area, reducing_gap=3.0)


def _rgb(image: Image.Image) -> Image.Image:
    """In RGB: transparency on white; deep grey scaled."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or of floats, scaled to 0 … 255 where PIL's own conversion would clip it."""
    grey = np.asarray(image, dtype=np.float32)
    if not np.isfinite(grey).all():
        raise UnreadableImageError("a pixel that is no finite number")
    white = _white(image.mode, float(grey.max()))
    return Image.fromarray(np.rint(np.clip(grey / white, 0, 1) * 255).astype(np.uint8))


def _white(mode: str, brightest: float) -> float:
    """The value that means white: files of these modes do not say, so it is the least of the usual ones that fits."""
    usual = {"I": (65535, 2**31), "F": (1, 255, 65535, brightest)}.get(mode, (65535,))
    return next(float(white) for white in usual if brightest <= white)
