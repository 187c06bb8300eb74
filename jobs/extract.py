"""Extract: archives to `pages` and `captions`, one committed part for each archive."""

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobs.drops import of_level
from jobs.step import Context, Outcome, Step
from pipeline.commits import read_commits
from pipeline.extract.archive import extract_archive, part_name
from pipeline.extract.gates.gates import Gates
from pipeline.store import Store
from schemas.errors import PathError
from schemas.recipe import Recipe
from schemas.recipe.extract import Extract

if TYPE_CHECKING:
    from pyspark import Accumulator


def work(context: Context) -> Outcome:
    """Read the archives that have no committed part yet, one task each.

    Raises: PathError, once every other archive is done, when some could not be opened.
    """
    store, config, agent = context.store, context.recipe.extract, context.recipe.fetch.user_agent
    done = read_commits(store)
    todo = [a for a in context.inputs if part_name(a) not in done]
    if todo:
        tasks, tally = context.spark.sparkContext.parallelize(todo, len(todo)), context.tally
        tally.add(Counter(archives=len(done)))
        tried = tasks.map(lambda archive: _attempt(archive, store, config, agent, tally)).collect()
        failures = [failure for failure in tried if failure]
        if failures:
            raise PathError("; ".join(failures))
        done = read_commits(store)
    files: dict[str, list[str]] = {"pages": [], "captions": [], "rejections": []}
    counts: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for _, commit in sorted(done.items()):
        for table, path in commit["files"].items():
            files[table].append(path)
        counts.update(commit["counts"])
        rejected.update(commit["rejected"])
    judged = {
        "page": counts["pages"] + of_level(rejected, "page"),
        "caption": counts["captions"] + of_level(rejected, "caption"),
    }
    return Outcome(files, dict(sorted(counts.items())), dict(sorted(rejected.items())), judged=judged)


def _attempt(archive: str, store: Store, config: Extract, agent: str, tally: "Accumulator[Counter[str]]") -> str | None:
    try:
        commit = extract_archive(archive, store, config, agent)
    except PathError as error:  # the driver says it in one line, when the other archives are done
        return str(error)
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
    "extract",
    "pages",
    (),
    ("extract",),
    work,
    grows=True,
    resumes=True,
    watch=watch,
    needs=lambda recipe: Gates(recipe.extract.gates),
)
