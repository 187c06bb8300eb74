"""All tables that a run writes: identifiers, the meaning of a row, the type and doc of each column; and the steps."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

from schemas.errors import SchemaError

Batches = Iterator[pa.RecordBatch]
CAPTURE = ("page_id", "warc_file", "warc_offset")  # the key of one archived capture of a page
ID_LENGTH = 32  # hex characters, 128 bits: a collision probability below 10^-8 at 10^15 rows


def digest(*parts: str | bytes) -> str:
    """Return the first 128 bits, in hex, of the SHA-256 of the length-prefixed parts."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    return h.hexdigest()[:ID_LENGTH]


def page_id(url: str, captured_at: str, body: bytes) -> str:
    """Return the id of a page's capture from its URL, its time (WARC-Date as written) and its decoded body."""
    return digest("page", url, captured_at, hashlib.sha256(body).digest())


def image_id(image_url: str) -> str:
    """Return the id of an image from its absolute URL."""
    return digest("image", image_url)


def text_id(text: str) -> str:
    """Return the id of a text, so that a text on many pages is embedded only once."""
    return digest("text", text)


def caption_key(image: str, caption: str) -> str:
    """Return the key of a caption sample from its image_id and caption."""
    return digest("caption", image, caption)


def fraction(seed: int, *parts: str) -> float:
    """Return a reproducible pseudo-random number in [0, 1) from the seed and the parts."""
    return int(digest(str(seed), *parts)[:13], 16) / 16**13  # 52 bits fit a double exactly


def order(seed: int, key: str) -> str:
    """Return a sample's sort key in the global shuffle: a random but fixed order."""
    return digest("order", str(seed), key)


@dataclass(frozen=True)
class Column:
    name: str
    type: pa.DataType
    doc: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    name: str
    row: str
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema; each field has its doc as metadata."""
        return pa.schema([pa.field(c.name, c.type, c.nullable, {"doc": c.doc}) for c in self.columns])

    def batch(self, rows: list[dict]) -> pa.RecordBatch:  # type: ignore[type-arg]
        """Make a batch from rows.

        Raises: SchemaError when a row lacks a column or has an extra one, or a value does not fit its type.
        """
        names = {c.name for c in self.columns}
        for row in rows:
            if row.keys() != names:
                raise SchemaError(f"{self.name}: a row's columns differ from the table's: {sorted(row.keys() ^ names)}")
        try:
            return pa.RecordBatch.from_pylist(rows, schema=self.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise SchemaError(f"{self.name}: {error}") from error


def _block(*extra: pa.Field) -> pa.DataType:
    return pa.list_(
        pa.struct(
            [
                pa.field("kind", pa.string()),
                pa.field("text", pa.string()),
                pa.field("image_url", pa.string()),
                pa.field("alt", pa.string()),
                pa.field("caption", pa.string()),
                pa.field("width", pa.int32()),
                pa.field("height", pa.int32()),
                *extra,
            ]
        )
    )


BLOCKS = _block()
BLOCKS_DOC = (
    "in reading order; kind is 'text' (with text) or 'image' (with image_url; alt, caption and the declared width and "
    "height in pixels if the page has them)"
)

_PAGE = (
    Column("page_id", pa.string(), "content-derived id of the capture, see schemas/tables.py"),
    Column("url", pa.string(), "URL of the page, as captured"),
    Column("host", pa.string(), "host name of the URL, lower case"),
    Column("warc_file", pa.string(), "archive of the capture"),
    Column("warc_offset", pa.int64(), "offset of its record in that archive [bytes]"),
    Column("captured_at", pa.string(), "WARC-Date of the capture, ISO 8601 in UTC"),
)

PAGES = Table(
    "pages",
    "an extracted page",
    (
        *_PAGE,
        Column("language", pa.string(), "ISO 639 code by lid.176; '' when the page has no text"),
        Column("language_score", pa.float32(), "its probability, 0 to 1"),
        Column("title", pa.string(), "title of the page, '' if none"),
        Column("license", pa.string(), "URL of the license that the page declares, '' if none"),
        Column("blocks", BLOCKS, BLOCKS_DOC),
    ),
)

CAPTIONS = Table(
    "captions",
    "an image with its caption, from anywhere on a page",
    (
        Column("image_id", pa.string(), "id of the image's URL"),
        Column("image_url", pa.string(), "absolute URL of the image"),
        Column(
            "caption",
            pa.string(),
            "the first usable of alt text, figure caption and title; without markup, counters and 'image of', white "
            "space normalized; never empty",
        ),
        Column("page_id", pa.string(), "the image's page"),
    ),
)

MEASURES = Table(
    "measures",
    "the measures of a page by the recipe's active filters, stored so that thresholds can be retuned",
    (
        Column("page_id", pa.string(), "the page"),
        Column("warc_file", pa.string(), "archive of the capture"),
        Column("warc_offset", pa.int64(), "offset of its record [bytes]"),
        Column("measures", pa.map_(pa.string(), pa.float64()), "measure name to value"),
        Column("reasons", pa.list_(pa.string()), "all reasons to drop the page; empty when it is kept"),
    ),
)

IMAGE_STATUS = (
    "ok", "dns", "private_address", "robots", "opt_out", "http_4xx", "http_429", "http_5xx", "timeout",
    "unreachable", "too_large", "too_few_bytes", "not_an_image", "unwanted_format", "undecodable", "stalled",
    "too_small", "too_long_side", "single_colour", "aspect_ratio", "too_many_pixels",
)  # fmt: skip

IMAGES = Table(
    "images",
    "one distinct image URL that was requested",
    (
        Column("image_id", pa.string(), "id of the URL"),
        Column("image_url", pa.string(), "absolute URL"),
        Column("status", pa.string(), "'ok' or the class of failure, one of: " + ", ".join(IMAGE_STATUS)),
        Column("error", pa.string(), "error of the server, socket or decoder; null when ok", nullable=True),
        Column("sha256", pa.string(), "SHA-256 of the fetched bytes, hex; null without any", nullable=True),
        Column("original_bytes", pa.int64(), "size as fetched [bytes]; null without any", nullable=True),
        Column("phash", pa.string(), "64-bit perceptual hash, hex; null when not decoded", nullable=True),
        Column("original_width", pa.int32(), "as fetched [pixels]; null when unknown", nullable=True),
        Column("original_height", pa.int32(), "as fetched [pixels]; null when unknown", nullable=True),
        Column("width", pa.int32(), "as stored [pixels]; null unless ok", nullable=True),
        Column("height", pa.int32(), "as stored [pixels]; null unless ok", nullable=True),
        Column("num_bytes", pa.int64(), "size of the stored JPEG [bytes]; null unless ok", nullable=True),
        Column("bytes", pa.binary(), "the stored JPEG; null unless ok", nullable=True),
    ),
)

SCORES = Table(
    "scores",
    "one scored (image, text) pair",
    (
        Column("image_id", pa.string(), "the image"),
        Column("text_id", pa.string(), "the text, see schemas/tables.py"),
        Column("page_id", pa.string(), "the page with both"),
        Column(
            "block",
            pa.int32(),
            "index of the text block on the page without rejected paragraphs; -1 for the image's alt text",
        ),
        Column("sentence", pa.int32(), "index of the sentence in its block; -1 for the full block or alt text"),
        Column(
            "score",
            pa.float32(),
            "cosine similarity of the CLIP embeddings, rounded to 5 decimals; for a text longer than CLIP's context, "
            "that of its best sentence",
        ),
    ),
)

SAFETY = Table(
    "safety",
    "the score of an image by the recipe's unsafe-image classifier (clip.safety)",
    (
        Column("image_id", pa.string(), "the image"),
        Column("unsafe", pa.float32(), "0 to 1, rounded to 5 decimals; null when not decodable", nullable=True),
    ),
)

EMBEDDINGS = Table(
    "embeddings",
    "the CLIP embedding of one distinct image or text, written with clip.keep_embeddings",
    (
        Column("id", pa.string(), "image_id or text_id; for a text longer than CLIP's context, text_id of a sentence"),
        Column("kind", pa.string(), "'image' or 'text'"),
        Column("embedding", pa.list_(pa.float16()), "embedding with norm 1"),
    ),
)

NEAR_DUPLICATE_IMAGES = Table(
    "near_duplicate_images",
    "an image with near-duplicates, written with dedup.phash_distance",
    (
        Column("image_id", pa.string(), "the image"),
        Column("cluster", pa.string(), "id of its cluster: the smallest perceptual hash in it"),
    ),
)

CORPORA = ("interleaved", "caption", "text")

DOCUMENT_BLOCKS = _block(pa.field("image_id", pa.string()), pa.field("score", pa.float32()))

DOCUMENTS = Table(
    "documents",
    "a sample after every filter",
    (
        Column("key", pa.string(), "key of the sample in its shard: page_id, or for captions see schemas/tables.py"),
        Column("corpus", pa.string(), "one of: " + ", ".join(CORPORA)),
        *_PAGE,
        Column("language", pa.string(), "ISO 639 code by lid.176"),
        Column("language_score", pa.float32(), "its probability, 0 to 1"),
        Column("title", pa.string(), "title of the page"),
        Column("blocks", DOCUMENT_BLOCKS, BLOCKS_DOC + "; image blocks have image_id and their best CLIP score"),
    ),
)

LEVELS = ("record", "page", "document", "paragraph", "image", "caption")

REJECTIONS = Table(
    "rejections",
    "one dropped item and the rule that dropped it",
    (
        Column("step", pa.string(), "the step that dropped it"),
        Column("rule", pa.string(), "reason code, one of schemas/reasons.py"),
        Column(
            "level",
            pa.string(),
            "kind of item: 'record' (a byte range of an archive, or a response that is not a page), 'page' (the page, "
            "from all corpora), 'document' (the interleaved form of a page; its text may be kept), 'paragraph' (a text "
            "block of a page), 'image' or 'caption' (an image-caption pair)",
        ),
        Column("page_id", pa.string(), "the page, if any", nullable=True),
        Column("image_id", pa.string(), "the image, if any", nullable=True),
        Column("url", pa.string(), "URL of the page or image, if known", nullable=True),
        Column("warc_file", pa.string(), "the archive, if known", nullable=True),
        Column("warc_offset", pa.int64(), "offset in the archive [bytes], if known", nullable=True),
        Column("block", pa.int32(), "index of a paragraph in the page's blocks as extracted", nullable=True),
        Column("measure", pa.float64(), "the measured value, if any", nullable=True),
        Column("threshold", pa.float64(), "the threshold of the rule, if any", nullable=True),
        Column("detail", pa.string(), "more details: the kept duplicate, an error message", nullable=True),
    ),
)


def rejection(step: str, rule: str, level: str, **known: object) -> dict[str, object]:
    """Return one row of `rejections`; columns not given are null."""
    row: dict[str, object] = dict.fromkeys((c.name for c in REJECTIONS.columns), None)
    return {**row, "step": step, "rule": rule, "level": level, **known}


StepName = Literal["extract", "filter", "fetch", "dedup", "score", "assemble", "shard"]


@dataclass(frozen=True)
class StepSpec:
    """A step and its output.

    folder: folder of its manifest and most of its parts, relative to the output
    tables: tables in its manifest; `shards` is not a table
    inputs: steps whose output it reads
    unit:   unit of commit: a killed run repeats at most one
    """

    name: str
    folder: str
    tables: tuple[Table, ...]
    inputs: tuple[str, ...]
    unit: str


STEPS: dict[str, StepSpec] = {
    step.name: step
    for step in (
        StepSpec("extract", "pages", (PAGES, CAPTIONS, REJECTIONS), (), "an archive"),
        StepSpec("filter", "measures", (MEASURES, REJECTIONS), ("extract",), "the step"),
        StepSpec("fetch", "images", (IMAGES, REJECTIONS), ("extract", "filter"), "fetch.commit_images images"),
        StepSpec(
            "dedup", "rejections/dedup", (REJECTIONS, NEAR_DUPLICATE_IMAGES), ("extract", "filter", "fetch"), "the step"
        ),
        StepSpec("score", "scores", (SCORES, SAFETY, EMBEDDINGS), ("extract", "filter", "fetch", "dedup"), "the step"),
        StepSpec(
            "assemble",
            "documents",
            (DOCUMENTS, REJECTIONS),
            ("extract", "filter", "fetch", "dedup", "score"),
            "the step",
        ),
        StepSpec("shard", "shards", (), ("fetch", "assemble"), "the step"),
    )
}
"""The table of steps, in execution order."""


def step_of(table: Table) -> StepSpec:
    """Return the step that writes a table. Raises: KeyError for `rejections`, which every step writes."""
    return {t.name: step for step in STEPS.values() for t in step.tables if t is not REJECTIONS}[table.name]
