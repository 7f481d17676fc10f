"""Every kind of image file becomes the same square of RGB, and what cannot is named."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mvsearch.accuracy.images import decode as module
from mvsearch.accuracy.images.decode import Undecodable, decode, quiet, short_side
from tests.accuracy.images.make import encoded, picture

RED = (200, 30, 60)


def near(pixels, colour, tolerance=4):
    return np.abs(pixels.astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO"])
def test_common_formats(format):
    pixels = decode(encoded(picture(colour=RED, size=(40, 30)), format), 16)
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8 and near(pixels, RED)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_modes_become_rgb(mode):
    image = picture(colour=(255, 255, 255)).convert(mode)
    assert near(decode(encoded(image, "TIFF" if mode == "CMYK" else "PNG"), 8), (255, 255, 255))


def test_one_channel_jpeg_is_grey():
    assert near(decode(encoded(Image.new("L", (20, 20), 90), "JPEG"), 8), (90, 90, 90))


def test_transparent_pixels_show_white():
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert near(decode(encoded(image), 8), (255, 255, 255))
    palette = Image.new("P", (20, 20), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert near(decode(encoded(palette, transparency=0), 8), (255, 255, 255))
    assert near(decode(encoded(palette), 8), (10, 20, 30))


def test_the_high_bits_of_16_are_taken():
    deep = Image.fromarray(np.full((9, 9), 0x8081, np.uint16))
    for format in ("PNG", "TIFF"):
        assert near(decode(encoded(deep, format), 4), (128, 128, 128), 1)


def test_values_without_a_range_are_refused():
    with pytest.raises(Undecodable, match="no stated range"):
        decode(encoded(Image.new("F", (9, 9), 0.5), "TIFF"), 4)


def test_cmyk_jpeg_as_adobe_writes_it():
    ink = Image.merge("CMYK", [Image.new("L", (40, 40), 255 - c) for c in RED] + [Image.new("L", (40, 40), 0)])
    content = encoded(ink, "JPEG", quality=95)
    assert b"Adobe" in content  # The marker that says: stored inverted.
    assert near(decode(content, 8), RED)


def test_ycck_jpeg():
    # Adobe's transform 2: YCbCr of the inks C, M, Y beside an inverted K. Encoded as four plain channels, then declared so.
    inks = tuple(255 - c for c in RED)
    y, cb, cr = (c.getextrema()[0] for c in Image.new("RGB", (1, 1), inks).convert("YCbCr").split())
    # Pillow inverts what it writes as CMYK, so that 255 - x is stored as x.
    stored = [Image.new("L", (40, 40), 255 - v) for v in (y, cb, cr, 255)]
    content = bytearray(encoded(Image.merge("CMYK", stored), "JPEG", quality=95, subsampling=0))
    content[content.index(b"Adobe") + 11] = 2
    assert near(decode(bytes(content), 8), RED, 6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright(orientation):
    upright = Image.new("RGB", (30, 30), "black")
    upright.paste((255, 255, 255), (0, 0, 15, 15))  # The corner at top left is white.
    turned = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = upright if turned is None else upright.transpose(Image.Transpose(turned))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(encoded(stored, "JPEG", exif=exif, quality=95), 30)
    assert pixels[5, 5].min() > 240 and max(pixels[5, 25].max(), pixels[25, 5].max(), pixels[25, 25].max()) < 15


def test_broken_exif_does_not_lose_an_image():
    with quiet():
        for exif in (b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\xff\xff"):
            assert near(decode(encoded(picture(colour=RED), "JPEG", exif=exif), 8), RED)


@pytest.mark.parametrize("size", [(64, 16), (16, 64), (1000, 200), (1600, 1200)])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_the_middle_is_cut_out_in_proportion(size, format):
    width, height = size
    short = min(size)
    image = Image.new("RGB", size, (255, 0, 0))
    left, top = (width - short) // 2, (height - short) // 2
    image.paste((0, 0, 255), (left, top, left + short, top + short))
    assert near(decode(encoded(image, format, **({"quality": 95} if format == "JPEG" else {})), 16)[2:-2, 2:-2], (0, 0, 255), 8)


def test_images_of_the_stored_side_keep_their_pixels():
    image = picture(size=(32, 32))
    assert np.array_equal(decode(encoded(image), 32), np.asarray(image))


def test_first_picture_of_an_animation():
    first, second = Image.new("RGB", (20, 20), RED), Image.new("RGB", (20, 20), "blue")
    for format in ("GIF", "WEBP"):
        content = encoded(first, format, save_all=True, append_images=[second])
        assert near(decode(content, 8), RED, 8)


def test_bombs_are_refused_before_they_are_decoded(monkeypatch):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = b"\x89PNG\r\n\x1a\n"
    for side in (11_000, 100_000):  # Over our limit; over Pillow's own.
        size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        with quiet(), pytest.raises(Undecodable, match="million pixels"):
            decode(head + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b""), 8)
    monkeypatch.setattr(module, "MAX_PIXELS", 119)
    with pytest.raises(Undecodable, match="million pixels"):
        decode(encoded(picture(size=(12, 10))), 8)


@pytest.mark.parametrize("content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x00" * 1000])
def test_what_is_no_image(content):
    for function in (lambda: decode(content, 8), lambda: short_side(content)):
        with pytest.raises(Undecodable, match=r"no image|empty"):
            function()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_cut_off_files_are_refused(format, part):
    content = encoded(picture(size=(64, 64)), format)
    with quiet(), pytest.raises(Undecodable):
        decode(content[: int(part * len(content))], 8)


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(["JPEG", "PNG", "GIF", "TIFF"]))
@settings(max_examples=60, deadline=None)
def test_damage_never_does_anything_else(damage, at, format):
    content = encoded(picture(size=(16, 16)), format)
    with quiet():
        try:
            pixels = decode(content[:at] + damage + content[at + len(damage) :], 8)
        except Undecodable as error:
            assert str(error) and "\n" not in str(error)
        else:
            assert pixels.shape == (8, 8, 3)


def test_short_side():
    assert short_side(encoded(picture(size=(40, 30)))) == 30
