"""Convert image bytes from the web to a stored JPEG, or give the reason why not."""

import hashlib
import io
import re
import warnings
from collections import OrderedDict
from contextlib import suppress
from math import isfinite
from typing import Any, cast

import imagehash
import numpy as np
from PIL import AvifImagePlugin, ExifTags, Image, ImageCms, ImageFile, JpegImagePlugin

from pipeline.media_types import is_avif, kind_of
from schemas.display import describe
from schemas.recipe import FORMATS, Decode

MAX_PROFILE_BYTES = 8_000_000  # profiles of printing presses have about 2 MB
_MAX_CACHED = 64  # transforms per process, up to about half a megabyte each
_MAX_NOISE = 2  # of 255: a profile with smaller colour differences is equivalent to sRGB
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}  # the data colour space in a profile's header, ICC.1, table 19
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_transforms: OrderedDict[bytes, ImageCms.ImageCmsTransform | None] = OrderedDict()


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image from its ICC profile to sRGB; mode L, LA, RGB, RGBA or CMYK to L, LA, RGB or RGBA.

    Uses the perceptual intent, the browsers' default. Without a profile, or with one that is invalid, of another colour
    space than the pixels, or equivalent to sRGB, pixels are unchanged, and CMYK is converted without profile.
    Transparency is kept.
    """
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    opaque = picture.convert(picture.mode.removesuffix("A")) if alpha is not None else picture
    transform = _transform(profile, opaque.mode) if profile else None
    if transform is None:
        return picture.convert("RGB") if picture.mode == "CMYK" else picture
    converted = ImageCms.applyTransform(opaque, transform)
    if converted is None:
        raise ValueError("a colour transform without a result")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of a profile from an LRU cache; None if pixels remain unchanged."""
    if len(profile) > MAX_PROFILE_BYTES:
        return None
    key = hashlib.sha256(profile).digest() + mode.encode()
    if key not in _transforms:
        _transforms[key] = _build(profile, mode)
        while len(_transforms) > _MAX_CACHED:
            _transforms.popitem(last=False)
    _transforms.move_to_end(key)
    return _transforms[key]


def _build(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space != _SPACES.get(mode):
            return None
        transform = ImageCms.buildTransform(source, _SRGB, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        if mode == "CMYK":
            return transform
        samples = _samples(mode)
        moved = ImageCms.applyTransform(samples, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # errors of invalid profiles
        return None
    if moved is None:
        return None
    distance = np.abs(np.asarray(moved, np.int16) - np.asarray(samples.convert("RGB"), np.int16))
    return transform if distance.max() > _MAX_NOISE else None


def _samples(mode: str) -> Image.Image:
    """Return an image with colours from the complete RGB cube, or with all greys."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(cube.reshape(18, -1, 3))


Image.init()  # loads all plugins, not only the most common ones
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a task for each core

_MAX_SIDE_PIXELS = 2**31 - 1  # maximum of the size columns
_PHASH_PIXELS = 64  # imagehash resizes these to 32 with its own, better filter
_END_OF_IMAGE = b"\xff\xd9"
_MAX_LOST_FRACTION = 0.02  # of the pixels of a JPEG that lacks its end
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.S)  # not a stuffed or fill byte or a restart
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_NOISE_BYTES = 1_024
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_UPRIGHT = {  # EXIF 2.32, tag 0x0112: the transpose that undoes each orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


class Refused(Exception):
    """An image that is dropped; `status` is one of schemas.tables.IMAGE_STATUS."""

    def __init__(self, status: str, error: str) -> None:
        super().__init__(error)
        self.status = status


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG that only opens the first image: not the others of an MPO, nor the resolution."""

    def _read_dpi_from_exif(self) -> None:  # invalid EXIF would make the image undecodable
        pass


def decode(data: bytes, config: Decode) -> dict[str, Any]:
    """Decode an image; return its columns of `images` from `status` to `bytes`.

    Reads the header and checks limits before allocating pixels. Uses the first frame of an animation, converts ICC
    profiles to sRGB, applies the orientation (also to original_width and original_height), composites transparency on
    white, and reduces the longer side to at most config.max_side_pixels (area filter, never enlarged). Accepts a JPEG
    that only lacks its last bytes. An image that cannot be decoded gets an error status.

    Raises: MemoryError, for pipeline.images.worker to report the limit.
    """
    # Pillow's check precedes allocations of plugins on opening, such as a WebP's canvas or a GIF's background; its
    # limit is twice this value.
    Image.MAX_IMAGE_PIXELS = (config.max_pixels + 1) // 2
    row = refusal(data, "ok", None)
    try:
        with warnings.catch_warnings(action="ignore"):  # about unused metadata
            image = _open(data, config)
            row["original_width"], row["original_height"] = image.size
            _check_shape(*image.size, config)
            profile, is_data = image.info.get("icc_profile"), image.mode in ("I", "F")
            picture = _shrunk_or_ended(data, image, config.max_side_pixels)
            orientation = _orientation(picture)
            if orientation >= 5:
                row["original_width"], row["original_height"] = row["original_height"], row["original_width"]
            picture = _finished(picture, None if is_data else profile, orientation)
        row["phash"] = _phash(picture)
        colours = picture.getcolors(maxcolors=1)  # None if there are more
        if config.drop_single_colour and colours is not None:
            raise Refused("single_colour", f"all pixels are {colours[0][1]}")
        stored = io.BytesIO()
        picture.save(stored, "JPEG", quality=config.jpeg_quality)
    except Refused as refused:
        return {**row, "status": refused.status, "error": str(refused)}
    except Image.DecompressionBombError:
        return {**row, "status": "too_many_pixels", "error": f"more than {config.max_pixels} pixels"}
    except MemoryError:
        raise
    except Exception as error:  # decoders raise arbitrary errors on hostile bytes
        return {**row, "status": "undecodable", "error": describe(error, 300)}
    jpeg = stored.getvalue()
    return {**row, "width": picture.width, "height": picture.height, "num_bytes": len(jpeg), "bytes": jpeg}


def refusal(data: bytes, status: str, error: str | None) -> dict[str, Any]:
    """Return the columns of an image that was not decoded: status, error and SHA-256."""
    unknown = ("phash", "original_width", "original_height", "width", "height", "num_bytes", "bytes")
    digest = hashlib.sha256(data).hexdigest()
    return {"status": status, "error": error, "sha256": digest, **dict.fromkeys(unknown)}


def _open(data: bytes, config: Decode) -> ImageFile.ImageFile:
    """Read the header, like Image.open but with specific errors."""
    if len(data) > config.max_bytes:
        raise Refused("too_large", f"{len(data)} bytes, more than {config.max_bytes}")
    for kind in FORMATS:
        opener, accepts = Image.OPEN[kind.upper()]
        if accepts and accepts(data[:16]) and (kind != "avif" or is_avif(data[:1_000])):
            break
    else:
        kind_of_file = kind_of(data[:10_000])
        error = f"{kind_of_file}: not decoded" if kind_of_file else "the bytes are not in a supported image format"
        raise Refused("not_an_image", error)
    if len(data) < config.min_bytes:
        raise Refused("too_few_bytes", f"{len(data)} bytes, fewer than {config.min_bytes}")
    if kind not in config.formats:
        raise Refused("unwanted_format", f"{kind}, not {', '.join(config.formats)}")
    image = (_Jpeg if kind == "jpeg" else opener)(io.BytesIO(data), "")
    if image.width * image.height > config.max_pixels:
        raise Refused("too_many_pixels", f"{image.width} x {image.height}, more than {config.max_pixels} pixels")
    if max(image.size) > _MAX_SIDE_PIXELS:
        raise ValueError(f"{image.width} x {image.height}: a side exceeds the limit of decoders")
    return image


def _check_shape(width: int, height: int, config: Decode) -> None:
    if min(width, height) < config.min_side_pixels:
        raise Refused("too_small", f"{width} x {height}, a side below {config.min_side_pixels} pixels")
    if config.max_original_side_pixels is not None and max(width, height) > config.max_original_side_pixels:
        raise Refused("too_long_side", f"{width} x {height}, a side above {config.max_original_side_pixels} pixels")
    aspect = max(width, height) / min(width, height)
    if config.max_aspect_ratio is not None and aspect > config.max_aspect_ratio:
        raise Refused("aspect_ratio", f"{width} x {height}, longer to shorter side above {config.max_aspect_ratio}")


def _shrunk(image: ImageFile.ImageFile, max_side: int) -> Image.Image:
    """Decode and shrink; done first, so that later operations process few pixels."""
    picture = _of_8_bits(image)
    # For a JPEG that is not loaded yet, libjpeg decodes its 8 x 8 blocks to 4 x 4, 2 x 2 or 1, with at least two pixels
    # left per output pixel in each direction: most work is saved, and the area filter makes the result. The blocks'
    # lowest frequencies, which libjpeg keeps, are nearly area means.
    picture.thumbnail((max_side, max_side), Image.Resampling.BOX)
    picture.load()
    return picture


def _shrunk_or_ended(data: bytes, image: ImageFile.ImageFile, max_side: int) -> Image.Image:
    """Decode and shrink; also a JPEG without its end, unless more than _MAX_LOST_FRACTION is missing."""
    size = image.size
    try:
        return _shrunk(image, max_side)
    except OSError:
        if not isinstance(image, _Jpeg) or not _has_every_scan(data):
            raise
        stem = data.rstrip(b"\xff")  # without half a marker
        ends = (b"", *(_noise(stem, seed) for seed in (b"0", b"1", b"2")))
        ended, *others = (_shrunk(_Jpeg(io.BytesIO(stem + end + _END_OF_IMAGE), ""), max_side) for end in ends)
        if _lost_fraction(ended, others, 16 * ended.height / size[1]) > _MAX_LOST_FRACTION:
            raise
        return ended


def _noise(data: bytes, seed: bytes) -> bytes:
    """Return random bytes to append to a JPEG: only the missing pixels depend on them."""
    body = hashlib.shake_256(seed).digest(_NOISE_BYTES * 16).replace(b"\xff", b"\x5a")
    restarts = _RESTART.findall(data)
    following = restarts[-1][1] - 0xD0 + 1 if restarts else 0
    parts = (body[at : at + _NOISE_BYTES] for at in range(0, len(body), _NOISE_BYTES))
    return b"".join(part + bytes([0xFF, 0xD0 + (following + n) % 8]) for n, part in enumerate(parts))


def _lost_fraction(picture: Image.Image, others: list[Image.Image], band_pixels: float) -> float:
    """Return the fraction of an image's pixels from the first difference to the others on, in block order.

    Args: band_pixels is the height of a row of blocks.
    """
    pixels = np.asarray(picture)
    differs = np.any([np.asarray(other) != pixels for other in others], axis=0)
    differs = differs.reshape(*differs.shape[:2], -1).any(axis=-1)
    rows = np.flatnonzero(differs.any(axis=1))
    if not len(rows):
        return 0.0
    below = int(rows[0] + band_pixels) + 2  # smoothing of colours reaches one row up
    differs[below:] = True
    return float(differs.mean())


def _has_every_scan(data: bytes) -> bool:
    """Return whether a JPEG has begun all scans that its image needs, down to the last bit of each coefficient.

    ITU-T T.81, B.2.2 and B.2.3: a scan holds coefficients Ss to Se of some components, down to bit Al.
    """
    components: set[int] = set()
    seen: set[tuple[int, int]] = set()
    at = 2
    while found := _MARKER.search(data, at):
        marker, start = data[found.end() - 1], found.end()
        at = start + int.from_bytes(data[start : start + 2], "big")
        segment = data[start + 2 : at]
        if marker in _START_OF_FRAME:
            components.update(segment[6::3])
        elif marker == _START_OF_SCAN and len(segment) >= 4 and len(segment) == 4 + 2 * segment[0]:
            first, last, bits = segment[-3:]
            if bits & 0xF == 0:
                seen.update((component, k) for component in segment[1:-3:2] for k in range(first, min(last, 63) + 1))
    return bool(components) and len(seen) == 64 * len(components)


def _finished(picture: Image.Image, profile: bytes | None, orientation: int) -> Image.Image:
    """Convert to sRGB, composite on white and apply the orientation; mode RGB."""
    picture = to_srgb(picture, profile)
    if picture.mode in ("LA", "RGBA"):
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture.convert("RGB"), mask=picture.getchannel("A"))
        picture = white
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return picture.convert("RGB")


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if EXIF is invalid."""
    for name in ("xmp", "XML:com.adobe.xmp"):  # Pillow reads other metadata too, browsers do not
        picture.info.pop(name, None)
    with suppress(Exception):
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return int(orientation) if orientation in _UPRIGHT else 1
    return 1


def _phash(picture: Image.Image) -> str:
    """Return the perceptual hash of an image; reducing large ones by area means first takes a third of the time."""
    grey = picture.convert("L")
    factor = min(grey.size) // _PHASH_PIXELS
    return str(imagehash.phash(grey.reduce(factor) if factor > 1 else grey))


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Return an image in mode L, RGB, LA, RGBA or CMYK."""
    if image.mode in ("I", "F"):  # no white point is declared: scale from black to white
        low, high = cast(tuple[float, float], image.getextrema())
        if not isfinite(high - low):
            raise ValueError("pixels are not finite")
        scale = 255 / ((high - low) or 1)
        return image.point(lambda value: value * scale - low * scale).convert("L")
    if image.mode.startswith("I;16"):  # Pillow would clip values above 255
        pixels, info = np.asarray(image), dict(image.info)
        transparent = info.pop("transparency", None)
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
        image.info = info
        if transparent is not None:
            image.putalpha(Image.fromarray(pixels != transparent).convert("L"))
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("LA", "La") else "RGBA"
        return image if image.mode == mode else image.convert(mode)
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("L" if image.mode == "1" else "RGB")
