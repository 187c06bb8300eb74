"""The images of the sample web: valid ones, and one for every kind of failure."""

import io
import random
from dataclasses import dataclass

from PIL import Image

from tests.sampleweb.drawing import render
from tests.sampleweb.scenes import Scene

FLAWS = {
    "unarchived": "HTTP_4XX",  # no response at all: the replaying proxy answers 404
    "not found": "HTTP_4XX",
    "gone": "HTTP_4XX",
    "unavailable": "HTTP_5XX",
    "truncated": "UNDECODABLE",
    "truncated png": "UNDECODABLE",
    "noise": "NOT_AN_IMAGE",
    "page": "NOT_AN_IMAGE",
    "tiny": "TOO_SMALL",
    "narrow": "TOO_SMALL",
    "pixel": "TOO_SMALL",
    "one colour": "SINGLE_COLOUR",
    "forbidden": "OPT_OUT",
}
NOTHING_DRAWN = ("unarchived", "not found", "gone", "unavailable", "noise", "page", "pixel", "one colour")
STATUS = {"not found": "404 Not Found", "gone": "410 Gone", "unavailable": "503 Service Unavailable"}
ERROR_PAGE = b"<!doctype html><html><head><title>Sorry</title></head><body><p>No picture here.</p></body></html>"
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
PILLOW_FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}
EXTENSIONS = {
    "truncated": "jpg",
    "truncated png": "png",
    "pixel": "gif",
    "one colour": "png",
    "noise": "jpg",
    "page": "jpg",
}


@dataclass(frozen=True)
class Picture:
    """An image address and what answers there. `moved` puts a redirect before it, `same_as` gives another's bytes."""

    url: str  # absolute, percent-encoded
    scene: Scene
    width: int
    height: int
    flaw: str = ""
    moved: bool = False
    same_as: "Picture | None" = None

    @property
    def fate(self) -> str:
        """'ok', or the code of the rule that takes it."""
        return FLAWS.get(self.flaw, "ok")

    @property
    def extension(self) -> str:
        return self.url.rpartition(".")[2]


@dataclass(frozen=True)
class Response:
    """An HTTP response of an image's address."""

    url: str
    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def responses(picture: Picture) -> list[Response]:
    """Return the archived responses of a picture's address: none, one, or a redirect and its target."""
    if picture.flaw == "unarchived":
        return []
    if picture.flaw in STATUS:
        return [Response(picture.url, STATUS[picture.flaw], (("Content-Type", "text/html"),), ERROR_PAGE)]
    headers = [("Content-Type", MEDIA_TYPES[picture.extension])]
    if picture.flaw == "forbidden":
        headers.append(("X-Robots-Tag", "noai"))
    if not picture.moved:
        return [Response(picture.url, "200 OK", tuple(headers), _body(picture))]
    target = picture.url.replace(f".{picture.extension}", f"-moved.{picture.extension}")
    return [
        Response(picture.url, "301 Moved Permanently", (("Location", target),), b""),
        Response(target, "200 OK", tuple(headers), _body(picture)),
    ]


def _body(picture: Picture) -> bytes:
    if picture.same_as:
        return _body(picture.same_as)
    if picture.flaw == "page":
        return ERROR_PAGE
    if picture.flaw == "noise":
        return bytes([7]) + random.Random(picture.url).randbytes(2999)
    if picture.flaw == "pixel":
        return _encoded(Image.new("RGB", (1, 1), "white"), "gif")
    if picture.flaw == "one colour":
        return _encoded(Image.new("RGB", (picture.width, picture.height), (40, 150, 60)), "png")
    body = _encoded(render(picture.scene, picture.width, picture.height), picture.extension)
    return body[: len(body) // 3] if picture.flaw.startswith("truncated") else body


def _encoded(image: Image.Image, extension: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, PILLOW_FORMATS[extension], quality=90)
    return stream.getvalue()
