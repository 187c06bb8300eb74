"""A small writer of shards for tests, which uses schemas/shards.py only, not the pipeline."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from schemas.shards import INDEX, LISTING, TRAIN, VERSION
from schemas.tables import digest

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 60), "blue": (40, 60, 220), "yellow": (240, 210, 40)}


def drawing(colour: str, number: int, side: int = 48) -> bytes:
    """Draw a disc of a colour, at a position that depends on the number, as a JPEG."""
    image = Image.new("RGB", (side + number % 3 * 8, side), (245, 245, 245))
    x = 4 + number * 5 % 12
    ImageDraw.Draw(image).ellipse((x, 8, x + side - 20, side - 12), fill=COLOURS[colour])
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return data.getvalue()


def page(key: str) -> dict[str, Any]:
    return {
        "key": key, "page_id": key, "url": f"http://example.org/{key}", "host": "example.org",
        "captured_at": "2024-01-01T00:00:00Z", "language": "en", "language_score": 1.0, "title": "",
    }  # fmt: skip


def text_sample(key: str, text: str) -> tuple[str, dict[str, bytes]]:
    fields = {**page(key), "num_words": len(text.split())}
    return key, {"json": json.dumps(fields).encode(), "txt": text.encode()}


def caption_sample(key: str, caption: str, image: bytes) -> tuple[str, dict[str, bytes]]:
    fields = {
        **page(key),
        "image_id": digest(key),
        "image_url": "",
        "sha256": "",
        "width": 0,
        "height": 0,
        "score": 0.0,
    }
    return key, {"jpg": image, "json": json.dumps(fields).encode(), "txt": caption.encode()}


def interleaved_sample(key: str, parts: list[str | bytes]) -> tuple[str, dict[str, bytes]]:
    """Make a document of texts (str) and images (bytes)."""
    images = [part for part in parts if isinstance(part, bytes)]
    empty = {"text": "", "image": "", "image_id": "", "image_url": "", "alt": "", "caption": "", "score": 0.0}
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, bytes):
            blocks.append({**empty, "kind": "image", "image": f"{images.index(part)}.jpg"})
        else:
            blocks.append({**empty, "kind": "text", "text": part})
    fields = {**page(key), "num_images": len(images), "num_words": 0, "blocks": blocks}
    return key, {"json": json.dumps(fields).encode(), **{f"{i}.jpg": image for i, image in enumerate(images)}}


def write_shards(
    folder: Path, corpora: dict[str, list[tuple[str, dict[str, bytes]]]], per_shard: int = 16, split: str = TRAIN
) -> Path:
    """Write corpora as shards of `per_shard` samples with their indexes; the listing keeps other splits."""
    listing = folder / LISTING
    entries = json.loads(listing.read_text())["shards"] if listing.exists() else []
    entries = [entry for entry in entries if entry["split"] != split]
    for corpus, samples in corpora.items():
        (folder / corpus).mkdir(parents=True, exist_ok=True)
        for number, first in enumerate(range(0, len(samples), per_shard)):
            name = f"{corpus}-{number:05d}" if split == TRAIN else f"{split}-{number:05d}"
            entries.append(_write_shard(folder, corpus, name, samples[first : first + per_shard], split))
    listing.write_text(json.dumps({"version": VERSION, "shards": entries}))
    return folder


def _write_shard(
    folder: Path, corpus: str, name: str, samples: list[tuple[str, dict[str, bytes]]], split: str
) -> dict[str, Any]:
    tar_path, index_path = folder / corpus / f"{name}.tar", folder / corpus / f"{name}.index.parquet"
    with tarfile.open(tar_path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            for member, data in members.items():
                info = tarfile.TarInfo(f"{key}.{member}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    with tarfile.open(tar_path) as tar:
        places = {m.name: (m.offset_data, m.size) for m in tar.getmembers()}
    rows = [
        {
            "key": key,
            "members": [
                {"name": m, "offset": places[f"{key}.{m}"][0], "size": places[f"{key}.{m}"][1]} for m in members
            ],
            "language": "en", "host": "example.org", "num_words": 0, "num_characters": 0,
            "widths": [], "heights": [], "scores": [],
        }
        for key, members in samples
    ]  # fmt: skip
    pq.write_table(INDEX.batch(rows).schema.empty_table().from_batches([INDEX.batch(rows)]), index_path)
    return {
        "corpus": corpus, "split": split, "tar": f"{corpus}/{tar_path.name}", "index": f"{corpus}/{index_path.name}",
        "num_samples": len(samples), "num_images": sum(m.endswith("jpg") for _, ms in samples for m in ms),
        "num_bytes": tar_path.stat().st_size, "sha256": _sha256(tar_path), "index_sha256": _sha256(index_path),
    }  # fmt: skip


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
