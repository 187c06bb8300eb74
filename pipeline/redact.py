"""Replace personal data in texts by placeholders: e-mail addresses, public IP addresses, phone numbers.

Precision over recall: dates, prices, ISBNs, versions and bare numbers are kept. A phone number needs + and a country
code, a prefix in brackets, a preceding word such as "tel.", or the North American grouping 3-3-4.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from pipeline.url import is_public
from schemas.recipe import Redact
from schemas.tables import DOCUMENTS, Batches

EMAIL, IP, PHONE = "<email>", "<ip>", "<phone>"

_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w+%-]+(?:\.[\w+%-]+)*@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:xn--[a-z\d-]{2,59}|[^\W\d_]{2,24})"
    r"(?![\w@-])",
    re.IGNORECASE,
)
# Obfuscated against harvesters: ann [at] host (dot) example
_AT, _DOT = r" ?[\[({] ?(?:at|@) ?[\])}] ?", r"(?: ?[\[({] ?(?:dot|\.) ?[\])}] ?|\.)"
_HAS_AT = re.compile(_AT, re.IGNORECASE)
_SPELLED_EMAIL = re.compile(
    rf"(?<![\w.+%-])[\w.+%-]{{1,64}}{_AT}[^\W_][\w-]{{0,62}}(?:{_DOT}[^\W_][\w-]{{0,62}}){{1,8}}", re.IGNORECASE
)
_IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_IPV6 = r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|" + _IPV4 + r")?"
# Not part of a longer number or name, and not after a word that makes it a version or section. A port may follow.
_IP = re.compile(rf"(?<![\w.:-])(?:{_IPV6}(?![\w:-]|\.\d)|{_IPV4}(?!\w|-|\.\d|:(?!\d{{1,5}}\b)\w|:\d+:))")
_VERSION = re.compile(r"(?:\b(?:v|ver|version|release|build|firmware|section|chapter)\.?\s*|§\s*)$", re.IGNORECASE)

_SEPARATOR = r"[ \u00a0.\-/‐‑–]"
_INTERNATIONAL = rf"(?:\+|(?<!\d[ \u00a0])\b00)[1-9]\d{{0,2}}(?:{_SEPARATOR}?\(\d{{1,4}}\))?(?:{_SEPARATOR}?\d){{6,12}}"
_BRACKETED = rf"\((?:0[1-9]\d{{1,3}}|[2-9]\d{{2}})\){_SEPARATOR}?\d{{2,4}}(?:{_SEPARATOR}\d{{2,5}}){{1,3}}"
_AMERICAN = r"(?:1[-. ])?[2-9]\d{2}([-. ])[2-9]\d{2}\1\d{4}"
_PHONE = re.compile(rf"(?<![\w.+$€£#/-])(?:{_INTERNATIONAL}|{_BRACKETED}|{_AMERICAN})(?![\w/-]|[.,]\d)")
_WORD = r"(?:tel|phone|telephone|telefon|teléfono|téléphone|mobile|cell|call|fax|whatsapp)"
_ANNOUNCED = re.compile(
    rf"(\b{_WORD}\b[.:]?\s{{0,2}}(?:no\.?|number|us)?(?:\s{{0,2}}(?:at|on|:))?\s{{0,2}})"
    rf"(\(?\d(?:{_SEPARATOR}?[()]?\d){{6,13}})(?![\w/-]|[.,]\d)",
    re.IGNORECASE,
)
_DATE = re.compile(r"^(?:\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ]\d{4})$")


def redactor(config: Redact) -> Callable[[str], str] | None:
    """Return the idempotent function that redacts a text by the recipe; None when the recipe redacts nothing."""
    options = ((config.email, _emails), (config.ip, _addresses), (config.phone, _phones))
    steps = [step for is_enabled, step in options if is_enabled]
    if not steps:
        return None

    def redact(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return redact


def _emails(text: str) -> str:
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    return _SPELLED_EMAIL.sub(EMAIL, text) if _HAS_AT.search(text) else text


def _addresses(text: str) -> str:
    """Replace public IP addresses; private and loopback addresses identify nobody."""

    def replace(found: re.Match[str]) -> str:
        version = _VERSION.search(text[max(found.start() - 20, 0) : found.start()])
        return found[0] if version or not _is_public(found[0]) else IP

    return _IP.sub(replace, text)


def _is_public(written: str) -> bool:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if "." in written:  # IPv4, or IPv4 in IPv6 notation
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return is_public(address) and int(address) >> 32 != 0  # ::ab and ::12:34 are names, not IPv4-compatible addresses


def _phones(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        return found[1] + (found[2] if _DATE.match(found[2]) else PHONE)

    return _ANNOUNCED.sub(replace, _PHONE.sub(PHONE, text))


def redact_documents(redact: Callable[[str], str]) -> Callable[[Batches], Batches]:
    """Return the function that redacts titles, texts, alt texts and captions in batches of `documents`."""

    def clean(row: dict[str, Any], *columns: str) -> dict[str, Any]:
        return {**row, **{name: row[name] and redact(row[name]) for name in columns}}

    def run(batches: Batches) -> Batches:
        for batch in batches:
            documents = [clean(document, "title") for document in batch.to_pylist()]
            for document in documents:
                document["blocks"] = [clean(block, "text", "alt", "caption") for block in document["blocks"]]
            yield DOCUMENTS.batch(documents)

    return run
