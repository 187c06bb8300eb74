"""Derive further captures from a page: older ones, copies on other sites, the same record in a second archive."""

import random
from dataclasses import replace

from tests.sampleweb.cases import VARIED
from tests.sampleweb.plan import Page
from tests.sampleweb.prose import Writer
from tests.sampleweb.sites import SITES

LAST_YEAR = "2023"


def variants(page: Page, words: Writer, rng: random.Random) -> list[Page]:
    """Return the captures that the page's case asks for beside the page itself; most cases ask for none."""
    if page.case not in VARIED:
        return []
    other = replace(page, archive=page.archive + 1)
    site = rng.choice([s for s in SITES if s != page.site])
    elsewhere = replace(other, site=site, url=page.url.replace(SITES[page.site], SITES[site]), logo=None)
    older = page.captured_at.replace("2024", LAST_YEAR)
    match page.case:
        case "older capture":
            blocks = (*page.blocks[:-1], words.paragraph())
            return [replace(other, captured_at=older, blocks=blocks, fate="DUPLICATE_URL")]
        case "copied text":
            return [replace(elsewhere, captured_at=older, fate="DUPLICATE_TEXT")]
        case "near copy":
            return [replace(elsewhere, blocks=(f"{page.blocks[0]} {words.paragraph()}", *page.blocks[1:]))]
        case _:  # captured twice
            return [replace(other, fate="DUPLICATE_CAPTURE")]
