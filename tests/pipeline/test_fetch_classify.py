"""Every way in which a download fails has its class."""

import pytest

from jobs.recipes import load
from pipeline.fetch.classify import classify
from pipeline.fetch.download import asked
from schemas.reasons import CODES, for_status
from schemas.tables import IMAGE_STATUS


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("HTTP Error 404: Not Found", "http_4xx"),
        ("HTTP Error 410: Gone", "http_4xx"),
        ("HTTP Error 503: Service Unavailable", "http_5xx"),
        ("Use of image disallowed by X-Robots-Tag directive", "directive"),
        ("<urlopen error timed out>", "timeout"),
        ("The read operation timed out", "timeout"),
        ("<urlopen error [Errno -2] Name or service not known>", "dns"),
        ("<urlopen error [Errno -3] Temporary failure in name resolution>", "dns"),
        ("<urlopen error unknown url type: ftp>", "refused_address"),
        ("<urlopen error [Errno 111] Connection refused>", "unreachable"),
        ("", "unreachable"),
    ],
)
def test_classify(error: str, status: str) -> None:
    assert classify(error) == status


def test_every_class_has_a_reason() -> None:
    assert {for_status(s) for s in IMAGE_STATUS if s != "ok"} <= CODES


def test_a_proxy_is_asked_in_http() -> None:
    direct, proxied = load("kosmos1").fetch, load("kosmos1", ["fetch.proxy=http://127.0.0.1:1"]).fetch
    assert asked("https://h.example/a?b", direct) == "https://h.example/a?b"
    assert asked("https://h.example/a?b", proxied) == "http://h.example/a?b"
