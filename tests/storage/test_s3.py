"""S3: a run from and to a bucket is the same as on disk, undisturbed, killed, and with an archive added.

The tests share one output and follow each other.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faultyproxy import Proxy, Request, proxying
from ondisk import SETTINGS, OnDisk
from servers import BUCKET, S3, SECRET, hadoop_version, jars
from webs import Web

from pipeline.io.run_lock import CLAIM, STALE_SECONDS
from tests.jobs.runs import kill_tree, running, wait_for, weft
from trainer import metrics

pytestmark = pytest.mark.slow

OUT = "out"
MAX_PER_ARCHIVE = 8
MAX_PER_COMMIT = 4
MAX_SAME_LISTS = 3  # of one folder in a step; more would grow with its time
ANSWERS = f"/{BUCKET}/{OUT}/images/_fetch/answers/"
FETCHED = re.compile(rf"/{BUCKET}/{OUT}/(images/_fetch/answers/|images/batch=|sites/)")


@pytest.fixture(scope="module")
def proxy(s3: S3) -> Iterator[Proxy]:
    """A proxy that counts requests."""
    with proxying(s3.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def by_proxy(s3: S3, proxy: Proxy) -> S3:
    return s3.by(proxy.port)


@pytest.fixture(scope="module")
def command(small_web: Web, s3: S3) -> list[str]:
    """A run without its archives."""
    return ["run", *SETTINGS, "--set", f"fetch.proxy={small_web.proxy}", "--output", s3.url(OUT)]


@pytest.fixture(scope="module")
def first(by_proxy: S3, proxy: Proxy, command: list[str], crawl_in_s3: list[str]) -> list[Request]:
    """The requests of a first run, without the last archive."""
    start = len(proxy.requests)
    done = weft(*command, *crawl_in_s3[:-1], **by_proxy.environment)
    assert done.returncode == 0, done.stderr[-3_000:]
    return proxy.requests[start:]


@pytest.fixture(scope="module")
def both(first: list[Request], by_proxy: S3, proxy: Proxy, command: list[str], crawl_in_s3: list[str]) -> str:
    """The output after the last archive was added by a run that was killed, and by the same command again.

    Another run on it is refused while the first is alive.
    """
    start = len(proxy.requests)

    def is_sent(path: str) -> bool:
        return any(r.method == "PUT" and r.path.startswith(path) for r in proxy.requests[start:])

    with running(Path(), [*command, *crawl_in_s3], **by_proxy.environment) as run:
        wait_for(lambda: is_sent(f"/{BUCKET}/{OUT}/{CLAIM}/"), run.process)
        refused = weft(*command, *crawl_in_s3, **by_proxy.environment)
        assert run.process.poll() is None, "the run was over: start the second earlier"
        assert refused.returncode == 2, refused.stderr[-3_000:]
        (line,) = refused.stderr.splitlines()
        assert f"process {run.process.pid} on " in line and by_proxy.url(OUT) in line
        wait_for(lambda: is_sent(ANSWERS), run.process)
        kill_tree(run.process)
        assert not is_sent(f"/{BUCKET}/{OUT}/images/_manifest.json"), "fetch was over: kill earlier"
    _age_claim(by_proxy)
    done = weft(*command, *crawl_in_s3, **by_proxy.environment)
    assert done.returncode == 0, done.stderr[-3_000:]
    return by_proxy.url(OUT)


def _age_claim(server: S3) -> None:
    """Make the lock of the killed run as old as it would be some minutes later."""
    for path in server.fs.find(f"{BUCKET}/{OUT}/{CLAIM}"):
        if path.endswith(".json"):
            claim = json.loads(server.fs.cat_file(path))
            server.fs.pipe_file(path, json.dumps({**claim, "beat": time.time() - 2 * STALE_SECONDS}).encode())


def test_a_run_makes_the_same_shards_as_on_disk(first: list[Request], s3: S3, on_disk: OnDisk) -> None:
    assert s3.sums(OUT) == on_disk.first


def of_step(requests: list[Request], step: str) -> list[Request]:
    """Return the requests of a step: its configuration is written first, and that of the next step ends it."""
    folder = f"/{BUCKET}/{OUT}/_config/"
    begun = [n for n, r in enumerate(requests) if r.method == "PUT" and r.path.startswith(folder)]
    (start,) = [n for n in begun if requests[n].path == f"{folder}{step}.json"]
    return requests[start : min([n for n in begun if n > start], default=len(requests))]


def table(requests: list[Request]) -> str:
    """Return how often each method was used on keys of one form."""

    def form(text: str) -> str:
        return re.sub(r"\d+", "N", re.sub(r"[0-9a-f]{8,}(-[0-9a-f]+)*", "#", text))

    counted = Counter(f"{r.name:6} {form(r.path if r.name != 'LIST' else r.query)}" for r in requests)
    return "\n".join(f"{number:5} {name}" for name, number in counted.most_common())


def by_python(requests: list[Request]) -> list[Request]:
    return [r for r in requests if "hadoop" not in r.agent.lower()]


def test_an_archive_needs_few_requests(first: list[Request], crawl_in_s3: list[str]) -> None:
    names = [url.rsplit("/", 1)[-1] for url in crawl_in_s3[:-1]]
    of_archives = [r for r in of_step(first, "extract") if any(name in r.path for name in names)]
    found = len(of_archives) / len(names)
    assert len({r.path for r in of_archives}) >= 5 * len(names), "an archive, its three tables and its commit"
    assert found <= MAX_PER_ARCHIVE, f"{found:.1f} requests per archive in extract:\n{table(of_archives)}"


def test_a_commit_of_fetch_needs_few_requests(first: list[Request]) -> None:
    step = by_python(of_step(first, "fetch"))
    commits = {r.path for r in step if r.method == "PUT" and r.path.startswith(ANSWERS) and r.path.endswith(".parquet")}
    assert len(commits) > 3
    of_commits = [r for r in step if FETCHED.match(r.path)]
    found = len(of_commits) / len(commits)
    assert found <= MAX_PER_COMMIT, f"{found:.1f} requests per commit of fetch:\n{table(of_commits)}"


@pytest.mark.parametrize("step", ["extract", "fetch"])
def test_progress_needs_no_listing(first: list[Request], step: str) -> None:
    prefixes = Counter(
        match[1]
        for r in by_python(of_step(first, step))
        if r.is_list and (match := re.search(r"prefix=([^&]*)", r.query)) and f"/{CLAIM}" not in match[1]
    )
    often = {prefix: number for prefix, number in prefixes.items() if number > MAX_SAME_LISTS}
    assert not often, f"{step} lists the same folder again and again: {often}"


def test_a_killed_run_that_added_an_archive_continues(both: str, s3: S3, on_disk: OnDisk) -> None:
    assert s3.sums(OUT) == on_disk.both
    left = [name for name in s3.files(OUT) if "_temporary/" in name or "__magic" in name or "_draft-" in name]
    assert not left


def test_no_key_is_in_the_output(both: str, s3: S3) -> None:
    holding = [name for name, data in s3.files(OUT).items() if SECRET.encode() in data]
    assert not holding


@pytest.mark.parametrize(
    "arguments",
    [("stats", "--json"), ("stats", "--funnel", "--json"), ("verify", "--quick", "--json"), ("why", "--json")],
    ids=" ".join,
)
def test_a_command_shows_the_same(
    both: str, s3: S3, on_disk: OnDisk, small_web: Web, arguments: tuple[str, ...]
) -> None:
    name, *options = arguments
    item = [small_web.truth("truth.jsonl")[0]["url"]] if name == "why" else []
    there = weft(name, both, *item, *options, **s3.environment)
    here = weft(name, str(on_disk.output), *item, *options)
    assert there.returncode == 0, there.stderr[-3_000:]
    assert here.returncode == 0, here.stderr[-3_000:]
    shown = [comparable(json.loads(done.stdout)) for done in (there, here)]
    if name == "verify":
        for each in shown:
            each["counts"].pop("tables' files")  # the killed fetch committed parts of its own
    assert shown[0] == shown[1]


def comparable(value: Any) -> Any:
    """Return a value without times, and with the names of files in place of their addresses."""
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items() if key != "seconds"}
    if isinstance(value, list):
        return [comparable(each) for each in value]
    return value.rsplit("/", 1)[-1] if isinstance(value, str) and "/" in value else value


def test_the_report_shows_the_same(both: str, s3: S3, on_disk: OnDisk, tmp_path: Path) -> None:
    pages = []
    for output, environment in ((both, s3.environment), (str(on_disk.output), {})):
        path = tmp_path / f"{len(pages)}.html"
        done = weft("report", output, "--master", "local[2]", "--output", str(path), "--samples", "5", **environment)
        assert done.returncode == 0, done.stderr[-3_000:]
        pages.append(path.read_text())
    assert abs(len(pages[0]) - len(pages[1])) < 2_000, "only addresses differ"


def test_the_trainer_reads_the_shards(both: str, s3: S3, on_disk: OnDisk, tmp_path: Path) -> None:
    losses = []
    for data, environment in ((both, s3.environment), (str(on_disk.output), {})):
        folder = tmp_path / str(len(losses))
        tokenizer, output = str(folder / "tokenizer"), folder / "checkpoints"
        done = weft("tokenizer", "--data", data, "--output", tokenizer, "--vocab-size", "600", **environment)
        assert done.returncode == 0, done.stderr[-3_000:]
        done = weft("train", "--config", "debug", "--data", data, "--tokenizer", tokenizer, "--output", str(output),
                    "--set", "steps=2", "--set", "optimizer.warmup_steps=1", **environment)  # fmt: skip
        assert done.returncode == 0, done.stderr[-3_000:]
        losses.append([(step.step, step.batch, step.loss) for step in metrics.read(output)])
    assert len(losses[0]) == 2
    assert losses[0] == losses[1]


def test_the_card_is_written_beside_the_shards(both: str, s3: S3, on_disk: OnDisk) -> None:
    there = weft("card", both, "--name", "ours", **s3.environment)
    here = weft("card", str(on_disk.output), "--name", "ours")
    assert (there.returncode, here.returncode) == (0, 0), there.stderr + here.stderr
    croissant = [
        json.loads(s3.files(f"{OUT}/shards")["croissant.json"]),
        json.loads((on_disk.output / "shards" / "croissant.json").read_text()),
    ]
    for each in croissant:
        del each["version"]  # a digest of the manifests, with names of parts that each run chooses
    assert comparable(croissant[0]) == comparable(croissant[1])


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("misfit", f"does not fit this Spark's Hadoop {hadoop_version()}: take org.apache.hadoop:hadoop-aws:"),
        ("", "the connector is missing"),
    ],
)
def test_a_connector_that_does_not_work_is_one_line(s3: S3, small_web: Web, profile: str, message: str) -> None:
    command = ["run", *SETTINGS, "--set", f"fetch.proxy={small_web.proxy}", "--output", s3.url("misfit")]
    fitting = f"{jars('spark')}/*"
    classes = f"{jars(profile)}/*:{fitting}" if profile else ""
    options = s3.environment["PYSPARK_SUBMIT_ARGS"].replace(fitting, classes)
    done = weft(*command, small_web.archives[0], **{**s3.environment, "PYSPARK_SUBMIT_ARGS": options})
    assert done.returncode == 2, done.stderr[-3_000:]
    (line,) = done.stderr.splitlines()
    assert message in line
    assert s3.files("misfit") == {}


def test_a_wrong_key_is_one_line(s3: S3, small_web: Web) -> None:
    command = ["run", *SETTINGS, "--set", f"fetch.proxy={small_web.proxy}", "--output", s3.url("other")]
    done = weft(*command, small_web.archives[0], **{**s3.environment, "AWS_SECRET_ACCESS_KEY": "not-the-secret"})
    assert done.returncode == 2, done.stderr[-3_000:]
    (line,) = done.stderr.splitlines()
    assert s3.url("other") in line and "not-the-secret" not in line
