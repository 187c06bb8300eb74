"""Identifiers derived from content: the same page or address has the same id in every run."""

import hashlib

ID_LENGTH = 32  # hex characters: 128 bits, enough for 10^15 rows at a collision chance below 10^-8


def digest(*parts: str | bytes) -> str:
    """Return the first 128 bits of the SHA-256 of the parts, in hex; parts cannot run into each other."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    return h.hexdigest()[:ID_LENGTH]


def page_id(url: str, captured_at: str, body: bytes) -> str:
    """Identify one capture of a page by its address, its time (WARC-Date as written) and its decoded body."""
    return digest("page", url, captured_at, hashlib.sha256(body).digest())


def image_id(image_url: str) -> str:
    """Identify an image by its absolute address."""
    return digest("image", image_url)


def text_id(text: str) -> str:
    """Identify a text, so that one that stands on many pages is embedded once."""
    return digest("text", text)


def caption_key(image: str, caption: str) -> str:
    """Key a caption sample by the image's id and the words beside it."""
    return digest("caption", image, caption)


def fraction(seed: int, *parts: str) -> float:
    """Return a number in [0, 1) that is a pure function of the seed and the parts: a coin that always falls alike."""
    return int(digest(str(seed), *parts)[:13], 16) / 16**13  # 52 bits fit a double exactly


def order(seed: int, key: str) -> str:
    """Return the sort key of the global shuffle: samples sorted by it stand in a random but fixed order."""
    return digest("order", str(seed), key)
