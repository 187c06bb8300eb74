"""A store that answers 503, cuts connections and is slow: a run makes the same shards."""

import pytest
from faultyproxy import proxying, some_faults
from ondisk import SETTINGS, OnDisk
from servers import BUCKET, S3
from webs import Web

from tests.jobs.runs import weft

pytestmark = pytest.mark.slow


def test_a_faulty_proxy_shows_what_the_server_has(s3: S3) -> None:
    data = {f"{BUCKET}/faulty/{number}": bytes([number]) * 300_000 for number in range(3)}
    faults = dict(enumerate(("", "503", "", "cut", "", "delay", "")))
    with proxying(s3.port, lambda number: faults.get(number % 7, "")) as proxy:
        fs = s3.by(proxy.port).fs
        for path, body in data.items():
            fs.pipe_file(path, body)
        assert s3.fs.cat(list(data)) == data
        for _ in range(5):
            for path, body in data.items():
                assert fs.cat_file(path, start=0, end=len(body)) == body
        assert {"503", "cut", "delay"} == set(proxy.faults)


def test_a_run_on_a_faulty_store(s3: S3, crawl_in_s3: list[str], small_web: Web, on_disk: OnDisk) -> None:
    with proxying(s3.port, some_faults) as proxy:
        done = weft(
            "run", *SETTINGS, "--set", f"fetch.proxy={small_web.proxy}", "--output", s3.url("faulty-out"),
            *crawl_in_s3, **s3.by(proxy.port).environment,
        )  # fmt: skip
        assert done.returncode == 0, f"{proxy.faults} in {len(proxy.requests)} requests\n{done.stderr[-3_000:]}"
        assert all(proxy.faults[kind] > 0 for kind in ("503", "cut", "delay")), proxy.faults
    assert s3.sums("faulty-out") == on_disk.both
