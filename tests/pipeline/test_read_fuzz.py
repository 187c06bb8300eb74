"""2,400 mutants of small archives, the same ones each time: reading one always ends, and nothing that it holds raises.

What costs more than linear time hangs here until the time limit of tests ends it.
"""

import gzip
import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastwarc.stream_io import Lz4Writer, ZstdWriter

from pipeline.inspect.replay import Index, read_capture
from pipeline.warc.responses import Response, read_archive
from schemas.reasons import BY_CODE

CAUGHT = re.compile(
    r"reading stops|\w+(Error|Exception): "
)  # an exception became a row: sound, and still a fault of ours
NUM_MUTANTS = 300  # of each form
MAX_BODY_BYTES = 20_000
SPLICES = (
    b"WARC/1.0\r\n", b"WARC/1.1\r\nWARC-Type: response\r\n", b"\r\n\r\n", b"\n", b"\0" * 40, b"\xff" * 40, b"\r" * 70,
    b"Content-Length: 99999999\r\n", b"Content-Length: 0\r\n\r\n", b"Content-Length: -1\r\n", b"A: " + b"b" * 40_000,
    b"A: b\r\n" * 1_200, b" folded\r\n" * 300, b":\r\n:\r\n", b"\xff\xfe: \xed\xa0\x80\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 30, b"HTTP/1.1 200 OK\r\nContent-Type: */*\r\n\r\n", b"HTTP/1.1 \r\n\r\n",
    b'Content-Type: text/html; charset="\\\r\nContent-Type: ,",;=\r\n',
    b"Content-Encoding: gzip, br, zstd, deflate\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n", b"ffffffffffffff\r\n", b"0\r\n\r\n", b"<?xml " + b"<!-- -->" * 200,
    b"\x1f\x8b\x08\x08", b"\x1f\x8b\x08\x04\xff\xff", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"PK\x03\x04",
    b"PK\x01\x02",
    b"\x5d\x2a\x4d\x18\x08\0\0\0\x37\xa4\x30\xec\1\2\3\4", b"\x50\x2a\x4d\x18\xff\xff\xff\xff",
    b"http://a.example/ ::1 20240301100000 text/html 9\n", b"a: " * 400, b"WARC-Target-URI: \r\n", b"WARC-Type: \r\n",
)  # fmt: skip


def body(number: int) -> bytes:
    return f"<html><p>page {number} ".encode() + b"of a small archive. " * 6 + b"</html>"


def http(number: int) -> bytes:
    coded, header = {
        0: (body(0), "X-A: b"),
        1: (gzip.compress(body(1)), "Content-Encoding: gzip"),
        2: (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body(2)), body(2)), "Transfer-Encoding: chunked"),
    }[number % 3]
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{header}\r\n\r\n".encode() + coded


def warc(number: int) -> bytes:
    block = http(number)
    head = f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/{number}\r\n"
    return (
        f"{head}Content-Type: application/http\r\nContent-Length: {len(block)}\r\n\r\n".encode() + block + b"\r\n\r\n"
    )


def arc(number: int) -> bytes:
    block = http(number)
    return b"http://a.example/%d 192.0.2.1 20240301100000 text/html %d\n" % (number, len(block)) + block + b"\n"


def framed(writer: type) -> bytes:
    file = io.BytesIO()
    for number in range(3):
        frame = writer(file)
        frame.write(warc(number))
        frame.finish()
        frame.flush()
    return file.getvalue()


def wacz(compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        zipped.writestr("archive/a.warc.gz", b"".join(gzip.compress(warc(number)) for number in range(3)))
    return file.getvalue()


FORMS: dict[str, Callable[[], bytes]] = {
    "warc": lambda: b"".join(map(warc, range(3))),
    "warc.gz": lambda: b"".join(gzip.compress(warc(number)) for number in range(3)),
    "warc.zst": lambda: framed(ZstdWriter),
    "warc.lz4": lambda: framed(Lz4Writer),
    "arc": lambda: b"".join(map(arc, range(3))),
    "arc.gz": lambda: gzip.compress(b"".join(map(arc, range(3)))),
    "wacz, stored": lambda: wacz(zipfile.ZIP_STORED),
    "wacz, deflated": lambda: wacz(zipfile.ZIP_DEFLATED),
}


def mutate(data: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        at = chance.randrange(len(mutant) + 1)
        end = min(len(mutant), at + chance.choice((1, 4, 30, 400)))
        match chance.randrange(6):
            case 0:
                mutant[at:at] = chance.choice(SPLICES)
            case 1:
                mutant[at:end] = chance.choice(SPLICES)
            case 2:
                mutant[at:end] = chance.randbytes(end - at)
            case 3:
                del mutant[at:end]
            case 4:
                mutant[at:at] = mutant[at:end] * chance.choice((1, 2, 50))
            case 5:
                del mutant[at:]
    return bytes(mutant)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("form", FORMS)
def test_mutants(tmp_path: Path, form: str) -> None:
    sound, chance = FORMS[form](), random.Random(f"20 {form}")
    path = tmp_path / "archive"
    path.write_bytes(sound)
    items = list(read_archive(str(path), max_body_bytes=MAX_BODY_BYTES))
    assert [item.body for item in items if isinstance(item, Response)] == [body(number) for number in range(3)]
    for number in range(NUM_MUTANTS):
        mutant = mutate(sound, chance)
        path.write_bytes(mutant)
        items = list(read_archive(str(path), lambda *_: True, MAX_BODY_BYTES))
        assert items, f"mutant {number}: it vanishes"
        for item in items:
            assert item.offset >= 0, f"mutant {number}"
            if isinstance(item, Response):
                assert len(item.body) <= MAX_BODY_BYTES, f"mutant {number}"
            else:
                assert item.rule in BY_CODE and item.detail, f"mutant {number}"
                assert not CAUGHT.match(item.detail), f"mutant {number}: {item.detail}"
        if number % 4 == 0:
            index = Index([str(path)])
            for capture in list(index._captures.values()):
                read_capture(capture)


@pytest.mark.parametrize("form", ["warc", "warc.gz", "warc.zst"])
def test_a_mutant_costs_no_record_of_what_follows_in_the_file(tmp_path: Path, form: str) -> None:
    """A record is mutated, its length kept right where it stands plain: what stands before and behind it is read."""
    pack: dict[str, Callable[[bytes], bytes]] = {
        "warc": lambda record: record,
        "warc.gz": gzip.compress,
        "warc.zst": lambda record: _zstd(record),
    }
    chance = random.Random(f"follow {form}")
    path = tmp_path / "archive"
    before, after = warc(0), warc(2)
    for number in range(200):
        block = mutate(http(1), chance)
        if form == "warc" and b"WARC/" in block:
            continue  # a record within a record's plain block is told from a wrong length by nothing
        head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/1\r\nContent-Length: {len(block)}"
        damaged = f"{head}\r\n\r\n".encode() + block + b"\r\n\r\n"
        path.write_bytes(b"".join(map(pack[form], (before, damaged, after))))
        items = [i for i in read_archive(str(path), lambda *_: True, MAX_BODY_BYTES) if isinstance(i, Response)]
        urls = [item.url.rsplit("/", 1)[1] for item in items]
        assert urls[0] == "0" and urls[-1] == "2", f"mutant {number}"
        assert (items[0].body, items[-1].body) == (body(0), body(2)), f"mutant {number}"


def _zstd(record: bytes) -> bytes:
    file = io.BytesIO()
    frame = ZstdWriter(file)
    frame.write(record)
    frame.finish()
    frame.flush()
    return file.getvalue()
