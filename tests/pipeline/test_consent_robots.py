"""robots.txt by RFC 9309: tests/cases/consent/robots.jsonl holds files with the URLs that they disallow."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.permissions import MAX_BYTES, MAX_URL_CHARACTERS, MAX_WILDCARDS, Robots

CASES = Path(__file__).parent.parent / "cases" / "consent" / "robots.jsonl"
SITE = "http://host.example"
ALL = b"User-agent: *\n"


def robots(text: str, status: int = 200) -> Robots:
    return Robots.read("weft", status, text.encode())


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in CASES.read_text("utf-8").splitlines()], ids=lambda c: c["name"]
)
def test_what_a_file_disallows(case: dict) -> None:
    found = robots(case["robots"])
    assert [path for path in case["refused"] + case["allowed"] if found.refuses(SITE + path)] == case["refused"]
    assert found.crawl_delay_seconds == case.get("delay", 0)


@pytest.mark.parametrize(
    ("status", "refused"),
    [(200, "/a"), (206, "/a"), (400, ""), (404, ""), (410, ""), (499, ""), (429, "/a/b"), (500, "/a/b"),
     (503, "/a/b"), (599, "/a/b"), (301, "/a/b"), (100, "/a/b"), (0, "/a/b")],
)  # fmt: skip
def test_what_an_answer_means(status: int, refused: str) -> None:
    found = robots("User-agent: *\nDisallow: /a", status)
    assert "".join(path for path in ("/a", "/b") if found.refuses(SITE + path)) == refused


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_marks(charset: str) -> None:
    mark = "\ufeff" if charset in ("utf-16-le", "utf-16-be") else ""
    body = f"{mark}User-agent: *\nDisallow: /图/\n".encode(charset)
    found = Robots.read("weft", 200, body)
    assert found.refuses(SITE + "/%E5%9B%BE/a") and not found.refuses(SITE + "/a")


def test_text_beyond_the_size_limit_is_ignored() -> None:
    padding = b"#" * (MAX_BYTES - len(ALL) - len(b"Disallow: /a\n") - 1) + b"\n"
    whole = Robots.read("weft", 200, ALL + padding + b"Disallow: /a\n" + b"Disallow: /b\n")
    assert whole.refuses(SITE + "/a") and not whole.refuses(SITE + "/b")
    cut = Robots.read("weft", 200, ALL + b"#" + padding + b"Disallow: /abc\n")
    assert not cut.refuses(SITE + "/abd"), "half a rule is no rule"


def test_urls_that_cannot_be_matched_are_disallowed_if_there_are_rules() -> None:
    unclear = [
        "http://[host.example/a",
        "http://ho\u2100st.example/?a",
        "http://host.example/\ud800",
        SITE + "/" * 8000,
    ]
    nearly = SITE + "/" + "b" * (MAX_URL_CHARACTERS - len(SITE) - 1)
    assert all(robots("User-agent: *\nDisallow: /a").refuses(url) for url in unclear)
    assert not robots("User-agent: *\nDisallow: /a").refuses(nearly)
    assert not any(robots("", 404).refuses(url) for url in unclear[:-1])


def test_too_many_wildcards_disallow_everything() -> None:
    rules = "Disallow: /*a\n" * (MAX_WILDCARDS - 1)
    assert not robots("User-agent: *\n" + rules).refuses(SITE + "/b")
    assert robots("User-agent: *\n" + rules + "Disallow: /*a").refuses(SITE + "/b")
    assert not robots("User-agent: *\n" + rules + "# ***").refuses(SITE + "/b")


@pytest.mark.parametrize(
    "body",
    [
        ALL + b"".join(b"Disallow:/%d\n" % i for i in range(40_000)),
        ALL + b"".join(b"Disallow:*a%d$\n" % i for i in range(9_900)),
        ALL + b"".join(b"Disallow:*%sb%s\n" % (b"a" * 18, b"a" * 18) for _ in range(9_900)),
        ALL + b"Disallow: /" + b"*a" * 9_900 + b"b",
        b"".join(b"User-agent: %d\n" % i for i in range(20_000)) + b"".join(b"Allow:/%d\n" % i for i in range(20_000)),
        b"".join(b"user agent %d\n" % i for i in range(20_000)) + b"".join(b"Allow:/%d\n" % i for i in range(20_000)),
        b"User" + b" -" * 250_000,
        b"User-agent" + b" " * 500_000,
    ],
    ids=["rules", "wildcards", "near misses", "one rule", "agents", "agents, no colon", "no agent", "spaces"],
)
def test_no_file_takes_long(body: bytes) -> None:
    started = time.process_time()
    found = Robots.read("weft", 200, body)
    assert not found.refuses(SITE + "/" + "a" * (MAX_URL_CHARACTERS - 20))
    assert time.process_time() - started < 4  # 0.4 s at most where this was written; without bounds, minutes


_LINES = st.lists(
    st.sampled_from(["User-agent: *", "user agent weft", "User-agent: other", "Disallow: /", "Allow: /a*$",
                     "Disallow: *", "Crawl-delay: 1e9", "Request-rate: 1/0", "Sitemap:", "\x00", "Disallow: /%",
                     "Allow: http://a/b"])
    | st.text(max_size=20)
).map("\n".join)  # fmt: skip
_CHARACTERS = st.text(st.characters(codec=None), max_size=40)  # halves of surrogate pairs too


@given(st.integers(0, 999), st.binary(max_size=200) | _LINES.map(lambda s: s.encode(errors="replace")), _CHARACTERS)
def test_any_input_gives_a_decision(status: int, body: bytes, rest: str) -> None:
    found = Robots.read("weft", status, body)
    assert found.refuses("https://" + rest) in (True, False)
    assert found.refuses(SITE + "/" + rest) in (True, False)
    assert 0 <= found.crawl_delay_seconds <= 86_400


@given(_LINES)
def test_groups_of_other_agents_are_ignored(text: str) -> None:
    others = "User-agent: other\nUser-agent: we\nDisallow: /\nAllow: /b\nCrawl-delay: 7\n"
    alone, beside = robots(text), robots(others + text)
    for path in ("/", "/a", "/b", "/a/x?y"):
        assert alone.refuses(SITE + path) == beside.refuses(SITE + path)
    assert alone.crawl_delay_seconds == beside.crawl_delay_seconds
