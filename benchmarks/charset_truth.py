"""Measure charset detection on files whose folder names their charset."""

import re
import tarfile
from pathlib import Path

from pipeline.html.tree import decode_html

_LANGUAGE = re.compile(r"^((?:iso|windows)-\d+(?:-\d+)?)-[a-z]+$", re.I)  # of folders such as iso-8859-2-czech
# What the decoders of these names really read, by the WHATWG Encoding standard.
_SUPERSETS = {
    "shift_jis": "cp932", "euc-kr": "cp949", "gb2312": "gb18030", "big5": "big5hkscs", "iso-8859-1": "cp1252",
    "ascii": "cp1252", "tis-620": "cp874", "maccyrillic": "mac-cyrillic", "macroman": "mac-roman",
}  # fmt: skip


def decoded_fraction(archive: Path) -> float:
    """Return the fraction of files that `decode_html` decodes as with the charset of their folder.

    A charset that Python does not know counts as not decoded.
    """
    right = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isfile() else None
            if file is not None and "/" in member.name.removeprefix("tests/"):
                body = file.read()
                right.append(_text(body, member.name.split("/")[-2]) == _plain(decode_html(body, None)))
    return sum(right) / len(right)


def _text(body: bytes, folder: str) -> str | None:
    name = _LANGUAGE.sub(r"\1", folder).lower()
    try:
        return _plain(body.decode(_SUPERSETS.get(name, name), "replace"))
    except LookupError:
        return None


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").removeprefix("\ufeff")
