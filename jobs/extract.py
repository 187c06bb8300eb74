"""Extract: archives to `pages` and `captions`, one committed part for each archive."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from jobs.step import Context, Outcome, Step, num_of_level
from pipeline.html.extract import extract_archive, part_name
from pipeline.html.prefilter import Prefilter
from pipeline.io.store import Store, read_commits
from pipeline.warc.stream import find_replaced
from schemas.errors import PathError
from schemas.integrity import Sum
from schemas.reasons import STALLED
from schemas.recipe import Extract, Recipe
from schemas.tables import STEPS

if TYPE_CHECKING:
    from pyspark import Accumulator


_EMPTY = {"NO_RESPONSE": "no response in it", "NOT_AN_ARCHIVE": "no archive"}  # by the rule that says so
_NAMED = 5  # archives, of those that a line is about


def work(context: Context) -> Outcome:
    """Read the archives that have no committed part yet, or pages that the machine's load took, one task each.

    Raises: PathError, once every other archive is done, when some could not be opened.
    """
    store, config, agent = context.store, context.recipe.extract, context.recipe.fetch.user_agent
    done = read_commits(store)
    final = {part for part, commit in done.items() if STALLED.isdisjoint(commit["rejected"])}
    todo = [a for a in context.inputs if part_name(a) not in final]
    if todo:
        tasks, tally = context.spark.sparkContext.parallelize(todo, len(todo)), context.tally
        tally.add(Counter(archives=len(final)))
        tried = tasks.map(lambda archive: _attempt(archive, store, config, agent, tally)).collect()
        failures = [failure for failure in tried if failure]
        if failures:
            raise PathError("; ".join(failures))
        done = read_commits(store)
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
    judged = {
        "page": counts["pages"] + num_of_level(rejected, "page"),
        "caption": counts["captions"] + num_of_level(rejected, "caption"),
    }
    return Outcome(
        files, dict(sorted(counts.items())), dict(sorted(rejected.items())), _notes(done), judged=judged, sums=sums
    )


def _notes(done: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name the archives in which there is nothing to extract from."""
    empty = [(commit["archive"], rule) for _, commit in sorted(done.items()) for rule in _EMPTY
             if commit["rejected"].get(rule)]  # fmt: skip
    if not empty:
        return {}
    named = _first([f"{archive} ({_EMPTY[rule]})" for archive, rule in empty])
    return {"archives": f"{len(empty):,} of {len(done):,} archives hold no page: {named}"}


def _first(names: Sequence[str]) -> str:
    """Join the first names, and say how many more there are."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def find_replaced_archives(store: Store, archives: Sequence[str]) -> str | None:
    """Say which archives were replaced under their names after they were read, and what to do; None when none was."""
    commits = read_commits(store)
    sources = {name: known for name in archives if (known := commits.get(part_name(name), {}).get("source"))}
    replaced = find_replaced(sources)
    if not replaced:
        return None
    return (
        f"{len(replaced):,} of {len(sources):,} archives were replaced after they were read (size, ETag or time of "
        f"modification differ): {_first(replaced)}. {store.root} holds the pages of the old files. "
        f"Give the new files new names to read them alone, and keep the old pages; or `weft extract` the same archives "
        f"with --overwrite: it removes all pages, reads all {len(sources):,} archives again, and the steps after it "
        "run again"
    )


def _attempt(archive: str, store: Store, config: Extract, agent: str, tally: "Accumulator[Counter[str]]") -> str | None:
    try:
        commit = extract_archive(archive, store, config, agent)
    except PathError as error:  # the driver says it in one line, when the other archives are done
        return str(error)
    except OSError:
        raise  # the machine's fault, which another try may mend
    except Exception as error:
        return f"{archive}: {type(error).__name__}: {error}"
    tally.add(Counter(commit["counts"]) + Counter(rejected=sum(commit["rejected"].values())))
    return None


def watch(context: Context) -> Callable[[], str]:
    """Return what tells how far the reading is: archives of all, and what has come of those read now."""

    def tell() -> str:
        counts = context.tally.value
        made = ", ".join(f"{counts[name]:,} {name}" for name in ("pages", "captions", "rejected") if counts[name])
        return f"{counts['archives']:,} of {len(context.inputs):,} archives{f'; {made} so far' if made else ''}"

    return tell


class _Extract(Step):
    def config(self, recipe: Recipe) -> dict[str, Any]:
        """Add the name by which pages may speak to us: the one key of another section that shapes this output."""
        return {**super().config(recipe), "fetch": {"user_agent": recipe.fetch.user_agent}}


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
