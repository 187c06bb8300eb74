"""The prefilter: what is rejected before extraction."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.extract import STEP
from jobs.recipes import load
from pipeline.html.extract import extract_archive
from pipeline.html.prefilter import Prefilter, PrefilterDecision, Refusal
from pipeline.io.store import Store
from pipeline.warc.responses import Response
from schemas import recipe
from schemas.errors import PathError, RecipeError
from schemas.tables import image_id

ENGLISH = "The river froze last night, and this morning the children of the village walked across it to school. "
RUSSIAN = "Ночью замёрзла река, и утром деревенские дети пошли по льду в школу. "


def response(body: str, url: str = "http://host.example/a/page.html", **headers: str) -> Response:
    sent = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response(url, "", 0, 200, "text/html", "utf-8", sent, f"<html>{body}</html>".encode())


def rule(page: Response, **config: object) -> str | None:
    refusal = Prefilter(recipe.PrefilterConfig.model_validate(config)).refuse(page)
    return refusal.rule if refusal else None


def test_without_a_prefilter_every_page_passes() -> None:
    page = response('<meta name="robots" content="noai">', X_Robots_Tag="noindex, noai, noimageai")
    assert Prefilter(recipe.PrefilterConfig(directives=())).apply(page) == PrefilterDecision()


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (f"<p>{ENGLISH * 20}", None),
        (f"<p>{RUSSIAN * 20}", "WRONG_LANGUAGE"),
        (f"<p>{ENGLISH.upper() * 20}", None),
        (f"<x-a><template shadowrootmode=open><p>{ENGLISH * 20}</template></x-a>", None),
        (f"{'<div>' * 5_000}<p>{ENGLISH * 20}", None),
        (f"<nav>{RUSSIAN * 20}</nav><p>{ENGLISH * 40}<footer>{RUSSIAN * 20}</footer>", None),
        (f"<script>{ENGLISH * 20}</script><style>{ENGLISH * 20}</style><p>{RUSSIAN * 20}", "WRONG_LANGUAGE"),
        (f"<noscript><p>{ENGLISH * 20}</noscript>", None),
        ("<p>12345 67890", None),
        ("", None),
    ],
    ids=[
        "wanted",
        "not wanted",
        "capitals",
        "a shadow root",
        "a deep page",
        "wanted between menus",
        "scripts do not count",
        "noscript",
        "no letters",
        "nothing",
    ],
)
def test_language(body: str, refused: str | None) -> None:
    assert rule(response(f"<body>{body}"), languages=["en"], min_language_score=0.2) == refused


def test_any_configured_language_is_accepted() -> None:
    page = response(f"<p>{RUSSIAN * 20}")
    assert rule(page, languages=["en", "ru"], min_language_score=0.2) is None
    found = Prefilter(recipe.PrefilterConfig(languages=("en",), min_language_score=0.2)).refuse(page)
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
    assert rule(response(f"<body>{body}"), require_image=True) == refused


PAGE, IMAGES = "PAGE_OPT_OUT", "OPT_OUT"
NOAI, NOIMAGEAI = '<meta name="robots" content="noai">', '<meta name="Weft" content="noimageai">'


@pytest.mark.parametrize(
    ("said", "page", "images"),
    [
        ("noai", PAGE, None),
        ("noindex", PAGE, None),
        ("none", PAGE, None),
        ("noml", PAGE, None),
        ("noimageai", None, IMAGES),
        ("noimageindex", None, IMAGES),
        ("noai, noimageai", PAGE, IMAGES),
        ("nofollow", None, None),
        ("otherbot: noai, noimageai", None, None),
    ],
)
@pytest.mark.parametrize("others", [{}, {"min_words": 1}], ids=["no other gates", "other gates"])
def test_directives(said: str, page: str | None, images: str | None, others: dict) -> None:
    gates = Prefilter(recipe.PrefilterConfig.model_validate(others), "weft")
    header, element = f"X-Robots-Tag: {said}", f'<meta name="robots" content="{said}">'
    for given, source in ((response("<p>x", X_Robots_Tag=said), header), (response(f"{element}<p>x"), element)):
        found = gates.apply(given)
        assert found.page == (Refusal(page, source) if page else None)
        if not found.page:
            assert found.images == (Refusal(images, source) if images else None)


def test_a_reservation_rejects_the_page() -> None:
    element = '<meta name="tdm-reservation" content="1">'
    assert Prefilter(recipe.PrefilterConfig()).refuse(response(element)) == Refusal(PAGE, element)
    assert Prefilter(recipe.PrefilterConfig()).refuse(response("", tdm_reservation="1")) == Refusal(
        PAGE, "tdm-reservation: 1"
    )


def test_directives_for_one_agent_apply_to_it_only() -> None:
    page = response(NOIMAGEAI, X_Robots_Tag="weft: noindex")
    assert Prefilter(recipe.PrefilterConfig(), "weft").apply(page).page == Refusal(PAGE, "X-Robots-Tag: weft: noindex")
    assert Prefilter(recipe.PrefilterConfig(), "other").apply(page) == PrefilterDecision()


def test_only_the_directives_of_the_recipe_count() -> None:
    gates = Prefilter(recipe.PrefilterConfig(directives=("noml", "noimageai")), "weft")
    assert gates.apply(response(NOAI + NOIMAGEAI)) == PrefilterDecision(images=Refusal(IMAGES, NOIMAGEAI))
    assert gates.apply(response(NOAI)) == PrefilterDecision()


def test_directives_of_a_page_in_utf_16_are_read() -> None:
    page = Response("http://host.example/", "", 0, 200, "text/html", None, [], NOAI.encode("utf-16"))
    assert Prefilter(recipe.PrefilterConfig()).refuse(page) == Refusal(PAGE, NOAI)


def test_a_page_that_forbids_its_images_is_kept_as_text(tmp_path: Path) -> None:
    image = '<figure><img src="/{0}.jpg" alt="{1}" width="600" height="400"></figure>'
    shown = "".join(f"<p>{ENGLISH * 3}</p>" + image.format(name, f"Children on the ice of {name}") for name in "aba")
    banner = image.format("banner", "A banner for a winter fair") + image.format("dumb", "")
    html = f"<html><head>{NOIMAGEAI}</head><body><nav>{banner}</nav><main>{shown}<p>{ENGLISH * 3}</p></main></body>"
    (tmp_path / "a.warc").write_bytes(record(html.encode()))
    store = Store(str(tmp_path / "out"))
    rows = {}
    for agent in ("weft", "other"):
        commit = extract_archive(str(tmp_path / "a.warc"), store, recipe.Extract(), agent)
        rows[agent] = {table: pq.read_table(store.at(path)).to_pylist() for table, path in commit["files"].items()}
    withheld, given = rows["weft"], rows["other"]
    texts = [block for block in given["pages"][0]["blocks"] if block["kind"] == "text"]
    assert withheld["pages"] == [{**given["pages"][0], "blocks": texts}] and len(texts) == 4
    assert withheld["captions"] == []
    addresses = [f"http://host.example/{name}.jpg" for name in ("a", "b", "banner")]
    told = [(r["step"], r["rule"], r["level"], r["url"], r["detail"]) for r in withheld["rejections"]]
    assert told == [("extract", "OPT_OUT", "image", address, NOIMAGEAI) for address in addresses]
    assert [r["image_id"] for r in withheld["rejections"]] == [image_id(address) for address in addresses]
    assert {r["page_id"] for r in withheld["rejections"]} == {given["pages"][0]["page_id"]}
    assert {r["image_url"] for r in given["captions"]} == set(addresses) and given["rejections"] == []


def test_another_agent_name_gives_another_output() -> None:
    made = [STEP.config(load("everything", [key])) for key in ("seed=0", "fetch.retries=9", "fetch.user_agent=other")]
    assert made[0] == made[1] and made[2] == {**made[0], "fetch": {"user_agent": "other"}} != made[0]


def record(body: bytes) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = (
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://host.example/\r\n"
        "WARC-Date: 2026-01-01T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


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
    with pytest.raises(PathError, match=r"extract\.prefilter\.blocklist: cannot read .*/none\.txt"):
        Prefilter(recipe.PrefilterConfig(blocklist=str(tmp_path / "none.txt")))


@pytest.mark.parametrize(
    ("assignments", "told"),
    [
        (["extract.prefilter.languages=[en]"], "languages and extract.prefilter.min_language_score .* need each other"),
        (["extract.prefilter.min_language_score=0.3"], "need each other"),
        (["extract.prefilter.require_image=true"], "require_image drops pages of the text corpus"),
        (["extract.prefilter.directives=[noia]"], "extract.prefilter.directives.0: .*'noai'"),
        (
            ["extract.prefilter.languages=[English]", "extract.prefilter.min_language_score=0.3"],
            "extract.prefilter.languages.0: ",
        ),
    ],
)
def test_impossible_recipes_are_an_error(assignments: list[str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load("everything", assignments)


def test_images_may_be_needed_where_no_corpus_wants_text_alone() -> None:
    assert load(
        "everything", ["extract.prefilter.require_image=true", "corpora=[interleaved]"]
    ).extract.prefilter.require_image
