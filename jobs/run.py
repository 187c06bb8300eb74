"""Run steps in order, from archives to shards."""

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from jobs import assemble, connectors, dedup, extract, fetch, filter, score, session, shard
from jobs.errors import translate_error
from jobs.fetch import check_contact
from jobs.printing import progress_console as console
from jobs.progress import progress
from jobs.step import Context, Step, clear, finished_output, run_step
from pipeline.io.run_lock import lock_run
from pipeline.io.store import Manifest, Store
from pipeline.warc.inputs import expand
from schemas.display import message, redact_address
from schemas.errors import PathError, RecipeError, WeftError
from schemas.recipe import Recipe

STEPS: tuple[Step, ...] = (
    extract.STEP,
    filter.STEP,
    fetch.STEP,
    dedup.STEP,
    score.STEP,
    assemble.STEP,
    shard.STEP,
)


def select_steps(first: str | None, last: str | None) -> tuple[Step, ...]:
    """Return the steps from `first` (default: extract) to `last` (default: shard). Raises: RecipeError if none."""
    names = [step.name for step in STEPS]
    start, end = names.index(first or names[0]), names.index(last or names[-1])
    if end < start:
        raise RecipeError(f"--until {last} is before --from {names[start]}: no step is left")
    return STEPS[start : end + 1]


def run(
    steps: Sequence[Step],
    recipe: Recipe,
    output: str,
    inputs: Sequence[str] = (),
    overwrite: bool = False,
    master: str | None = None,
    retry: tuple[str, ...] = (),
) -> dict[str, Manifest]:
    """Run steps in order, skipping those whose output is complete; return the manifest of each.

    retry lists the failure classes of images that fetch requests again. Arguments are checked before anything is
    written.
    Raises: PathError for a missing input or file of the recipe, an output that cannot be written or is locked by
    another run, or a full disk; RecipeError when the output was made with another recipe, or a model cannot be loaded;
    IntegrityError when a part of the output is damaged; MissingError without Java.
    """
    archives = expand(list(inputs)) if inputs else []
    session.check_master(master)
    session.check_java()
    store = Store(output)
    if extract.STEP not in steps and not store.fs.exists(store.path):
        raise PathError(f"{output} does not exist: give the output of `weft extract` or `weft run`")
    _check_names(archives)
    for step in steps:
        step.check_credentials(recipe)
    if fetch.STEP in steps:
        check_contact(recipe)
    store.check_writable()
    try:
        with lock_run(store):
            store.remove_drafts()
            try:
                return _run_locked(steps, recipe, store, archives, overwrite, master, retry)
            except BaseException:
                store.remove_drafts()
                raise
    except WeftError:
        raise
    except Exception as error:
        translated = translate_error(error, store)
        if translated is None:
            raise
        raise translated from error


def _check_names(archives: Sequence[str]) -> None:
    """Raise PathError when two archives differ only in their credentials: they would share one name in the output."""
    for name, count in Counter(map(redact_address, archives)).items():
        if count > 1:
            raise PathError(f"{count} inputs are {name} with different credentials: give it once, or copy them")


def _run_locked(
    steps: Sequence[Step],
    recipe: Recipe,
    store: Store,
    archives: Sequence[str],
    overwrite: bool,
    master: str | None,
    retry: tuple[str, ...],
) -> dict[str, Manifest]:
    alone = len(steps) == 1
    if not overwrite:
        _check_outputs(steps, recipe, store, archives)
        finished = None if retry else _finished_outputs(steps, store, recipe, archives)
        if finished:
            return finished
    for step in steps:
        is_remade = overwrite or (alone and step.retunes) or store.manifest(step.folder) is None
        if step.needs and is_remade:
            step.needs(recipe)
    with session.using(master, store) as spark:
        if any(step is not extract.STEP for step in steps):
            connectors.connect(spark, store.url())
        if overwrite:
            for step in steps:
                clear(step, store)
        return {step.name: _show(step, Context(spark, store, recipe, archives, retry, alone)) for step in steps}


def _check_outputs(steps: Sequence[Step], recipe: Recipe, store: Store, archives: Sequence[str]) -> None:
    """Check existing outputs against the recipe, and print the steps' warnings."""
    for step in steps:
        step.check(store, recipe, len(steps) == 1)
        if step.warn and (warning := step.warn(store, archives)):
            _warn(warning)


def _finished_outputs(
    steps: Sequence[Step], store: Store, recipe: Recipe, archives: Sequence[str]
) -> dict[str, Manifest] | None:
    """Print and return the manifests if every step is complete, without starting Spark; else return None."""
    finished = {}
    for step in steps:
        _, manifest = finished_output(step, store, recipe, archives)
        if manifest is None:
            return None
        finished[step.name] = manifest
    for manifest in finished.values():
        _print_result(manifest, "already complete")
    return finished


def _show(step: Step, context: Context) -> Manifest:
    before = context.store.manifest(step.folder)
    with progress(context.spark, step.name, step.watch(context) if step.watch else None):
        manifest = run_step(step, context)
    same = manifest == before
    _print_result(manifest, "already complete" if same else f"{manifest.seconds:g} s")
    if not same and "changed" in manifest.notes:
        _print_line("", Text(message(manifest.notes["changed"])))
    return manifest


def _print_result(manifest: Manifest, took: str) -> None:
    counts = ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in manifest.counts.items())
    rejected = sum(manifest.rejected.values())
    text = f"{counts or '-'}" + (f"; {rejected:,} rejected" if rejected else "") + f"  ({took})"
    _print_line(manifest.step, Text(text))
    for note in ("archives", "drop_limits"):
        if note in manifest.notes:
            _warn(manifest.notes[note])


def _warn(text: str) -> None:
    _print_line("", Text.assemble(("warning", "bold yellow"), f": {message(text)}"))


def _print_line(head: str, text: Text) -> None:
    console.print(Text(f"{head:>10}  ").append_text(text), soft_wrap=True)
