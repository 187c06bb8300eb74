"""Write one shard: a tar whose bytes depend on its samples alone, and its index."""

import hashlib
import io
import tarfile
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.shard.sample import Sample
from pipeline.store import DRAFT, Store
from schemas.shards import INDEX, TRAIN, ShardEntry

_RECORD_BYTES = 10_240  # tar files end on a multiple of this (POSIX 1003.1, ustar interchange format)


def header(name: str, size: int) -> bytes:
    """Return a member's header. It carries no time, owner or machine, so equal samples give equal bytes."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


class ShardWriter:
    """Write samples one after the other; `close` makes the shard and its index appear."""

    def __init__(self, store: Store, corpus: str, split: str, number: int) -> None:
        self.store, self.corpus, self.split = store, corpus, split
        within = corpus if split == TRAIN else split
        self.name = f"{within}/{corpus}-{number:05d}"
        folder = store.at("shards", within)
        store.fs.makedirs(folder, exist_ok=True)
        self.path = f"{store.at('shards')}/{self.name}.tar"
        self.draft = f"{folder}/{DRAFT}{corpus}-{number:05d}.tar"
        self.file: BinaryIO = store.fs.open(self.draft, "wb")
        self.sha256 = hashlib.sha256()
        self.num_bytes = 0
        self.rows: list[dict[str, Any]] = []

    def add(self, sample: Sample) -> None:
        """Append a sample's members."""
        members = []
        for name, data in sample.members:
            self._put(header(f"{sample.key}.{name}", len(data)))
            members.append({"name": name, "offset": self.num_bytes, "size": len(data)})
            self._put(data)
            self._put(bytes(-len(data) % tarfile.BLOCKSIZE))
        self.rows.append({**sample.index, "members": members})

    def close(self) -> ShardEntry:
        """End the tar, write its index, and return the shard's entry in the listing."""
        self._put(bytes(2 * tarfile.BLOCKSIZE))
        self._put(bytes(-self.num_bytes % _RECORD_BYTES))
        self.file.close()
        index = self._index()
        self.store.write(f"{self.store.at('shards')}/{self.name}.index.parquet", index)
        self.store.fs.mv(self.draft, self.path)
        return {
            "corpus": self.corpus,
            "split": self.split,
            "tar": f"{self.name}.tar",
            "index": f"{self.name}.index.parquet",
            "num_samples": len(self.rows),
            "num_images": sum(len(r["widths"]) for r in self.rows),
            "num_bytes": self.num_bytes,
            "sha256": self.sha256.hexdigest(),
            "index_sha256": hashlib.sha256(index).hexdigest(),
        }

    def _put(self, data: bytes) -> None:
        self.file.write(data)
        self.sha256.update(data)
        self.num_bytes += len(data)

    def _index(self) -> bytes:
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_batches([INDEX.batch(self.rows)]), buffer, compression="zstd")
        return buffer.getvalue()
