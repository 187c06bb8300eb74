"""The funnel: input, dropped and kept by step, rule and host; and warnings about a run."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.io.store import Manifest
from pipeline.io.tables import Lookup
from schemas.display import percent
from schemas.errors import PathError
from schemas.reasons import BY_CODE
from schemas.tables import IMAGES, LEVELS, PAGES, REJECTIONS, Table

_ITEM = ("page_id", "image_id", "warc_file", "warc_offset", "block")
_COLUMNS = [*_ITEM, "rule", "url", "measure", "threshold", "detail"]
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DroppedCount:
    """Items of one host dropped by one rule.

    of:      their level, or the rule if it applies to other items than the rest of its level
    dropped: the number of rejections
    alone:   those of `dropped` that no other rule dropped
    things:  the number of items, each counted for only one of its rules, so that a sum over rules counts items once
    """

    rule: str
    of: str
    host: str
    dropped: int
    alone: int
    things: int


def count_dropped(run: Lookup, step: str, judged: Mapping[str, int]) -> Iterator[list[DroppedCount]]:
    """Count a step's rejections, file by file: all rejections of an item are in one file.

    Args: judged is that of the step's manifest.
    """
    for table in rejection_tables(run, step):
        yield _count(table, judged)


def rejection_tables(run: Lookup, step: str) -> Iterator[pa.Table]:
    """Yield the rejections of a step, a table for each of its files that is not empty."""
    for path in run.files(REJECTIONS, step):
        table = run.table(REJECTIONS, path, _COLUMNS)
        if table.num_rows:
            yield table


def hosts_of(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the host of each URL; '' without one."""
    from pipeline.url import host

    return pa.array([host(url or "") for url in urls.to_pylist()], pa.string())


def _count(table: pa.Table, judged: Mapping[str, int]) -> list[DroppedCount]:
    rules = table["rule"].combine_chunks().dictionary_encode()
    names = rules.dictionary.to_pylist()
    of = [name if name in judged else BY_CODE[name].level for name in names]
    rule_N = rules.indices.to_numpy()
    item_N, host_N, hosts = _items(table, np.array(of, object)[rule_N])
    # A pair is an item and a rule that dropped it.
    pair_P, first_P, rows_P = np.unique(item_N * len(names) + rule_N, return_index=True, return_counts=True)
    item_P, rule_P = np.divmod(pair_P, len(names))
    most = np.zeros(item_P.max() + 1, np.int64)
    np.maximum.at(most, item_P, rows_P)
    is_first_P = np.diff(item_P, prepend=-1) != 0  # sorted by item
    alone_P = rows_P * (np.bincount(item_P)[item_P] == 1)
    items_P = most[item_P] * is_first_P
    groups, group_P = np.unique(rule_P * len(hosts) + host_N[first_P], return_inverse=True)
    sums = [np.bincount(group_P, counted).astype(int).tolist() for counted in (rows_P, alone_P, items_P)]
    return [
        DroppedCount(names[group // len(hosts)], of[group // len(hosts)], hosts[group % len(hosts)], *counts)
        for group, *counts in zip(groups.tolist(), *sums, strict=True)
    ]


def _items(table: pa.Table, of: Numbers) -> tuple[Numbers, Numbers, list[str]]:
    """Return the item's and the host's number of each row, and the hosts' names."""
    is_caption = pa.array(of == "caption")  # also identified by its text
    parts = [*(pc.cast(table[name], pa.string()) for name in _ITEM), pc.if_else(is_caption, table["detail"], None)]
    joined = pc.binary_join_element_wise(
        pa.array(of, pa.string()), *parts, "\x1f", null_handling="replace", null_replacement=""
    )
    hosts = hosts_of(table["url"]).dictionary_encode()
    numbers = joined.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers, hosts.indices.to_numpy(), hosts.dictionary.to_pylist()


_HOST_COLUMNS: dict[str, tuple[Table, str]] = {"page": (PAGES, "host"), "image": (IMAGES, "image_url")}
_BEFORE = {"page": "extract", "image": "filter"}  # items that this step drops are not in the table
_UNTIL = {"page": ("extract", "filter", "dedup", "assemble"), "image": ("filter", "fetch", "dedup")}


def by_host(directory: str, limit: int) -> dict[str, dict[str, Any]]:
    """Return, for `pages` and `images`, the hosts with the most dropped items: input, dropped, and counts by rule.

    Images are distinct URLs; images dropped from a document are not counted here.
    Raises: PathError when the folder has no finished step.
    """
    run = Lookup(directory)
    levels = {}
    for level, (table, column) in _HOST_COLUMNS.items():
        num_in: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        rules: dict[str, Counter[str]] = defaultdict(Counter)
        for batch in run.batches(table, [column]):
            names = batch[column] if column == "host" else hosts_of(batch[column])
            num_in.update({pair["values"]: pair["counts"] for pair in names.value_counts().to_pylist()})
        for step in _UNTIL[level]:
            manifest = run.manifests.get(step)
            for counted in (
                c for of_file in count_dropped(run, step, manifest.judged if manifest else {}) for c in of_file
            ):
                if counted.of == level:
                    dropped[counted.host] += counted.things
                    num_in[counted.host] += counted.things * (step == _BEFORE[level])
                    rules[counted.host][counted.rule] += counted.dropped
        worst = sorted(dropped, key=lambda host: (-dropped[host], host))[:limit]
        levels[f"{level}s"] = {
            "num_hosts": len(num_in),
            "in": num_in.total(),
            "taken": dropped.total(),
            "hosts": [
                {
                    "host": host,
                    "in": num_in[host],
                    "taken": dropped[host],
                    "out": num_in[host] - dropped[host],
                    "rules": dict(rules[host].most_common()),
                }
                for host in worst
            ],
        }
    return levels


DIGITS = 3  # significant digits of a measure, so that a median needs few distinct values
UNORDERED = ("HTTP_STATUS",)  # rules whose measure has no order, hence no threshold and no median
_IN_DOCUMENTS = ("assemble", "image")  # counted for each occurrence in a document


def funnel(directory: str) -> list[dict[str, Any]]:
    """List the finished steps in order, with the counts, rejections by rule and seconds of their manifests.

    Empty for a shards folder without a run.
    """
    try:
        run = Lookup(directory)
    except PathError:
        return []
    return [
        {"step": m.step, "counts": m.counts, "judged": m.judged, "rejected": m.rejected, "notes": m.notes,
         "seconds": m.seconds}
        for m in run.manifests.values()
    ]  # fmt: skip


def by_rule(directory: str, limit: int) -> list[dict[str, Any]]:
    """List input, dropped (`taken`) and kept (`out`) of each step by kind of item (`things`), from the rejections.

    `in` and `out` are None if the input is not counted. `before` counts items that are missing since the previous step
    with such items without a rejection of their own: dropped with their page or image, or merged with an equal item.
    `rules` lists the rules that dropped most, up to a limit.
    Raises: PathError when the folder has no finished step.
    """
    run = Lookup(directory)
    rows: list[dict[str, Any]] = []
    last: dict[str, int] = {}
    for row in (row for step in run.manifests for row in _of_step(run, step, limit)):
        name, num_in = row["things"], row["in"]
        before = last[name] - num_in if num_in is not None and name in last else None
        rows.append({**row, "before": before})
        if num_in is not None:
            last[name] = row["out"]
    return rows


def _of_step(run: Lookup, step: str, limit: int) -> Iterator[dict[str, Any]]:
    judged = run.manifests[step].judged
    items: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = defaultdict(Counter)
    of_rule: dict[str, str] = {}
    for counted in (c for of_file in count_dropped(run, step, judged) for c in of_file):
        items[counted.of] += counted.things
        rules[counted.rule].update(dropped=counted.dropped, alone=counted.alone)
        of_rule[counted.rule] = counted.of
    measures = _measures(run, step)
    for of in sorted({*items, *judged}, key=_order):
        num_in, dropped = judged.get(of), items[of]
        of_rules = [
            {
                "rule": rule,
                "dropped": counts["dropped"],
                "alone": counts["alone"],
                "fraction": round(counts["dropped"] / num_in, 4) if num_in else None,
                **measures[rule],
            }
            for rule, counts in sorted(rules.items(), key=lambda item: (-item[1]["dropped"], item[0]))
            if of_rule[rule] == of
        ]
        out = num_in - dropped if num_in is not None else None
        yield {"step": step, "things": _name(step, of), "in": num_in, "taken": dropped, "out": out,
               "num_rules": len(of_rules), "rules": of_rules[:limit]}  # fmt: skip


def _order(of: str) -> int:
    """Return the sort key: levels in the order of schemas/tables.py, and a rule before its level."""
    return 2 * LEVELS.index(of) if of in LEVELS else 2 * LEVELS.index(BY_CODE[of].level) - 1


def _name(step: str, of: str) -> str:
    level = of if of in LEVELS else BY_CODE[of].level
    return "images in documents" if (step, of) == _IN_DOCUMENTS else f"{level}s"


def _measures(run: Lookup, step: str) -> dict[str, dict[str, float | None]]:
    """Return the median measure and the threshold of each rule's rejections; None without one."""
    values: dict[str, Counter[float]] = defaultdict(Counter)
    bounds: dict[str, set[float | None]] = defaultdict(set)
    for table in rejection_tables(run, step):
        for rule in pc.unique(table["rule"]).to_pylist():
            of_rule = table.filter(pc.equal(table["rule"], rule))
            bounds[rule].update(pc.unique(of_rule["threshold"]).to_pylist())
            if rule not in UNORDERED:
                found, counts = np.unique(_rounded(of_rule["measure"].drop_null().to_numpy()), return_counts=True)
                values[rule].update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    return {rule: {"median": _median(values[rule]), "threshold": _bound(rule, bounds[rule])} for rule in bounds}


def _bound(rule: str, bounds: set[float | None]) -> float | None:
    """Return the threshold of a rule; None without one, with different ones, or if it is not a quantity."""
    return None if rule in UNORDERED or len(bounds) > 1 else _as_written(*bounds)


def _as_written(bound: float | None) -> float | None:
    """Undo the rounding of a threshold to float32: 0.60000002."""
    return None if bound is None else float(f"{bound:.6g}")


def _rounded(values: Numbers) -> Numbers:
    magnitude = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
    scale = 10.0 ** (DIGITS - 1 - magnitude)
    rounded: Numbers = np.round(np.round(values * scale) / scale, 12)
    return rounded


def _median(counts: Counter[float]) -> float | None:
    """Return the lower median of values with counts."""
    half, seen = (counts.total() + 1) // 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= half:
            return value
    return None


LOST_IMAGES = 0.5  # of the requested images; about a sixth of old links is dead
FEW = 0.05  # kept of a step's input: like the drop limit of one rule, for all rules of a step
MANY_FAILURES = 0.01  # of pages whose extraction failed, and of unreadable records
MIN_JUDGED = 20  # with fewer items a fraction is meaningless, unless none is kept
RETRIED = ("timeout", "dns", "unreachable", "http_429", "http_5xx")  # temporary classes of failure
LOST = (*RETRIED, "private_address", "robots", "opt_out", "http_4xx", "not_an_image", "undecodable")
NOTES = ("drop_limits", "archives")  # notes in a manifest that are warnings
_NOT_READ = ("UNREADABLE", "TRUNCATED_RECORD", "BAD_HTTP")
_FAILED = ("PAGE_TIMEOUT", "PAGE_MEMORY", "EXTRACTION_FAILED")


@dataclass(frozen=True)
class RunWarning:
    """One warning: the step, the problem, the remedy, and names of local files."""

    step: str
    text: str
    remedy: str
    names: str = ""


def find_warnings(directory: str) -> list[RunWarning]:
    """Return the warnings of a run, in the order of its steps; none for a shards folder without a run."""
    try:
        run = Lookup(directory)
    except PathError:
        return []
    warnings = [warning for manifest in run.manifests.values() for warning in _warnings_of_step(manifest)]
    if run.not_run:
        text = f"not finished: {', '.join(run.not_run)}"
        warnings.append(RunWarning(run.not_run[0], text, "the same `weft run` continues from there"))
    return warnings


def _warnings_of_step(manifest: Manifest) -> Iterator[RunWarning]:
    if manifest.step == "extract":
        yield from _of_extract(manifest)
    few = _few_images(manifest) if manifest.step == "fetch" else _few_pages(manifest)
    if few:
        yield few
    elif "drop_limits" in manifest.notes:
        remedy = "check what it drops in `weft report OUT` or `weft stats OUT --funnel`, and change its recipe key"
        yield RunWarning(manifest.step, manifest.notes["drop_limits"], remedy)
    if manifest.step == "assemble":
        for corpus in manifest.recipe.get("corpora", ()):
            if not manifest.counts.get(corpus):
                text = f"no {corpus} document was made"
                remedy = "`weft stats OUT --funnel` shows where pages, captions and images were dropped"
                yield RunWarning("assemble", text, remedy)


def _of_extract(manifest: Manifest) -> Iterator[RunWarning]:
    judged, rejected = manifest.judged.get("page", 0), manifest.rejected
    if "archives" in manifest.notes:
        remedy = "WET and WAT files have no pages: use the WARC files from which they were made"
        text, _, names = manifest.notes["archives"].partition(": ")
        yield RunWarning("extract", text, remedy, names)
    unread, failed = (sum(rejected.get(rule, 0) for rule in rules) for rules in (_NOT_READ, _FAILED))
    if unread > MANY_FAILURES * (judged + unread):
        text = f"{percent(unread, judged + unread)} of the records cannot be read ({_most(rejected, _NOT_READ)})"
        yield RunWarning(
            "extract", text, "compare the archives with their published checksums, and download them again"
        )
    if failed > MANY_FAILURES * judged:
        text = f"extraction failed on {percent(failed, judged)} of {judged:,} pages ({_most(rejected, _FAILED)})"
        yield RunWarning("extract", text, "raise extract.max_seconds or extract.max_memory_bytes")


def _few_images(fetch: Manifest) -> RunWarning | None:
    """Warn if most images were lost, or almost none is kept; name the failures and the command to retry."""
    kept, requested = fetch.counts.get("ok", 0), sum(fetch.counts.values())
    lost = sum(fetch.counts.get(status, 0) for status in LOST)
    if not _is_few(kept, requested, FEW) and not _is_few(requested - lost, requested, LOST_IMAGES):
        return None
    failures = {status: n for status, n in fetch.counts.items() if status != "ok" and n}
    most = sorted(failures, key=lambda status: (-failures[status], status))
    text = f"only {kept:,} of {requested:,} images are kept ({percent(kept, requested)}): "
    text += ", ".join(f"{status} {percent(failures[status], requested)}" for status in most[:4])
    temporary = [status for status in most if status in RETRIED]
    remedy = "`weft stats OUT --funnel --by host` lists the hosts"
    if temporary:
        remedy = f"`weft fetch --output OUT --retry {','.join(temporary)}` retries them; " + remedy
    return RunWarning("fetch", text, remedy)


def _few_pages(manifest: Manifest) -> RunWarning | None:
    kept, judged = manifest.counts.get("pages"), manifest.judged.get("page", 0)
    if kept is None or not _is_few(kept, judged, FEW):
        return None
    of_pages = [rule for rule in manifest.rejected if BY_CODE[rule].level == "page"]
    text = f"only {kept:,} of {judged:,} pages are kept ({percent(kept, judged)}): {_most(manifest.rejected, of_pages)}"
    remedy = "check what these rules drop in `weft report OUT` or `weft stats OUT --funnel`, and change the recipe"
    return RunWarning(manifest.step, text, remedy)


def _is_few(part: int, whole: int, fraction: float) -> bool:
    return whole > 0 and (part == 0 or (whole >= MIN_JUDGED and part < fraction * whole))


def _most(rejected: Mapping[str, int], rules: list[str] | tuple[str, ...]) -> str:
    ordered = sorted((rule for rule in rules if rejected.get(rule)), key=lambda rule: (-rejected[rule], rule))
    return ", ".join(f"{rule} {rejected[rule]:,}" for rule in ordered[:3])
