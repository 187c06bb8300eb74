"""The listing and indexes are untrusted input: every error is one line."""

import copy
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.errors import IntegrityError, PathError
from schemas.integrity import parse_json
from schemas.shards import INDEX, ShardEntry, check_links, check_members, parse_index, parse_listing

ENTRY: ShardEntry = {
    "corpus": "text", "split": "train", "tar": "text/text-00000.tar", "index": "text/text-00000.index.parquet",
    "num_samples": 3, "num_images": 0, "num_bytes": 10_240, "sha256": "0" * 64, "index_sha256": "1" * 64,
}  # fmt: skip
LISTING = {"version": 2, "shards": [ENTRY]}


def rows() -> list[dict[str, Any]]:
    """Three samples of 40 bytes, each after a header of one block: they start at 512, 1536 and 2560."""
    return [
        {
            "key": f"t{i}", "members": [{"name": "txt", "offset": 512 + 1024 * i, "size": 40}], "language": "en",
            "host": "example.org", "num_words": 1, "num_characters": 40, "widths": [], "heights": [], "scores": [],
        }
        for i in range(3)
    ]  # fmt: skip


def index(changed: list[dict[str, Any]]) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(changed, INDEX.schema), data)
    return data.getvalue()


def with_entry(**changes: Any) -> bytes:
    return json.dumps({"version": 2, "shards": [{**ENTRY, **changes}]}).encode()


def test_a_valid_listing_and_index_are_read() -> None:
    assert parse_listing(json.dumps(LISTING).encode(), "shards.json") == LISTING
    assert parse_listing(b'{"version": 2, "shards": []}', "shards.json")["shards"] == []
    table = parse_index(index(rows()), ENTRY, ("key",))
    check_members(table, ENTRY)
    assert table.column_names == ["key", "members"] and table["key"].to_pylist() == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"), (b"  \n", "is empty"), (b"\xff{}", "is not UTF-8"), (b"[" * 100_000, "nested too deeply"),
        (b'{"version": 2, "shards": [', "is not valid JSON"), (b"[]", "is not a JSON object"),
        (b'{"version": 2, "version": 2, "shards": []}', "duplicate name 'version'"), (b"{}", "lacks 'version'"),
        (b'{"version": NaN, "shards": []}', "NaN is not a JSON number"),
        (b'{"version": 1e999, "shards": []}', "range of a double"),
        (b'{"version": 2, "shards": [], "x": "\\ud800"}', "lone surrogate"),
        (b'{"version": 2}', "lacks 'shards'"),
        (b'{"version": true, "shards": []}', "not a whole number"), (b'{"version": 9, "shards": []}', "has version 9"),
        (b'{"version": 2, "shards": {}}', "not a list"), (b'{"version": 2, "shards": [7]}', "shard 0 is not a JSON"),
        (with_entry(tar="../text-00000.tar"), "not a path inside"),
        (with_entry(index="/etc/passwd"), "not a path inside"),
        (with_entry(tar="text//a.tar"), "not a path inside"),
        (with_entry(tar="http://example.org/a"), "not a path inside"),
        (with_entry(tar="text/a\\b.tar"), "not a path inside"),
        (with_entry(tar="text/\u202e.tar"), "not a path inside"),
        (with_entry(tar=""), "not a path inside"), (with_entry(tar="a/./b"), "not a path inside"),
        (with_entry(tar=ENTRY["index"]), "has a duplicate file name"),
        (with_entry(corpus="video"), "unknown corpus 'video'"),
        (with_entry(split="test"), "unknown split 'test'"), (with_entry(num_samples=-1), "num_samples is -1"),
        (with_entry(num_samples=10**15), "num_samples is 10000"), (with_entry(num_bytes=-512), "-512 bytes is not"),
        (with_entry(num_bytes=10**18), "00 bytes is not"), (with_entry(num_images="3"), "'num_images' is not a whole"),
        (with_entry(num_samples=2.0), "'num_samples' is not a whole"), (with_entry(sha256="x"), "is not a SHA-256"),
    ],
)  # fmt: skip
def test_an_invalid_listing_gives_one_line(data: bytes, told: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        parse_listing(data, "shards.json")
    assert told in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert str(caught.value).startswith("shards.json")


def moved(offset: int, size: int = 40) -> Callable[[list[dict[str, Any]]], None]:
    def change(found: list[dict[str, Any]]) -> None:
        found[1]["members"][0] |= {"offset": offset, "size": size}

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (moved(-512), "at -512"), (moved(0), "at 0"), (moved(512), "t1"), (moved(1024), "t1"), (moved(1540), "t1"),
        (moved(10_240), "at 10240"), (moved(2**62), "t1"), (moved(1536, 2**62), "bytes at 1536"),
        (moved(1536, -1), "-1"),
        (moved(2**63 - 1, 2**63 - 1), "t1"), (lambda r: r.pop(), "lists 2 samples"),
        (lambda r: r[0].update(key="t1"), "duplicate key"),
        (lambda r: r[0].update(key="\x1b[31m"), "not a valid sample key"),
        (lambda r: r[0].update(key=""), "not a valid sample key"),
        (lambda r: r[0]["members"][0].update(offset=None), "is null"),
        (lambda r: r[0]["members"].append(None), "is null"),
        (lambda r: r[0]["members"][0].update(name="../x"), "not a valid member name"),
        (lambda r: r[0].update(members=[{"name": "txt", "offset": 512, "size": 0}] * 1000), "has 1002 values"),
    ],
)  # fmt: skip
def test_an_invalid_index_gives_one_line(change: Callable[[Any], object], told: str) -> None:
    found = copy.deepcopy(rows())
    change(found)
    with pytest.raises(IntegrityError) as caught:
        check_members(parse_index(index(found), ENTRY), ENTRY)
    assert told in str(caught.value) and str(caught.value).startswith(ENTRY["index"])
    assert str(caught.value).isprintable()


def test_a_file_of_other_columns_is_not_an_index() -> None:
    data = io.BytesIO()
    pq.write_table(pa.table({"key": ["t0", "t1", "t2"], "members": ["a", "b", "c"]}), data)
    for found in (data.getvalue(), b"", b"PAR1", index(rows())[:-100]):
        with pytest.raises(IntegrityError, match="is not an index of a shard"):
            parse_index(found, ENTRY)


def test_mutated_listings_and_indexes_raise_no_other_error() -> None:
    """Each of 1,500 mutants is read or gives one line; checksums are ignored, as if they were forged."""
    chance, sound = random.Random(20), {"listing": json.dumps(LISTING).encode(), "index": index(rows())}
    for number in range(1500):
        name = ("listing", "index")[number % 2]
        data = bytearray(sound[name])
        for _ in range(chance.choice((1, 1, 2, 8))):
            data[chance.randrange(len(data))] = chance.choice((0, 0x22, 0x2D, 0x5C, 0xFF, chance.randrange(256)))
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        try:
            if name == "listing":
                parse_listing(bytes(data), "shards.json")
            else:
                check_members(parse_index(bytes(data), ENTRY), ENTRY)
        except IntegrityError as error:
            assert "\n" not in str(error) and len(str(error)) < 500, data


def test_only_links_that_lead_out_are_an_error(tmp_path: Path) -> None:
    shards, outside = tmp_path / "shards", tmp_path / "secret"
    (shards / "text").mkdir(parents=True)
    outside.write_bytes(b"secret")
    (shards / "text/a.tar").write_bytes(b"")
    (shards / "text/b.tar").symlink_to("a.tar")
    (shards / "text/c.tar").symlink_to(outside)
    (shards / "away").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(shards)
    check_links(str(tmp_path / "link"), ["text/a.tar", "text/b.tar", "text/missing.tar"])
    for name in ("text/c.tar", "away/secret"):
        with pytest.raises(PathError, match="a symbolic link to a file outside"):
            check_links(str(tmp_path / "link"), [name])


def test_strict_json_accepts_valid_values() -> None:
    assert parse_json(b'{"a": "\\ud83d\\ude00 \\u00e9", "b": [1, 2.5, null, true]}', "x") == {
        "a": "\N{GRINNING FACE} é", "b": [1, 2.5, None, True],
    }  # fmt: skip
    for bad in (b'{"a": 1, "a": 1}', b"-Infinity", b"1" * 5000, b'"\\udc00"', b'{"\\ud800": 1}', b'"\xed\xa0\x80"'):
        with pytest.raises(IntegrityError, match=r"^x "):
            parse_json(bad, "x")
