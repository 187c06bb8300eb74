"""Plan the sample web page by page: every choice is made here, from the seed, before anything is written."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.sampleweb.cases import CASES, CHARSETS, VARIED, Case, schedule
from tests.sampleweb.embedding import Placement
from tests.sampleweb.faults import POOR_ALT, of_images, sheets
from tests.sampleweb.placing import Placer
from tests.sampleweb.plan import NUM_ARCHIVES, Block, Page
from tests.sampleweb.prose import EnglishWriter, ForeignWriter, writer
from tests.sampleweb.sites import SITES, on_host
from tests.sampleweb.spam import stuffed
from tests.sampleweb.variants import variants

LAYOUTS = ("article", "blog", "gallery", "forum", "product", "news")
FIXED_LAYOUTS = {"too short": "bare", "empty": "empty", "gallery": "gallery", "malformed": "blog"} | dict.fromkeys(
    sheets(), "bare"
)
FIRST_CAPTURE = datetime(2024, 3, 1, 8, tzinfo=UTC)
INTERVAL = timedelta(minutes=41)

AnyWriter = EnglishWriter | ForeignWriter


def plan_pages(seed: int, num_pages: int, noise: int = 1) -> list[Page]:
    """Plan every capture, main pages and variants, in the order in which they are written. Args: as `schedule`."""
    placer = Placer(seed)
    pages: list[Page] = []
    for number, name in enumerate(schedule(num_pages, noise)):
        rng = random.Random(f"page/{seed}/{number}")
        words = writer(CASES[name].language, rng)
        page = _frame(number, name, words, placer, rng)
        blocks = _blocks(page, CASES[name], words, placer, rng)
        page = replace(page, blocks=blocks, faults=_faults(name, blocks))
        pages += [page, *variants(page, words, rng)]
    return pages


def _frame(number: int, name: str, words: AnyWriter, placer: Placer, rng: random.Random) -> Page:
    """Plan everything of a page but its content."""
    case, site = CASES[name], rng.choice(list(SITES))
    layout = FIXED_LAYOUTS.get(name) or rng.choice(LAYOUTS)
    legacy = "iso-8859-1" if name == "latin charset" else CHARSETS.get(case.language) if number % 2 else None
    has_chrome = layout not in ("bare", "empty")
    has_teaser = layout in ("blog", "news") and case.language == "en" and bool(placer.sound)
    return Page(
        url=f"{SITES[site]}/{rng.choice(('stories', 'notes', 'pages'))}/{case.language}-{number:04d}.html",
        captured_at=(FIRST_CAPTURE + number * INTERVAL).strftime("%Y-%m-%dT%H:%M:%SZ"),
        archive=number % (NUM_ARCHIVES - 1 if name in VARIED else NUM_ARCHIVES),  # a variant goes to a later one
        case=name,
        site=site,
        language=case.language,
        layout=layout,
        title=words.title(),
        blocks=(),
        fate=case.fate,
        charset=legacy or "utf-8",
        charset_in="header" if legacy == "iso-8859-1" else "meta" if legacy else rng.choice(("header", "meta")),
        base=f"{on_host(SITES[site], 'static')}/assets/" if name == "base" else "",
        document_rule=case.document_rule,
        logo=placer.logo(site) if has_chrome else None,
        teasers=(placer.teaser(words, rng),) if has_teaser else (),
        malformed=name == "malformed",
    )


def _blocks(page: Page, case: Case, words: AnyWriter, placer: Placer, rng: random.Random) -> tuple[Block, ...]:
    if page.layout == "empty":
        return ()
    if page.layout == "bare" and isinstance(words, EnglishWriter):
        return sheets()[page.case].written(words) if page.case in sheets() else (words.remark(),)
    placements = _placements(page, case, words, placer, rng)
    if page.case == "gallery":
        return (*(words.paragraph() for _ in range(4)), *placements)
    blocks: list[Block] = [words.paragraph()]
    for placement in placements:
        blocks += [placement, words.description(placement.picture.scene)]
    if page.case == "repeated image":
        blocks.append(placements[0])
    blocks += [words.paragraph() for _ in range(1 if placements else 4)]
    return tuple(stuffed(block, page.case, rng) if isinstance(block, str) else block for block in blocks)


def _placements(page: Page, case: Case, words: AnyWriter, placer: Placer, rng: random.Random) -> list[Placement]:
    if page.case == "only flawed images":
        return [placer.flawed_image(page, words, rng) for _ in range(2)]
    num_images = rng.randint(*case.images)
    placements = [placer.sound_image(page, words, rng, page.case in VARIED) for _ in range(num_images)]
    match page.case:
        case "flawed image":
            placements.insert(rng.randint(0, num_images), placer.flawed_image(page, words, rng))
        case "same bytes":
            placements.append(placer.copied_image(page, words, rng))
        case "moved image":
            placements.append(placer.moved_image(page, words, rng))
        case "wrong alt":
            placements[-1] = placer.mislabelled(placements[-1], words)
        case "poor images":
            placements[-1] = replace(placements[-1], alt=POOR_ALT, caption="", matches=False)
    return placements


def _faults(name: str, blocks: tuple[Block, ...]) -> tuple[tuple[str, int | None], ...]:
    if name == "poor images":
        return of_images([i for i, block in enumerate(blocks) if isinstance(block, Placement)])
    return sheets()[name].faults if name in sheets() else ()
