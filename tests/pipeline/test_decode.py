"""Image bytes to a stored JPEG, or the reason why not."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from jobs.recipes import load
from pipeline.images import decode as module
from pipeline.images.decode import decode
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


def test_the_largest_image_of_an_icon_is_decoded() -> None:
    row = decode(encoded(LEFT_RED.resize((128, 128)), "ICO", sizes=[(16, 16), (64, 64), (128, 128)]), Decode())
    assert near(stored(row), 20, 64, (255, 0, 0)) and near(stored(row), 108, 64, (0, 0, 255))
    assert (row["original_width"], row["original_height"]) == stored(row).size == (128, 128)


GREEN_OVER_NOTHING = LEFT_RED.convert("RGBA")
GREEN_OVER_NOTHING.putalpha(0)
GREEN_OVER_NOTHING.paste((0, 255, 0, 255), (0, 0, 100, 100))
HALF_BLACK = Image.new("LA", (200, 100), (0, 128))
HALF_BLACK.paste((0, 255), (0, 0, 100, 100))
INDEXED = Image.new("P", (200, 100), 1)
INDEXED.putpalette([0, 255, 0, 255, 0, 0, 0, 0, 255])  # green, red, blue
INDEXED.paste(0, (0, 0, 100, 100))
GREY = Image.new("L", (200, 100), 200)
GREY.paste(40, (0, 0, 100, 100))
DEEP = np.full((100, 200), 51_400, np.uint16)  # 200 of 255
DEEP[:, :100] = 10_280  # 40
BLACK, WHITE, RED, BLUE, LIME = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (0, 255, 0)
DARK, LIGHT = (40, 40, 40), (200, 200, 200)


def png_of_depth_16(colour_type: int, left: tuple[int, ...], right: tuple[int, ...], *chunks: bytes) -> bytes:
    row = b"\0" + b"".join(struct.pack(">H", v) for v in left * 100 + right * 100)
    head = struct.pack(">IIBBBBB", 200, 100, 16, colour_type, 0, 0, 0)
    return png(png_chunk(b"IHDR", head), *chunks, png_chunk(b"IDAT", zlib.compress(row * 100)))


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        (encoded(GREEN_OVER_NOTHING), LIME, WHITE),
        (encoded(GREEN_OVER_NOTHING, "WEBP"), LIME, WHITE),
        (encoded(GREEN_OVER_NOTHING, "AVIF"), LIME, WHITE),
        (encoded(GREEN_OVER_NOTHING, "GIF"), LIME, WHITE),
        (encoded(GREEN_OVER_NOTHING, "TIFF"), LIME, WHITE),
        (encoded(HALF_BLACK), BLACK, (127, 127, 127)),
        (encoded(INDEXED), LIME, RED),
        (encoded(INDEXED, transparency=1), LIME, WHITE),
        (encoded(INDEXED, transparency=bytes([255, 128])), LIME, (255, 127, 127)),
        (encoded(LEFT_RED, transparency=(0, 0, 255)), RED, WHITE),
        (encoded(GREY, transparency=200), DARK, WHITE),
        (encoded(GREY.convert("1", dither=Image.Dither.NONE)), BLACK, WHITE),
        (encoded(GREY.convert("1", dither=Image.Dither.NONE), transparency=0), WHITE, WHITE),
        (encoded(Image.fromarray(DEEP)), DARK, LIGHT),
        (encoded(Image.fromarray(DEEP), "TIFF"), DARK, LIGHT),
        (encoded(Image.fromarray(DEEP).convert("I").convert("I;16B"), "TIFF"), DARK, LIGHT),
        (png_of_depth_16(0, (10_280,), (51_400,), png_chunk(b"tRNS", struct.pack(">H", 51_400))), DARK, WHITE),
        (png_of_depth_16(0, (10_280,), (51_400,), png_chunk(b"tRNS", struct.pack(">H", 51_401))), DARK, LIGHT),
        (png_of_depth_16(2, (65_535, 0, 0), (0, 0, 65_535)), RED, BLUE),
        (png_of_depth_16(4, (10_280, 65_535), (0, 0)), DARK, WHITE),
        (png_of_depth_16(6, (65_535, 0, 0, 65_535), (0, 0, 65_535, 0)), RED, WHITE),
        (encoded(Image.fromarray(np.asarray(GREY, np.float32) / 1_000), "TIFF"), BLACK, WHITE),
        (encoded(Image.fromarray(np.asarray(GREY, np.int32) * -9_000), "TIFF"), WHITE, BLACK),
        (encoded(LEFT_RED.convert("CMYK"), "JPEG"), RED, BLUE),
        (encoded(LEFT_RED.convert("CMYK"), "TIFF"), RED, BLUE),
        (encoded(LEFT_RED.convert("YCbCr"), "TIFF"), RED, BLUE),
        (encoded(LEFT_RED.convert("LAB"), "TIFF"), RED, BLUE),
    ],
)
def test_every_mode_is_converted_correctly(
    data: bytes, left: tuple[int, int, int], right: tuple[int, int, int]
) -> None:
    image = stored(decode(data, Decode()))
    assert near(image, 20, 50, left) and near(image, 180, 50, right), (
        image.getpixel((20, 50)),
        image.getpixel((180, 50)),
    )


def test_transparent_pixels_do_not_colour_edges() -> None:
    dotted = Image.new("RGBA", (1024, 1024), (0, 0, 0, 0))  # black, where it were seen
    dotted.paste((255, 255, 255, 255), (0, 0, 1024, 511))
    assert stored(decode(encoded(dotted), Decode())).convert("L").getextrema()[0] > 250


def test_nan_pixels_are_rejected() -> None:
    assert (
        decode(encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), Decode())["status"]
        == "undecodable"
    )


QUARTERS = Image.new("RGB", (120, 80), "white")  # as it should be seen: red above left, blue above right, green below
QUARTERS.paste(RED, (0, 0, 60, 40))
QUARTERS.paste(BLUE, (60, 0, 120, 40))
QUARTERS.paste(LIME, (0, 40, 60, 80))
STORED_TURNED = {  # EXIF 2.32, tag 0x0112: where the first row and column lie; the turn that takes `QUARTERS` there
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", STORED_TURNED)
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    turn = STORED_TURNED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(QUARTERS.transpose(turn) if turn is not None else QUARTERS, kind, exif=exif)
    row = decode(data, Decode())
    image = stored(row)
    assert image.size == (120, 80) == (row["original_width"], row["original_height"])
    assert near(image, 15, 10, RED) and near(image, 105, 10, BLUE)
    assert near(image, 15, 70, LIME) and near(image, 105, 70, WHITE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_only_the_exif_orientation_applies(kind: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options: dict[str, object] = {"xmp": xmp}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        options = {"pnginfo": text}
    row = decode(encoded(QUARTERS, kind, **options), Decode())
    assert stored(row).size == (120, 80) == (row["original_width"], row["original_height"])


BROKEN_EXIF = (
    b"Exif\0\0nonsense",
    b"Exif\0\0MM\0*\xff\xff\xff\xff",  # its directory lies beyond its end
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff",  # a directory of 65,535 entries, and none
    b"Exif\0\0MM\0*"
    + struct.pack(">IHHHIHHHHII", 8, 2, 0x0128, 3, 1, 2, 0, 0x011A, 7, 1, 0),  # a resolution of one byte
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", BROKEN_EXIF)
def test_broken_exif_does_not_reject_the_image(exif: bytes, kind: str) -> None:
    assert near(stored(decode(encoded(LEFT_RED, kind, exif=exif), Decode())), 20, 50, RED)


def profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 (ICC.1:2001-04, section 6)."""
    d50 = struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack(">I4sI4s4s4s12x4s28x12s48x", 0, b"", 0x0210_0000, b"mntr", space, connection, b"acsp", d50)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sII", name, len(head) + 4 + 12 * len(tags) + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    whole = head + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65_536) for v in values))


def curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIHxx", 0, 1, round(gamma * 256))


# sRGB's primaries, adapted to D50 (IEC 61966-2-1), and its curve (ICC.1:2010, section 10.16, function 3)
_PRIMARIES = {
    b"r": fixed(0.43607, 0.22249, 0.01392),
    b"g": fixed(0.38515, 0.71687, 0.09708),
    b"b": fixed(0.14307, 0.06061, 0.7141),
}
_SRGB_CURVE = b"para" + struct.pack(">IHH", 0, 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def rgb_profile(order: bytes = b"rgb", tone: bytes = _SRGB_CURVE) -> bytes:
    """A profile with sRGB's primaries in a given order."""
    columns = {
        bytes([to]) + b"XYZ": b"XYZ \0\0\0\0" + _PRIMARIES[bytes([of])] for to, of in zip(b"rgb", order, strict=True)
    }
    return profile(b"RGB ", b"XYZ ", columns | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone))


def ink_profile() -> bytes:
    """A CMYK profile in which no ink is black, and any cyan ink is white (lut8Type, section 6.5.7)."""
    ramp = bytes(range(256))
    lab = b"".join(bytes([255 if corner >= 8 else 0, 128, 128]) for corner in range(16))  # cyan varies least rapidly
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + lab + ramp * 3
    return profile(b"CMYK", b"Lab ", {b"A2B0": table})


SWAPPED = rgb_profile(b"grb")  # red is green, and green red
LINEAR = rgb_profile(tone=curve(1))  # 128 of 255 is half of the light: 188 in sRGB
GREY_LINEAR = profile(b"GRAY", b"XYZ ", {b"kTRC": curve(1), b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)})
HALF = Image.new("RGB", (200, 100), (128, 128, 128))
HALF.paste(0, (0, 0, 100, 100))
NO_INK = Image.new("CMYK", (200, 100), (0, 0, 0, 0))
NO_INK.paste((255, 0, 0, 0), (0, 0, 100, 100))
RED_OVER_NOTHING = LEFT_RED.convert("RGBA")
RED_OVER_NOTHING.putalpha(0)
RED_OVER_NOTHING.paste((255, 0, 0, 255), (0, 0, 100, 100))
BRIGHT = (188, 188, 188)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_colours_are_those_of_the_profile(kind: str) -> None:
    image = stored(decode(encoded(LEFT_RED, kind, icc_profile=SWAPPED), Decode()))
    assert near(image, 20, 50, LIME) and near(image, 180, 50, BLUE)
    image = stored(decode(encoded(HALF, kind, icc_profile=LINEAR), Decode()))
    assert abs(image.getpixel((180, 50))[0] - 188) <= 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        (encoded(INDEXED, icc_profile=SWAPPED), RED, LIME),
        (encoded(RED_OVER_NOTHING, icc_profile=SWAPPED), LIME, WHITE),
        (encoded(RED_OVER_NOTHING, "WEBP", icc_profile=SWAPPED), LIME, WHITE),
        (encoded(HALF.convert("L"), icc_profile=GREY_LINEAR), BLACK, BRIGHT),
        (encoded(HALF.convert("L"), "JPEG", icc_profile=GREY_LINEAR), BLACK, BRIGHT),
        (encoded(HALF.convert("LA"), icc_profile=GREY_LINEAR), BLACK, BRIGHT),
        (
            encoded(Image.fromarray(np.asarray(HALF.convert("L"), np.uint16) * 257), icc_profile=GREY_LINEAR),
            BLACK,
            BRIGHT,
        ),
        (encoded(NO_INK, "JPEG", icc_profile=ink_profile()), WHITE, BLACK),
        (encoded(NO_INK, "TIFF", icc_profile=ink_profile()), WHITE, BLACK),
        # a profile of another colour space than the pixels' says nothing
        (encoded(HALF.convert("L"), icc_profile=SWAPPED), BLACK, (128, 128, 128)),
        (encoded(LEFT_RED, icc_profile=GREY_LINEAR), RED, BLUE),
        (encoded(LEFT_RED.convert("CMYK"), "JPEG", icc_profile=SWAPPED), RED, BLUE),
        (encoded(LEFT_RED, "JPEG", icc_profile=ink_profile()), RED, BLUE),
    ],
)
def test_profiles_of_every_mode(data: bytes, left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    image = stored(decode(data, Decode()))
    assert near(image, 20, 50, left) and near(image, 180, 50, right)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    "broken", [b"nonsense", SWAPPED[:200], SWAPPED[:128] + b"\xff" * 400, bytes(128) + SWAPPED[128:], b"\0" * 500]
)
def test_a_broken_profile_does_not_reject_the_image(broken: bytes, kind: str) -> None:
    image = stored(decode(encoded(LEFT_RED, kind, icc_profile=broken), Decode()))
    assert near(image, 20, 50, RED) and near(image, 180, 50, BLUE)


def test_a_profile_of_srgb_changes_no_byte() -> None:
    plain, tagged = (decode(encoded(QUARTERS, icc_profile=p), Decode()) for p in (None, rgb_profile()))
    assert plain["bytes"] == tagged["bytes"]


def test_few_transforms_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_CACHED", 2)
    profiles = [rgb_profile(tone=curve(gamma)) for gamma in (1, 1.2, 1.4)]
    first = [decode(encoded(HALF, icc_profile=p), Decode())["bytes"] for p in profiles]
    assert [decode(encoded(HALF, icc_profile=p), Decode())["bytes"] for p in profiles] == first
    assert len(set(first)) == 3 and len(module._transforms) <= 2


NOISY = Image.fromarray(np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)).resize((640, 480))
WAYS = [{}, {"progressive": True}, {"restart_marker_blocks": 4}, {"subsampling": 0}, {"restart_marker_rows": 1}]


@pytest.mark.parametrize("options", WAYS, ids=lambda o: "".join(o) or "plain")
def test_a_jpeg_may_lack_its_last_bytes(options: dict[str, object]) -> None:
    data = encoded(NOISY, "JPEG", **options)
    whole = np.asarray(stored(decode(data, Decode())), int)
    for num_lost in (1, 2, 3, 8, 16):
        cut = np.asarray(stored(decode(data[:-num_lost], Decode())), int)
        assert (cut != whole).any(axis=-1).mean() < 0.03, num_lost


@pytest.mark.parametrize("options", WAYS, ids=lambda o: "".join(o) or "plain")
def test_a_jpeg_may_not_lack_more(options: dict[str, object]) -> None:
    data = encoded(NOISY, "JPEG", **options)
    ends = {len(data) * percent // 100 for percent in range(10, 95, 5)}
    ends |= {data.find(marker, len(data) // 3) for marker in (b"\xff\xda", b"\xff\xd3", b"\xff\xd0")} - {-1}
    ends |= {end + 2 for end in ends}
    assert {decode(data[:end], Decode())["status"] for end in ends} == {"undecodable"}


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_only_the_first_frame_is_stored(kind: str) -> None:
    second = Image.new("RGB", LEFT_RED.size, "green")
    row = decode(encoded(LEFT_RED, kind, save_all=True, append_images=[second]), Decode())
    assert near(stored(row), 20, 50, RED) and near(stored(row), 180, 50, BLUE)


def test_large_images_shrink_and_small_ones_do_not_grow() -> None:
    row = decode(encoded(LEFT_RED.resize((2_000, 1_000))), CONFIG)
    assert stored(row).size == (512, 256) and (row["original_width"], row["original_height"]) == (2_000, 1_000)
    assert stored(decode(encoded(LEFT_RED.resize((64, 64))), CONFIG)).size == (64, 64)
    assert stored(decode(encoded(LEFT_RED.resize((3_000, 2))), Decode())).size == (512, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_image_is_downscaled_by_area_means(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (768, 1_024), np.uint8))
    picture = noise.resize((4_096, 3_072), Image.Resampling.BICUBIC)  # grey, for a JPEG keeps colours coarsely
    means = np.asarray(picture, float).reshape(384, 8, 512, 8).mean((1, 3))
    image = stored(decode(encoded(picture, kind, quality=95), Decode(jpeg_quality=100)))
    assert np.abs(np.asarray(image.convert("L"), float) - means).mean() < 1  # of 255


def test_the_perceptual_hash_hardly_depends_on_size_and_format() -> None:
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (2_400, 1_800), Image.Resampling.BICUBIC
    )
    hashes = [int(decode(data, Decode())["phash"], 16) for data in (
        encoded(picture), encoded(picture, "JPEG"), encoded(picture.resize((300, 225)), "WEBP"))]  # fmt: skip
    assert all((hashes[0] ^ other).bit_count() <= 4 for other in hashes[1:])
    other = decode(encoded(picture.rotate(90, expand=True)), Decode())
    assert (hashes[0] ^ int(other["phash"], 16)).bit_count() > 16


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header declares a large size, without data."""
    return png(png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), png_chunk(b"IDAT", b""))


def webp_header(width: int, height: int) -> bytes:
    """An animated WebP (RFC 9649, section 2.7.1) that declares a large size, with a small frame."""
    frame = encoded(LEFT_RED, "WEBP")[12:]
    canvas = bytes([2, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    size = (199).to_bytes(3, "little") + (99).to_bytes(3, "little")
    moved = bytes(6) + size + bytes(4) + frame
    chunks = (b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", moved)
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(b)) + b + bytes(len(b) % 2) for name, b in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_frame(left: int, top: int, width: int, height: int, disposal: int = 0) -> bytes:
    """A GIF of 8 x 8 pixels whose first frame is outside, and is disposed to the background."""
    control = b"!\xf9\x04" + bytes([disposal << 2, 0, 0, 0, 0])
    return (b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x80, 0, 0) + bytes(6) + control
            + b"," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02\x02\x4c\x01\0;")  # fmt: skip


def tiff_of_strips(rows_per_strip: int, byte_count: int, compression: int) -> bytes:
    """A TIFF of 200 x 100 grey pixels that declares an absurd size of its strip."""
    tags = ((256, 200), (257, 100), (258, 8), (259, compression), (262, 1), (273, 8), (277, 1), (278, rows_per_strip),
            (279, byte_count))  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"
COMMENTED = f"<?xml version='1.0'?>\n<!-- <html> -->\n<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'svg11.dtd'>{SVG}"


BEHIND = "a {} image after {} not part of it, which browsers do not show: not decoded"


def ftyp(*brands: bytes) -> bytes:
    """The first box of a file of the ISO base media file format (ISO/IEC 14496-12, section 4.3), and another."""
    major, *compatible = brands
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + struct.pack(">I", 8) + b"free"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (SVG.encode(), "an SVG drawing: not decoded"),
        (COMMENTED.encode(), "an SVG drawing: not decoded"),
        (COMMENTED.encode("utf-8-sig"), "an SVG drawing: not decoded"),
        (COMMENTED.encode("utf-16"), "an SVG drawing: not decoded"),
        (b"<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>", "an SVG drawing: not decoded"),
        (b"<!DOCTYPE html><title>404</title><svg/>", "a web page: not decoded"),
        (b"\n<!-- a note --><HTML><body>no image</body></HTML>", "a web page: not decoded"),
        (b"<script>location='/'</script>", "a web page: not decoded"),
        (b"<!DOCTYPE html>", "a web page: not decoded"),
        (b"<rss version='2.0'/>", "an XML document: not decoded"),
        (b"see <svg>", "plain text: not decoded"),
        (b'{"error": "not found"}', "a JSON document: not decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document: not decoded"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document: not decoded"),
        (b"\r\n%PDF-1.4\n", "a PDF document: not decoded"),
        (ftyp(b"heic", b"mif1", b"heic"), "a HEIC image: not decoded"),
        (ftyp(b"mif1", b"mif1", b"heic"), "a HEIC image: not decoded"),
        (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), "an MP4 video: not decoded"),
        (ftyp(b"qt  "), "a QuickTime video: not decoded"),
        (b"\xff\x0a\xfa\x7f", "a JPEG XL image: not decoded"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image: not decoded"),
        (b"\x1aE\xdf\xa3\x01\0", "a Matroska or WebM video: not decoded"),
        (b"RIFF\x10\0\0\0AVI LIST", "an AVI video: not decoded"),
        (b"\x1f\x8b\x08\0", "gzip data: not decoded"),
        (b"\n" + encoded(LEFT_RED, "JPEG"), BEHIND.format("JPEG", "1 byte that is")),
        (b"\xef\xbb\xbf" + encoded(LEFT_RED, "PNG"), BEHIND.format("PNG", "3 bytes that are")),
        (b"\0\1\2\3", "the bytes are not in a supported image format"),
        (b"", "an empty file: not decoded"),
    ],
)
def test_other_files_are_named_by_type(data: bytes, error: str) -> None:
    row = decode(data, CONFIG)
    assert (row["status"], row["error"]) == ("not_an_image", error)
    assert row["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (encoded(LEFT_RED.resize((64, 63))), "too_small"),
        (encoded(LEFT_RED.resize((63, 64))), "too_small"),
        (encoded(Image.new("RGB", (80, 80), "teal")), "single_colour"),
        (encoded(Image.new("RGB", (80, 80), "teal"), "JPEG"), "single_colour"),
        (encoded(LEFT_RED.resize((700, 100))), "aspect_ratio"),
        (encoded(LEFT_RED.resize((64, 63)))[:60], "too_small"),  # as its header says; the rest is not looked at
        (png_header(65_536, 65_536), "too_many_pixels"),
        (webp_header(16_384, 16_384), "too_many_pixels"),
        (gif_frame(0, 0, 60_000, 60_000), "too_many_pixels"),
        (gif_frame(65_535, 65_535, 1, 1), "too_many_pixels"),
        (gif_frame(60_000, 0, 60_000, 60_000, disposal=2), "too_many_pixels"),
        (bmp_header(-100, 100), "too_many_pixels"),
        (tiff_of_strips(2**32 - 1, 2**32 - 1, 1), "undecodable"),
        (tiff_of_strips(1, 2**31, 5), "undecodable"),
        (png_of_depth_16(0, (9,), (9,), png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(9_000_000)))), "undecodable"),
        (encoded(LEFT_RED)[:20] + b"?" + encoded(LEFT_RED)[21:], "undecodable"),
        (encoded(LEFT_RED, "JPEG")[:-300], "undecodable"),
        (b"", "not_an_image"),
        (b"\0" * 1_001, "too_large"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_refusals(data: bytes, status: str) -> None:
    bounds = {"max_aspect_ratio": 6.0} | ({"max_bytes": 1_000} if status == "too_large" else {})
    row = decode(data, CONFIG.model_copy(update=bounds))
    assert row["status"] == status and row["error"] and row["bytes"] is None


SMALL_GIF = encoded(LEFT_RED, "GIF")


@pytest.mark.parametrize(
    ("bound", "kept", "status"),
    [
        ("min_bytes", len(SMALL_GIF), "too_few_bytes"),
        ("max_original_side_pixels", 200, "too_long_side"),
        ("max_aspect_ratio", 2.0, "aspect_ratio"),
        ("min_side_pixels", 100, "too_small"),
        ("max_pixels", 20_000, "too_many_pixels"),
        ("max_bytes", len(SMALL_GIF), "too_large"),
    ],
)
def test_values_at_a_threshold_are_accepted(bound: str, kept: float, status: str) -> None:
    beyond = kept + (1 if bound.startswith("min") else -1)
    assert decode(SMALL_GIF, Decode(**{bound: kept}))["status"] == "ok"
    assert decode(SMALL_GIF, Decode(**{bound: beyond}))["status"] == status


def test_disabled_formats_are_rejected() -> None:
    wanted = Decode(formats=("jpeg", "png"))
    assert decode(encoded(LEFT_RED, "JPEG"), wanted)["status"] == "ok"
    row = decode(SMALL_GIF, wanted)
    assert (row["status"], row["error"]) == ("unwanted_format", "gif, not jpeg, png")
    assert decode(b"<html>", wanted)["status"] == "not_an_image"


@given(st.binary(max_size=200), st.integers(0, 600))
def test_any_bytes_get_a_status(noise: bytes, cut: int) -> None:
    for data in (noise, encoded(LEFT_RED, "JPEG")[:cut] + noise, encoded(LEFT_RED)[:cut] + noise):
        row = decode(data, Decode())
        assert row["status"] in IMAGE_STATUS
        IMAGES.batch([{**row, "image_id": "i", "image_url": "u", "original_bytes": len(data)}])


def test_a_side_that_exceeds_the_column_is_a_status() -> None:
    row = decode(bmp_header(-100, 1), Decode(max_pixels=2**40))  # 4294967196 wide
    assert row["status"] == "undecodable" and row["original_width"] is None


def test_decoding_is_deterministic() -> None:
    data = encoded(LEFT_RED.resize((900, 700)))
    assert decode(data, CONFIG) == decode(data, CONFIG)
