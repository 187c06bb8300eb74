"""What a step is, how it reads and writes tables on Spark, and when it runs again."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyspark import Accumulator, AccumulatorParam
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from pipeline.io.store import CONFIG, Manifest, Store
from schemas.display import masked_keys, percent, redact_address, redacted
from schemas.errors import PathError, RecipeError
from schemas.integrity import Sum
from schemas.overrides import merge
from schemas.reasons import BY_CODE, RETRIED
from schemas.recipe import DropLimits, Recipe
from schemas.renames import current_recipe
from schemas.tables import STEPS, Batches, StepSpec, Table, step_of


def spark_schema(schema: pa.Schema) -> StructType:
    """Return the Spark form of an Arrow schema."""
    return from_arrow_schema(schema.remove_metadata())


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """Return the Arrow form of a frame's schema."""
    return to_arrow_schema(frame.schema)


def map_batches(frame: DataFrame, function: Callable[[Batches], Batches], schema: pa.Schema) -> DataFrame:
    """Apply a function from Arrow batches to Arrow batches to each partition of a frame."""
    plain = pa.schema([f.remove_metadata() for f in schema])

    def run(batches: Batches) -> Batches:
        for batch in function(batches):
            yield batch.cast(plain) if batch.schema != plain else batch

    return frame.mapInArrow(run, spark_schema(schema))


def read(spark: SparkSession, store: Store, table: Table, files: list[str]) -> DataFrame:
    """Read the Parquet files of a table that a manifest lists; without files, return an empty frame.

    Spark's optimizer knows that a limit of 0 is empty and removes joins with it. For a local relation without rows it
    would still plan a shuffle.
    """
    schema = spark_schema(table.schema)
    if not files:
        return spark.createDataFrame([], schema).limit(0)
    return read_files(spark, store, files, schema)


def read_files(
    spark: SparkSession, store: Store, files: Sequence[str], schema: StructType | None = None, **options: bool
) -> DataFrame:
    """Read Parquet files or folders of a store; without a schema, use that of the files. Options are Spark's.

    Spark treats a path as a pattern (org.apache.hadoop.fs.GlobPattern), so special characters are escaped.
    """
    reader = spark.read.options(**options)
    reader = reader if schema is None else reader.schema(schema)
    return reader.parquet(*(re.sub(r"([\[\]{}*?\\])", r"\\\1", store.url(file)) for file in files))


def write(frame: DataFrame, store: Store, table: Table, folder: str) -> list[str]:
    """Write a frame as Parquet files of a table, replacing the folder; return the files."""
    ordered = frame.select(*(F.col(c.name) for c in table.columns))
    ordered.write.mode("overwrite").parquet(store.url(folder))
    return store.parts(folder)


def count_by(frame: DataFrame, column: str) -> dict[str, int]:
    """Count rows by the value of a column, sorted by value."""
    rows = frame.groupBy(column).count().collect()
    return dict(sorted((str(row[column]), int(row["count"])) for row in rows))


class _Counts(AccumulatorParam[Counter[str]]):
    def zero(self, value: Counter[str]) -> Counter[str]:
        return Counter()

    def addInPlace(self, value1: Counter[str], value2: Counter[str]) -> Counter[str]:  # the name is Spark's
        value1.update(value2)
        return value1


def tally(spark: SparkSession) -> Accumulator[Counter[str]]:
    """Return counters that tasks increment and the driver reads while they run."""
    return spark.sparkContext.accumulator(Counter(), _Counts())


ADVICE = (
    "Change the recipe, or raise the rule's bound with --set drop_limits.rules.RULE=FRACTION, and run again; "
    "--set drop_limits.action=warn only warns"
)


def exceeded_limits(judged: Mapping[str, int], rejected: Mapping[str, int], limits: DropLimits) -> list[str]:
    """Return a message for each rule that dropped more than its limit, the worst first.

    Args: judged counts by level or rule, as in Manifest; a level that is not counted has no limit.
    """
    found = []
    for rule, dropped in rejected.items():
        total, bound = judged.get(rule, judged.get(BY_CODE[rule].level, 0)), limits.bound(rule)
        if bound is not None and total >= limits.min_items and dropped > bound * total:
            found.append((dropped / total, rule, dropped, total, bound))
    return [
        f"{rule} drops {percent(dropped, total)} of its input ({dropped:,} of {total:,} {BY_CODE[rule].level}s), "
        f"more than drop_limits.{'rules.' + rule if rule in limits.rules else 'max_dropped_fraction'}={bound:g}"
        for _, rule, dropped, total, bound in sorted(found, reverse=True)
    ]


def num_of_level(rejected: Mapping[str, int], level: str) -> int:
    """Count the rejections of a level at which nothing is rejected twice."""
    return sum(n for rule, n in rejected.items() if BY_CODE[rule].level == level)


@dataclass(frozen=True)
class Outcome:
    """What a step made: the files of each table, row counts, rejections by rule, and notes for people.

    judged is as in Manifest: how many pages, images, ... the rules saw. sums are checksums computed while writing; the
    other files are read back. leftovers are paths to delete once the manifest is written.
    """

    files: dict[str, list[str]]
    counts: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    leftovers: list[str] = field(default_factory=list)
    judged: dict[str, int] = field(default_factory=dict)
    sums: dict[str, Sum] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a step works with."""

    spark: SparkSession
    store: Store
    recipe: Recipe
    inputs: Sequence[str]  # archives; empty for every step except extract
    retry: tuple[str, ...] = ()  # for fetch: the failure classes to request again
    alone: bool = False  # whether this is the only step of the command

    @cached_property
    def tally(self) -> Accumulator[Counter[str]]:
        """Counters of the tasks, for the progress display; a task that Spark repeats may count twice."""
        return tally(self.spark)

    def read(self, table: Table, step: str | None = None) -> DataFrame:
        """Read a table as its step's manifest lists it; `rejections` needs the name of the step."""
        manifest = self.store.manifest((STEPS[step] if step else step_of(table)).folder)
        return read(self.spark, self.store, table, manifest.parts(table.name) if manifest else [])

    def write(self, frame: DataFrame, table: Table, folder: str) -> list[str]:
        """Write a table to a folder; return its files."""
        return write(frame, self.store, table, folder)


@dataclass(frozen=True)
class Step:
    """One step of the pipeline.

    spec:     its row in the table of steps: name, folder, tables, and the steps whose output it reads
    sections: the recipe sections that shape its output
    resumes:  whether a stopped run continues from what it committed
    retunes:  whether, run alone with another recipe, it replaces its output without --overwrite
    grows:    whether new inputs are added to an existing output
    needs:    raises when a file or model that the recipe names is missing; called before anything is written
    watch:    returns a function that describes progress, where Spark's task counts say too little
    warn:     returns a warning about an existing output and these inputs, or None
    """

    spec: StepSpec
    sections: tuple[str, ...]
    work: Callable[[Context], Outcome]
    retunes: bool = False
    grows: bool = False
    resumes: bool = False
    needs: Callable[[Recipe], object] | None = None
    watch: Callable[[Context], Callable[[], str]] | None = None
    warn: Callable[[Store, Sequence[str]], str | None] | None = None

    @property
    def name(self) -> str:
        """The name of the step and of its command."""
        return self.spec.name

    @property
    def folder(self) -> str:
        """The folder of its manifest."""
        return self.spec.folder

    def config(self, recipe: Recipe) -> dict[str, Any]:
        """Return the settings that an output must have been made with to be reused; credentials are masked."""
        values: dict[str, Any] = redacted({"seed": recipe.seed, **recipe.part(*self.sections)})
        return values

    def stored_config(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the stored config of an output with current names, and the defaults of keys added since."""
        stored: dict[str, Any] = redacted(current_recipe(config)[0])
        return merge(self.config(Recipe(name="default")), stored)

    def check_credentials(self, recipe: Recipe) -> None:
        """Raise RecipeError when the recipe comes from an output, where credentials are masked, and needs them."""
        values = recipe.model_dump(include={*self.sections, self.name})
        if keys := masked_keys(values):
            again = " ".join(f"--set {key}=..." for key in keys)
            raise RecipeError(f"outputs store no credentials, and {self.name} needs those of its recipe: {again}")

    def check(self, store: Store, recipe: Recipe, alone: bool = False) -> None:
        """Raise RecipeError when a finished or partial output was made with other settings."""
        if self.retunes and alone:
            return
        try:
            made_with = store.read_json(store.at(CONFIG, f"{self.name}.json"))
        except FileNotFoundError:
            return
        differing = list(_differences(self.stored_config(made_with), self.config(recipe)))
        if differing:
            alone_hint = f"; `weft {self.name}` alone accepts the new recipe" if self.retunes else ""
            raise RecipeError(
                f"{store.root}/{self.folder} was made with {'; '.join(differing)}. "
                f"Use another --output, or --overwrite to delete and remake it{alone_hint}"
            )


def finished_output(
    step: Step, store: Store, recipe: Recipe, archives: Sequence[str]
) -> tuple[dict[str, str], Manifest | None]:
    """Return the inputs of a step, and its manifest if an output from these inputs and settings is complete.

    An output with RETRIED rejections (the machine was overloaded) is not complete: the step retries that part.

    Raises: PathError when an earlier step has not finished.
    """
    inputs = {}
    for folder in (STEPS[name].folder for name in step.spec.inputs):
        before = store.manifest(folder)
        if before is None:
            raise PathError(f"{store.root}/{folder} does not exist yet: run the steps before `weft {step.name}` first")
        inputs[folder] = before.digest
    if step.grows and archives:
        inputs["archives"] = "\n".join(map(redact_address, archives))
    found = store.manifest(step.folder)
    if found is None or found.inputs != inputs or not RETRIED.isdisjoint(found.rejected):
        return inputs, None
    return inputs, found if step.stored_config(found.config) == step.config(recipe) else None


def run_step(step: Step, context: Context) -> Manifest:
    """Run a step unless its output is complete, and commit its manifest.

    Raises: RecipeError as Step.check, or when a rule exceeds its drop limit; PathError when an earlier step has not
    finished.
    """
    store, recipe = context.store, context.recipe
    step.check(store, recipe, context.alone)
    inputs, found = finished_output(step, store, recipe, context.inputs)
    if found and not context.retry:
        return found
    store.write_json(store.at(CONFIG, f"{step.name}.json"), step.config(recipe))
    started, before = time.monotonic(), store.manifest(step.folder)
    outcome = step.work(context)
    dropped = exceeded_limits(outcome.judged, outcome.rejected, recipe.drop_limits)
    if dropped and recipe.drop_limits.action == "fail":
        if not step.resumes:  # nothing of this output is reused, so the recipe may change
            store.remove(CONFIG, f"{step.name}.json")
        raise RecipeError(f"{step.name} stops: {'; '.join(dropped)}. {ADVICE}")
    manifest = Manifest(
        step=step.name,
        recipe=redacted(recipe.model_dump(mode="json")),
        config=step.config(recipe),
        inputs=inputs,
        seconds=round(time.monotonic() - started, 1),
        files=outcome.files,
        counts=outcome.counts,
        rejected=outcome.rejected,
        notes=redacted(_with_limits_note(outcome.notes, dropped)),
        judged=outcome.judged,
        sums=_sums(context, outcome, before.sums if before else {}),
    )
    store.commit(step.folder, manifest)
    for path in outcome.leftovers:
        store.remove(path)
    return manifest


def _sums(context: Context, outcome: Outcome, before: dict[str, Sum]) -> dict[str, Sum]:
    """Return the checksums of a step's parts: from writing, from the previous manifest, or by reading them in tasks.

    No part is rewritten under the same name, except by extract, which computes sums while writing. The sums of shards
    are in their listing.
    """
    files = sorted({file for table, paths in outcome.files.items() if table != "shards" for file in paths})
    known = {**before, **outcome.sums}
    unknown = [file for file in files if file not in known]
    if unknown:
        spark, store = context.spark.sparkContext, context.store
        tasks = spark.parallelize(unknown, min(len(unknown), 4 * spark.defaultParallelism))
        known |= dict(tasks.map(lambda file: (file, store.sum(file))).collect())
    return {file: known[file] for file in files}


def _with_limits_note(notes: dict[str, str], exceeded: list[str]) -> dict[str, str]:
    """Replace the note on exceeded drop limits, which a step may have copied from its previous manifest."""
    own = {name: note for name, note in notes.items() if name != "drop_limits"}
    return {**own, "drop_limits": "; ".join(exceeded)} if exceeded else own


def clear(step: Step, store: Store) -> None:
    """Remove a step's output and its rejections."""
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
