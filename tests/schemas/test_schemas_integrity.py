"""Checksums find every flipped bit of a document and of a folder's files, and no false errors."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import IntegrityError
from schemas.integrity import FILES, SEAL, check_folder, seal, sum_folder, unseal

VALUES = st.dictionaries(
    st.text(alphabet="abcdefghijklmnop_", min_size=1).filter(lambda key: key > SEAL),
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
                 lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    min_size=1,
)  # fmt: skip
DOCUMENT: dict[str, Any] = {"step": "é\x1b", "seconds": 1e-07, "sums": {"a.parquet": {"sha256": "0" * 64}}, "n": [1]}


@settings(max_examples=30)
@given(VALUES)
def test_a_sealed_document_is_read(value: dict[str, Any]) -> None:
    assert unseal(seal(value)) == (value, True)
    assert json.loads(seal(value))[SEAL] == hashlib.sha256(seal(value).replace(
        json.loads(seal(value))[SEAL].encode(), b"0" * 64, 1)).hexdigest()  # fmt: skip


def test_every_flipped_bit_of_a_document_is_found() -> None:
    data = seal(DOCUMENT)
    for place in range(len(data)):
        for bit in range(8):
            flipped = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            with pytest.raises(IntegrityError):
                unseal(flipped)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_truncated_document_is_found(size: int) -> None:
    with pytest.raises(IntegrityError):
        unseal(seal(DOCUMENT)[:size])


def test_a_document_of_an_older_release_is_read() -> None:
    told = {"sha256": "ab" * 32, "num_pieces": 3}  # a tokenizer's
    assert unseal(json.dumps(told).encode()) == (told, False)


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    files = {"a.bin": b"a" * 3000, "below/b.bin": b"b", "empty": b""}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert check_folder(tmp_path) == []  # no sums yet
    sum_folder(tmp_path)
    assert check_folder(tmp_path) == []
    assert unseal((tmp_path / FILES).read_bytes())[0]["files"].keys() == files.keys()
    (tmp_path / "a.bin").write_bytes(b"a" * 2999 + b"b")
    (tmp_path / "below" / "b.bin").unlink()
    assert check_folder(tmp_path) == ["a.bin", "below/b.bin"]
    assert [check_folder(tmp_path, part, 2) for part in (0, 1)] == [["a.bin"], ["below/b.bin"]]
    (tmp_path / FILES).write_bytes(b"{}")
    assert check_folder(tmp_path) == [FILES]
