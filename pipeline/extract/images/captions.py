"""Which words of a page describe an image: the alt text, or else the caption, or else the title, cleaned."""

import html
import re
from dataclasses import dataclass

from pipeline.extract import characters as unseen
from pipeline.extract.images import Image
from pipeline.extract.images.stock_phrases import MACHINE_MADE, STOCK_PHRASES

MAX_CHARACTERS = 2_000  # of an attribute that is looked at; what is longer describes no image
_ENTITY = re.compile(r"&(?:#x?[0-9a-f]+|[a-z][a-z0-9]*);", re.I)  # with its semicolon: "AT&T" holds none
_TAG = re.compile(r"</?(?:a|abbr|b|big|blockquote|br|center|cite|code|div|em|figcaption|font|h[1-6]|hr|i|img|li|ol|p|q"
                  r"|s|small|span|strike|strong|sub|sup|u|ul)\b[^<>]*>", re.I)  # fmt: skip
_UNREADABLE = re.compile(r"[\ufffd\ud800-\udfff]")
_EXTENSION = r"\.(?:avif|bmp|gif|heic|jfif|jpe?g|png|svg|tiff?|webp)"
_KIND = r"(?:image|img|photo(?:graph)?|picture|pic|slide)"
_END = r"(?:\s*[:.,;|–—-]+\s*|\s+|$)"
_BREAK = r"(?:\s*[:.,;|–—-]+\s*|$)"
_OF = r"\s*(?:of|/)\s*"

# What stands around a description and is none itself.
_AROUND = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"^(?:an?\s+)?(?:image|photo(?:graph)?|picture|pic)\s+of\s+",
        rf"^{_KIND}\s*:\s*",
        rf"^[(\[]?{_KIND}\s*#?\d{{1,4}}{_OF}\d{{1,4}}[)\]]?{_END}",  # Image 3 of 12
        rf"^{_KIND}\s*#?\d{{1,4}}{_BREAK}",  # Slide 3:
        rf"(?<!\s)(?:\s*[:.,;|–—-]\s*|\s+)[(\[]?{_KIND}\s*#?\d{{1,4}}{_OF}\d{{1,4}}[)\]]?$",
        rf"(?<!\s)\s*(?:[:.,;|–—(\[]|\s-)\s*{_KIND}\s*#?\d{{1,4}}[)\]]?$",
        r"^[(\[]\d{1,2}(?:\s*(?:of|/)\s*\d{1,3})?[)\]]\s*",  # (2) and (1/12)
        r"(?<!\s)\s*[(\[]\d{1,2}(?:\s*(?:of|/)\s*\d{1,3})?[)\]]$",
        rf"^\d{{1,3}}{_OF}\d{{1,3}}(?:\s*[:|–—]\s*|\s+-\s+|$)",  # bare, only before a sign: 1/2 cup of sugar
        rf"(?<!\s)(?:\s*[|–—]|\s-)\s*\d{{1,3}}{_OF}\d{{1,3}}$",
        rf"^(?:product|gallery|thumbnail)\s+{_KIND}\s*#?\d{{1,4}}\s+(?:of|for)\s+",
        rf"(?<=\S){_EXTENSION}$",
    )
)

_FILE_NAMES = tuple(
    re.compile(pattern, re.I | re.A)
    for pattern in (
        rf"\S+{_EXTENSION}(?:\?\S*)?",
        # what cameras, telephones and programs name their files
        r"(?:img|dsc|image|photo|picture|pxl|screenshot)[-_ ]?\d{3,}[\w-]*",
        r"(?:imag|dsc[a-z]|dscn|pict|mvi|vid|wp|gopr|cimg|hpim|sam|scan|untitled)[-_]?\d{3,}[\w-]*",
        r"(?:img|dsc|scan)[-_]?\d+|p\d{6,}",
        r"screen[-_ ]?shot(?:[-_ ]?from)?[-_ \d.:]*(?:at[-_ \d.:]*)?(?:[ap]m)?",
        r"(?=(?:\D*\d){2})[0-9a-f]{8,}(?:[-_][0-9a-f]{4,})*",  # hex, as digests and UUIDs are written
        r"\d[\d_.x-]{5,}[a-z]?",
        r"(?=(?:\D*\d){4})[a-z0-9]{16,}",
        r"[\w-]+[-_]\d{2,4}x\d{2,4}",  # the size of a thumbnail
        r"(?:whatsapp|telegram|signal|viber)[-_ ](?:image|video|photo|picture)[-_ \d.:]*(?:at[-_ \d.:]*)?(?:[ap]m)?",
    )
)

_ADDRESS = re.compile(r"(?:https?:|www\.|data:|blob:|file:|//)\S+", re.I)
_ATTRIBUTE = re.compile(r"alt\s*=\s*([\"'])([^\"']+)\1", re.I)
_ONE_SIGN = re.compile(r"(\S)\1*")


@dataclass(frozen=True)
class Caption:
    text: str


@dataclass(frozen=True)
class Unusable:
    """Words that describe nothing: the reason code, and the text as written."""

    rule: str
    written: str


def caption_of(image: Image) -> Caption | Unusable | None:
    """Return the image's usable words, or why its first ones are not usable, or None when it has none."""
    found = [clean(written) for written in (image.alt, image.caption, image.title) if written.strip()]
    return next((c for c in found if isinstance(c, Caption)), found[0] if found else None)


def clean(written: str) -> Caption | Unusable:
    """Take off what describes nothing; the rest is a caption unless it is a file name or a stock phrase."""
    text, before = _plain(written), None
    while text != before:
        if _names_file(text):
            return Unusable("FILE_NAME_CAPTION", written)
        if _is_machine_made(text):
            return Unusable("BOILERPLATE_CAPTION", written)
        before = text
        if attribute := _ATTRIBUTE.fullmatch(text):
            text = attribute[2]
        for around in _AROUND:
            text = around.sub("", text)
        text = _plain(text)
    return Unusable("BOILERPLATE_CAPTION", written) if _says_nothing(text) else Caption(text)


def _plain(text: str) -> str:
    """Resolve entities, take out tags and unseen characters, and fold white space, until nothing of them is left."""
    text, before = text[:MAX_CHARACTERS], ""
    while text != before:
        before = text
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
        text = " ".join(_UNREADABLE.sub("", unseen.clean(_TAG.sub(" ", text))).split())
    return text


def _names_file(text: str) -> bool:
    return not _ADDRESS.fullmatch(text) and any(name.fullmatch(text) for name in _FILE_NAMES)


def _is_machine_made(text: str) -> bool:
    return bool(MACHINE_MADE.search(text.replace("\u2019", "'")))


def _says_nothing(text: str) -> bool:
    words = re.sub(r"[\W\d_]+", " ", text).strip().lower()
    if len(set(words.split())) == 1:
        words = words.split()[0]  # undefined undefined
    if len(words) > 1 and _ONE_SIGN.fullmatch(words):
        return True
    return not words or re.sub(r"^(?:an?|the) ", "", words) in STOCK_PHRASES or bool(_ADDRESS.fullmatch(text))
