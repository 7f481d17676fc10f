"""One image file -> one square of pixels."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""That are opened. Others of Pillow's call outside programs (EPS) or hold no photographs.
JPEG includes the pairs of pictures (MPO) of some cameras."""
MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: 300 MB each, and several are decoded at a time."""
BACKGROUND = (255, 255, 255)
"""Behind transparent pixels."""
_SPARE = 2
"""Large images are first reduced to this many times the wanted side, in whole steps, which is fast; the rest is exact."""


class Undecodable(Exception):
    """Not an image that can be used; the message says why."""


def decode(content: bytes, side: int) -> NDArray[np.uint8]:
    """Decode an image, turn it upright, resize its short side to `side` and cut the middle out.

    Grey images, palettes and CMYK (Adobe's inverted one, too) become RGB without colour profiles; of 16 bits the high
    eight are taken; transparent pixels show white; of an animation the first picture is taken.

    Args:
        content: of the file.
        side: wanted, in pixels; smaller images are enlarged.

    Returns:
        (side, side, 3).

    Raises:
        Undecodable: not an image, damaged, cut off, too large, or with values that have no stated range.
    """
    with _opened(content) as image:
        image.draft(None, (_SPARE * side, _SPARE * side))  # JPEG only: decodes at 1/2, 1/4 or 1/8.
        upright = _rgb(ImageOps.exif_transpose(image))
        width, height = upright.size
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
        return np.asarray(upright.resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=_SPARE))


def short_side(content: bytes) -> int:
    """The smaller of height and width in pixels, from the head of the file.

    Raises:
        Undecodable: not an image.
    """
    with _opened(content) as image:
        return min(image.size)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings on odd files. Around all threads: filters of warnings belong to the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Undecodable(f"larger than {MAX_PIXELS // 10**6} million pixels")
            yield image
    except Undecodable:
        raise
    except Image.DecompressionBombError:
        raise Undecodable(f"larger than {MAX_PIXELS // 10**6} million pixels") from None
    except UnidentifiedImageError:
        raise Undecodable("no image in a known format" if content else "empty") from None
    except Exception as error:  # Decoders fail in any way on damaged files; each is a fact about the file.
        raise Undecodable(" ".join(str(error).split()) or type(error).__name__) from None


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(f for f in FORMATS if f in Image.OPEN)  # Pillow may have been built without one of them.


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, (*BACKGROUND, 255)), clear).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise Undecodable(f"values of more than 16 bits (mode {image.mode}) have no stated range")
    return Image.fromarray((values >> 8).astype(np.uint8))
