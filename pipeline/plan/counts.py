"""How many things each finished step of a run took and made, as its manifest tells."""

from collections.abc import Iterator, Mapping

from pipeline.lookup import STEPS
from pipeline.store import Manifest
from schemas.reasons import BY_CODE
from schemas.tables import CORPORA


def counts(manifests: Mapping[str, Manifest]) -> Iterator[tuple[str, int]]:
    """Tell of how many things each step made how many."""
    for step in STEPS.values():
        manifest = manifests.get(step)
        if manifest is None:
            continue
        made, judged = manifest.counts, manifest.judged
        if step == "extract":
            yield "extract.read", judged.get("page", 0)
            yield "extract.pages", made.get("pages", 0)
            yield "extract.captions", made.get("captions", 0)
        elif step == "filter":
            yield "filter.pages", made.get("pages", 0)
            lost = sum(n for rule, n in manifest.rejected.items() if BY_CODE[rule].level == "caption")
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
