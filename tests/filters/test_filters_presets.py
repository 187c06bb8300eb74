"""Shipped recipes set the published thresholds, and their filters keep prose and drop menus."""

import pyarrow as pa
import pytest
from handmade import row, text

from jobs.recipes import load, names
from pipeline.filter import filter_pages
from schemas.tables import PAGES

PROSE = (
    "The old harbour of the town was built by people who came from the north. They had the wood of the forest, and "
    "with it they made boats that could carry a family across the bay.",
    "When the winter came, nobody wanted to go out to the sea. So they sat by the fire and told each other what had "
    "been seen in the summer. Some of it was true!",
)
MENU = ("Home", "News", "About us", "Log in", "Please enable javascript to use it.")


def decisions(recipe: str, *paragraphs: str) -> tuple[list[str], list[tuple[int, str]]]:
    """Return the reasons to reject a page, and those to reject its paragraphs by block."""
    blocks = [text(paragraph) for paragraph in paragraphs]
    [batch] = filter_pages(load(recipe))(iter([PAGES.batch([row(PAGES, page_id="", blocks=blocks)])]))
    [page] = pa.Table.from_batches([batch]).to_pylist()
    paragraph = [(r["block"], r["rule"]) for r in page["rejected"] if r["level"] == "paragraph"]
    return page["reasons"], paragraph


@pytest.mark.parametrize("recipe", names())
def test_prose_is_kept(recipe: str) -> None:
    assert decisions(recipe, *PROSE) == ([], [])


@pytest.mark.parametrize(
    ("recipe", "rules"),
    [
        ("mmc4", {"PARAGRAPH_TOO_SHORT", "PARAGRAPH_NOT_PUNCTUATED", "PARAGRAPH_JAVASCRIPT"}),
        ("fineweb", {"PARAGRAPH_TOO_SHORT", "PARAGRAPH_JAVASCRIPT"}),
        ("obelics", {"PARAGRAPH_TOO_SHORT", "PARAGRAPH_FEW_STOP_WORDS"}),
        ("everything", set()),
    ],
)
def test_a_menu_is_dropped_and_prose_is_kept(recipe: str, rules: set[str]) -> None:
    reasons, paragraphs = decisions(recipe, *MENU[:2], *PROSE, *MENU[2:])
    assert reasons == []
    assert {rule for _, rule in paragraphs} == rules
    assert {block for block, _ in paragraphs} <= {0, 1, 4, 5, 6}


@pytest.mark.parametrize(
    ("recipe", "rules"),
    [
        ("kosmos1", {"TOO_SHORT"}),
        ("obelics", {"TOO_SHORT", "FEW_STOP_WORDS"}),
        ("mmc4", {"FEW_SENTENCES"}),
        ("everything", set()),
    ],
)
def test_a_page_of_menus_is_dropped(recipe: str, rules: set[str]) -> None:
    assert set(decisions(recipe, *MENU[:4])[0]) == rules


@pytest.mark.parametrize(
    ("level", "bounds"),
    [
        ("paragraph", (4, 1000, 0.1, 0.1, 0.3, 0.3, 0.001)),
        ("text", (10, 2000, 0.1, 0.2, 0.275, 0.35, 0.03)),
    ],
)
def test_obelics_as_published(level: str, bounds: tuple[float, ...]) -> None:
    found = getattr(load("obelics").filters, level)
    assert bounds == (
        found.min_words,
        found.max_words,
        found.max_character_repetition_fraction,
        found.max_word_repetition_fraction,
        found.max_special_character_fraction,
        found.min_stop_word_fraction,
        found.min_punctuation_fraction,
    )
