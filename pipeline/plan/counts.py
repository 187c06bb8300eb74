"""How many things each finished step of a run took and made, by its manifest and its rejections."""

from collections.abc import Iterator

from pipeline.funnel.taken import taken
from pipeline.lookup import STEPS, Lookup
from schemas.tables import CORPORA


def counts(run: Lookup) -> Iterator[tuple[str, int]]:
    """Yield how many things each step made of how many."""
    for step in STEPS.values():
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
            lost = sum(t.things for of_file in taken(run, step, judged) for t in of_file if t.of == "caption")
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
