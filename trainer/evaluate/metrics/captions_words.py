"""Words of captions as the COCO evaluation counts them: tokens of the Penn Treebank, small, without punctuation.

Rules: "Tokenization" of the Penn Treebank project (contractions and the genitive are parted, quotes and brackets are
tokens), the evaluation of Chen et al., "Microsoft COCO Captions" (arXiv 1504.00325), which leaves punctuation out, and
the output of its program where neither says enough. That program takes brackets for words (`-lrb-`), and so does this.

Known to differ, all rare: a single letter before a caption's last full stop (the program judges it by the caption that
comes next in its file; here the stop is left out), rows of digits that look like a telephone number, a path after an
address without http or www, HTML's names of accented letters, marks within scripts of India and South-East Asia, and
letters after an abbreviation or an ending without a space (Inc.x, TV.-x, cowboy'sHorse).
"""

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

_LETTERS = (  # of words, accents that stand alone included
    "A-Za-zªµºÀ-ÖØ-öø-\u037d\u0384-\u0386\u0388-\u0481\u0483-\u0487\u048a-\u0527\u0531-\u0587\u0591-\u05bd\u05d0-\u05f2"
    "\u0610-\u0669\u066e-\u06d3\u06d5-\u06ff\u0900-\u0e3a\u0e40-\u0e4e\u0e80-\u1fbc\u1fc2-\u1ffc\u3005-\u3007"
    "\u3041-\u30fa\u30fc-\ud7ff\uf900-\ufdfb\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc"
)
_SYMBOLS = (  # words of one sign
    r"$%&+=/\\|^~<>¡-©¬®-´¶-¹¼-¿×÷\u2016\u2017\u201a\u201e-\u2023\u2030-\u2038\u203b\u203e-\u2042\u2044\u2070-\u208e\u20a4€"
    r"\u2100-\u215e\u2190-\u2bff\u3001\u3002\u3012\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffe6"
)
_ENTITIES = re.compile(r"&(?:(amp)|(apos)|(?:nbsp|quot|ndash|mdash));", re.IGNORECASE)


def words(caption: str) -> list[str]:
    """The words of a caption, in order; none of an empty one."""
    plain = _before_numbers().sub(r"\1", _ENTITIES.sub(_plain, caption.replace("\u00ad", "")))
    plain = _ends().sub(r"\1 ", plain)
    return [word for piece in _pieces().findall(plain) for word in _words(piece)]


def _plain(entity: re.Match[str]) -> str:
    return "&" if entity[1] else "'" if entity[2] else " "


@lru_cache(maxsize=1 << 16)
def _words(piece: str) -> tuple[str, ...]:
    """The words of a piece between spaces, or of a tag."""
    written, found = _lists()["written"], []
    for match in _tokens().finditer(piece):
        token = match[0]
        if match.lastgroup == "ending":
            token = token.replace("’", "'").replace("‘", "`")
        elif match.lastgroup == "smiley":
            token = token.replace("(", "-lrb-").replace(")", "-rrb-")
        found.extend(written.get(token.lower(), token).lower().split())
    return tuple(found)


@cache
def _lists() -> dict[str, Any]:
    lists: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return lists


@cache
def _before_numbers() -> re.Pattern[str]:
    return re.compile(rf"\b((?:{_any('numbered')})\.)\s(?=\d)", re.IGNORECASE)


@cache
def _ends() -> re.Pattern[str]:
    """A single letter whose full stop ends a sentence: a caption's end, or a word that begins one, follows."""
    first = f"{_any('first')}|{_any('first').upper()}"
    return re.compile(rf"(?<![^\W\d_])(?<!\.)([{_LETTERS}])\.(?=\s*$|\s+(?:{first})(?:\s|$))")


@cache
def _pieces() -> re.Pattern[str]:
    """What is parted on its own: tags, a number with a fraction, and else all between spaces."""
    return re.compile(rf"{_TAG}|(?<![\w.,:/-])\d+[ ]\d+/\d+|(?:(?!{_TAG})\S)+", re.IGNORECASE)


def _any(name: str) -> str:
    return "|".join(map(re.escape, _lists()[name].split()))


_TAG = r"(?:</?[A-Za-z][\w:.-]{0,63}(?:\s[^<>]{0,999})?/?>|<!--[^<>]{0,999}>)"


@cache
def _tokens() -> re.Pattern[str]:
    """One token; the first that fits is taken, so the longer stand first."""
    letter, sign, small = f"[{_LETTERS}]", f"[0-9{_LETTERS}]", f"(?![0-9_{_LETTERS}])"
    plain = r"""[^\s<>"(){}|]"""
    joined = rf"(?:[-_\u2010\u2011]{sign}+)*"
    named = rf"(?:[-\u2010\u2011]{letter}{sign}*)"
    ending = r"(?:'(?:[smd]|ll|re|ve)(?![A-Za-z])|’(?:[smd]|ll|re|ve))"
    acronym = rf"(?:{letter}\.)+(?:{letter}{small}(?!\.))?(?!{letter})"
    short = rf"(?:(?i:{_any('abbreviations')})|{_any('capitals')}|(?i:{_any('numbered')})(?=\.-?\d))\."
    return re.compile(
        rf"""
          {_TAG}
        # addresses, signs of character entities, smileys
        | (?i:https?)://(?={plain}{{1,255}}[./]{plain}){plain}+(?<![.,?!-]) | (?i:www)\.{plain}*\w
        | <\w[\w.+-]{{0,63}}@{plain}+> | \w[\w.+-]{{0,63}}@{plain}*(?!\.){plain}
        | &\#[0-9]+;
        | (?P<smiley> >?[:;=][-o']?[()\[\]DPp|@\\{{]{small} | :-?O{small} | \^_\^ | >_< | -_- )
        # contractions: the first part of two, then the second
        | (?i:can(?=not{small}(?!['’/-])) | (?:gon|wan)(?=na{small}(?!['’/-])) | got(?=ta{small}(?!['’/-]))
          | (?:gim|lem)(?=me{small}(?!['’/-])) | 't(?=is|was) )
        | {letter}+?(?=(?i:n['’`‘]t))
        | ['’](?:(?i:n['’] | n{small} | em | til | cause | [0-9]{{2}}(?:s{small}|(?!\S))))
        | (?P<ending> (?i:n['’`‘]t){letter}* | (?i:{ending}) )
        # words with an apostrophe, or another mark, in them
        | (?i:{_any("whole")})
        | (?:{sign}+-)?(?:[dlnoA-HJ-XZ]|(?i:qu))['’](?!(?i:[smd]|ll|re|ve){small}){sign}+{joined}
        | {letter}+(?i:[aeiouy]['’][aeiou]){letter}*
        | (?i:ol)['’](?!{letter}) | (?i:[dlj])['’](?!(?i:[smd]|ll|re|ve){small}) | (?i:y)['’](?={letter})
        | (?i:anti|pro)-{small} | -(?i:[lr][rsc]b)-
        | [A-Z]+(?:[&+][A-Z]+)+ | (?i:c\+\+|[cf]\#) | [A-Z]+\$
        # abbreviations; words with a full stop, a slash or a hyphen in them; numbers; all other words
        | (?:{short}|{acronym})(?:-(?:(?:{letter}\.){{2,}}|{sign}+))+
        | {sign}+(?:-{sign}+)*-(?:{letter}\.){{2,}}
        | {short}(?!{letter}) | {acronym} | (?i:ph\.d)\.? | {sign}+(?:[-_]{sign}+)*\.(?=[,;:])
        | {letter}{sign}*(?:[.!?]{letter}{sign}*)+(?:-{sign}+)*
        | {sign}+{named}*(?:/{sign}+{named}{{0,2}}){{1,2}} | [0-9]+-[0-9]+/[0-9]+
        | {sign}+(?:[.,]{sign}+){{0,9}}(?:-{sign}+)+{joined}
        | (?:(?<!-)[-+])?[0-9]*(?:[.,:][0-9]+)+ | (?<!-)[-+][0-9]+
        | {sign}+{joined}
        # names and tags of users; signs
        | @[A-Za-z_]\w* | \#{letter}+ | [!?]{{2,}} | _+ | -{{5,}} | \\?\*+ | \#+ | @+ | &(?i:lt|gt);
        | [{_SYMBOLS}()\[\]{{}}]
        """,
        re.VERBOSE,
    )
