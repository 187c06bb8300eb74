"""Extract: archives to `pages` and `captions`, committed one archive at a time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.step import Context, Outcome, Step, num_of_level
from pipeline.html.extract import extract_archive, part_name
from pipeline.html.prefilter import Prefilter
from pipeline.io.store import Store, read_commits
from pipeline.io.tables import PartWriter
from pipeline.warc.stream import find_replaced
from schemas.display import redact_address
from schemas.errors import PathError
from schemas.integrity import Sum
from schemas.reasons import RETRIED
from schemas.recipe import Extract, Recipe
from schemas.tables import REJECTIONS, STEPS, rejection

if TYPE_CHECKING:
    from pyspark import Accumulator


_EMPTY = {"NO_RESPONSE": "no response in it", "NOT_AN_ARCHIVE": "not an archive"}  # by rule
_FAILED = "rejections/extract/failed"  # folder of the part that lists archives
_MAX_NAMED = 5  # archives that a message lists


def work(context: Context) -> Outcome:
    """Read, one task each, the archives that are not committed yet or have pages that timed out on a busy machine.

    Raises: PathError when archives could not be read, after all others are done.
    """
    store, config, agent = context.store, context.recipe.extract, context.recipe.fetch.user_agent
    done = read_commits(store)
    final = {part for part, commit in done.items() if RETRIED.isdisjoint(commit["rejected"])}
    todo = [a for a in context.inputs if part_name(a) not in final]
    failures: dict[str, str] = {}
    if todo:
        tasks, tally = context.spark.sparkContext.parallelize(todo, len(todo)), context.tally
        tally.add(Counter(archives=len(final)))
        tried = tasks.map(lambda archive: _attempt(archive, store, config, agent, tally)).collect()
        failures = {archive: result for archive, result in zip(todo, tried, strict=True) if isinstance(result, str)}
        _check_failures(failures, context)
        done |= {part_name(archive): commit for archive, commit in zip(todo, tried, strict=True)
                 if not isinstance(commit, str)}  # fmt: skip
    files: dict[str, list[str]] = {"pages": [], "captions": [], "rejections": []}
    counts: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    sums: dict[str, Sum] = {}
    for _, commit in sorted(done.items()):
        for table, path in commit["files"].items():
            files[table].append(path)
        counts.update(commit["counts"])
        rejected.update(commit["rejected"])
        sums.update(commit.get("sums", {}))
    leftovers = [] if failures else store.parts(_FAILED)
    if failures:
        path = f"{_FAILED}/archives.parquet"
        with PartWriter(store, REJECTIONS, store.at(path)) as part:
            for archive, failure in sorted(failures.items()):
                part.add(
                    rejection("extract", "ARCHIVE_FAILED", "record", warc_file=redact_address(archive), detail=failure)
                )
        files["rejections"].append(path)
        sums[path] = part.sum
        rejected["ARCHIVE_FAILED"] = len(failures)
    judged = {
        "page": counts["pages"] + num_of_level(rejected, "page"),
        "caption": counts["captions"] + num_of_level(rejected, "caption"),
    }
    return Outcome(
        files,
        dict(sorted(counts.items())),
        dict(sorted(rejected.items())),
        _notes(done, failures),
        leftovers,
        judged,
        sums,
    )


def _check_failures(failures: Mapping[str, str], context: Context) -> None:
    """Raise PathError when more archives failed than the recipe permits."""
    num, limit = len(context.inputs), context.recipe.extract.max_failed_archives
    if limit is None:
        limit = num // 100  # 0 for fewer than 100
    if len(failures) > limit:
        limited = f"{len(failures):,} of {num:,} archives could not be read (extract.max_failed_archives={limit}): "
        raise PathError((limited if limit else "") + _first(list(failures.values()), "; "))


def _notes(done: dict[str, dict[str, Any]], failures: Mapping[str, str]) -> dict[str, str]:
    """Return a note that names the archives that failed, or else those without any page."""
    if failures:
        return {
            "archives": f"{len(failures):,} archives could not be read, and the same command tries them again: "
            + _first(list(failures.values()), "; ")
        }
    empty = [(commit["archive"], rule) for _, commit in sorted(done.items()) for rule in _EMPTY
             if commit["rejected"].get(rule)]  # fmt: skip
    if not empty:
        return {}
    named = _first([f"{archive} ({_EMPTY[rule]})" for archive, rule in empty])
    return {"archives": f"{len(empty):,} of {len(done):,} archives hold no page: {named}"}


def _first(names: Sequence[str], separator: str = ", ") -> str:
    """Join the first names, and the number of the others."""
    more = f" and {len(names) - _MAX_NAMED:,} more" if len(names) > _MAX_NAMED else ""
    return separator.join(names[:_MAX_NAMED]) + more


def find_replaced_archives(store: Store, archives: Sequence[str]) -> str | None:
    """Return a warning about archives that changed after they were read, or None."""
    commits = read_commits(store)
    sources = {name: known for name in archives if (known := commits.get(part_name(name), {}).get("source"))}
    replaced = find_replaced(sources)
    if not replaced:
        return None
    return (
        f"{len(replaced):,} of {len(sources):,} archives were replaced after they were read (size, ETag or "
        f"modification time differ): {_first(replaced)}. {store.root} holds the pages of the old files. Rename the new "
        "files to add their pages; or run `weft extract` on the same archives with --overwrite: it deletes all "
        f"pages, reads all {len(sources):,} archives again, and all later steps run again"
    )


def _attempt(
    archive: str, store: Store, config: Extract, agent: str, tally: "Accumulator[Counter[str]]"
) -> dict[str, Any] | str:
    """Extract an archive; return its commit, or why it could not be read."""
    try:
        commit = extract_archive(archive, store, config, agent)
    except PathError as error:  # the driver raises it when the other archives are done
        return str(error)
    except OSError:
        raise  # of this machine: Spark retries the task
    except Exception as error:
        return f"{archive}: {type(error).__name__}: {error}"
    tally.add(Counter(commit["counts"]) + Counter(rejected=sum(commit["rejected"].values())))
    return commit


def watch(context: Context) -> Callable[[], str]:
    """Return the function that describes progress: archives done of all, and the rows made from them."""

    def status() -> str:
        counts = context.tally.value
        made = ", ".join(f"{counts[name]:,} {name}" for name in ("pages", "captions", "rejected") if counts[name])
        return f"{counts['archives']:,} of {len(context.inputs):,} archives{f'; {made} so far' if made else ''}"

    return status


class _Extract(Step):
    def config(self, recipe: Recipe) -> dict[str, Any]:
        """Add fetch.user_agent, which pages may name in their opt-outs, and leave out what shapes no archive's part."""
        values = {**super().config(recipe), "fetch": {"user_agent": recipe.fetch.user_agent}}
        values["extract"] = {k: v for k, v in values["extract"].items() if k != "max_failed_archives"}
        return values


STEP = _Extract(
    STEPS["extract"],
    ("extract",),
    work,
    grows=True,
    resumes=True,
    watch=watch,
    needs=lambda recipe: Prefilter(recipe.extract.prefilter),
    warn=find_replaced_archives,
)
