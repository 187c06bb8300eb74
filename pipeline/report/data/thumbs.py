"""Small pictures, within a budget of bytes: how large a report is must not depend on how large a run is."""

import base64
import io
from contextlib import suppress

from PIL import Image

from schemas.ids import digest

MAX_SIDE_PIXELS = 240
QUALITY = 70
_KEY_CHARACTERS = 16


def key(data: bytes) -> str:
    """Name a picture by its bytes, so that the same one is there once."""
    return digest("thumb", data)[:_KEY_CHARACTERS]


def thumb(data: bytes) -> bytes:
    """Make a small JPEG of a stored one; b'' of what is none, as a foreign shard may hold anything."""
    made = io.BytesIO()
    with suppress(Exception):  # decoders raise whatever they like on hostile bytes
        picture = Image.open(io.BytesIO(data), formats=["JPEG"])
        picture.draft("RGB", (MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        small = picture.convert("RGB")
        small.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
        small.save(made, "JPEG", quality=QUALITY)
    return made.getvalue()


class Thumbs:
    """The thumbs of a report, as data URLs by key. `take` answers with the key, or '' for what no longer fits."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.left_bytes = 0

    def allow(self, num_bytes: int) -> None:
        """Set how much may be added from here on."""
        self.left_bytes = num_bytes

    def take(self, name: str, jpeg: bytes) -> str:
        """Add a thumb unless it is there, was never made, or is too much."""
        if name in self.urls:
            return name
        url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
        if not jpeg or len(url) > self.left_bytes:
            return ""
        self.left_bytes -= len(url)
        self.urls[name] = url
        return name
