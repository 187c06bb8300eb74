"""Measure scaling with cores and with the input: `python -m benchmarks.scale`.

extract_efficiency, dedup_efficiency  seconds of the step on one core, divided by twice those on two: the worse of a
                                      local master and a standalone cluster, whose Worker offers as many cores. All
                                      processes, including Master and driver, are restricted to these cores.
growth_16x                            seconds per page of a run on 16 times the sample web, divided by those on 1 time
cores_efficiency                      the efficiency of a loop without memory: the limit of the machine

The peer of each is the goal.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.dedup_corpus import PASSAGE_WORDS, WHEN, drawn, invented
from benchmarks.results import report
from pipeline.inspect.replay import replaying
from pipeline.io.store import Manifest, Store
from pipeline.io.tables import PartWriter
from schemas.tables import PAGES, STEPS
from tests.sampleweb import RECIPE
from tests.sampleweb.cluster import ENVIRONMENT, standing
from tests.sampleweb.web import write_web

LEAST_EFFICIENCY, MOST_GROWTH = 0.85, 1.15
SAMPLE_PAGES, TIMES = 300, (1, 4, 16)
ARCHIVE_COPIES = 4  # of the largest web's archives, so that one core has half a minute's work
NUM_DOCUMENTS, NUM_PARTS = 600_000, 12
ROUNDS = 2  # the faster one counts, as others use the machine
WEFT = str(Path(sys.executable).parent / "weft")


def main() -> None:
    """Measure, print and store the ratios."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        sys.exit("two cores are needed")
    measures: dict[str, tuple[float, float, str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"a loop without memory: {_loops(cores):.2f} of two cores", flush=True)
        webs = {times: folder / f"web-{times}" for times in TIMES}
        for times, web in webs.items():
            write_web(web, num_pages=times * SAMPLE_PAGES)
        archives = _copies(webs[TIMES[-1]], folder / "copies")
        _documents(folder / "documents")
        for step, arguments in (("extract", archives), ("dedup", [])):
            efficiency = {kind: _efficiency(kind, step, arguments, folder, cores) for kind in ("local", "cluster")}
            measures[f"{step}_efficiency"] = (min(efficiency.values()), LEAST_EFFICIENCY, "of ideal, 1 to 2 cores")
        pace = {times: _whole_run(web, times, folder) for times, web in webs.items()}
    growth = pace[TIMES[-1]] / pace[TIMES[0]]
    print(", ".join(f"{times}x: {seconds * 1_000:.1f} ms a page" for times, seconds in pace.items()))
    report("scale", {**measures, "growth_16x": (growth, MOST_GROWTH, "times per page; less is better")},
           less_is_better={"growth_16x"})  # fmt: skip


def _efficiency(kind: str, step: str, archives: list[str], folder: Path, cores: list[int]) -> float:
    """Time a step on one core and on two, in turn; return the parallel efficiency."""
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(ROUNDS):
        for number in best:
            with _kept_to(cores[:number]), _master(kind, number, folder) as (master, environment):
                best[number] = min(best[number], _timed(step, archives, folder, master, environment))
    found = best[1] / (2 * best[2])
    print(f"{step}, {kind}: {best[1]:.1f} s on one core, {best[2]:.1f} s on two, {found:.2f} of ideal", flush=True)
    return found


@contextmanager
def _kept_to(cores: list[int]) -> Iterator[None]:
    """Restrict this process and its children to some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def _master(kind: str, number: int, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a master with a number of cores, and the environment for submissions to it."""
    place = Path(tempfile.mkdtemp(dir=folder))
    with standing(place, 1, number) if kind == "cluster" else nullcontext() as cluster:
        if cluster is None:
            yield f"local[{number}]", {}
            return
        conf = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
                "spark.executor.memory": f"{2 * number}g", "spark.sql.shuffle.partitions": str(3 * number)}  # fmt: skip
        options = " ".join(f"--conf {key}={value}" for key, value in conf.items())
        yield cluster.url, {**ENVIRONMENT, "PYSPARK_SUBMIT_ARGS": f"{options} pyspark-shell"}


def _timed(step: str, archives: list[str], folder: Path, master: str, environment: dict[str, str]) -> float:
    """Run a step with --overwrite; return its seconds without Spark's start."""
    output = folder / ("documents" if step == "dedup" else "extracted")
    settings = ["--recipe", "kosmos1"]
    if step == "dedup":
        settings += ["--set", "dedup.minhash.enabled=true", "--overwrite"]
    else:
        shutil.rmtree(output, ignore_errors=True)
    _run([WEFT, step, "--output", str(output), "--master", master, *settings, *archives], environment)
    return float(json.loads((output / STEPS[step].folder / "_manifest.json").read_text())["seconds"])


def _whole_run(web: Path, times: int, folder: Path) -> float:
    """Return the seconds per page of all steps on a web."""
    output = folder / f"run-{times}"
    archives = sorted(str(path) for path in web.glob("pages-*.warc.gz"))
    best = float("inf")
    for _ in range(ROUNDS if times == 1 else 1):
        shutil.rmtree(output, ignore_errors=True)
        with replaying([str(web / "images.warc.gz")]) as port:
            settings = ["--set", f"fetch.proxy=http://127.0.0.1:{port}", "--master", "local[2]"]
            _run([WEFT, "run", "--recipe", str(RECIPE), "--output", str(output), *settings, *archives], {})
        manifests = [json.loads(path.read_text()) for path in output.rglob("_manifest.json")]
        best = min(best, sum(manifest["seconds"] for manifest in manifests) / (times * SAMPLE_PAGES))
    print(f"whole run, {times}x: {best * 1_000:.1f} ms a page", flush=True)
    return best


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:4])} failed: {done.stderr[-2_000:]}")


def _copies(web: Path, folder: Path) -> list[str]:
    """Copy a web's archives under other names: each copy is read as a separate archive."""
    folder.mkdir()
    made = [(path, folder / f"{n}-{path.name}") for n in range(ARCHIVE_COPIES) for path in web.glob("pages-*.warc.gz")]
    for path, copy in made:
        shutil.copy(path, copy)
    return sorted(str(copy) for _, copy in made)


def _documents(output: Path) -> None:
    """Write an output of extract and filter: distinct pages of random words."""
    store, random = Store(str(output)), np.random.default_rng(0)
    vocabulary = invented(random)
    files = [f"pages/part-{number}.parquet" for number in range(NUM_PARTS)]
    block = dict.fromkeys(field.name for field in PAGES.schema.field("blocks").type.value_type)
    for part, path in enumerate(files):
        with PartWriter(store, PAGES, store.at(path)) as pages:
            for number, words in enumerate(drawn(NUM_DOCUMENTS // NUM_PARTS, vocabulary, random)):
                pages.add({
                    "page_id": f"{part}-{number:06}", "url": f"http://host.example/{part}/{number}", "license": "",
                    "host": "host.example", "warc_file": f"{part}.warc.gz", "warc_offset": number, "title": "",
                    "captured_at": WHEN, "language": "en", "language_score": 1.0,
                    "blocks": [{**block, "kind": "text", "text": " ".join(words)}],
                })  # fmt: skip
    made_by = {"words": PASSAGE_WORDS}
    extracted = Manifest("extract", made_by, {}, {}, {"pages": files, "captions": []})
    store.commit("pages", extracted)
    judged = Manifest("filter", made_by, {}, {"pages": extracted.digest}, {"measures": [], "rejections": []})
    store.commit("measures", judged)
    store.commit("images", Manifest("fetch", made_by, {}, {"measures": judged.digest}, {"images": []}))


def _loops(cores: list[int]) -> float:
    """Return the parallel efficiency of a loop that uses no memory."""
    context = get_context("fork")

    def seconds(processes: int) -> float:
        with _kept_to(cores[:processes]), context.Pool(processes) as pool:
            started = time.perf_counter()
            pool.map(_loop, range(4), chunksize=1)
            return time.perf_counter() - started

    return seconds(1) / (2 * seconds(2))


def _loop(_: int) -> int:
    return sum(range(60_000_000))


if __name__ == "__main__":
    main()
