"""What a shard holds: a plain WebDataset tar, beside it a Parquet index, and over all of them `shards.json`.

    shards/shards.json                          the listing: every shard with its counts, sizes and SHA-256 sums
    shards/interleaved/interleaved-00000.tar    KEY.json, KEY.0.jpg, KEY.1.jpg, ...
    shards/caption/caption-00000.tar            KEY.jpg, KEY.json, KEY.txt
    shards/text/text-00000.tar                  KEY.json, KEY.txt
    shards/validation/text-00000.tar            what is held out of a corpus, likewise
    shards/*/NAME.index.parquet                 one row for each sample: where its members lie, and what it measures
    shards/README.md, shards/croissant.json     what they are, for people and for machines, once `weft card` was run
    tokenizer/tokenizer.json                    beside them, once one was trained: what it says of itself, its Counted

The JSON never holds null, and a key always has the same type: readers that infer a schema from the first samples
(Hugging Face datasets) would otherwise fail on a later one. Unknown strings are "", unknown numbers 0.
"""

from typing import TypedDict

import pyarrow as pa

from schemas.tables import Column, Table

LISTING = "shards.json"
CARD, CROISSANT = "README.md", "croissant.json"
VERSION = 2  # 2: `split`; who does not know it would learn from what is held out
TRAIN, VALIDATION = "train", "validation"
TOKENIZER, TOKENIZER_ABOUT = "tokenizer", "tokenizer.json"


class PageFields(TypedDict):
    """What every sample's JSON says of the page that it came from."""

    key: str
    page_id: str
    url: str
    host: str
    captured_at: str
    language: str
    language_score: float
    title: str


class Block(TypedDict):
    """One block of an interleaved document. `image` names the member: block 3 with image "0.jpg" is KEY.0.jpg."""

    kind: str  # "text" or "image"
    text: str  # "" in image blocks
    image: str  # "" in text blocks
    image_id: str
    image_url: str
    alt: str
    caption: str
    score: float  # best CLIP score against the page's text; 0.0 when not scored


class InterleavedFields(PageFields):
    num_images: int
    num_words: int
    blocks: list[Block]


class CaptionFields(PageFields):
    image_id: str
    image_url: str
    sha256: str
    width: int
    height: int
    score: float


class TextFields(PageFields):
    num_words: int


class ShardEntry(TypedDict):
    """One shard in `shards.json`; paths are relative to it."""

    corpus: str
    split: str  # TRAIN, or VALIDATION: held out, samples of pages whose hosts stand in no other split
    tar: str
    index: str
    num_samples: int
    num_images: int
    num_bytes: int
    sha256: str
    index_sha256: str


class Listing(TypedDict):
    version: int
    shards: list[ShardEntry]


class Counted(TypedDict):
    """What a tokenizer made of the first samples of a corpus: `counted` in its tokenizer.json holds one for each."""

    samples: int
    characters: int  # as in the index
    tokens: int  # of the text; special tokens and image slots are not counted


MEMBER = pa.struct([pa.field("name", pa.string()), pa.field("offset", pa.int64()), pa.field("size", pa.int64())])

INDEX = Table(
    "index",
    "a sample of the shard, in the order of the tar",
    (
        Column("key", pa.string(), "key of the sample"),
        Column(
            "members", pa.list_(MEMBER), "name after the key ('json', '0.jpg'), offset of its bytes in the tar, size"
        ),
        Column("language", pa.string(), "ISO 639 code"),
        Column("host", pa.string(), "host of the page"),
        Column("num_words", pa.int32(), "words of the sample's text"),
        Column("num_characters", pa.int32(), "code points of the sample's text"),
        Column("widths", pa.list_(pa.int32()), "of its images, in order [pixels]"),
        Column("heights", pa.list_(pa.int32()), "of its images, in order [pixels]"),
        Column("scores", pa.list_(pa.float32()), "of its images, in order; empty when nothing was scored"),
    ),
)
