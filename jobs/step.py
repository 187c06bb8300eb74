"""What a step is, and the rules by which it runs, runs again, or refuses to."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline import spark as sparkling
from pipeline.store import Manifest, Store
from schemas.errors import PathError, RecipeError
from schemas.recipe import Recipe
from schemas.tables import Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CONFIG = "_config"  # below it, a file for each step, written when it starts: what its output is being made with


@dataclass(frozen=True)
class Outcome:
    """What a step made: the files of each table, counts of rows, rejections by rule, and words for people.

    leftovers are paths that nobody needs any more once the manifest is written.
    """

    files: dict[str, list[str]]
    counts: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """What a step works with."""

    spark: "SparkSession"
    store: Store
    recipe: Recipe
    inputs: Sequence[str]  # archives; empty for every step but extract
    retry: tuple[str, ...] = ()  # for fetch: the classes of failure that are asked for again

    def read(self, table: Table, folder: str) -> "DataFrame":
        """Read a table as the manifest in `folder` lists it."""
        manifest = self.store.manifest(folder)
        return sparkling.read(self.spark, self.store, table, manifest.files.get(table.name, []) if manifest else [])

    def write(self, frame: "DataFrame", table: Table, folder: str) -> list[str]:
        """Write a table below a folder; return its files."""
        return sparkling.write(frame, self.store, table, folder)


@dataclass(frozen=True)
class Step:
    """One verb of the pipeline.

    folder:   where its main output and its manifest lie
    after:    folders of the steps whose output it reads
    sections: the parts of the recipe that shape its output
    grows:    whether new inputs are added to what is there, rather than making it anew
    watch:    gives a function that tells in words how far the work is, where Spark's tasks say too little
    """

    name: str
    folder: str
    after: tuple[str, ...]
    sections: tuple[str, ...]
    work: Callable[[Context], Outcome]
    grows: bool = False
    watch: Callable[[Context], Callable[[], str]] | None = None

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """Return what must be equal for an output to count as made by this recipe."""
        return {"seed": recipe.seed, **recipe.part(*self.sections)}

    def check(self, store: Store, recipe: Recipe) -> None:
        """Raise RecipeError when the output is there, whole or in part, and was made with another configuration."""
        try:
            made_with = store.read_json(store.at(CONFIG, f"{self.name}.json"))
        except FileNotFoundError:
            return
        differing = list(_differences(made_with, self.config(recipe)))
        if differing:
            raise RecipeError(
                f"{store.root}/{self.folder} was made with {'; '.join(differing)}. "
                "Take another --output, or make it anew with --overwrite"
            )


def run_step(step: Step, context: Context) -> Manifest:
    """Run a step unless its output is there already, and commit its manifest.

    Raises: RecipeError as Step.check; PathError when a step before it has not finished.
    """
    store, recipe = context.store, context.recipe
    step.check(store, recipe)
    inputs = {}
    for folder in step.after:
        before = store.manifest(folder)
        if before is None:
            raise PathError(f"{store.root}/{folder} is not there yet: run the steps before `weft {step.name}` first")
        inputs[folder] = before.digest
    if step.grows and context.inputs:
        inputs["archives"] = "\n".join(context.inputs)
    found = store.manifest(step.folder)
    if found is not None and found.inputs == inputs and not context.retry:
        return found
    store.write_json(store.at(CONFIG, f"{step.name}.json"), step.config(recipe))
    started = time.monotonic()
    outcome = step.work(context)
    manifest = Manifest(
        step=step.name,
        recipe=recipe.model_dump(mode="json"),
        config=step.config(recipe),
        inputs=inputs,
        seconds=round(time.monotonic() - started, 1),
        files=outcome.files,
        counts=outcome.counts,
        rejected=outcome.rejected,
        notes=outcome.notes,
    )
    store.commit(step.folder, manifest)
    for path in outcome.leftovers:
        store.remove(path)
    return manifest


def clear(step: Step, store: Store) -> None:
    """Remove a step's output, its rejections too."""
    store.remove(step.folder)
    store.remove("rejections", step.name)
    store.remove(CONFIG, f"{step.name}.json")


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.append(f"{prefix}{key}={a}, not {b}")
    return found
