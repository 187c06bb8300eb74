"""The files that a report reads: those of a run's finished steps, or those of a shards folder alone."""

from typing import NamedTuple

from pipeline.lookup import Lookup
from pipeline.stats import locate, read_listing
from pipeline.store import Manifest
from schemas.errors import PathError
from schemas.ids import digest
from schemas.shards import Listing, ShardEntry
from schemas.tables import CORPORA, DOCUMENTS, IMAGES, LOOKALIKES, PAGES, REJECTIONS, SAFETY, SCORES, Table

MAX_SHARDS = 2000
_TALLIED = (PAGES, IMAGES, SCORES, SAFETY)


class Source(NamedTuple):
    """A file: what it holds, of which step or corpus, and its path as the store's file system takes it."""

    kind: str
    of: str
    path: str


class Sources:
    """What of a run is there to be told. Raises: PathError where nothing of a run is there."""

    def __init__(self, directory: str) -> None:
        self.run: Lookup | None = None
        try:
            self.run = Lookup(directory)
        except PathError as nothing:
            try:
                self.store, self.folder = locate(directory)
            except PathError:
                raise nothing from None
            self.listing: Listing | None = read_listing(self.store, self.folder)
        else:
            self.store, self.folder = self.run.store, "shards"
            self.listing = read_listing(self.store, self.folder) if "shard" in self.manifests else None
        self.directory = directory

    def _at(self, path: str) -> str:
        return self.store.at(*filter(None, (self.folder, path)))

    @property
    def manifests(self) -> dict[str, Manifest]:
        """The manifests of the finished steps, in the order of the steps."""
        return self.run.manifests if self.run else {}

    @property
    def seed(self) -> int:
        """The seed of the run's recipe; 0 where nobody says."""
        recipes = [m.recipe for m in self.manifests.values()]
        return int(recipes[-1].get("seed", 0)) if recipes else 0

    @property
    def shards(self) -> list[ShardEntry]:
        """What the listing says of all shards."""
        return self.listing["shards"] if self.listing else []

    def some_shards(self) -> list[ShardEntry]:
        """The shards, or of very many a sample."""
        some = sorted(self.shards, key=lambda s: digest("report", str(self.seed), s["tar"]))[:MAX_SHARDS]
        return sorted(some, key=lambda s: (CORPORA.index(s["corpus"]), s["split"], s["tar"]))

    def indexes(self) -> dict[str, ShardEntry]:
        """Return the shard of each index."""
        return {self._at(s["index"]): s for s in self.shards}

    def tar(self, shard: ShardEntry) -> str:
        """Return the path of a shard's tar."""
        return self._at(shard["tar"])

    def of(self, table: Table) -> list[Source]:
        """List the files of a table; none where its step has not finished."""
        return [Source(table.name, "", path) for path in self.run.files(table)] if self.run else []

    def rejections(self, *steps: str) -> list[Source]:
        """List the ledger's files, of some steps or of all."""
        if not self.run:
            return []
        return [Source("rejections", s, p) for s in steps or self.manifests for p in self.run.files(REJECTIONS, s)]

    def lookalikes(self) -> list[Source]:
        """List the files of clusters of which all may stay: where one does, the ledger tells of the others."""
        dedup = self.manifests.get("dedup")
        return self.of(LOOKALIKES) if dedup and not dedup.rejected.get("LOOKALIKE_IMAGE") else []

    def tallied(self) -> list[Source]:
        """List what is counted. Texts are measured in the latest table that has them: indexes alone say it for free."""
        indexes = [Source("index", s["corpus"], path) for path, s in self.indexes().items()]
        found = [source for table in _TALLIED for source in self.of(table)] + indexes + self.rejections()
        if not self.of(IMAGES):
            found += [index._replace(kind="index images") for index in indexes]
        if not indexes:
            found += self.of(DOCUMENTS) or [page._replace(kind="texts of pages") for page in self.of(PAGES)]
        return found
