"""Image bytes to a stored JPEG, or the reason why not."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jobs.recipes import load
from pipeline.decode import decode
from schemas.recipe import Decode
from schemas.tables import IMAGE_STATUS, IMAGES

CONFIG = load("kosmos1").decode
LEFT_RED = Image.new("RGB", (200, 100), "blue")
LEFT_RED.paste((255, 0, 0), (0, 0, 100, 100))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stored(row: dict) -> Image.Image:
    assert row["status"] == "ok", row["error"]
    image = Image.open(io.BytesIO(row["bytes"]))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert image.size == (row["width"], row["height"])
    return image


def near(image: Image.Image, x: int, y: int, colour: tuple[int, int, int]) -> bool:
    pixel = image.getpixel((x, y))
    return all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats(kind: str) -> None:
    data = encoded(LEFT_RED, kind)
    row = decode(data, CONFIG)
    image = stored(row)
    assert near(image, 20, 50, (255, 0, 0)) and near(image, 180, 50, (0, 0, 255))
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert (row["original_width"], row["original_height"]) == image.size == (200, 100)
    assert row["num_bytes"] == len(row["bytes"])


def test_modes_become_colour_over_white() -> None:
    alpha = LEFT_RED.convert("RGBA")
    alpha.putalpha(Image.new("L", alpha.size, 0))
    alpha.paste((0, 255, 0, 255), (0, 0, 100, 100))
    image = stored(decode(encoded(alpha), CONFIG))
    assert near(image, 20, 50, (0, 255, 0)) and near(image, 180, 50, (255, 255, 255))
    for mode in ("CMYK", "L", "P", "1"):
        stored(decode(encoded(LEFT_RED.convert(mode), "TIFF"), CONFIG))
    ramp = np.linspace(0, 65_535, 10_000, dtype=np.uint16).reshape(100, 100)
    deep = stored(decode(encoded(Image.fromarray(ramp)), CONFIG))
    assert near(deep, 5, 2, (5, 5, 5)) and near(deep, 50, 50, (129, 129, 129)) and near(deep, 95, 97, (250, 250, 250))


def test_orientation_is_applied_and_only_the_first_frame_is_kept() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = stored(decode(encoded(LEFT_RED, "JPEG", exif=exif), CONFIG))
    assert turned.size == (100, 200) and near(turned, 50, 20, (255, 0, 0))
    frames = [LEFT_RED, Image.new("RGB", LEFT_RED.size, "green")]
    first = stored(decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), CONFIG))
    assert near(first, 20, 50, (255, 0, 0))


def test_large_images_shrink_and_small_ones_do_not_grow() -> None:
    assert stored(decode(encoded(LEFT_RED.resize((2_000, 1_000))), CONFIG)).size == (512, 256)
    assert stored(decode(encoded(LEFT_RED.resize((64, 64))), CONFIG)).size == (64, 64)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large, and holds nothing."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return head + struct.pack(">I", 8) + b"IDAT" + bytes(12)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (encoded(LEFT_RED.resize((64, 63))), "too_small"),
        (encoded(LEFT_RED.resize((63, 64))), "too_small"),
        (encoded(Image.new("RGB", (80, 80), "teal")), "single_colour"),
        (encoded(Image.new("RGB", (80, 80), "teal"), "JPEG"), "single_colour"),
        (encoded(LEFT_RED.resize((700, 100))), "aspect"),
        (png_header(65_536, 65_536), "too_many_pixels"),
        (encoded(LEFT_RED, "JPEG")[:-300], "undecodable"),
        (b"", "not_an_image"),
        (b"<html>no image</html>", "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not_an_image"),
        (b"\0" * 1_001, "too_large"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refusals(data: bytes, status: str) -> None:
    bounds = {"max_aspect": 6.0} | ({"max_bytes": 1_000} if status == "too_large" else {})
    row = decode(data, CONFIG.model_copy(update=bounds))
    assert row["status"] == status and row["error"] and row["bytes"] is None


@given(st.binary(max_size=200), st.integers(0, 600))
def test_any_bytes_get_a_status(noise: bytes, cut: int) -> None:
    for data in (noise, encoded(LEFT_RED, "JPEG")[:cut] + noise, encoded(LEFT_RED)[:cut] + noise):
        row = decode(data, Decode())
        assert row["status"] in IMAGE_STATUS
        IMAGES.batch([{**row, "image_id": "i", "image_url": "u"}])


def test_the_same_bytes_are_stored_alike() -> None:
    data = encoded(LEFT_RED.resize((900, 700)))
    assert decode(data, CONFIG) == decode(data, CONFIG)
