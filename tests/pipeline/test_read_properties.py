"""Whatever the bytes: the reader ends, raises nothing, and keeps what stands before the damage."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastwarc.stream_io import ZstdWriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.warc.responses import Response, Unreadable, read_archive
from schemas.reasons import CODES

NUM_PAGES = 5
RULES = {"UNREADABLE", "NOT_AN_ARCHIVE", "TRUNCATED_RECORD", "BAD_HTTP", "TOO_LARGE", "NOT_HTML", "NO_URL",
         "NO_RESPONSE", "BINARY_BODY"}  # fmt: skip
anything = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


def body(number: int) -> bytes:
    return f"<html>page {number} ".encode() + bytes((i * i + number) % 241 for i in range(120)) + b"</html>"


def warc(number: int) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body(number)
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/{number}\r\n"
    return f"{head}Content-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"


def arc(number: int) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body(number)
    return b"http://a.example/%d 192.0.2.1 20240301100000 text/html %d\n" % (number, len(block)) + block + b"\n"


def zstd(record: bytes) -> bytes:
    file = io.BytesIO()
    writer = ZstdWriter(file)
    writer.write(record)
    writer.finish()
    writer.flush()
    return file.getvalue()


def wacz(parts: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("archive/a.warc.gz", b"".join(parts))
    return file.getvalue()


def join(parts: list[bytes]) -> bytes:
    return b"".join(parts)


FORMS: dict[str, list[bytes]] = {
    "plain": [warc(number) for number in range(NUM_PAGES)],
    "gzip": [gzip.compress(warc(number)) for number in range(NUM_PAGES)],
    "zstd": [zstd(warc(number)) for number in range(NUM_PAGES)],
    "arc": [arc(number) for number in range(NUM_PAGES)],
}
BODIES = [body(number) for number in range(NUM_PAGES)]


def read(folder: Path, data: bytes) -> list[Response | Unreadable]:
    path = folder / "archive"
    path.write_bytes(data)
    items = list(read_archive(str(path), lambda *_: True, max_body_bytes=10_000))
    for item in items:
        if isinstance(item, Unreadable):
            assert item.rule in RULES & CODES
            assert item.offset >= 0
            assert item.detail
    return items


def bodies(items: list[Response | Unreadable]) -> list[bytes]:
    return [item.body for item in items if isinstance(item, Response)]


PIECES = st.sampled_from(
    [
        *(part for parts in FORMS.values() for part in parts),
        wacz(FORMS["gzip"]),
        gzip.compress(b"x" * 99),
        b"WARC/1.0\r\n",
        b"\r\n\r\n",
        b"Content-Length: 99999999\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"\x1f\x8b\x08",
        b"PK\x03\x04",
        b"\x04\x22\x4d\x18",
        b"\x28\xb5\x2f\xfd",
        b"http://a.example/ 192.0.2.1 2024 text/html 9\n",
        b"HTTP/1.1 200 OK\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"Content-Encoding: gzip, br, deflate\r\n\r\n",
    ]
)


@anything
@given(st.lists(st.binary(max_size=200) | PIECES, max_size=8).map(b"".join))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    read(tmp_path, data)


@pytest.mark.parametrize("form", FORMS)
@anything
@given(data=st.data())
def test_damage_spares_what_stands_before_it_and_after_it(tmp_path: Path, form: str, data: st.DataObject) -> None:
    parts = list(FORMS[form])
    hit = data.draw(st.integers(0, NUM_PAGES - 1), "damaged record")
    flips = data.draw(
        st.lists(st.tuples(st.integers(0, len(parts[hit]) - 1), st.integers(1, 255)), min_size=1, max_size=9)
    )
    damaged = bytearray(parts[hit])
    for at, mask in flips:
        damaged[at] ^= mask
    parts[hit] = bytes(damaged)
    found = bodies(read(tmp_path, b"".join(parts)))
    assert found[:hit] == BODIES[:hit]
    if form == "gzip":  # whose members have marks that damage elsewhere cannot hide
        assert found[len(found) - (NUM_PAGES - 1 - hit) :] == BODIES[hit + 1 :]


@pytest.mark.parametrize("form", FORMS)
@anything
@given(data=st.data())
def test_a_cut_spares_what_stands_before_it(tmp_path: Path, form: str, data: st.DataObject) -> None:
    parts = FORMS[form]
    whole = data.draw(st.integers(1, NUM_PAGES - 1), "whole records")
    cut = data.draw(st.integers(1, len(parts[whole]) - 9), "bytes left of the next")
    items = read(tmp_path, b"".join(parts[:whole]) + parts[whole][:cut])
    assert bodies(items)[:whole] == BODIES[:whole]
    assert any(isinstance(item, Unreadable) for item in items), "a cut record leaves a row"


@pytest.mark.parametrize("pack", [join, lambda parts: gzip.compress(join(parts)), wacz], ids=["plain", "gzip", "wacz"])
@anything
@given(
    junk=st.binary(min_size=1, max_size=60).filter(lambda junk: junk.strip(b"\r\n\0") == junk),
    at=st.integers(0, NUM_PAGES),
)
def test_junk_between_records_costs_a_row_and_no_page(
    tmp_path: Path, pack: Callable[[list[bytes]], bytes], junk: bytes, at: int
) -> None:
    form = "gzip" if pack is wacz else "plain"
    parts = [*FORMS[form][:at], junk if form == "gzip" else junk + b"\n", *FORMS[form][at:]]
    items = read(tmp_path, pack(parts))
    assert bodies(items) == BODIES
    assert [item.rule for item in items if isinstance(item, Unreadable)] == ["UNREADABLE"]
