"""All that a report tells, from what of a run is there."""

from collections import Counter, defaultdict
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipeline.funnel import by_rule, funnel
from pipeline.funnel.warnings import NOTES, find_warnings
from pipeline.public import public_values
from pipeline.report.data.clusters import choose_clusters, cluster, named
from pipeline.report.data.examples import choose_examples, example, image_of, number, page_of
from pipeline.report.data.found import WHOLE, find_pictures, find_texts
from pipeline.report.data.samples import place_thumbs, read_samples
from pipeline.report.data.scan import scan
from pipeline.report.data.shares import shares
from pipeline.report.data.sources import Sources
from pipeline.report.data.spreads import spreads
from pipeline.report.data.tally import TALLY, tally
from pipeline.report.data.thumbs import Thumbs
from pipeline.stats import corpora
from schemas.reasons import BY_CODE

UNKNOWN = -1
THUMBS_BYTES = 2_500_000  # of examples and clusters, as data URLs
SAMPLE_THUMBS_BYTES = 20_000  # for each sample; what one does not need is another's
_NO_LIMIT = len(BY_CODE)


def gather(spark: SparkSession, sources: Sources, num_samples: int) -> dict[str, Any]:
    """Return the report of a run, at most num_samples samples of each corpus in it; it may be handed on.

    Steps that have not finished have no part in it. The same run gives the same report, whatever the number of tasks.
    """
    manifests = sources.manifests
    examples, clusters = choose_examples(spark, sources), choose_clusters(spark, sources)
    pages: dict[str, set[int]] = defaultdict(set)
    for page in filter(None, (page_of(row) for rows in examples.values() for row in rows)):
        pages[page[0]].add(page[1])
    for page_id in named(clusters, "pages"):
        pages[page_id].add(WHOLE)
    images = {name for rows in examples.values() for name in map(image_of, rows) if name}
    thumbs = Thumbs()
    thumbs.allow(THUMBS_BYTES)
    found = (
        find_texts(spark, sources, pages),
        find_pictures(spark, sources, images | named(clusters, "images")),
        thumbs,
    )
    told = {at: [example(row, *found) for row in rows] for at, rows in examples.items()}
    alike = [cluster(c, *found) for c in clusters]
    samples = read_samples(spark, sources, num_samples)
    thumbs.allow(SAMPLE_THUMBS_BYTES * len(samples))
    counted = _counted(spark, sources).persist()
    report = {
        "title": sources.store.path.rsplit("/", 1)[-1],
        "warnings": [
            {"step": warned.step, "text": warned.text, "remedy": warned.remedy}
            for warned in find_warnings(sources.directory)
        ],
        "recipe": public_values(list(manifests.values())[-1].recipe) if manifests else {},
        "totals": _totals(sources),
        "steps": [
            {
                **{k: step[k] for k in ("step", "seconds", "counts")},
                "notes": public_values({k: v for k, v in step["notes"].items() if k not in NOTES}),
            }
            for step in funnel(sources.directory)
        ],
        "funnel": [_of_step(row, told) for row in by_rule(sources.directory, _NO_LIMIT)] if manifests else [],
        "corpora": corpora(sources.directory) if sources.listing else {},
        "spreads": spreads(counted),
        "shares": shares(counted),
        "clusters": alike,
        "shards": [
            {name: shard[name] for name in ("corpus", "split", "tar", "num_samples", "num_images", "num_bytes")}
            for shard in map(dict, sources.some_shards())
        ],
        "num_shards": dict(sorted(Counter(shard["corpus"] for shard in sources.shards).items())),
        "samples": place_thumbs(samples, thumbs),
        "thumbs": dict(sorted(thumbs.urls.items())),
    }
    counted.unpersist()
    return report


def _counted(spark: SparkSession, sources: Sources) -> DataFrame:
    store = sources.store
    rows = scan(spark, sources.tallied(), lambda source: tally(store, source), TALLY)
    return rows.groupBy("of", "name", "value").agg(F.sum("count").alias("count"))


def _totals(sources: Sources) -> dict[str, float]:
    counts = {step: manifest.counts for step, manifest in sources.manifests.items()}
    shards = sources.shards
    of_shards = {f"num_{name}": sum(s[f"num_{name}"] for s in shards) for name in ("samples", "images", "bytes")}  # type: ignore[literal-required]
    return {
        "archives": counts.get("extract", {}).get("archives", UNKNOWN),
        "pages": counts.get("extract", {}).get("pages", UNKNOWN),
        "images": counts["fetch"].get("ok", 0) if "fetch" in counts else of_shards["num_images"],
        "samples": of_shards["num_samples"],
        "bytes": of_shards["num_bytes"],
        "seconds": round(sum(m.seconds for m in sources.manifests.values()), 1),
    }


def _of_step(row: dict[str, Any], examples: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
    counts = {name: UNKNOWN if row[name] is None else row[name] for name in ("in", "taken", "out", "before")}
    rules = [
        {
            "rule": rule["rule"],
            "meaning": BY_CODE[rule["rule"]].meaning,
            "dropped": rule["dropped"],
            "alone": rule["alone"],
            "fraction": UNKNOWN if rule["fraction"] is None else rule["fraction"],
            **{name: number(rule[name]) for name in ("median", "threshold")},
            "examples": examples.get((row["step"], rule["rule"]), []),
        }
        for rule in row["rules"]
    ]
    return {"step": row["step"], "things": row["things"], **counts, "rules": rules}
