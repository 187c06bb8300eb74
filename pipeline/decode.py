"""Image bytes from the web to a stored JPEG, or the reason why not."""

import hashlib
import io
from typing import Any

import imagehash
from PIL import Image, ImageOps, UnidentifiedImageError

from schemas.recipe import Decode

# What may be opened: no format that runs programs, reads other files, or is a document rather than a picture.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")
Image.init()  # else Pillow knows but the commonest of them
Image.MAX_IMAGE_PIXELS = None  # the recipe's own bound is checked instead, before any pixel is decoded


class Refused(Exception):
    """An image that does not stay; `status` is one of schemas.tables.IMAGE_STATUS."""

    def __init__(self, status: str, error: str) -> None:
        super().__init__(error)
        self.status = status


def decode(data: bytes, config: Decode) -> dict[str, Any]:
    """Decode an image; return its columns of `images` from `status` to `bytes`.

    The header is read first, and bounds are checked before any pixel is allocated. Animated images are taken by
    their first frame, orientation is applied, transparency lies over white, the longer side is at most
    config.max_side_pixels (area filter, never enlarged). Never raises: what cannot be decoded gets a status.
    """
    row: dict[str, Any] = dict.fromkeys(
        ("error", "phash", "original_width", "original_height", "width", "height", "num_bytes", "bytes")
    )
    row["sha256"] = hashlib.sha256(data).hexdigest()
    try:
        image = _open(data, config)
        row["original_width"], row["original_height"] = image.size
        picture = _flatten(image)
        row["phash"] = str(imagehash.phash(picture))
        _check(picture, config)
        picture.thumbnail((config.max_side_pixels, config.max_side_pixels), Image.Resampling.BOX)
        stored = io.BytesIO()
        picture.save(stored, "JPEG", quality=config.jpeg_quality)
    except Refused as refused:
        return {**row, "status": refused.status, "error": str(refused)}
    except UnidentifiedImageError:
        return {**row, "status": "not_an_image", "error": "the bytes are of no image format that is read"}
    except Exception as error:  # decoders raise whatever they like on hostile bytes
        return {**row, "status": "undecodable", "error": f"{type(error).__name__}: {error}"[:300]}
    jpeg = stored.getvalue()
    row["width"], row["height"] = picture.size
    return {**row, "status": "ok", "num_bytes": len(jpeg), "bytes": jpeg}


def _open(data: bytes, config: Decode) -> Image.Image:
    if len(data) > config.max_bytes:
        raise Refused("too_large", f"{len(data)} bytes, more than {config.max_bytes}")
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > config.max_pixels:
        raise Refused("too_many_pixels", f"{width} x {height}, more than {config.max_pixels} pixels")
    return image


def _flatten(image: Image.Image) -> Image.Image:
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    if upright.mode.startswith("I;16"):
        upright = upright.point(lambda value: value / 256).convert("L")  # convert alone would clip to white
    return upright.convert("RGB")


def _check(picture: Image.Image, config: Decode) -> None:
    width, height = picture.size
    if min(width, height) < config.min_side_pixels:
        raise Refused("too_small", f"{width} x {height}, a side below {config.min_side_pixels} pixels")
    aspect = max(width, height) / min(width, height)
    if config.max_aspect is not None and aspect > config.max_aspect:
        raise Refused("aspect", f"{width} x {height}, longer to shorter side above {config.max_aspect}")
    colours = picture.getcolors(maxcolors=1)  # None when there are more
    if config.drop_single_colour and colours is not None:
        raise Refused("single_colour", f"every pixel is {colours[0][1]}")
