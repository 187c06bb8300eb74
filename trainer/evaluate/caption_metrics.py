"""Metrics of captions: the PTB tokenizer of the COCO evaluation, CIDEr, and SPICE."""

import json
import math
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from schemas.errors import MissingError, SchemaError, WeftError

_LETTERS = (  # of words, including separate accents
    "A-Za-zªµºÀ-ÖØ-öø-\u037d\u0384-\u0386\u0388-\u0481\u0483-\u0487\u048a-\u0527\u0531-\u0587\u0591-\u05bd\u05d0-\u05f2"
    "\u0610-\u0669\u066e-\u06d3\u06d5-\u06ff\u0900-\u0e3a\u0e40-\u0e4e\u0e80-\u1fbc\u1fc2-\u1ffc\u3005-\u3007"
    "\u3041-\u30fa\u30fc-\ud7ff\uf900-\ufdfb\ufe70-\ufefc\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc"
)
_SYMBOLS = (  # tokens of one character
    r"$%&+=/\\|^~<>¡-©¬®-´¶-¹¼-¿×÷\u2016\u2017\u201a\u201e-\u2023\u2030-\u2038\u203b\u203e-\u2042\u2044\u2070-\u208e\u20a4€"
    r"\u2100-\u215e\u2190-\u2bff\u3001\u3002\u3012\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffe0-\uffe6"
)
_ENTITIES = re.compile(r"&(?:(amp)|(apos)|(?:nbsp|quot|ndash|mdash));", re.IGNORECASE)


def words(caption: str) -> list[str]:
    """Return the PTB tokens of a caption, in order."""
    plain = _before_numbers().sub(r"\1", _ENTITIES.sub(_plain, caption.replace("\u00ad", "")))
    plain = _ends().sub(r"\1 ", plain)
    return [word for piece in _pieces().findall(plain) for word in _words(piece)]


def _plain(entity: re.Match[str]) -> str:
    return "&" if entity[1] else "'" if entity[2] else " "


@lru_cache(maxsize=1 << 16)
def _words(piece: str) -> tuple[str, ...]:
    """Return the tokens of a text between spaces, or of a tag."""
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
    """A single letter whose full stop ends a sentence: the caption's end, or a word that begins one, follows."""
    first = f"{_any('first')}|{_any('first').upper()}"
    return re.compile(rf"(?<![^\W\d_])(?<!\.)([{_LETTERS}])\.(?=\s*$|\s+(?:{first})(?:\s|$))")


@cache
def _pieces() -> re.Pattern[str]:
    """Parts that are tokenized separately: tags, a number with a fraction, and text between spaces."""
    return re.compile(rf"{_TAG}|(?<![\w.,:/-])\d+[ ]\d+/\d+|(?:(?!{_TAG})\S)+", re.IGNORECASE)


def _any(name: str) -> str:
    return "|".join(map(re.escape, _lists()[name].split()))


_TAG = r"(?:</?[A-Za-z][\w:.-]{0,63}(?:\s[^<>]{0,999})?/?>|<!--[^<>]{0,999}>)"


@cache
def _tokens() -> re.Pattern[str]:
    """One token. The first alternative that matches wins, so longer ones come first."""
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


_LONGEST = 4  # words of an n-gram
_SIGMA = 6.0  # of the Gaussian of differences in length

Gram = tuple[str, ...]


@dataclass(frozen=True)
class _Caption:
    """The weight of each n-gram of a caption, the norm of the weights for each n, and the number of words."""

    weights: dict[Gram, float]
    norms: list[float]
    length: int


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean of `cider_each`, as the COCO evaluation reports it. Raises: as `cider_each`."""
    return fmean(cider_each(candidates, references))


def cider_each(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return CIDEr-D of each image's candidate, 0 to 10, by the image's references.

    Document frequencies are counted over the references of these images, so a single image scores 0, as does a caption
    without tokens. Raises: SchemaError unless there is a candidate, and at least one reference for each.
    """
    check(candidates, references)
    right = [[words(text) for text in texts] for texts in references]
    num_images = Counter(chain.from_iterable(set(chain.from_iterable(map(_grams, texts))) for texts in right))
    rareness = {gram: math.log(len(right) / number) for gram, number in num_images.items()}
    return [
        _score(_weigh(words(said), rareness, len(right)), [_weigh(text, rareness, len(right)) for text in texts])
        for said, texts in zip(candidates, right, strict=True)
    ]


def check(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Raise SchemaError unless there is a candidate, and at least one reference for each."""
    if not candidates:
        raise SchemaError("no caption to judge: give at least one image")
    if len(candidates) != len(references):
        raise SchemaError(f"{len(candidates)} captions, but references for {len(references)} images: give one for each")
    without = [number for number, texts in enumerate(references) if not texts]
    if without:
        raise SchemaError(f"image {without[0]} (from 0) has no reference ({len(without)} in all): give one or more")


def _grams(text: Sequence[str]) -> Iterator[Gram]:
    return (tuple(text[start : start + n]) for n in range(1, _LONGEST + 1) for start in range(len(text) - n + 1))


def _weigh(text: Sequence[str], rareness: dict[Gram, float], num_images: int) -> _Caption:
    unseen, squares = math.log(num_images), [0.0] * _LONGEST
    weights = {gram: number * rareness.get(gram, unseen) for gram, number in Counter(_grams(text)).items()}
    for gram, weight in weights.items():
        squares[len(gram) - 1] += weight**2
    return _Caption(weights, [math.sqrt(square) for square in squares], len(text))


def _score(said: _Caption, references: Sequence[_Caption]) -> float:
    return 10 * fmean(_likeness(said, right) for right in references)


def _likeness(said: _Caption, right: _Caption) -> float:
    """Return the mean over n of the cosine with clipped counts, times a penalty for different lengths."""
    products = [0.0] * _LONGEST
    for gram in said.weights.keys() & right.weights.keys():
        products[len(gram) - 1] += min(said.weights[gram], right.weights[gram]) * right.weights[gram]
    cosines = (p / (a * b) if p else 0.0 for p, a, b in zip(products, said.norms, right.norms, strict=True))
    return fmean(cosines) * math.exp(-((said.length - right.length) ** 2) / (2 * _SIGMA**2))


_FOLDER = "WEFT_SPICE"
_JAR = "spice-1.0.jar"
_MAX_SECONDS = 4 * 3600.0  # it parses each reference, at a few images a second


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float | None:
    """Return the mean of F over the images, 0 to 1; an F that is NaN counts as 0.

    None without Java, or when WEFT_SPICE does not name the folder of the program (spice-1.0.jar, with its lib/).

    Raises: SchemaError unless there is a candidate, and at least one reference for each; MissingError when that folder
        does not hold the program; WeftError when the program fails, or takes more than four hours.
    """
    check(candidates, references)
    folder, java = os.environ.get(_FOLDER), _java()
    if not folder:
        return None
    jar = Path(folder).resolve() / _JAR
    if not jar.is_file() or not (jar.parent / "lib").is_dir():
        raise MissingError(f"{_FOLDER}={folder} holds no {_JAR} with its lib/: name the folder of SPICE, or unset it")
    if java is None:
        return None
    rows = [
        {"image_id": number, "test": said, "refs": list(texts)}
        for number, (said, texts) in enumerate(zip(candidates, references, strict=True))
    ]
    with TemporaryDirectory(prefix="weft-spice-") as scratch:
        (Path(scratch) / "cache").mkdir()
        (Path(scratch) / "in.json").write_text(json.dumps(rows), encoding="utf-8")
        _run([java, "-Xmx8G", "-jar", str(jar), "in.json", "-out", "out.json", "-cache", "cache", "-subset", "-silent"],
             Path(scratch))  # fmt: skip
        return fmean(_scores(Path(scratch) / "out.json", len(rows)))


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")


def _run(command: list[str], folder: Path) -> None:
    try:
        ended = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WeftError(f"SPICE took more than {_MAX_SECONDS:.0f} seconds: give it fewer images") from error
    if ended.returncode or not (folder / "out.json").is_file():
        said = ended.stderr.decode(errors="replace").strip().splitlines() or ["no word of why"]
        raise WeftError(f"SPICE failed with {ended.returncode}: {said[0][:200]}; unset {_FOLDER} to go on without it")


def _scores(file: Path, num_images: int) -> list[float]:
    try:
        found = [float(row["scores"]["All"]["f"]) for row in json.loads(file.read_text(encoding="utf-8"))]
    except (KeyError, TypeError, ValueError) as error:
        raise WeftError(f"SPICE wrote no scores that can be read ({error!r}): is {_JAR} of version 1.0?") from error
    if len(found) != num_images:
        raise WeftError(f"SPICE judged {len(found)} of {num_images} images: unset {_FOLDER} to go on without it")
    return [0.0 if math.isnan(score) else score for score in found]
