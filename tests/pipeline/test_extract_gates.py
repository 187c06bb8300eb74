"""What is refused before extraction, and what is not."""

from pathlib import Path

import pytest

from jobs.recipes import load
from pipeline.extract.gates.gates import Gates
from pipeline.read import Response
from schemas import recipe
from schemas.errors import PathError, RecipeError

ENGLISH = "The river froze last night, and this morning the children of the village walked across it to school. "
RUSSIAN = "Ночью замёрзла река, и утром деревенские дети пошли по льду в школу. "


def response(body: str, url: str = "http://host.example/a/page.html", **headers: str) -> Response:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response(url, "", 0, 200, "text/html", "utf-8", sent, f"<html>{body}</html>".encode())


def rule(page: Response, **config: object) -> str | None:
    refusal = Gates(recipe.Gates.model_validate(config)).refuse(page)
    return refusal.rule if refusal else None


def test_without_gates_every_page_passes() -> None:
    assert rule(response("", X_Robots_Tag="noindex, noai")) is None


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (f"<p>{ENGLISH * 20}", None),
        (f"<p>{RUSSIAN * 20}", "WRONG_LANGUAGE"),
        (f"<nav>{RUSSIAN * 20}</nav><p>{ENGLISH * 40}<footer>{RUSSIAN * 20}</footer>", None),
        (f"<script>{ENGLISH * 20}</script><style>{ENGLISH * 20}</style><p>{RUSSIAN * 20}", "WRONG_LANGUAGE"),
        (f"<noscript><p>{ENGLISH * 20}</noscript>", None),
        ("<p>12345 67890", None),
        ("", None),
    ],
    ids=["wanted", "not wanted", "wanted between menus", "scripts do not count", "noscript", "no letters", "nothing"],
)
def test_language(body: str, refused: str | None) -> None:
    assert rule(response(f"<body>{body}"), languages=["en"], min_language_score=0.2) == refused


def test_any_wanted_language_will_do() -> None:
    page = response(f"<p>{RUSSIAN * 20}")
    assert rule(page, languages=["en", "ru"], min_language_score=0.2) is None
    found = Gates(recipe.Gates(languages=("en",), min_language_score=0.2)).refuse(page)
    assert found and found.threshold == 0.2 and found.measure is not None and found.measure < 0.2


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("<p>one two three", None),
        ("<p>one <b>two</b>", "TOO_SHORT"),
        ("<p>one<p>two<p>three", None),
        ("<p>日本語", None),
        ("<p>one <img src=a.jpg alt='two three four'>", None),
        ("<title>one two three</title><script>one two three</script>", "TOO_SHORT"),
        ('<script type="application/ld+json">{"articleBody": "one two three"}</script>', None),
    ],
)
def test_words(body: str, refused: str | None) -> None:
    assert rule(response(body), min_words=3) == refused


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ("<img src=a.jpg>", None),
        ("<img src=a.gif width=1 height=1>", "NO_IMAGE"),
        ("<amp-img src=a.jpg></amp-img>", None),
        ("<noscript><img src=a.jpg></noscript>", None),
        ("<noscript>&lt;img src=a.jpg&gt;</noscript>", None),
        ("<noscript>&lt;p&gt;</noscript>", "NO_IMAGE"),
        ("<figure itemid=a.jpg></figure>", None),
        ("<!-- <img src=a.jpg> -->", "NO_IMAGE"),
    ],
)
def test_images(body: str, refused: str | None) -> None:
    assert rule(response(f"<body>{body}"), need_image=True) == refused


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("noai", "PAGE_DIRECTIVE"),
        ("nofollow, NoAI", "PAGE_DIRECTIVE"),
        ("none", "PAGE_DIRECTIVE"),
        ("nofollow", None),
        ("noimageai", None),
        ("max-snippet: 5, noai", "PAGE_DIRECTIVE"),
    ],
)
def test_directives(value: str, refused: str | None) -> None:
    wanted = {"robots": ["noai", "noindex"]}
    assert rule(response("<p>x", X_Robots_Tag=value), **wanted) == refused
    assert rule(response(f'<head><meta name="Robots" content="{value}"></head><p>x'), **wanted) == refused
    assert rule(response("<p>x", X_Robots_Tag=f"otherbot: {value}"), **wanted) is None


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://blocked.example/", True),
        ("https://www.Blocked.example/a?b", True),
        ("http://notblocked.example/", False),
        ("http://host.example/forum/1", True),
        ("http://host.example/forum", False),
        ("http://host.example:8080/forum/?q", True),
        ("http://other.example/", False),
    ],
)
def test_blocklist(tmp_path: Path, url: str, refused: bool) -> None:
    (tmp_path / "list.txt").write_text("# a comment\nBlocked.example\n\nhttps://host.example/forum/  # another\n")
    assert rule(response("<p>x", url), blocklist=str(tmp_path / "list.txt")) == ("BLOCKED_HOST" if refused else None)


def test_a_missing_blocklist_is_told(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"extract\.gates\.blocklist: cannot read .*/none\.txt"):
        Gates(recipe.Gates(blocklist=str(tmp_path / "none.txt")))


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (["extract.gates.languages=[en]"], "languages and extract.gates.min_language_score .* go together"),
        (["extract.gates.min_language_score=0.3"], "go together"),
        (["extract.gates.need_image=true"], "need_image drops pages that corpus text wants"),
        (["extract.gates.robots=[noia]"], "extract.gates.robots.0: .*'noai'"),
        (["extract.gates.languages=[English]", "extract.gates.min_language_score=0.3"], "extract.gates.languages.0: "),
    ],
)
def test_impossible_recipes_are_told(assignments: list[str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load("everything", assignments)


def test_images_may_be_needed_where_no_corpus_wants_text_alone() -> None:
    assert load("everything", ["extract.gates.need_image=true", "corpora=[interleaved]"]).extract.gates.need_image
