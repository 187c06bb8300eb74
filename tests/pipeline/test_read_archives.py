"""Every form of archive, and every fault of one: what comes out, and which row tells of what does not."""

import base64
import gzip
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fastwarc.stream_io import Lz4Writer, ZstdWriter

from pipeline.warc.responses import Response, Unreadable, read_archive
from schemas.errors import PathError


def warc(number: int, block: bytes | None = None, length: int | None = None, **headers: str) -> bytes:
    """Return a WARC record; page N, whose body says so, unless told otherwise."""
    block = http(number) if block is None else block
    fields = {
        "WARC-Type": "response",
        "WARC-Target-URI": f"http://site.example/{number}",
        "WARC-Date": f"2024-03-0{number + 1}T10:00:00Z",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(block) if length is None else length),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return b"WARC/1.0\r\n" + head.encode() + b"\r\n" + block + b"\r\n\r\n"


def http(number: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n" + page(number)


def page(number: int) -> bytes:
    return f"<html><p>Page {number}</p>".encode() + bytes((i * 37 + number) % 251 for i in range(300)) + b"</html>"


def arc(number: int) -> bytes:
    block = http(number)
    return (
        f"http://site.example/{number} 192.0.2.1 2024030{number + 1}100000 text/html {len(block)}\n".encode()
        + block
        + b"\n"
    )


FILEDESC = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
ARC_HEAD = b"filedesc://a.arc 0.0.0.0 20240301000000 text/plain %d\n" % len(FILEDESC) + FILEDESC + b"\n"


def read(tmp_path: Path, data: bytes, **options: object) -> tuple[list[bytes], list[Unreadable]]:
    """Return the bodies of the responses and the rows."""
    path = tmp_path / "archive"
    path.write_bytes(data)
    items = list(read_archive(str(path), **options))  # type: ignore[arg-type]
    return [i.body for i in items if isinstance(i, Response)], [i for i in items if isinstance(i, Unreadable)]


def rules(rows: list[Unreadable]) -> list[tuple[str, int, int | None]]:
    return [(row.rule, row.offset, row.length) for row in rows]


RECORDS = [warc(number) for number in range(4)]
MEMBERS = [gzip.compress(record) for record in RECORDS]
PAGES = [page(number) for number in range(4)]


def compressed(writer: type) -> bytes:
    file = io.BytesIO()
    for record in RECORDS:
        frame = writer(file)
        frame.write(record)
        frame.finish()
        frame.flush()
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"".join(RECORDS), id="plain"),
        pytest.param(b"".join(MEMBERS), id="a gzip member for each record"),
        pytest.param(gzip.compress(b"".join(RECORDS)), id="one gzip member"),
        pytest.param(
            gzip.compress(b"".join(RECORDS)[:700]) + gzip.compress(b"".join(RECORDS)[700:]), id="a record in two"
        ),
        pytest.param(compressed(Lz4Writer), id="LZ4"),
        pytest.param(compressed(ZstdWriter), id="Zstandard"),
        pytest.param(b"\r\n".join(RECORDS) + b"\r\n\r\n\r\n", id="more padding than there should be"),
        pytest.param(b"\0\0".join(MEMBERS) + b"\0" * 600, id="padding between gzip members"),
        pytest.param(b"".join(r.removesuffix(b"\r\n\r\n") for r in RECORDS), id="no padding"),
        pytest.param(b"".join(r.replace(b"WARC/1.0", b"WARC/0.18") for r in RECORDS), id="WARC 0.18"),
        pytest.param(ARC_HEAD + b"".join(arc(n) for n in range(4)), id="ARC"),
        pytest.param(b"".join(gzip.compress(r) for r in (ARC_HEAD, *map(arc, range(4)))), id="ARC, gzip"),
    ],
)
def test_whole_archives_come_out_whole(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) == (PAGES, [])


def test_what_a_response_says(tmp_path: Path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(b"".join(MEMBERS[:2]))
    assert list(read_archive(str(path)))[1] == Response(
        url="http://site.example/1",
        captured_at="2024-03-02T10:00:00Z",
        offset=len(MEMBERS[0]),
        status=200,
        content_type="text/html",
        charset="utf-8",
        headers=[("Content-Type", "text/html; charset=UTF-8")],
        body=PAGES[1],
    )


@pytest.mark.parametrize("data", [b"".join(RECORDS), gzip.compress(b"".join(RECORDS))])
def test_records_of_one_stretch_have_offsets_of_their_own(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)
    offsets = [item.offset for item in read_archive(str(path))]
    assert offsets == [sum(map(len, RECORDS[:number])) for number in range(4)]


def test_other_kinds_of_records_are_passed_over(tmp_path: Path) -> None:
    others = [
        warc(0, b"format: WARC File Format 1.0\r\n", WARC_Type="warcinfo", Content_Type="application/warc-fields"),
        warc(1, b"GET / HTTP/1.1\r\n\r\n", WARC_Type="request"),
        warc(2, b"HTTP/1.1 200 OK\r\n\r\n", WARC_Type="revisit"),
        warc(2, b"{}", WARC_Type="metadata", Content_Type="application/json"),
        warc(2, b"text", WARC_Type="conversion", Content_Type="text/plain"),
    ]
    assert read(tmp_path, b"".join([*others, RECORDS[3]])) == ([PAGES[3]], [])


def test_a_resource_is_a_response(tmp_path: Path) -> None:
    resource = warc(1, b"<p>direct</p>", WARC_Type="resource", Content_Type="text/html; charset=latin-1")
    (tmp_path / "archive").write_bytes(resource)
    (response,) = read_archive(str(tmp_path / "archive"))
    assert isinstance(response, Response)
    assert (response.status, response.content_type, response.charset) == (200, "text/html", "latin-1")
    assert response.body == b"<p>direct</p>"


def test_what_is_not_wanted_is_not_read(tmp_path: Path) -> None:
    asked = []

    def wanted(status: int, content_type: str, url: str) -> bool:
        asked.append((status, content_type, url))
        return url.endswith("2")

    assert read(tmp_path, b"".join(MEMBERS), wanted=wanted) == ([PAGES[2]], [])
    assert asked == [(200, "text/html", f"http://site.example/{number}") for number in range(4)]


def test_a_member_cut_in_the_middle(tmp_path: Path) -> None:
    cut = MEMBERS[1][:-40]
    bodies, rows = read(tmp_path, MEMBERS[0] + cut + MEMBERS[2] + MEMBERS[3])
    assert (bodies[0], bodies[2:]) == (PAGES[0], PAGES[2:])
    assert len(bodies[1]) > 100 and PAGES[1].startswith(bodies[1])
    assert rules(rows) == [("TRUNCATED_RECORD", len(MEMBERS[0]), len(cut))]
    assert rows[0].url == "http://site.example/1"


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    for data, whole in ((b"".join(MEMBERS), MEMBERS), (b"".join(RECORDS), RECORDS)):
        bodies, rows = read(tmp_path, data[:-60])
        last = len(data) - len(whole[3])
        assert bodies[:3] == PAGES[:3]
        assert len(bodies[3]) > 100 and PAGES[3].startswith(bodies[3])
        assert [(row.rule, row.offset) for row in rows] == [("TRUNCATED_RECORD", last)]


def test_a_wrong_checksum(tmp_path: Path) -> None:
    damaged = MEMBERS[1][:-8] + b"\1" * 4 + MEMBERS[1][-4:]
    bodies, rows = read(tmp_path, MEMBERS[0] + damaged + MEMBERS[2])
    assert bodies == PAGES[:3]
    assert rules(rows) == [("UNREADABLE", len(MEMBERS[0]), len(damaged))]


def test_garbage_between_members(tmp_path: Path) -> None:
    garbage = b"\x1f\x8b\x08garbage\r\n"
    bodies, rows = read(tmp_path, MEMBERS[0] + garbage + MEMBERS[1])
    assert bodies == PAGES[:2]
    assert rules(rows) == [("UNREADABLE", len(MEMBERS[0]), len(garbage))]


def test_garbage_at_the_beginning_and_the_end(tmp_path: Path) -> None:
    for whole in (MEMBERS, RECORDS):
        bodies, rows = read(tmp_path, b"garbage\n" + whole[0] + b"garbage")
        assert bodies == PAGES[:1]
        assert rules(rows) == [("UNREADABLE", 0, 8), ("UNREADABLE", 8 + len(whole[0]), 7)]


def test_garbage_between_plain_records(tmp_path: Path) -> None:
    garbage = b"WARC/1.0 said the page\nand went on\n"
    bodies, rows = read(tmp_path, RECORDS[0] + garbage + RECORDS[1])
    assert bodies == PAGES[:2]
    assert rules(rows) == [("UNREADABLE", len(RECORDS[0]), len(garbage))]


def test_a_member_without_a_record(tmp_path: Path) -> None:
    bodies, rows = read(tmp_path, MEMBERS[0] + gzip.compress(b"no record") + MEMBERS[1])
    assert bodies == PAGES[:2]
    assert rules(rows) == [("UNREADABLE", len(MEMBERS[0]), len(b"no record"))]


@pytest.mark.parametrize("length", [len(http(1)) + 9, len(http(1)) + 700, 10**12, "abc", ""])
def test_a_length_that_is_too_great_or_none(tmp_path: Path, length: int | str) -> None:
    wrong = warc(1, Content_Length=str(length))
    for pack in (lambda r: r, gzip.compress):
        bodies, rows = read(tmp_path, b"".join(map(pack, (RECORDS[0], wrong, RECORDS[2], RECORDS[3]))))
        assert bodies == PAGES
        assert rules(rows) == [("TRUNCATED_RECORD", len(pack(RECORDS[0])), rows[0].length)]


def test_a_length_that_is_too_small(tmp_path: Path) -> None:
    wrong = warc(1, length=len(http(1)) - 100)
    bodies, rows = read(tmp_path, RECORDS[0] + wrong + RECORDS[2])
    assert bodies == [PAGES[0], PAGES[1][:-100], PAGES[2]]
    assert rules(rows) == [("UNREADABLE", len(RECORDS[0]) + len(wrong) - 104, 104)]


def test_a_record_larger_than_what_is_held(tmp_path: Path) -> None:
    large = warc(1, http(1) + b"x" * 300_000)
    for pack in (lambda r: r, gzip.compress):
        bodies, rows = read(tmp_path, b"".join(map(pack, (RECORDS[0], large, RECORDS[2]))), max_body_bytes=10_000)
        assert bodies == [PAGES[0], PAGES[2]]
        assert rules(rows) == [("TOO_LARGE", len(pack(RECORDS[0])), None)]
        assert rows[0].url == "http://site.example/1"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "the file is empty"),
        (b"<html>a page</html>", "no WARC, ARC or WACZ record in the file"),
        (gzip.compress(b"<html>a page</html>"), "no WARC, ARC or WACZ record in the file"),
        (b"\x1f\x8b\x08" * 100, "no WARC, ARC or WACZ record in the file"),
        (b"PK\x03\x04" + bytes(100), "no WARC, ARC or WACZ record in the file"),
        (b"site,example)/ 20240301100000 http://site.example/ text/html 200 AAAA 300 0 a.warc.gz\n", None),
        (b"http://site.example/ 192.0.2.1 20240301100000 text/html\n", None),
    ],
)
def test_what_is_no_archive(tmp_path: Path, data: bytes, detail: str | None) -> None:
    bodies, rows = read(tmp_path, data)
    assert bodies == []
    assert rules(rows) == [("NOT_AN_ARCHIVE", 0, None)]
    assert detail in (None, rows[0].detail)


def test_arc_with_lengths_that_are_wrong(tmp_path: Path) -> None:
    wrong = arc(1).replace(b"text/html %d\n" % len(http(1)), b"text/html -1\n")
    bodies, rows = read(tmp_path, ARC_HEAD + arc(0) + wrong + arc(2))
    assert bodies == PAGES[:3]
    assert [(row.rule, row.offset) for row in rows] == [("TRUNCATED_RECORD", len(ARC_HEAD + arc(0)))]


def test_an_arc_address_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(ARC_HEAD + arc(1).replace(b"/1 ", b"/a b c ", 1))
    (response,) = read_archive(str(tmp_path / "archive"))
    assert isinstance(response, Response)
    assert response.url == "http://site.example/a%20b%20c"


def wacz(entries: dict[str, bytes], compression: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for name, data in entries.items():
            zipped.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_wacz(tmp_path: Path, compression: int) -> None:
    data = wacz(
        {
            "datapackage.json": b"{}",
            "archive/../../odd\n.warc.gz": b"".join(MEMBERS[:2]),
            "archive/b.warc": b"".join(RECORDS[2:]),
            "indexes/index.cdx.gz": gzip.compress(b"index"),
        },
        compression,
    )
    assert read(tmp_path, data) == (PAGES, [])
    assert [p.name for p in tmp_path.iterdir()] == ["archive"]


def test_a_stored_wacz_has_offsets_in_the_file(tmp_path: Path) -> None:
    data = wacz({"archive/a.warc.gz": b"".join(MEMBERS)}, zipfile.ZIP_STORED)
    (tmp_path / "archive").write_bytes(data)
    assert [item.offset for item in read_archive(str(tmp_path / "archive"))] == [data.find(m) for m in MEMBERS]


def test_wacz_without_its_directory(tmp_path: Path) -> None:
    data = wacz({"archive/a.warc.gz": b"".join(MEMBERS)}, zipfile.ZIP_STORED)
    end = data.find(MEMBERS[3]) + len(MEMBERS[3])
    bodies, rows = read(tmp_path, data[: end + 20])
    assert bodies == PAGES
    assert rules(rows) == [("UNREADABLE", 0, data.find(MEMBERS[0])), ("UNREADABLE", end, 20)]


def test_wacz_whose_entries_overlap(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("archive/a.warc.gz", b"".join(MEMBERS))
        zipped.filelist += [*zipped.filelist] * 50  # one entry, fifty-one times in the directory
    bodies, rows = read(tmp_path, file.getvalue())
    assert bodies == PAGES
    assert {row.rule for row in rows} == {"UNREADABLE"}


def test_a_damaged_wacz_entry(tmp_path: Path) -> None:
    data = bytearray(wacz({"archive/a.warc": RECORDS[0] * 9, "archive/b.warc": RECORDS[1]}, zipfile.ZIP_DEFLATED))
    data[60:90] = bytes(30)
    bodies, rows = read(tmp_path, bytes(data))
    assert bodies[-1] == PAGES[1]
    assert ("UNREADABLE", 0) in [(row.rule, row.offset) for row in rows]


@pytest.mark.parametrize("writer", [Lz4Writer, ZstdWriter])
def test_damaged_frames_are_passed_over(tmp_path: Path, writer: type) -> None:
    data = compressed(writer)
    magic = data[:4]
    second = data.find(magic, 4)
    third = data.find(magic, second + 4)
    bodies, rows = read(tmp_path, data[: second + 60] + data[third:])
    assert bodies == [PAGES[0], *PAGES[2:]]
    assert rules(rows) == [("UNREADABLE", second, 60)]


def test_a_missing_file_is_a_path_error(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"absent\.warc: cannot be opened: No such file"):
        next(read_archive(str(tmp_path / "absent.warc")))
    with pytest.raises(PathError, match="cannot be opened: Is a directory"):
        next(read_archive(str(tmp_path)))


def test_a_first_member_that_inflates_a_thousandfold_is_read(tmp_path: Path) -> None:
    body = b"<div>" * 100_000
    first = warc(0, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body)
    assert read(tmp_path, gzip.compress(first) + gzip.compress(warc(1))) == ([body, page(1)], [])


DICTIONARY = base64.b85decode(  # 256 bytes that Zstandard made of words and headers
    "H>5D^K%4*o9T3n83X%^0|NsC0pHbQS|GU`l2;dS`Rq<7j{U1{R09bIKS{u0m000CaK@K-eHHpN>;`kJUKnQ>^00000zytsQ0002I00000008"
    "8AD3A{U0LTCU00000000000096100aO400;m80B?12AaitYa%~`HWpZ+PAZTH7VsCYFAZ=lCYh`pGW^8YDav)}GZ*_7YbaG*7ZXjlLav*47a$"
    ";|Fay&0^K0GgIbZu-tS3y!kFEK7LAXh<BLoHN!aAi6ma%FRHZ*FsCAUYs)Wq5QiXmo9CAUtSvZEQX~a6V{Za$;|Fav*GJXJ~YDAZ=lC"
)
SKIPPABLE = b"\x50\x2a\x4d\x18\x05\0\0\0\x28\xb5\x2f\xfd\0"  # which holds the mark of a frame with data


def with_dictionary(is_compressed: bool) -> tuple[bytes, list[bytes]]:
    """Return the dictionary's frame, and a frame for each record."""
    file = io.BytesIO()
    writer = ZstdWriter(file, dictionary=DICTIONARY, compress_dictionary_frame=is_compressed)
    ends = []
    for record in RECORDS:
        writer.write(record)
        writer.finish()
        writer.flush()
        ends.append(file.tell())
    data = file.getvalue()
    size = 8 + int.from_bytes(data[4:8], "little")
    begins = [size, *ends[:-1]]
    return data[:size], [data[begin:end] for begin, end in zip(begins, ends, strict=True)]


@pytest.mark.parametrize("is_compressed", [False, True])
def test_zstandard_with_a_dictionary(tmp_path: Path, is_compressed: bool) -> None:
    """Source: "Zstandard Compression for WARC Files 1.0" of the IIPC, section "Dictionaries"."""
    head, frames = with_dictionary(is_compressed)
    assert head.startswith(b"\x5d\x2a\x4d\x18")
    assert read(tmp_path, head + b"".join(frames)) == (PAGES, [])
    assert read(tmp_path, head + SKIPPABLE.join(frames) + SKIPPABLE) == (PAGES, [])


@pytest.mark.parametrize("is_compressed", [False, True])
def test_damage_in_zstandard_with_a_dictionary(tmp_path: Path, is_compressed: bool) -> None:
    head, frames = with_dictionary(is_compressed)
    damaged = frames[1][:40] + bytes(9) + frames[1][49:]
    bodies, rows = read(tmp_path, head + frames[0] + damaged + SKIPPABLE + frames[2] + frames[3])
    assert (bodies[0], bodies[-2:]) == (PAGES[0], PAGES[2:])
    assert rows and all(row.offset >= len(head) for row in rows)
    bodies, rows = read(tmp_path, head + frames[0] + frames[1][:50] + frames[2] + frames[3])
    assert (bodies[0], bodies[-2:]) == (PAGES[0], PAGES[2:])
    assert [row.rule for row in rows] == ["UNREADABLE"]


@pytest.mark.parametrize("is_compressed", [False, True])
def test_a_dictionary_in_a_wacz(tmp_path: Path, is_compressed: bool) -> None:
    head, frames = with_dictionary(is_compressed)
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        data = wacz({"archive/a.warc": RECORDS[0], "archive/b.warc.zst": head + b"".join(frames)}, compression)
        assert read(tmp_path, data) == ([PAGES[0], *PAGES], [])


@pytest.mark.parametrize("head", [SKIPPABLE, SKIPPABLE * 20, b"\x5f\x2a\x4d\x18\0\0\0\0"])
@pytest.mark.parametrize("writer", [Lz4Writer, ZstdWriter])
def test_skippable_frames_are_passed_over(tmp_path: Path, writer: type, head: bytes) -> None:
    data = compressed(writer)
    second = data.find(data[:4], 4)
    assert read(tmp_path, head + data[:second] + head + data[second:] + head) == (PAGES, [])


def test_a_dictionary_that_is_none(tmp_path: Path) -> None:
    head, frames = with_dictionary(False)
    garbage = (b"garbage!", b"\x37\xa4\x30\xec\1\2\3\4", b"\x28\xb5\x2f\xfd\1\2\3\4")
    for wrong in (b"\x5d\x2a\x4d\x18\x08\0\0\0" + data for data in garbage):
        bodies, rows = read(tmp_path, wrong + b"".join(frames))
        assert bodies == [] and rows
        assert read(tmp_path, wrong + compressed(ZstdWriter)) == (PAGES, []), "frames that need none are read"
    for wrong in (b"\x5d\x2a\x4d\x18\xff\xff\xff\xff", head[:60]):
        bodies, rows = read(tmp_path, wrong + b"".join(frames))
        assert bodies == [] and rows


def test_a_byte_order_mark_before_the_first_record(tmp_path: Path) -> None:
    for pack in (lambda data: data, gzip.compress):
        assert read(tmp_path, pack(b"\xef\xbb\xbf" + b"".join(RECORDS))) == (PAGES, [])


def test_responses_that_are_no_page_leave_a_row(tmp_path: Path) -> None:
    others = [
        warc(0, b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n\x89PNG"),
        warc(0, b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"),
        warc(0, b"not HTTP"),
        warc(0, b"var a;", WARC_Type="resource", Content_Type="text/javascript"),
        warc(0, b"192.0.2.1", Content_Type="text/dns"),
        warc(0, WARC_Target_URI=""),
        warc(0, WARC_Target_URI="<>"),
        warc(0, WARC_Type=""),
    ]
    for pack in (lambda record: record, gzip.compress):
        data = [pack(record) for record in (*others, RECORDS[3])]
        bodies, rows = read(tmp_path, b"".join(data))
        assert bodies == [PAGES[3]]
        places = [sum(map(len, data[:number])) for number in range(len(others))]
        expected = [
            "NOT_HTML",
            "NOT_HTML",
            "BAD_HTTP",
            "NOT_HTML",
            "NOT_HTML",
            "NO_URL",
            "NO_URL",
            "UNREADABLE",
        ]
        assert [(row.rule, row.offset) for row in rows] == list(zip(expected, places, strict=True))
        assert all(row.detail for row in rows)


def test_archives_without_a_response(tmp_path: Path) -> None:
    records = [
        warc(0, b"software: x\r\n", WARC_Type="warcinfo", Content_Type="application/warc-fields"),
        warc(1, b"text", WARC_Type="conversion", Content_Type="text/plain"),
        warc(2, b"text", WARC_Type="conversion", Content_Type="text/plain"),
        warc(2, WARC_Type="revisit"),
    ]
    bodies, (row,) = read(tmp_path, b"".join(map(gzip.compress, records)))
    assert bodies == [] and rules([row]) == [("NO_RESPONSE", 0, None)]
    assert row.detail == "no response among its records: 2 conversion, 1 warcinfo, 1 revisit"


def test_a_response_that_its_crawler_cut_has_a_row(tmp_path: Path) -> None:
    """Source: WARC/1.1, section 5.13 "WARC-Truncated"."""
    bodies, rows = read(tmp_path, warc(1, WARC_Truncated="length") + RECORDS[2])
    assert bodies == PAGES[1:3]
    assert rules(rows) == [("TRUNCATED_RECORD", 0, None)] and "length" in rows[0].detail


def test_a_record_whose_reading_raises_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wanted(status: int, content_type: str, url: str) -> bool:
        if url.endswith("/1"):
            raise RecursionError("too deep")
        return True

    bodies, rows = read(tmp_path, b"".join(MEMBERS), wanted=wanted)
    assert bodies == [PAGES[0], *PAGES[2:]]
    assert rules(rows) == [("UNREADABLE", len(MEMBERS[0]), None)]
    assert (rows[0].detail, rows[0].url) == ("RecursionError: too deep", "http://site.example/1")


def test_a_record_with_more_than_64_kib_of_its_own_headers(tmp_path: Path) -> None:
    large = warc(1, WARC_Other="x" * 70_000)
    for pack in (lambda record: record, gzip.compress):
        bodies, rows = read(tmp_path, b"".join(map(pack, (RECORDS[0], large, RECORDS[2]))))
        assert bodies == [PAGES[0], PAGES[2]]
        assert [(row.rule, row.offset) for row in rows] == [("UNREADABLE", len(pack(RECORDS[0])))]


LONG = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nContent-Length: 9900000\r\n\r\n"


def chained(num: int) -> bytes:
    """Return gzip members whose names hold one another, up to one that inflates a thousandfold and fails its check."""
    record = gzip.compress(LONG + b"x" * 400_000)
    return b"\x1f\x8b\x08\x08aaaa\x02\x03" * num + b"name\0" + record[10:-8] + b"badcheck"


@pytest.mark.parametrize(
    ("hostile", "size"),
    [
        pytest.param(lambda n: LONG + (b"a: ::1 2 3 4 3\nabc" + b"\n" * 40) * n, 250, id="ARC of IPv6, padding"),
        pytest.param(lambda n: LONG + b"http://a.example/ ::1 2 text/html 3\nabc" * n, 250, id="ARC of IPv6"),
        pytest.param(lambda n: LONG + (RECORDS[0] + b"\n" * 1_000) * n, 200, id="padding"),
        pytest.param(lambda n: LONG * n, 500, id="lengths beyond the file"),
        pytest.param(lambda n: gzip.compress(LONG) * n, 400, id="members, lengths beyond the file"),
        pytest.param(lambda n: gzip.compress(LONG) + gzip.compress(b"x") * n, 1_500, id="members in one record"),
        pytest.param(lambda n: b"WARC/1.0\nA:b\n" * n, 2_000, id="heads without an end"),
        pytest.param(lambda n: b"\x1f\x8b\x08\x08aaaa\x02\x03" * n, 4_000, id="names without an end"),
        pytest.param(chained, 100, id="names in names"),
        pytest.param(lambda n: warc(0, b"HTTP/1.1 100 A\n\n" * n), 10_000, id="interim responses"),
        pytest.param(lambda n: warc(0, b"HTTP/1.1 200 A\nA: b\n" + b" c\n" * n), 20_000, id="folded lines"),
        pytest.param(lambda n: warc(0, b"HTTP/1.1 200 A\nContent-Type: " + b'a/b;c="' * n), 10_000, id="types"),
        pytest.param(lambda n: warc(0, b"HTTP/1.1 200 A\n\n<?xml a?>" + b"<!-- -->" * n), 10_000, id="comments"),
        pytest.param(lambda n: b"\x50\x2a\x4d\x18\0\0\0\0" * n, 20_000, id="skippable frames"),
        pytest.param(lambda n: b"\x28\xb5\x2f\xfd\x04\x00" * n, 10_000, id="frames that are none"),
    ],
)
def test_reading_grows_with_the_size_alone(tmp_path: Path, hostile: Callable[[int], bytes], size: int) -> None:
    """Eight times the size costs eight times the CPU time where reading is linear, 64 times where it is quadratic."""

    def seconds(num: int) -> float:
        (tmp_path / "archive").write_bytes(hostile(num))
        begun = time.process_time()
        list(read_archive(str(tmp_path / "archive"), lambda *_: True))
        return time.process_time() - begun

    least = min(seconds(size) for _ in range(2))
    assert seconds(8 * size) < 24 * max(least, 0.02)
