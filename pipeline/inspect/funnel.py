"""The funnel: step by step, rule by rule and host by host, what came in, what was dropped, and what went on."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.io.store import Manifest
from pipeline.io.tables import Lookup
from pipeline.url import host
from schemas.display import percent
from schemas.errors import PathError
from schemas.reasons import BY_CODE
from schemas.tables import IMAGES, LEVELS, PAGES, REJECTIONS, Table

_THING = ("page_id", "image_id", "warc_file", "warc_offset", "block")
_COLUMNS = [*_THING, "rule", "url", "measure", "threshold", "detail"]
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class DroppedCount:
    """Some things that one rule took, of one host.

    of:     what they are: a level, or the rule where it judges something else than the others of its level
    things: how many they are, counted for one of the rules against each: a sum over rules has every thing once
    alone:  those of `dropped` that no other rule speaks against
    """

    rule: str
    of: str
    host: str
    dropped: int
    alone: int
    things: int


def count_dropped(run: Lookup, step: str, judged: Mapping[str, int]) -> Iterator[list[DroppedCount]]:
    """Count what a step's rules took, file by file: what speaks against a thing stands in one file.

    Args: judged is the step's own, as in its manifest.
    """
    for table in rejection_tables(run, step):
        yield _count(table, judged)


def rejection_tables(run: Lookup, step: str) -> Iterator[pa.Table]:
    """Read the rejections of a step, a table for each of its files that has any."""
    for path in run.files(REJECTIONS, step):
        table = run.table(REJECTIONS, path, _COLUMNS)
        if table.num_rows:
            yield table


def hosts_of(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the host of each address; '' where there is none."""
    return pa.array([host(url or "") for url in urls.to_pylist()], pa.string())


def _count(table: pa.Table, judged: Mapping[str, int]) -> list[DroppedCount]:
    rules = table["rule"].combine_chunks().dictionary_encode()
    names = rules.dictionary.to_pylist()
    of = [name if name in judged else BY_CODE[name].level for name in names]
    rule_N = rules.indices.to_numpy()
    thing_N, host_N, hosts = _things(table, np.array(of, object)[rule_N])
    # A pair is a thing and a rule against it.
    pair_P, first_P, rows_P = np.unique(thing_N * len(names) + rule_N, return_index=True, return_counts=True)
    thing_P, rule_P = np.divmod(pair_P, len(names))
    most = np.zeros(thing_P.max() + 1, np.int64)
    np.maximum.at(most, thing_P, rows_P)
    leads_P = np.diff(thing_P, prepend=-1) != 0  # sorted by thing: the first pair of each
    alone_P = rows_P * (np.bincount(thing_P)[thing_P] == 1)
    things_P = most[thing_P] * leads_P
    groups, group_P = np.unique(rule_P * len(hosts) + host_N[first_P], return_inverse=True)
    sums = [np.bincount(group_P, counted).astype(int).tolist() for counted in (rows_P, alone_P, things_P)]
    return [
        DroppedCount(names[group // len(hosts)], of[group // len(hosts)], hosts[group % len(hosts)], *counts)
        for group, *counts in zip(groups.tolist(), *sums, strict=True)
    ]


def _things(table: pa.Table, of: Numbers) -> tuple[Numbers, Numbers, list[str]]:
    """Number the things that rows are about, and their hosts; return the hosts' names too."""
    captions = pa.array(of == "caption")  # told apart by their words, which others have none of
    parts = [*(pc.cast(table[name], pa.string()) for name in _THING), pc.if_else(captions, table["detail"], None)]
    joined = pc.binary_join_element_wise(
        pa.array(of, pa.string()), *parts, "\x1f", null_handling="replace", null_replacement=""
    )
    hosts = hosts_of(table["url"]).dictionary_encode()
    numbers = joined.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers, hosts.indices.to_numpy(), hosts.dictionary.to_pylist()


_HOST_COLUMNS: dict[str, tuple[Table, str]] = {"page": (PAGES, "host"), "image": (IMAGES, "image_url")}
_BEFORE = {"page": "extract", "image": "filter"}  # what this step takes is not in the table
_UNTIL = {"page": ("extract", "filter", "dedup", "assemble"), "image": ("filter", "fetch", "dedup")}


def by_host(directory: str, limit: int) -> dict[str, dict[str, Any]]:
    """Tell of `pages` and of `images` the hosts that lost most: what came in, what was taken, and by which rules.

    Images are distinct addresses; what a document loses of them is not counted here.
    Raises: PathError when nothing of a run is there.
    """
    run = Lookup(directory)
    told = {}
    for level, (table, column) in _HOST_COLUMNS.items():
        came: Counter[str] = Counter()
        gone: Counter[str] = Counter()
        rules: dict[str, Counter[str]] = defaultdict(Counter)
        for batch in run.batches(table, [column]):
            names = batch[column] if column == "host" else hosts_of(batch[column])
            came.update({pair["values"]: pair["counts"] for pair in names.value_counts().to_pylist()})
        for step in _UNTIL[level]:
            manifest = run.manifests.get(step)
            for counted in (
                c for of_file in count_dropped(run, step, manifest.judged if manifest else {}) for c in of_file
            ):
                if counted.of == level:
                    gone[counted.host] += counted.things
                    came[counted.host] += counted.things * (step == _BEFORE[level])
                    rules[counted.host][counted.rule] += counted.dropped
        worst = sorted(gone, key=lambda host: (-gone[host], host))[:limit]
        told[f"{level}s"] = {
            "num_hosts": len(came),
            "in": came.total(),
            "taken": gone.total(),
            "hosts": [
                {
                    "host": host,
                    "in": came[host],
                    "taken": gone[host],
                    "out": came[host] - gone[host],
                    "rules": dict(rules[host].most_common()),
                }
                for host in worst
            ],
        }
    return told


DIGITS = 3  # of a measure, so that there are few different ones: a median needs them all
UNORDERED = ("HTTP_STATUS",)  # what these rules measure has no order: of it there is neither a bound nor a median
_IN_DOCUMENTS = ("assemble", "image")  # judged once for each place where a document has it


def funnel(directory: str) -> list[dict[str, Any]]:
    """List the finished steps in order, as their manifests tell: counts, rejections by rule, seconds.

    Empty for a bare shards folder.
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
    """List what every step did to each kind of thing, from the ledger.

    `in` and `out` are null where nobody counted what came in. `before` is how many went between the last step that had
    such things and this one, without a rule of their own: with their page or image, or as equal to another.
    Of the rules those that dropped most are listed, up to a limit.
    Raises: PathError when nothing of a run is there.
    """
    run = Lookup(directory)
    rows: list[dict[str, Any]] = []
    last: dict[str, int] = {}
    for row in (row for step in run.manifests for row in _of_step(run, step, limit)):
        name, came = row["things"], row["in"]
        before = last[name] - came if came is not None and name in last else None
        rows.append({**row, "before": before})
        if came is not None:
            last[name] = row["out"]
    return rows


def _of_step(run: Lookup, step: str, limit: int) -> Iterator[dict[str, Any]]:
    judged = run.manifests[step].judged
    things: Counter[str] = Counter()
    rules: dict[str, Counter[str]] = defaultdict(Counter)
    of_rule: dict[str, str] = {}
    for counted in (c for of_file in count_dropped(run, step, judged) for c in of_file):
        things[counted.of] += counted.things
        rules[counted.rule].update(dropped=counted.dropped, alone=counted.alone)
        of_rule[counted.rule] = counted.of
    measures = _measures(run, step)
    for of in sorted({*things, *judged}, key=_order):
        came, gone = judged.get(of), things[of]
        told = [
            {
                "rule": rule,
                "dropped": counts["dropped"],
                "alone": counts["alone"],
                "fraction": round(counts["dropped"] / came, 4) if came else None,
                **measures[rule],
            }
            for rule, counts in sorted(rules.items(), key=lambda item: (-item[1]["dropped"], item[0]))
            if of_rule[rule] == of
        ]
        out = came - gone if came is not None else None
        yield {"step": step, "things": _name(step, of), "in": came, "taken": gone, "out": out,
               "num_rules": len(told), "rules": told[:limit]}  # fmt: skip


def _order(of: str) -> int:
    """Sort levels as schemas/tables.py lists them, and a rule with something of its own before its level."""
    return 2 * LEVELS.index(of) if of in LEVELS else 2 * LEVELS.index(BY_CODE[of].level) - 1


def _name(step: str, of: str) -> str:
    level = of if of in LEVELS else BY_CODE[of].level
    return "images in documents" if (step, of) == _IN_DOCUMENTS else f"{level}s"


def _measures(run: Lookup, step: str) -> dict[str, dict[str, float | None]]:
    """Return the median of what each rule measured of what it dropped, and its bound; None where there is none."""
    values: dict[str, Counter[float]] = defaultdict(Counter)
    bounds: dict[str, set[float | None]] = defaultdict(set)
    for table in rejection_tables(run, step):
        for rule in pc.unique(table["rule"]).to_pylist():
            mine = table.filter(pc.equal(table["rule"], rule))
            bounds[rule].update(pc.unique(mine["threshold"]).to_pylist())
            if rule not in UNORDERED:
                found, counts = np.unique(_rounded(mine["measure"].drop_null().to_numpy()), return_counts=True)
                values[rule].update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    return {rule: {"median": _median(values[rule]), "threshold": _bound(rule, bounds[rule])} for rule in bounds}


def _bound(rule: str, bounds: set[float | None]) -> float | None:
    """Return the bound of a rule; None where it has none, or one for each thing, or one that is no quantity."""
    return None if rule in UNORDERED or len(bounds) > 1 else _as_written(*bounds)


def _as_written(bound: float | None) -> float | None:
    """Undo what a detour over float32 does to a bound: 0.60000002."""
    return None if bound is None else float(f"{bound:.6g}")


def _rounded(values: Numbers) -> Numbers:
    magnitude = np.floor(np.log10(np.abs(values), where=values != 0, out=np.zeros_like(values)))
    scale = 10.0 ** (DIGITS - 1 - magnitude)
    rounded: Numbers = np.round(np.round(values * scale) / scale, 12)
    return rounded


def _median(counts: Counter[float]) -> float | None:
    """Return the lower median of values, each as often as counted."""
    half, seen = (counts.total() + 1) // 2, 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= half:
            return value
    return None


LOST_IMAGES = 0.5  # of the images asked for; of old links a sixth is gone
FEW = 0.05  # of what a step judged went on: as the drop limit of one rule, for all of a step's together
MANY_FAILURES = 0.01  # of pages on which extraction failed, and of records that cannot be read
MIN_JUDGED = 20  # of fewer things a fraction says little, but for none at all
RETRIED = ("timeout", "dns", "unreachable", "http_429", "http_5xx")  # classes of failure that may pass
LOST = (*RETRIED, "private_address", "robots", "opt_out", "http_4xx", "not_an_image", "undecodable")
NOTES = ("drop_limits", "archives")  # notes of a manifest that are warnings
_NOT_READ = ("UNREADABLE", "TRUNCATED_RECORD", "BAD_HTTP")
_FAILED = ("PAGE_TIMEOUT", "PAGE_MEMORY", "EXTRACTION_FAILED")


@dataclass(frozen=True)
class RunWarning:
    """One warning: about which step, what is wrong, the remedy, and names of files for people who have these files."""

    step: str
    text: str
    remedy: str
    names: str = ""


def find_warnings(directory: str) -> list[RunWarning]:
    """Return the warnings of a run, in the order of its steps; none for a shards folder alone."""
    try:
        run = Lookup(directory)
    except PathError:
        return []
    found = [warned for manifest in run.manifests.values() for warned in _warnings_of_step(manifest)]
    if run.not_run:
        text = f"not finished: {', '.join(run.not_run)}"
        found.append(RunWarning(run.not_run[0], text, "the same `weft run` goes on from there"))
    return found


def _warnings_of_step(manifest: Manifest) -> Iterator[RunWarning]:
    if manifest.step == "extract":
        yield from _of_extract(manifest)
    few = _few_images(manifest) if manifest.step == "fetch" else _few_pages(manifest)
    if few:
        yield few
    elif "drop_limits" in manifest.notes:
        remedy = (
            "look at what it drops, in `weft report OUT` or `weft stats OUT --funnel`, and change its key of the recipe"
        )
        yield RunWarning(manifest.step, manifest.notes["drop_limits"], remedy)
    if manifest.step == "assemble":
        for corpus in manifest.recipe.get("corpora", ()):
            if not manifest.counts.get(corpus):
                text = f"no {corpus} document was made"
                yield RunWarning(
                    "assemble", text, "`weft stats OUT --funnel` shows where pages, captions and images went"
                )


def _of_extract(manifest: Manifest) -> Iterator[RunWarning]:
    judged, rejected = manifest.judged.get("page", 0), manifest.rejected
    if "archives" in manifest.notes:
        remedy = "WET and WAT files hold no pages: give the WARC files that they were made from"
        text, _, names = manifest.notes["archives"].partition(": ")
        yield RunWarning("extract", text, remedy, names)
    unread, failed = (sum(rejected.get(rule, 0) for rule in rules) for rules in (_NOT_READ, _FAILED))
    if unread > MANY_FAILURES * (judged + unread):
        text = f"{percent(unread, judged + unread)} of the records cannot be read ({_most(rejected, _NOT_READ)})"
        yield RunWarning(
            "extract", text, "compare the archives with the sums of who publishes them, and get them again"
        )
    if failed > MANY_FAILURES * judged:
        text = f"extraction failed on {percent(failed, judged)} of {judged:,} pages ({_most(rejected, _FAILED)})"
        yield RunWarning("extract", text, "raise extract.max_seconds or extract.max_memory_bytes")


def _few_images(fetch: Manifest) -> RunWarning | None:
    """Warn where most images were lost, or nearly none is kept; name the failures, and how to try again."""
    kept, asked = fetch.counts.get("ok", 0), sum(fetch.counts.values())
    lost = sum(fetch.counts.get(status, 0) for status in LOST)
    if not _is_few(kept, asked, FEW) and not _is_few(asked - lost, asked, LOST_IMAGES):
        return None
    failures = {status: n for status, n in fetch.counts.items() if status != "ok" and n}
    most = sorted(failures, key=lambda status: (-failures[status], status))
    text = f"only {kept:,} of {asked:,} images are kept ({percent(kept, asked)}): "
    text += ", ".join(f"{status} {percent(failures[status], asked)}" for status in most[:4])
    again = [status for status in most if status in RETRIED]
    remedy = "`weft stats OUT --funnel --by host` names the hosts"
    if again:
        remedy = f"`weft fetch --output OUT --retry {','.join(again)}` asks again; " + remedy
    return RunWarning("fetch", text, remedy)


def _few_pages(manifest: Manifest) -> RunWarning | None:
    kept, judged = manifest.counts.get("pages"), manifest.judged.get("page", 0)
    if kept is None or not _is_few(kept, judged, FEW):
        return None
    of_pages = [rule for rule in manifest.rejected if BY_CODE[rule].level == "page"]
    text = f"only {kept:,} of {judged:,} pages go on ({percent(kept, judged)}): {_most(manifest.rejected, of_pages)}"
    remedy = "look at what these rules drop, in `weft report OUT` or `weft stats OUT --funnel`, and change the recipe"
    return RunWarning(manifest.step, text, remedy)


def _is_few(part: int, whole: int, fraction: float) -> bool:
    return whole > 0 and (part == 0 or (whole >= MIN_JUDGED and part < fraction * whole))


def _most(rejected: Mapping[str, int], rules: list[str] | tuple[str, ...]) -> str:
    ordered = sorted((rule for rule in rules if rejected.get(rule)), key=lambda rule: (-rejected[rule], rule))
    return ", ".join(f"{rule} {rejected[rule]:,}" for rule in ordered[:3])
