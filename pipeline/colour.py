"""Colours of an embedded ICC profile to sRGB, as browsers show them."""

import hashlib
import io
from collections import OrderedDict

import numpy as np
from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 8_000_000  # profiles of presses have about 2 MB
_MAX_CACHED = 64  # transforms of one process; that of a press takes about half a megabyte
_MAX_NOISE = 2  # of 255: a profile that moves no colour further is sRGB by another name
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}  # the data colour space in a profile's header, ICC.1, table 19
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_transforms: OrderedDict[bytes, ImageCms.ImageCmsTransform | None] = OrderedDict()


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture from its ICC profile to sRGB; mode L, LA, RGB, RGBA or CMYK to L, LA, RGB or RGBA.

    The perceptual intent, which browsers take by default. Without a profile, or with one that is broken, of another
    colour space than the pixels, or of no other colours than sRGB has, pixels stay as they are, and CMYK becomes RGB
    as if ink were ideal. Transparency stays.
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
    """Return the transform from a profile, None where pixels stay as they are; those used last are kept."""
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
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # what strangers' profiles come to
        return None
    if moved is None:
        return None
    distance = np.abs(np.asarray(moved, np.int16) - np.asarray(samples.convert("RGB"), np.int16))
    return transform if distance.max() > _MAX_NOISE else None


def _samples(mode: str) -> Image.Image:
    """Return an image of colours from all of the cube, or of all greys."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1)
    return Image.fromarray(cube.reshape(18, -1, 3))
