"""The assemble step: which captions and images are selected by scores, limits and the classifier, and where
images are placed."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fetching import rows
from handmade import commit, picture, row, text

from jobs import assemble
from jobs.recipes import load
from jobs.step import Context
from pipeline.io.store import Store
from schemas.errors import RecipeError
from schemas.tables import CAPTIONS, IMAGES, NEAR_DUPLICATE_IMAGES, PAGES, SAFETY, SCORES, image_id, text_id

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BASE = ["assemble.min_interspersed_fraction=0", "assemble.single_image_keep_fraction=1", "score.min_caption_score=null"]
SCORED = {  # (image, caption): score, pages
    ("a", "one"): (0.5, "pq"),
    ("a", "two"): (0.3, "p"),
    ("a", "three"): (0.2, "p"),
    ("b", "one"): (0.4, "q"),
    ("b", "two"): (0.3, "q"),
    ("c", "one"): (0.45, "q"),
    ("c", "odd"): (None, "q"),
}
UNSAFE = {"a": 0.5, "b": 0.75, "c": None}
PAGES_MADE = {  # letters are images, words are texts
    "p": ["a", "One sentence. Two sentences.", "b", "c", "Three."],
    "q": ["c", "Four."],
    "r": ["a", "Five."],
}
OF_PAGES = {  # (page, image): score with each sentence of the page, in order
    ("p", "a"): (0.25, 0.5, 0.125),
    ("p", "b"): (0.25, 0.625, 0.125),
    ("p", "c"): (0.125, 0.25, 0.1875),
    ("q", "c"): (0.25,),
    ("r", "a"): (0.5,),
}
PLACES = {"p": [(1, 0), (1, 1), (4, 0)], "q": [(1, 0)], "r": [(1, 0)]}


def url(image: str) -> str:
    return f"http://x/{image}"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    store, alt = Store(str(tmp_path)), {"block": -1, "sentence": -1}
    blocks = {p: [picture(url(b)) if len(b) == 1 else text(b) for b in made] for p, made in PAGES_MADE.items()}
    captions = [
        row(CAPTIONS, image_id=image_id(url(i)), image_url=url(i), caption=c, page_id=p)
        for (i, c), (_, pages) in SCORED.items()
        for p in pages
    ]
    scores = [
        row(SCORES, image_id=image_id(url(i)), text_id=text_id(c), page_id=p, **alt, score=score)
        for (i, c), (score, pages) in SCORED.items()
        for p in pages
        if score is not None
    ]
    scores += [
        row(SCORES, image_id=image_id(url(i)), text_id="t", page_id=p, block=b, sentence=s, score=score)
        for (p, i), found in OF_PAGES.items()
        for (b, s), score in zip(PLACES[p], found, strict=True)
    ]
    safety = [row(SAFETY, image_id=image_id(url(i)), unsafe=unsafe) for i, unsafe in UNSAFE.items()]
    looks = [row(NEAR_DUPLICATE_IMAGES, image_id=image_id(url(i)), cluster="same") for i in "ab"]
    pages = [row(PAGES, page_id=p, warc_file=p, captured_at=p, blocks=of_page) for p, of_page in blocks.items()]
    images = [row(IMAGES, image_id=image_id(url(i)), image_url=url(i), status="ok") for i in "abc"]
    commit(store, "pages", "extract", {PAGES: pages, CAPTIONS: captions})
    commit(store, "measures", "filter")
    commit(store, "images", "fetch", {IMAGES: images})
    commit(store, "rejections/dedup", "dedup", {NEAR_DUPLICATE_IMAGES: looks})
    commit(store, "scores", "score", {SCORES: scores, SAFETY: safety})
    return tmp_path


def assembled(output: Path, spark: "SparkSession", *assignments: str) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """Return the layout of each page, the caption pairs by corpus, and the rejections."""
    recipe = load("kosmos1", [*BASE, *assignments])
    assemble.STEP.work(Context(spark, Store(str(output)), recipe, ()))
    found: dict[str, Any] = {"caption": set()}
    for document in rows(output, "documents"):
        layout = [b["text"] or b["image_url"][-1] for b in document["blocks"]]
        if document["corpus"] == "caption":
            found["caption"].add(tuple(layout))
        else:
            found[document["page_id"]] = layout
    names = {image_id(url(i)): i for i in "abc"}
    ledger = [(r["rule"], names.get(r["image_id"]), r["page_id"], r["detail"], r["measure"], r["threshold"])
              for r in rows(output, "rejections/assemble")]  # fmt: skip
    return found, sorted(ledger, key=str)


def test_the_best_fraction_of_captions_is_kept(output: Path, spark: "SparkSession") -> None:
    found, ledger = assembled(output, spark, "corpora=[caption]", "score.max_caption_fraction=0.6")
    # Six pairs have a score. The fourth best has .3, and so has the fifth.
    assert found == {"caption": {("a", "one"), ("c", "one"), ("b", "one"), ("a", "two"), ("b", "two")}}
    bound = pytest.approx(0.3)
    assert [e for e in ledger if e[0] != "NO_CORPUS"] == [
        ("LOW_CAPTION_SCORE", "a", "p", "three", pytest.approx(0.2), bound),
        ("LOW_CAPTION_SCORE", "c", "q", "odd", None, bound),
    ]
    both = ("score.max_caption_fraction=0.6", "score.min_caption_score=0.42")
    assert assembled(output, spark, "corpora=[caption]", *both)[0] == {"caption": {("a", "one"), ("c", "one")}}


def test_captions_of_an_image_and_images_of_a_caption_are_limited(output: Path, spark: "SparkSession") -> None:
    caps = ("assemble.max_image_captions=1", "assemble.max_caption_images=2")
    found, ledger = assembled(output, spark, "corpora=[caption]", *caps)
    assert found == {"caption": {("a", "one"), ("c", "one")}}
    assert [e for e in ledger if e[0] != "NO_CORPUS"] == [
        ("OVERUSED_CAPTION", "b", "q", "one", 3, 2),
        ("TOO_MANY_CAPTIONS", "a", "p", "three", 3, 1),
        ("TOO_MANY_CAPTIONS", "a", "p", "two", 2, 1),
        ("TOO_MANY_CAPTIONS", "b", "q", "two", 2, 1),
        ("TOO_MANY_CAPTIONS", "c", "q", "odd", 2, 1),
    ]


SAFE = ("clip.safety=head.safetensors", "score.max_unsafe_score=0.5")


def test_unsafe_and_unclassified_images_are_dropped(output: Path, spark: "SparkSession") -> None:
    found, ledger = assembled(output, spark, *SAFE)
    assert found == {
        "p": ["a", "One sentence. Two sentences.", "Three."],
        "q": ["Four."],
        "r": ["a", "Five."],
        "caption": {("a", "one"), ("a", "two"), ("a", "three")},
    }
    assert ledger == [("UNSAFE_IMAGE", "b", None, None, 0.75, 0.5), ("UNSAFE_IMAGE", "c", None, None, None, 0.5)]


def test_an_unsafe_image_drops_its_page(output: Path, spark: "SparkSession") -> None:
    found, ledger = assembled(output, spark, *SAFE, "score.unsafe_drops=page")
    assert found == {"r": ["a", "Five."], "caption": set()}
    gone = {(rule, page, detail) for rule, _, page, detail, _, _ in ledger if rule == "UNSAFE_PAGE"}
    first = min(image_id(url("b")), image_id(url("c")))
    assert gone == {("UNSAFE_PAGE", "p", first), ("UNSAFE_PAGE", "q", image_id(url("c")))}


def test_images_are_before_their_assigned_sentences(output: Path, spark: "SparkSession") -> None:
    settings = ("clip.texts=sentences", "assemble.placement=assignment", "corpora=[interleaved]")
    found, ledger = assembled(output, spark, *settings)
    # .25 + .625 + .1875 is the highest sum, though a's own best sentence is b's.
    assert found["p"] == ["a", "One sentence.", "b", "Two sentences.", "c", "Three."]
    assert (found["q"], ledger) == (["c", "Four."], [])
    found, ledger = assembled(output, spark, *settings, "score.min_image_score=0.3")
    assert found["p"] == ["a", "One sentence.", "b", "Two sentences.", "Three."]
    assert ledger[0] == ("LOW_SCORE", "c", "p", None, 0.25, pytest.approx(0.3))


def test_of_lookalikes_one_stays_on_each_page(output: Path, spark: "SparkSession") -> None:
    settings = ("dedup.phash_distance=4", "dedup.keep_near_duplicate_images=one_a_page", "corpora=[interleaved]")
    found, ledger = assembled(output, spark, *settings)
    assert found["p"] == ["a", "One sentence. Two sentences.", "c", "Three."]
    assert found["r"] == ["a", "Five."]
    assert ledger == [("REPEATED_IMAGE", "b", "p", image_id(url("a")), None, None)]


def test_personal_data_is_removed_from_every_text(tmp_path: Path, spark: "SparkSession") -> None:
    store = Store(str(tmp_path))
    shown = {**picture(url("a")), "alt": "by jo@x.org", "caption": "call +49 30 901820"}
    page = row(PAGES, page_id="p", title="jo@x.org", blocks=[shown, text("Write to jo@x.org today.")])
    caption = row(CAPTIONS, image_id=image_id(url("a")), image_url=url("a"), caption="by jo@x.org", page_id="p")
    commit(store, "pages", "extract", {PAGES: [page], CAPTIONS: [caption]})
    commit(store, "measures", "filter")
    commit(
        store, "images", "fetch", {IMAGES: [row(IMAGES, image_id=image_id(url("a")), image_url=url("a"), status="ok")]}
    )
    commit(store, "rejections/dedup", "dedup")
    commit(store, "scores", "score")
    found, _ = assembled(tmp_path, spark, "clip.enabled=false", "redact.email=true")
    assert found == {"p": ["a", "Write to <email> today."], "caption": {("a", "by <email>")}}
    document = next(d for d in rows(tmp_path, "documents") if d["corpus"] == "interleaved")
    assert (document["title"], document["blocks"][0]["alt"]) == ("<email>", "by <email>")
    assert document["blocks"][0]["caption"] == "call +49 30 901820", "the recipe did not ask for phone numbers"


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["assemble.placement=assignment"], "needs clip.enabled and clip.texts=sentences"),
        (["score.max_unsafe_score=0.5"], "needs clip.enabled and clip.safety"),
        ([*SAFE, "clip.enabled=false"], "needs clip.enabled and clip.safety"),
    ],
)
def test_settings_that_require_others(assignments: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load("kosmos1", assignments)
