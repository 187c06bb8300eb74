"""Image bytes from the web to a stored JPEG, or the reason why not."""

import hashlib
import io
import re
import warnings
from contextlib import suppress
from math import isfinite
from typing import Any, cast

import imagehash
import numpy as np
from PIL import AvifImagePlugin, Image, ImageFile, ImageOps, JpegImagePlugin

from schemas.recipe.decode import FORMATS, Decode

Image.init()  # else Pillow knows but the commonest of them
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # as many tasks run as there are cores

_MAX_SIDE_PIXELS = 2**31 - 1  # what the columns of sizes hold
_PHASH_PIXELS = 64  # enough for imagehash to make 32 of them by its own, better filter
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_ELEMENT = re.compile(rb"<(?:\w+:)?([a-z]\w*)", re.I)  # neither a declaration (<!) nor an instruction (<?)
_OF_PAGES = {b"html", b"head", b"body", b"title", b"meta", b"link", b"script", b"style", b"div", b"p", b"center", b"h1"}


class Refused(Exception):
    """An image that does not stay; `status` is one of schemas.tables.IMAGE_STATUS."""

    def __init__(self, status: str, error: str) -> None:
        super().__init__(error)
        self.status = status


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """A JPEG of which nothing is opened but the picture: neither the further ones of an MPO, nor its resolution."""

    def _read_dpi_from_exif(self) -> None:  # broken EXIF would lose the picture
        pass


def decode(data: bytes, config: Decode) -> dict[str, Any]:
    """Decode an image; return its columns of `images` from `status` to `bytes`.

    The header is read first, and bounds are checked before any pixel is allocated. Animated images are taken by
    their first frame, orientation is applied, transparency lies over white, the longer side is at most
    config.max_side_pixels (area filter, never enlarged). What cannot be decoded gets a status.

    Raises: MemoryError, for pipeline.decoder to say which bound was met.
    """
    # Pillow's own check comes before what plugins allocate on opening, such as a WebP's canvas or the ground under a
    # GIF's frame; it passes twice this many.
    Image.MAX_IMAGE_PIXELS = (config.max_pixels + 1) // 2
    row = refusal(data, "ok", None)
    try:
        with warnings.catch_warnings(action="ignore"):  # of metadata that nobody reads
            image = _open(data, config)
            row["original_width"], row["original_height"] = image.size
            _check_shape(*image.size, config)
            picture = _picture(image, config.max_side_pixels)
        row["phash"] = _phash(picture)
        colours = picture.getcolors(maxcolors=1)  # None when there are more
        if config.drop_single_colour and colours is not None:
            raise Refused("single_colour", f"every pixel is {colours[0][1]}")
        stored = io.BytesIO()
        picture.save(stored, "JPEG", quality=config.jpeg_quality)
    except Refused as refused:
        return {**row, "status": refused.status, "error": str(refused)}
    except Image.DecompressionBombError:
        return {**row, "status": "too_many_pixels", "error": f"more than {config.max_pixels} pixels"}
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they like on hostile bytes
        return {**row, "status": "undecodable", "error": f"{type(error).__name__}: {error}"[:300]}
    jpeg = stored.getvalue()
    return {**row, "width": picture.width, "height": picture.height, "num_bytes": len(jpeg), "bytes": jpeg}


def refusal(data: bytes, status: str, error: str | None) -> dict[str, Any]:
    """Return the columns of an image of which nothing is known but its bytes."""
    unknown = ("phash", "original_width", "original_height", "width", "height", "num_bytes", "bytes")
    digest = hashlib.sha256(data).hexdigest()
    return {"status": status, "error": error, "sha256": digest, **dict.fromkeys(unknown)}


def _open(data: bytes, config: Decode) -> ImageFile.ImageFile:
    """Read the header. Image.open would do, but for saying what is wrong with one."""
    if len(data) > config.max_bytes:
        raise Refused("too_large", f"{len(data)} bytes, more than {config.max_bytes}")
    for kind in FORMATS:
        opener, accepts = Image.OPEN[kind.upper()]
        if accepts and accepts(data[:16]):
            break
    else:
        raise Refused("not_an_image", _not_an_image(data[:10_000]))
    if len(data) < config.min_bytes:
        raise Refused("too_few_bytes", f"{len(data)} bytes, fewer than {config.min_bytes}")
    if kind not in config.formats:
        raise Refused("unwanted_format", f"{kind}, not {', '.join(config.formats)}")
    image = (_Jpeg if kind == "jpeg" else opener)(io.BytesIO(data), "")
    if image.width * image.height > config.max_pixels:
        raise Refused("too_many_pixels", f"{image.width} x {image.height}, more than {config.max_pixels} pixels")
    if max(image.size) > _MAX_SIDE_PIXELS:
        raise ValueError(f"{image.width} x {image.height}: a longer side than any decoder takes")
    return image


def _not_an_image(head: bytes) -> str:
    text = _COMMENT.sub(b"", head.replace(b"\0", b"")).lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")  # UTF-16 too
    element = _ELEMENT.search(text) if text.startswith(b"<") else None
    name = element[1].lower() if element else b""
    if name == b"svg":
        return "an SVG drawing: drawings are not decoded"
    if name in _OF_PAGES:
        return "a web page"
    return "the bytes are of no image format that is read"


def _check_shape(width: int, height: int, config: Decode) -> None:
    if min(width, height) < config.min_side_pixels:
        raise Refused("too_small", f"{width} x {height}, a side below {config.min_side_pixels} pixels")
    if config.max_original_side_pixels is not None and max(width, height) > config.max_original_side_pixels:
        raise Refused("too_long_side", f"{width} x {height}, a side above {config.max_original_side_pixels} pixels")
    aspect = max(width, height) / min(width, height)
    if config.max_aspect is not None and aspect > config.max_aspect:
        raise Refused("aspect", f"{width} x {height}, longer to shorter side above {config.max_aspect}")


def _picture(image: ImageFile.ImageFile, max_side: int) -> Image.Image:
    """Decode, shrink, lay over white and turn upright: the first two first, so that the rest has few pixels to do."""
    picture = _of_8_bits(image)
    # Of a JPEG that is not loaded yet, this has libjpeg decode its blocks of 8 x 8 to 4 x 4, 2 x 2 or 1, as long as two
    # pixels or more are left for each of ours, in either direction: so the area filter still has the last word, and
    # most of the work is spared. The blocks' lowest frequencies, which libjpeg keeps, are nearly the means of areas.
    picture.thumbnail((max_side, max_side), Image.Resampling.BOX)
    picture.load()
    if picture.mode in ("LA", "RGBA"):
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture.convert("RGB"), mask=picture.getchannel("A"))
        white.info = picture.info
        picture = white
    with suppress(Exception):  # broken EXIF loses the orientation, not the picture
        ImageOps.exif_transpose(picture, in_place=True)
    return picture.convert("RGB")


def _phash(picture: Image.Image) -> str:
    """Hash a picture's low frequencies. Means of areas come first where many pixels make one: a third of the time."""
    grey = picture.convert("L")
    factor = min(grey.size) // _PHASH_PIXELS
    return str(imagehash.phash(grey.reduce(factor) if factor > 1 else grey))


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Return an image in mode L, RGB, LA or RGBA."""
    if image.mode in ("I", "F"):  # no white is declared: the darkest becomes black, and the lightest white
        low, high = cast(tuple[float, float], image.getextrema())
        if not isfinite(high - low):
            raise ValueError("pixels that are no finite numbers")
        scale = 255 / ((high - low) or 1)
        return image.point(lambda value: value * scale - low * scale).convert("L")
    if image.mode.startswith("I;16"):  # Pillow would clip to white all that is above 255
        pixels, info = np.asarray(image), dict(image.info)
        transparent = info.pop("transparency", None)
        image = Image.fromarray((pixels >> 8).astype(np.uint8))
        image.info = info
        if transparent is not None:
            image.putalpha(Image.fromarray(pixels != transparent).convert("L"))
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("LA", "La") else "RGBA"
        return image if image.mode == mode else image.convert(mode)
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")
