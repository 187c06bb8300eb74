"""Rates of a pilot run that predict a larger one: yields, costs and sizes."""

from collections import Counter
from collections.abc import Iterator

import pyarrow.compute as pc

from pipeline.inspect.funnel import count_dropped, hosts_of
from pipeline.inspect.plan import Estimate, count_archives
from pipeline.io.tables import Lookup
from pipeline.shards.stats import corpora
from schemas.errors import PathError
from schemas.tables import CORPORA, IMAGES, STEPS


def counts(run: Lookup) -> Iterator[tuple[str, int]]:
    """Yield the number of input and output units of each step."""
    for step in STEPS:
        manifest = run.manifests.get(step)
        if manifest is None:
            continue
        made, judged = manifest.counts, manifest.judged
        if step == "extract":
            yield "extract.read", judged.get("page", 0)
            yield "extract.pages", made.get("pages", 0)
            yield "extract.captions", made.get("captions", 0)
        elif step == "filter":
            yield "filter.pages", made.get("pages", 0)
            lost = sum(t.things for of_file in count_dropped(run, step, judged) for t in of_file if t.of == "caption")
            yield "filter.captions", judged.get("caption", 0) - lost
        elif step == "fetch":
            yield "fetch.asked", sum(made.values())
            yield "fetch.stored", made.get("ok", 0)
        elif step == "dedup":
            yield "dedup.pages", made.get("pages", 0)
        elif step == "score":
            yield "score.images", made.get("images", 0)
        elif step == "assemble":
            for corpus in CORPORA:
                yield f"assemble.{corpus}", made.get(corpus, 0)
            yield "assemble.documents", sum(made.get(corpus, 0) for corpus in CORPORA)


_TABLES = {
    "pages": ("extract", "extract.pages"),
    "captions": ("extract", "extract.captions"),
    "measures": ("filter", "extract.pages"),
    "images": ("fetch", "fetch.stored"),
    "scores": ("score", "score.images"),
    "documents": ("assemble", "assemble.documents"),
}
"""The step that writes a table, and the unit (of `counts`) of its size."""


class Pilot:
    """A run whose first steps, at least, are finished. Raises: PathError without a finished extract."""

    def __init__(self, directory: str, num_cores: int, num_gpus: int = 0) -> None:
        self.run, self.num_cores, self.num_gpus = Lookup(directory), num_cores, num_gpus
        if "extract" not in self.run.manifests:
            raise PathError(f"{directory} has no finished `weft extract` to estimate from")
        self.directory = directory
        self.recipe = list(self.run.manifests.values())[-1].recipe  # of its last step
        self.counts = dict(counts(self.run))

    def rates(self) -> dict[str, Estimate]:
        """Return all rates that this run provides."""
        ratios = [*self._archives(), *self._yields(), *self._costs(), *self._sizes(), *self._hosts()]
        return {
            name: Estimate(part / whole, unit, "pilot", (self.directory,))
            for name, part, whole, unit in ratios
            if whole
        }

    def _archives(self) -> Iterator[tuple[str, float, float, str]]:
        """Yield the mean size of archives and their pages per GB, if the archives are still on this machine."""
        listed = self.run.manifests["extract"].inputs.get("archives", "").splitlines()
        try:
            archives = count_archives(listed)
        except PathError:  # they were moved: the plan uses the default size of an archive
            return
        if archives.sized_bytes and not archives.num_unsized:
            yield "archive.bytes", archives.sized_bytes, archives.num, "bytes an archive"
            yield "archive.pages", self.counts["extract.read"], archives.sized_bytes / 1e9, "pages a GB"

    def _yields(self) -> Iterator[tuple[str, float, float, str]]:
        of = self.counts.get
        for name, part, whole, unit in (
            ("extract.kept", "extract.pages", "extract.read", "of the pages read"),
            ("extract.captions", "extract.captions", "extract.pages", "captions a page"),
            ("filter.kept", "filter.pages", "extract.pages", "of the pages"),
            ("filter.captions_kept", "filter.captions", "extract.captions", "of the captions"),
            ("fetch.images", "fetch.asked", "filter.pages", "images a page"),
            ("fetch.ok", "fetch.stored", "fetch.asked", "of the requested images"),
            ("dedup.kept", "dedup.pages", "filter.pages", "of the pages"),
            ("score.images", "score.images", "fetch.stored", "of the stored images"),
            *((f"assemble.{c}", f"assemble.{c}", "extract.read", "documents a page read") for c in CORPORA),
        ):
            if (found := of(part)) is not None:
                yield name, found, of(whole) or 0, unit

    def _costs(self) -> Iterator[tuple[str, float, float, str]]:
        fetch = self.run.manifests.get("fetch")
        if fetch:  # assumes that its threads were always busy
            seconds = fetch.seconds * self.num_cores * fetch.recipe["fetch"]["threads"]
            yield "fetch.seconds", seconds, self.counts["fetch.asked"], "seconds an image"
        for name, step, things in (
            ("extract.kept_core_seconds", "extract", "extract.read"),
            ("extract.rejected_core_seconds", "extract", "extract.read"),
            ("filter.core_seconds", "filter", "extract.pages"),
            ("fetch.core_seconds", "fetch", "fetch.asked"),
            ("dedup.core_seconds", "dedup", "filter.pages"),
            ("score.core_seconds", "score", "score.images"),
            ("assemble.core_seconds", "assemble", "assemble.documents"),
            ("shard.core_seconds", "shard", "assemble.documents"),
        ):
            if step in self.run.manifests and not (step == "score" and self.num_gpus):
                seconds = self.run.manifests[step].seconds * self.num_cores
                yield name, seconds, self.counts.get(things, 0), "core-seconds each"
        if self.num_gpus and "score" in self.run.manifests:
            seconds = self.run.manifests["score"].seconds * self.num_gpus
            yield "score.gpu_seconds", seconds, self.counts.get("score.images", 0), "GPU-seconds each"

    def _sizes(self) -> Iterator[tuple[str, float, float, str]]:
        for table, (step, things) in _TABLES.items():
            if step in self.run.manifests:
                files = self.run.manifests[step].files.get(table, [])
                yield f"{table}.bytes", self._num_bytes(files), self.counts.get(things, 0), "bytes each"
        files = [f for m in self.run.manifests.values() for f in m.files.get("rejections", [])]
        yield "rejections.bytes", self._num_bytes(files), self.counts["extract.read"], "bytes a page read"
        if "shard" in self.run.manifests:
            for corpus, facts in corpora(self.directory).items():
                yield f"shards.{corpus}.bytes", facts["bytes"], facts["samples"], "bytes a sample"

    def _num_bytes(self, files: list[str]) -> int:
        return sum(int(self.run.store.fs.info(self.run.store.at(file))["size"]) for file in files)

    def _hosts(self) -> Iterator[tuple[str, float, float, str]]:
        """Yield the mean download size of an image, and the largest fraction of images on one host."""
        if "fetch" not in self.run.manifests:
            return
        hosts: Counter[str] = Counter()
        num_bytes = 0
        for batch in self.run.batches(IMAGES, ["image_url", "original_bytes"]):
            named = hosts_of(batch["image_url"]).value_counts().to_pylist()
            hosts.update({pair["values"]: pair["counts"] for pair in named})
            num_bytes += pc.sum(batch["original_bytes"]).as_py() or 0
        yield "fetch.bytes", num_bytes, hosts.total(), "bytes a requested image"
        yield "fetch.busiest_host", max(hosts.values(), default=0), hosts.total(), "of the requested images"
