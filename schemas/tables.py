"""Every table that a run writes: its identifiers, what a row means, and the type and doc of each column."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from schemas.errors import SchemaError

Batches = Iterator[pa.RecordBatch]
CAPTURE = ("page_id", "warc_file", "warc_offset")  # the key of one archived capture of a page
ID_LENGTH = 32  # hex characters: 128 bits, enough for 10^15 rows at a collision chance below 10^-8


def digest(*parts: str | bytes) -> str:
    """Return the first 128 bits of the SHA-256 of the parts, in hex; parts cannot run into each other."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "big"))
        h.update(data)
    return h.hexdigest()[:ID_LENGTH]


def page_id(url: str, captured_at: str, body: bytes) -> str:
    """Identify one capture of a page by its address, its time (WARC-Date as written) and its decoded body."""
    return digest("page", url, captured_at, hashlib.sha256(body).digest())


def image_id(image_url: str) -> str:
    """Identify an image by its absolute address."""
    return digest("image", image_url)


def text_id(text: str) -> str:
    """Identify a text, so that one that stands on many pages is embedded once."""
    return digest("text", text)


def caption_key(image: str, caption: str) -> str:
    """Key a caption sample by the image's id and the words beside it."""
    return digest("caption", image, caption)


def fraction(seed: int, *parts: str) -> float:
    """Return a number in [0, 1) that is a pure function of the seed and the parts: a coin that always falls alike."""
    return int(digest(str(seed), *parts)[:13], 16) / 16**13  # 52 bits fit a double exactly


def order(seed: int, key: str) -> str:
    """Return the sort key of the global shuffle: samples sorted by it stand in a random but fixed order."""
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
        """The Arrow schema, each field carrying its doc as metadata."""
        return pa.schema([pa.field(c.name, c.type, c.nullable, {"doc": c.doc}) for c in self.columns])

    def batch(self, rows: list[dict]) -> pa.RecordBatch:  # type: ignore[type-arg]
        """Make a batch of rows.

        Raises: SchemaError when a row lacks a column, has one too many, or a value does not fit its type.
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
    "reading order; kind is 'text' (text set) or 'image' (image_url set; alt, caption and the declared width and "
    "height in pixels where the page gives them)"
)

_PAGE = (
    Column("page_id", pa.string(), "content-derived id of the capture, see schemas/tables.py"),
    Column("url", pa.string(), "address of the page, as captured"),
    Column("host", pa.string(), "host name of the address, lower case"),
    Column("warc_file", pa.string(), "the archive that holds the capture"),
    Column("warc_offset", pa.int64(), "offset of its record in that file [bytes]"),
    Column("captured_at", pa.string(), "WARC-Date of the capture, ISO 8601 in UTC"),
)

PAGES = Table(
    "pages",
    "a page as extracted",
    (
        *_PAGE,
        Column("language", pa.string(), "ISO 639 code by lid.176; '' when the page has no text"),
        Column("language_score", pa.float32(), "its probability, 0 to 1"),
        Column("title", pa.string(), "title of the page, '' when it has none"),
        Column("license", pa.string(), "address of the license that the page states, '' when it states none"),
        Column("blocks", BLOCKS, BLOCKS_DOC),
    ),
)

CAPTIONS = Table(
    "captions",
    "an image with the words that the page gives it, anywhere on a page",
    (
        Column("image_id", pa.string(), "id of the image's address"),
        Column("image_url", pa.string(), "absolute address of the image"),
        Column(
            "caption",
            pa.string(),
            "the alt text, or else the figure's caption, or else the title, whichever first is usable; without "
            "markup, counters and 'image of', white space folded; never empty",
        ),
        Column("page_id", pa.string(), "the page that it stands on"),
    ),
)

MEASURES = Table(
    "measures",
    "what the filters that the recipe turns on measured on a page, kept so that a threshold can be retuned",
    (
        Column("page_id", pa.string(), "the page"),
        Column("warc_file", pa.string(), "the archive that holds the capture"),
        Column("warc_offset", pa.int64(), "offset of its record [bytes]"),
        Column("measures", pa.map_(pa.string(), pa.float64()), "measure name to value"),
        Column("reasons", pa.list_(pa.string()), "every reason to drop the page; empty when it stays"),
    ),
)

IMAGE_STATUS = (
    "ok", "dns", "private_address", "robots", "opt_out", "http_4xx", "http_429", "http_5xx", "timeout",
    "unreachable", "too_large", "too_few_bytes", "not_an_image", "unwanted_format", "undecodable", "stalled",
    "too_small", "too_long_side", "single_colour", "aspect_ratio", "too_many_pixels",
)  # fmt: skip

IMAGES = Table(
    "images",
    "one distinct image address that was asked for",
    (
        Column("image_id", pa.string(), "id of the address"),
        Column("image_url", pa.string(), "absolute address"),
        Column("status", pa.string(), "'ok' or the class of failure, one of: " + ", ".join(IMAGE_STATUS)),
        Column("error", pa.string(), "what the server, socket or decoder said; null when ok", nullable=True),
        Column("sha256", pa.string(), "of the bytes as fetched, hex; null when none came", nullable=True),
        Column("original_bytes", pa.int64(), "size as fetched [bytes]; null when none came", nullable=True),
        Column("phash", pa.string(), "64-bit perceptual hash, hex; null when not decoded", nullable=True),
        Column("original_width", pa.int32(), "as fetched [pixels]; null when the header gave none", nullable=True),
        Column("original_height", pa.int32(), "as fetched [pixels]; null when the header gave none", nullable=True),
        Column("width", pa.int32(), "as stored [pixels]; null unless ok", nullable=True),
        Column("height", pa.int32(), "as stored [pixels]; null unless ok", nullable=True),
        Column("num_bytes", pa.int64(), "size of the stored JPEG; null unless ok", nullable=True),
        Column("bytes", pa.binary(), "the stored JPEG; null unless ok", nullable=True),
    ),
)

SCORES = Table(
    "scores",
    "one (image, text) pair that was scored",
    (
        Column("image_id", pa.string(), "the image"),
        Column("text_id", pa.string(), "the text, see schemas/tables.py"),
        Column("page_id", pa.string(), "the page on which they stand together"),
        Column(
            "block",
            pa.int32(),
            "index of the text block on the page, rejected paragraphs left out; -1 for the image's alt text",
        ),
        Column("sentence", pa.int32(), "index of the sentence in its block; -1 for the whole block or alt text"),
        Column(
            "score",
            pa.float32(),
            "cosine similarity of the CLIP embeddings, rounded to 5 decimals; a text longer than CLIP's window has "
            "that of its best sentence",
        ),
    ),
)

SAFETY = Table(
    "safety",
    "how unsafe the recipe's classifier (clip.safety) takes an image to be",
    (
        Column("image_id", pa.string(), "the image"),
        Column("unsafe", pa.float32(), "0 to 1, rounded to 5 decimals; null when it cannot be decoded", nullable=True),
    ),
)

EMBEDDINGS = Table(
    "embeddings",
    "what CLIP makes of one distinct image or text, kept when the recipe's clip.keep_embeddings asks for it",
    (
        Column("id", pa.string(), "the image, or the text; of a text longer than CLIP's window, text_id of a sentence"),
        Column("kind", pa.string(), "'image' or 'text'"),
        Column("embedding", pa.list_(pa.float16()), "of length 1"),
    ),
)

NEAR_DUPLICATE_IMAGES = Table(
    "near_duplicate_images",
    "an image that looks like others, written when the recipe's dedup.phash_distance compares them",
    (
        Column("image_id", pa.string(), "the image"),
        Column("cluster", pa.string(), "the cluster that it belongs to: the smallest of its perceptual hashes"),
    ),
)

CORPORA = ("interleaved", "caption", "text")

DOCUMENT_BLOCKS = _block(pa.field("image_id", pa.string()), pa.field("score", pa.float32()))

DOCUMENTS = Table(
    "documents",
    "a sample after every filter",
    (
        Column(
            "key", pa.string(), "key of the sample in its shard: the page_id, or for a caption see schemas/tables.py"
        ),
        Column("corpus", pa.string(), "one of: " + ", ".join(CORPORA)),
        *_PAGE,
        Column("language", pa.string(), "ISO 639 code by lid.176"),
        Column("language_score", pa.float32(), "its probability, 0 to 1"),
        Column("title", pa.string(), "title of the page"),
        Column("blocks", DOCUMENT_BLOCKS, BLOCKS_DOC + "; image blocks carry image_id and their best CLIP score"),
    ),
)

LEVELS = ("record", "page", "document", "paragraph", "image", "caption")

REJECTIONS = Table(
    "rejections",
    "one thing that was left behind, and the rule that took it",
    (
        Column("step", pa.string(), "the step that dropped it"),
        Column("rule", pa.string(), "reason code, one of schemas/reasons.py"),
        Column(
            "level",
            pa.string(),
            "what was dropped: 'record' (a stretch of an archive, or a response that is no page), 'page' (the page, "
            "from every corpus), 'document' (the interleaved form of a page; its text may go on), 'paragraph' (a text "
            "block of a page, which stays without it), 'image' or 'caption' (a pair)",
        ),
        Column("page_id", pa.string(), "the page, where one is meant", nullable=True),
        Column("image_id", pa.string(), "the image, where one is meant", nullable=True),
        Column("url", pa.string(), "address of the page or image, where known", nullable=True),
        Column("warc_file", pa.string(), "the archive, where known", nullable=True),
        Column("warc_offset", pa.int64(), "offset in it [bytes], where known", nullable=True),
        Column("block", pa.int32(), "of a paragraph, its index among the page's blocks as extracted", nullable=True),
        Column("measure", pa.float64(), "the measured value, where the rule measures", nullable=True),
        Column("threshold", pa.float64(), "the bound it missed, where the rule has one", nullable=True),
        Column("detail", pa.string(), "the rest in words: the survivor of a duplicate, an error", nullable=True),
    ),
)


def rejection(step: str, rule: str, level: str, **known: object) -> dict[str, object]:
    """Return one row of `rejections`; columns that are not given are null."""
    row: dict[str, object] = dict.fromkeys((c.name for c in REJECTIONS.columns), None)
    return {**row, "step": step, "rule": rule, "level": level, **known}


@dataclass(frozen=True)
class StepSpec:
    """A step as the readers of its output know it.

    folder: where its manifest is, and most of its parts, below the output
    tables: what its manifest lists; `shards` are no table
    inputs: the steps whose output it reads
    unit:   what it commits at a time: a killed run repeats no more than that
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
"""The one table of steps, in their order."""


def step_of(table: Table) -> StepSpec:
    """Return the step that writes a table; every step writes its own `rejections`. Raises: KeyError for that one."""
    return {t.name: step for step in STEPS.values() for t in step.tables if t is not REJECTIONS}[table.name]
