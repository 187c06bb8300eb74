"""Cached answers of sites: their expiry, and damaged files."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.permissions import SiteFile, SiteFiles
from pipeline.io.store import Store

URL = "http://host.example/robots.txt"
DAY = 86_400.0


def answer(status: int = 200, fetched_at: float = 1_000.0, body: bytes = b"User-agent: *\n") -> SiteFile:
    return SiteFile(URL, fetched_at, status, body)


def kept(folder: Path, since: float = 1_000.0) -> SiteFiles:
    return SiteFiles(Store(str(folder)), DAY, since)


@pytest.mark.parametrize(
    ("status", "now", "since", "counts"),
    [
        (200, 1_000, 1_000, True),
        (200, 1_000 + DAY - 1, 1_000, True),
        (200, 1_000 + DAY, 1_000, False),
        (200, 2_000, 1_500, True),
        (404, 2_000, 1_500, True),
        (500, 2_000, 1_000, True),
        (500, 2_000, 1_500, False),
        (429, 2_000, 1_000, True),
        (429, 2_000, 1_500, False),
        (0, 2_000, 1_000, True),
        (0, 2_000, 1_500, False),
        (503, 1_000 + DAY, 1_000, False),
        (200, 998, 900, True),
        (200, 1_000 - DAY, 0, False),
    ],
)
def test_which_answers_are_valid(tmp_path: Path, status: int, now: float, since: float, counts: bool) -> None:
    files = kept(tmp_path, since)
    files.put(answer(status))
    assert files.get(URL, now) == (answer(status) if counts else None)


def test_an_unknown_address(tmp_path: Path) -> None:
    kept(tmp_path).put(answer())
    assert kept(tmp_path).get("https://host.example/robots.txt", 1_000) is None


def test_a_newer_answer_replaces_an_older_one(tmp_path: Path) -> None:
    kept(tmp_path).put(answer(503, 1_000))
    kept(tmp_path).put(answer(200, 1_001))
    assert kept(tmp_path).get(URL, 1_002) == answer(200, 1_001)
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    assert path.parent.parent == tmp_path and path.parent.name == path.name[:2] and path.suffix == ".json"


@pytest.mark.parametrize(
    "damage",
    [b"", b"[]", b"{}", b"null", b"\xff", b"{", {"body": 1}, {"body": "\u0100"}, {"fetched_at": "x"}, {"status": "x"},
     {"fetched_at": float("nan")}, {"fetched_at": float("inf")}, {"url": "http://other.example/robots.txt"},
     {"more": 1}],
)  # fmt: skip
def test_a_damaged_file_is_ignored(tmp_path: Path, damage: bytes | dict) -> None:
    kept(tmp_path).put(answer())
    (path,) = tmp_path.rglob("*.json")
    whole = json.loads(path.read_bytes())
    path.write_bytes(damage if isinstance(damage, bytes) else json.dumps({**whole, **damage}).encode())
    assert kept(tmp_path).get(URL, 1_000) is None
    kept(tmp_path).put(answer())
    assert kept(tmp_path).get(URL, 1_000) == answer()


@given(st.binary(max_size=300))
def test_every_body_is_restored(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    files = kept(tmp_path_factory.mktemp("sites"))
    files.put(answer(body=body))
    assert files.get(URL, 1_000) == answer(body=body)
