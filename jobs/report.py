"""Make the report of a run, one HTML file, from the tables of its finished steps."""

from collections import Counter, defaultdict
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.filesize import decimal

from jobs import session
from jobs.printing import print_line
from jobs.progress import progress
from jobs.report_counts import TALLY, distributions, shares, tally
from jobs.report_examples import (
    WHOLE_PAGE,
    Thumbs,
    choose_clusters,
    choose_examples,
    cluster,
    example,
    find_images,
    find_texts,
    ids_of,
    image_of,
    number,
    page_of,
    place_thumbs,
    read_samples,
)
from jobs.report_sources import ReportFiles, scan
from pipeline.inspect.facts import public_values
from pipeline.inspect.funnel import NOTES, by_rule, find_warnings, funnel
from pipeline.inspect.report_page import render
from pipeline.io.store import Store
from pipeline.shards.stats import corpora
from schemas.errors import PathError
from schemas.reasons import BY_CODE
from schemas.shards import REPORT

UNKNOWN = -1
THUMBS_BYTES = 2_500_000  # of examples and clusters, as data URLs
SAMPLE_THUMBS_BYTES = 20_000  # per sample on average
_NO_LIMIT = len(BY_CODE)
_SHARD_COLUMNS = ("corpus", "split", "tar", "num_samples", "num_images", "num_bytes")


def gather(spark: SparkSession, sources: ReportFiles, num_samples: int) -> dict[str, Any]:
    """Return the data of the report, with at most num_samples samples per corpus and nothing private.

    Unfinished steps are left out. The result does not depend on the number of tasks.
    """
    manifests = sources.manifests
    thumbs = Thumbs()
    thumbs.allow(THUMBS_BYTES)
    examples, clusters = _examples_and_clusters(spark, sources, thumbs)
    samples = read_samples(spark, sources, num_samples)
    thumbs.allow(SAMPLE_THUMBS_BYTES * len(samples))
    counted = _counted(spark, sources).persist()
    report = {
        "title": sources.store.path.rsplit("/", 1)[-1],
        "warnings": [{"step": w.step, "text": w.text, "remedy": w.remedy} for w in find_warnings(sources.directory)],
        "recipe": public_values(list(manifests.values())[-1].recipe) if manifests else {},
        "totals": _totals(sources),
        "steps": list(map(_step_counts, funnel(sources.directory))),
        "funnel": [_step_rules(row, examples) for row in by_rule(sources.directory, _NO_LIMIT)] if manifests else [],
        "corpora": corpora(sources.directory) if sources.listing else {},
        "spreads": distributions(counted),
        "shares": shares(counted),
        "clusters": clusters,
        "shards": [{name: shard[name] for name in _SHARD_COLUMNS} for shard in map(dict, sources.some_shards())],
        "num_shards": dict(sorted(Counter(shard["corpus"] for shard in sources.shards).items())),
        "samples": place_thumbs(samples, thumbs),
        "thumbs": dict(sorted(thumbs.urls.items())),
    }
    counted.unpersist()
    return report


def _examples_and_clusters(
    spark: SparkSession, sources: ReportFiles, thumbs: Thumbs
) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], list[dict[str, Any]]]:
    """Return examples of rejections by (step, rule), and clusters of duplicates, with their texts and images."""
    examples, clusters = choose_examples(spark, sources), choose_clusters(spark, sources)
    pages: dict[str, set[int]] = defaultdict(set)
    for page in filter(None, (page_of(row) for rows in examples.values() for row in rows)):
        pages[page[0]].add(page[1])
    for page_id in ids_of(clusters, "pages"):
        pages[page_id].add(WHOLE_PAGE)
    image_ids = {name for rows in examples.values() for name in map(image_of, rows) if name}
    images = find_images(spark, sources, image_ids | ids_of(clusters, "images"))
    found = (find_texts(spark, sources, pages), images, thumbs)
    shown = {at: [example(row, *found) for row in rows] for at, rows in examples.items()}
    return shown, [cluster(c, *found) for c in clusters]


def _counted(spark: SparkSession, sources: ReportFiles) -> DataFrame:
    store = sources.store
    rows = scan(spark, sources.counted(), lambda source: tally(store, source), TALLY)
    return rows.groupBy("of", "name", "value").agg(F.sum("count").alias("count"))


def _totals(sources: ReportFiles) -> dict[str, float]:
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


def _step_counts(step: dict[str, Any]) -> dict[str, Any]:
    notes = public_values({k: v for k, v in step["notes"].items() if k not in NOTES})
    return {**{k: step[k] for k in ("step", "seconds", "counts")}, "notes": notes}


def _step_rules(row: dict[str, Any], examples: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Any]:
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


def report(directory: str, output: str | None, num_samples: int, master: str | None) -> str:
    """Write the report of a finished or unfinished run or of a shards folder; print and return its path.

    Args: output is a file, by default REPORT in the directory; num_samples is the maximum per corpus.
    Raises: PathError when the directory holds no run, or the file cannot be written; MissingError without Java.
    """
    session.check_master(master)
    session.check_java()
    sources = ReportFiles(directory)
    store, name = _target(output) if output is not None else (sources.store, REPORT)
    _check_writable(store, name)
    is_own_session = session.active() is None
    with session.using(master) as spark, progress(spark, "report"):
        if is_own_session:  # otherwise Spark logs the error of a damaged file four times
            spark.sparkContext.setLogLevel("OFF")
        page = render(gather(spark, sources, num_samples)).encode("utf-8", "replace")
    store.write(store.at(name), page)
    print_line(f"{store.at(name) if store.local else f'{store.root}/{name}'} ({decimal(len(page))})")
    return store.at(name)


def _target(output: str) -> tuple[Store, str]:
    """Return the folder of a file, and its name."""
    folder, slash, name = output.rpartition("/")
    if not name:
        raise PathError(f"--output {output} is a folder: add the file name, e.g. {output}{REPORT}")
    return Store(folder + slash if folder in ("", "file://") else folder) if slash else Store("."), name


def _check_writable(store: Store, name: str) -> None:
    if store.fs.isdir(store.at(name)):
        raise PathError(f"{store.at(name)} is a folder: give the file to write, e.g. --output report.html")
    try:
        store.check_writable()
    except (PathError, NotImplementedError) as error:
        raise PathError(f"cannot write {store.root}/{name}: {error}; choose another file with --output") from error
