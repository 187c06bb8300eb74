"""tdmrep.json: tests/cases/consent/reservations.jsonl holds files with the addresses that they reserve."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fetch.permissions import MAX_BYTES, MAX_RULES, Reservations

CASES = Path(__file__).parent.parent / "cases" / "consent" / "reservations.jsonl"
SITE = "http://host.example"
EVERYTHING = b'[{"location": "/", "tdm-reservation": 1}]'


@pytest.mark.parametrize(
    "case", [json.loads(line) for line in CASES.read_text("utf-8").splitlines()], ids=lambda c: c["name"]
)
def test_what_a_file_reserves(case: dict) -> None:
    found = Reservations.read(200, json.dumps(case["rules"]).encode())
    assert [path for path in case["refused"] + case["allowed"] if found.refuses(SITE + path)] == case["refused"]


@pytest.mark.parametrize(("status", "refused"), [(200, True), (404, False), (204, False), (500, False), (0, False)])
def test_only_an_answer_with_a_file_reserves(status: int, refused: bool) -> None:
    assert Reservations.read(status, EVERYTHING).refuses(SITE + "/a") is refused


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (b"\xef\xbb\xbf" + EVERYTHING, True),
        (EVERYTHING + b" " * (MAX_BYTES - len(EVERYTHING)), True),
        (EVERYTHING + b" " * (MAX_BYTES + 1 - len(EVERYTHING)), False),
        (b"", False),
        (EVERYTHING[:-1], False),
        (b"<html>", False),
        (b"\xff" + EVERYTHING, False),
        (b"[" * 100_000, False),
        (b"9" * 10_000, False),
        (b'[{"location": "/\\ud800", "tdm-reservation": 1}]', False),
    ],
    ids=["byte order mark", "as large as may be", "too large", "empty", "cut", "HTML", "no UTF-8", "deep", "a number",
         "half a character"],
)  # fmt: skip
def test_a_malformed_file_reserves_nothing(body: bytes, refused: bool) -> None:
    assert Reservations.read(200, body).refuses(SITE + "/a") is refused


def test_no_file_takes_long() -> None:
    rules = [{"location": f"/*{'a' * 9}b{i}", "tdm-reservation": 1} for i in range(8000)]
    started = time.process_time()
    found = Reservations.read(200, json.dumps(rules).encode())
    assert not found.refuses(SITE + "/" + "a" * 7900)
    assert len(found.rules) == MAX_RULES
    assert time.process_time() - started < 2  # 0.1 s where this was written


_VALUES = st.sampled_from([0, 1, "1", None, True, 2.5, [], {}])
_RULES = st.fixed_dictionaries(
    {}, optional={"location": st.text(max_size=9) | st.integers(), "tdm-reservation": _VALUES}
)


@given(st.integers(0, 599), st.binary(max_size=99) | st.lists(_RULES).map(json.dumps).map(str.encode), st.text())
def test_any_input_gives_a_decision(status: int, body: bytes, rest: str) -> None:
    assert Reservations.read(status, body).refuses(SITE + "/" + rest) in (True, False)
