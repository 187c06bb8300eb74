"""The tar writer: equal samples give equal bytes, and the standard library reads them."""

import io
import tarfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.io.store import Store
from pipeline.shards.write import ShardSample, ShardWriter
from schemas.shards import TRAIN

INDEX = {"language": "en", "host": "h", "num_words": 0, "num_characters": 0, "widths": [], "heights": [], "scores": []}
SAMPLES = st.lists(
    st.lists(st.binary(max_size=2_000), min_size=1, max_size=3), min_size=1, max_size=5
)  # the members of each sample


def write(folder: Path, samples: list[list[bytes]]) -> tuple[dict, bytes]:
    writer = ShardWriter(Store(str(folder)), "text", TRAIN, 3)
    for number, parts in enumerate(samples):
        members = [(f"{i}.bin", data) for i, data in enumerate(parts)]
        writer.add(ShardSample(f"{number:032x}", members, {**INDEX, "key": f"{number:032x}"}))
    entry = writer.close()
    return dict(entry), (folder / "shards" / entry["tar"]).read_bytes()


@given(SAMPLES)
def test_what_goes_in_comes_out(tmp_path_factory, samples: list[list[bytes]]) -> None:
    entry, data = write(tmp_path_factory.mktemp("a"), samples)
    tar = tarfile.open(fileobj=io.BytesIO(data))
    read = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
    assert read == {f"{n:032x}.{i}.bin": part for n, parts in enumerate(samples) for i, part in enumerate(parts)}
    assert len(data) == entry["num_bytes"] and len(data) % 10_240 == 0
    assert entry["tar"] == "text/text-00003.tar" and entry["num_samples"] == len(samples)
    assert write(tmp_path_factory.mktemp("b"), samples) == (entry, data)


def test_nothing_appears_before_it_is_whole(tmp_path: Path) -> None:
    writer = ShardWriter(Store(str(tmp_path)), "text", TRAIN, 0)
    writer.add(ShardSample("0" * 32, [("txt", b"half")], {**INDEX, "key": "0" * 32}))
    assert not list(tmp_path.rglob("*.parquet")) and not list(tmp_path.rglob("text-*.tar"))
    writer.close()
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"text-00000.tar", "text-00000.index.parquet"}
