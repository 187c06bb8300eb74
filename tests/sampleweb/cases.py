"""The cases of the sample web: for each, its pages of 300, and the expected outcome."""

from dataclasses import dataclass

from tests.sampleweb.faults import sheets


@dataclass(frozen=True)
class Case:
    """A kind of page. `share` counts main pages of 300; `images` bounds the sound images of one page."""

    share: int
    images: tuple[int, int]
    fate: str = "interleaved"
    document_rule: str = ""
    language: str = "en"


CASES = {
    "one image": Case(44, (1, 1)),
    "some images": Case(43, (2, 4)),
    "five images": Case(26, (5, 5)),
    "ten images": Case(10, (10, 10)),
    "no image": Case(16, (0, 0), "text"),
    "gallery": Case(8, (7, 9), "text", "NOT_INTERSPERSED"),
    "repeated image": Case(6, (3, 3)),
    "flawed image": Case(16, (3, 3)),
    "only flawed images": Case(4, (0, 0), "text"),
    "wrong alt": Case(12, (2, 3)),
    "same bytes": Case(4, (3, 3)),
    "moved image": Case(3, (3, 3)),
    "base": Case(5, (2, 4)),
    "odd names": Case(5, (2, 4)),
    "latin charset": Case(4, (2, 3)),
    "malformed": Case(2, (2, 3)),
    # a base page with a variant that is made of it
    "older capture": Case(5, (2, 4)),
    "copied text": Case(5, (2, 4)),
    "near copy": Case(5, (2, 4)),
    "captured twice": Case(4, (2, 4)),
    # taken by a filter, or before it
    "too short": Case(5, (0, 0), "TOO_SHORT"),
    "emoji": Case(4, (1, 1), "EMOJI"),
    "hashtags": Case(4, (1, 1), "HASHTAGS"),
    "addresses": Case(4, (1, 1), "URLS"),
    "empty": Case(1, (0, 0), "WRONG_LANGUAGE"),  # no text is in no language
    "lost": Case(3, (0, 0), "HTTP_STATUS"),
    "german": Case(10, (1, 2), "WRONG_LANGUAGE", language="de"),
    "french": Case(10, (1, 2), "WRONG_LANGUAGE", language="fr"),
    "spanish": Case(8, (1, 2), "WRONG_LANGUAGE", language="es"),
    "russian": Case(10, (1, 2), "WRONG_LANGUAGE", language="ru"),
    "chinese": Case(7, (1, 2), "WRONG_LANGUAGE", language="zh"),
    "japanese": Case(7, (1, 2), "WRONG_LANGUAGE", language="ja"),
    # break rules of other recipes than kosmos1; beside the 300
    "poor images": Case(2, (2, 3)),
    **{name: Case(1, (0, 0), sheet.fate) for name, sheet in sheets().items()},
}
VARIED = ("older capture", "copied text", "near copy", "captured twice")  # have a second capture, see variants.py
CHARSETS = {"de": "iso-8859-1", "fr": "iso-8859-1", "ru": "windows-1251", "ja": "shift_jis"}  # of every second page


NOISY = ("wrong alt", *VARIED, "too short", "emoji", "hashtags", "addresses")  # what a filter should see through


def schedule(num_pages: int, noise: int = 1) -> list[str]:
    """Return the case of each main page: every case at least once, in its share of `num_pages`.

    `noise` multiplies the pages of NOISY cases, beside the others.
    """
    counts = {name: max(1, round(case.share * num_pages / 300)) for name, case in CASES.items()}
    return [name for name, count in counts.items() for _ in range(count * (noise if name in NOISY else 1))]
