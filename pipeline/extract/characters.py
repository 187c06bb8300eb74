"""Characters that a reader does not see, taken out where text is made, before anything is counted or hashed."""

import re

_UNSEEN = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u200b-\u200d\u2060-\u2064\ufeff]")
# U+200C and U+200D shape what is beside them in Arabic, Indic and Mongolian scripts and in emoji. Between characters
# of Latin, Greek, Cyrillic or Armenian script, all below Hebrew, they do nothing.
_IDLE_JOINER = re.compile("(?<![\u0590-\U0010ffff])[\u200c\u200d]+(?![\u0590-\U0010ffff])")
_KEPT = "\u200c\u200d"
_WINDOWS_1252 = {n: bytes([n]).decode("cp1252", "ignore") for n in range(0x80, 0xA0)}
_REPLACED = {
    **dict.fromkeys((*range(0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0xAD, 0x200B, *range(0x2060, 0x2065), 0xFEFF), ""),
    **_WINDOWS_1252,
}


def clean(text: str) -> str:
    """Take out soft hyphens, spaces of no width, byte order marks and controls but for white space.

    A C1 control stands for the windows-1252 character of its number, as numeric references do (HTML Living Standard,
    section 13.2.5.80): it is what pages mean by them. Joiners stay where they shape letters or emoji.
    """
    if not _UNSEEN.search(text):
        return text
    text = text.translate(_REPLACED)
    return _IDLE_JOINER.sub("", text) if any(joiner in text for joiner in _KEPT) else text
