"""Reading one image file: every mode, orientation and kind of damage."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image

from nat_datasets.decoding import UnreadableImageError, decode, strict_warnings
from nat_datasets.pictures import statistics

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


@pytest.fixture(autouse=True)
def strict():
    with strict_warnings():
        yield


def encoded(image, kind="PNG", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colour(pixels, row=0, column=0):
    return tuple(int(v) for v in pixels[:, row, column])


def noise(mode="RGB", size=(24, 24), seed=0):
    shape = (size[1], size[0], len(Image.new(mode, (1, 1)).getbands()))
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.frombytes(mode, size, values.tobytes())


def png_header_only(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def why_unreadable(content):
    """None if it is a picture after all."""
    try:
        assert decode(content, 8).shape == (3, 8, 8)
    except UnreadableImageError as error:
        return str(error)
    return None


def test_rgb_of_the_wanted_size_is_unchanged():
    image = noise(size=(8, 8))
    pixels = decode(encoded(image), 8)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels, np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("AVIF", {}), ("BMP", {}), ("GIF", {}), ("JPEG", {}), ("JPEG2000", {}), ("PPM", {}), ("TIFF", {}), ("WEBP", {})],
)
def test_formats(kind, options):
    Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this build of PIL writes no {kind}")
    pixels = decode(encoded(Image.new("RGB", (16, 16), (200, 100, 50)), kind, **options), 8)
    assert np.abs(pixels.astype(int) - np.array([200, 100, 50])[:, None, None]).max() <= 8


@pytest.mark.parametrize(("mode", "value"), [("L", 90), ("1", 1), ("LA", (90, 255)), ("RGB", (90, 90, 90))])
def test_grey_modes(mode, value):
    pixels = decode(encoded(Image.new(mode, (4, 4), value)), 4)
    assert colour(pixels) == ((255,) * 3 if mode == "1" else (90,) * 3)


@pytest.mark.parametrize(("deep", "wanted"), [(0, 0), (257, 1), (32768, 128), (65535, 255)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(deep, wanted, kind):
    image = Image.fromarray(np.full((4, 4), deep, dtype=np.uint16))
    assert image.mode == "I;16"
    assert colour(decode(encoded(image, kind), 4)) == (wanted,) * 3


def test_big_endian_sixteen_bit_grey():
    image = Image.frombytes("I;16B", (4, 4), np.full(16, 32768, dtype=">u2").tobytes())
    assert colour(decode(encoded(image, "TIFF"), 4)) == (128,) * 3


@pytest.mark.parametrize(("deep", "wanted"), [(-5, 0), (32768, 128), (65535, 255), (2**30, 128)])
def test_thirty_two_bit_grey(deep, wanted):
    image = Image.fromarray(np.full((4, 4), deep, dtype=np.int32))
    assert image.mode == "I"
    assert colour(decode(encoded(image, "TIFF"), 4)) == (wanted,) * 3


@pytest.mark.parametrize(("top", "wanted"), [(1.0, 128), (255.0, 128), (65535.0, 128), (1e6, 128)])
def test_floating_point_grey(top, wanted):
    values = np.full((4, 4), top / 2, dtype=np.float32)
    values[3, 3] = top
    assert decode(encoded(Image.fromarray(values), "TIFF"), 4)[0, 0, 0] == pytest.approx(wanted, abs=1)


def test_a_pixel_that_is_not_a_number_makes_an_image_unreadable():
    values = np.full((4, 4), np.nan, dtype=np.float32)
    with pytest.raises(UnreadableImageError, match="no finite number"):
        decode(encoded(Image.fromarray(values), "TIFF"), 4)


def palette_image():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.paste(1, (2, 0, 4, 4))
    return image


@pytest.mark.parametrize("kind", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette(kind):
    pixels = decode(encoded(palette_image(), kind), 4)
    assert colour(pixels) == RED
    assert colour(pixels, 0, 3) == (0, 0, 255)


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", 0), ("GIF", 0), ("PNG", b"\x00\xff")])
def test_a_transparent_palette_entry_is_white(kind, transparency):
    pixels = decode(encoded(palette_image(), kind, transparency=transparency), 4)
    assert colour(pixels) == WHITE
    assert colour(pixels, 0, 3) == (0, 0, 255)


def test_half_transparent_is_half_white():
    assert colour(decode(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0))), 4)) == WHITE
    assert colour(decode(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 127))), 4)) == (128, 128, 128)
    assert colour(decode(encoded(Image.new("LA", (4, 4), (0, 0))), 4)) == WHITE
    assert colour(decode(encoded(Image.new("RGBA", (4, 4), (*RED, 255)), "WEBP", lossless=True), 4)) == RED


@pytest.mark.parametrize(("mode", "key"), [("RGB", RED), ("L", 7)])
def test_a_transparent_colour_key_is_white(mode, key):
    assert colour(decode(encoded(Image.new(mode, (4, 4), key), transparency=key), 4)) == WHITE


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    # PIL writes the ink of a JPEG inverted, as Adobe does
    for ink, wanted in (((0, 255, 255, 0), RED), ((0, 0, 0, 0), WHITE), ((0, 0, 0, 255), BLACK)):
        pixels = decode(encoded(Image.new("CMYK", (16, 16), ink), kind), 8)
        assert np.abs(pixels[:, 4, 4].astype(int) - np.array(wanted)).max() <= 3


def test_cmyk_jpeg_carries_the_adobe_marker():
    assert b"Adobe" in encoded(Image.new("CMYK", (16, 16)), "JPEG")


def corners(pixels):
    return [int(pixels[0, row, column] > 128) for row in (0, -1) for column in (0, -1)]


@pytest.mark.parametrize(
    ("orientation", "wanted"),
    [  # one bright corner, stored top left: where it belongs (top left, top right, bottom left, bottom right)
        (1, [1, 0, 0, 0]),
        (2, [0, 1, 0, 0]),
        (3, [0, 0, 0, 1]),
        (4, [0, 0, 1, 0]),
        (5, [1, 0, 0, 0]),
        (6, [0, 1, 0, 0]),
        (7, [0, 0, 0, 1]),
        (8, [0, 0, 1, 0]),
        (9, [1, 0, 0, 0]),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation(orientation, wanted, kind):
    image = Image.new("RGB", (32, 32))
    image.paste(WHITE, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    assert corners(decode(encoded(image, kind, exif=exif), 16)) == wanted


def test_transposed_orientations_differ_from_their_rotations():
    image = Image.new("RGB", (32, 32))
    image.paste(WHITE, (16, 0, 32, 16))  # top right
    for orientation, wanted in ((5, [0, 0, 1, 0]), (6, [0, 0, 0, 1]), (7, [0, 1, 0, 0]), (8, [1, 0, 0, 0])):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        assert corners(decode(encoded(image, "JPEG", exif=exif), 16)) == wanted


def test_a_broken_exif_tag_does_not_cost_the_picture():
    content = encoded(noise(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert decode(content, 8).shape == (3, 8, 8)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (8, 8), c) for c in (RED, (0, 0, 255), (0, 255, 0))]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert colour(decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options), 8)) == RED


@pytest.mark.parametrize("size", [(90, 30), (30, 90)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_centre_square_is_kept(size, kind):
    image = Image.new("RGB", size, RED)
    image.paste((0, 255, 0), ((size[0] - 30) // 2, (size[1] - 30) // 2, (size[0] + 30) // 2, (size[1] + 30) // 2))
    pixels = decode(encoded(image, kind, quality=95, **({"subsampling": 0} if kind == "JPEG" else {})), 10)
    assert np.abs(pixels[:, 1:-1, 1:-1].astype(int) - np.array([0, 255, 0])[:, None, None]).max() <= 25


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2), (1000, 700)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_any_shape_becomes_a_square(size, kind):
    pixels = decode(encoded(Image.new("RGB", size, (10, 200, 30)), kind), 17)
    assert pixels.shape == (3, 17, 17)
    assert np.abs(pixels.astype(int) - np.array([10, 200, 30])[:, None, None]).max() <= 4


def test_shrinking_averages_instead_of_picking_pixels():
    checkers = np.indices((256, 256)).sum(axis=0) % 2 * 255
    pixels = decode(encoded(Image.fromarray(checkers.astype(np.uint8))), 16)
    assert np.abs(pixels.astype(int) - 128).max() <= 4


def test_the_quick_decoding_of_a_jpeg_looks_like_the_full_one():
    y, x = np.mgrid[:1024, :1024] / 1024
    smooth = np.stack([x, y, (np.sin(9 * x) * np.cos(7 * y) + 1) / 2], axis=2)
    image = Image.fromarray((smooth * 255).astype(np.uint8))
    quick, full = decode(encoded(image, "JPEG", quality=95), 64), decode(encoded(image), 64)
    assert np.abs(quick.astype(int) - full).max() <= 8


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_a_file_cut_off_anywhere_is_read_or_named_unreadable(kind):
    content = encoded(noise(), kind)
    refused = 0
    for cut in range(0, len(content), 1 if len(content) < 1500 else 3):
        reason = why_unreadable(content[:cut])
        refused += reason is not None
        assert reason != ""
        assert "0x" not in (reason or "")
    assert refused


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_flipped_bytes_never_raise_anything_else(kind):
    rng = np.random.default_rng(0)
    content = encoded(noise(), kind)
    for _ in range(200):
        damaged = bytearray(content)
        for where in rng.integers(0, len(content), 3):
            damaged[where] = rng.integers(0, 256)
        assert why_unreadable(bytes(damaged)) != ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"hello, world", "no image, or cut off; formats that are read: AVIF, BMP"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(%pipe%id) (w) file\n%%EOF\n", "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no image"),
    ],
)
def test_what_is_no_image_says_so(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        decode(content, 8)


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_goes_off(side):
    with pytest.raises(UnreadableImageError, match="decompression bomb"):
        decode(png_header_only(side, side), 8)


def test_statistics_agree_with_numpy():
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 5, 5), dtype=np.uint8)
    mean, std = statistics(images)
    assert mean == pytest.approx((images / 255).mean(axis=(0, 2, 3)))
    assert std == pytest.approx((images / 255).std(axis=(0, 2, 3)))


def test_pictures_of_one_colour_have_a_deviation_to_divide_by():
    mean, std = statistics(np.full((2, 3, 4, 4), 51, dtype=np.uint8))
    assert mean == pytest.approx((0.2,) * 3)
    assert std == (1 / 255,) * 3
