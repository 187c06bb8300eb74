"""Shards: their content, and common readers."""

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from webs import Finished

from pipeline.shards.write import split_of
from schemas.shards import INDEX, TRAIN, VALIDATION
from schemas.tables import CORPORA, order


@pytest.fixture(scope="module")
def listing(finished: Finished) -> list[dict]:
    return json.loads((finished.output / "shards" / "shards.json").read_text())["shards"]


def test_the_listing_describes_every_file_correctly(finished: Finished, listing: list[dict]) -> None:
    shards = finished.output / "shards"
    assert {s["corpus"] for s in listing} == set(CORPORA)
    named = {s[kind] for s in listing for kind in ("tar", "index")}
    assert {str(p.relative_to(shards)) for p in shards.glob("*/*")} == named
    for shard in listing:
        tar = (shards / shard["tar"]).read_bytes()
        assert shard["num_bytes"] == len(tar)
        assert shard["sha256"] == hashlib.sha256(tar).hexdigest()
        assert shard["index_sha256"] == hashlib.sha256((shards / shard["index"]).read_bytes()).hexdigest()
        names = [m.name.split(".", 1) for m in tarfile.open(fileobj=io.BytesIO(tar)).getmembers()]
        assert shard["num_samples"] == len({key for key, _ in names})
        assert shard["num_images"] == sum(name.endswith("jpg") for _, name in names)


def test_the_index_locates_every_member(finished: Finished, listing: list[dict]) -> None:
    for shard in listing:
        data = (finished.output / "shards" / shard["tar"]).read_bytes()
        table = pq.read_table(finished.output / "shards" / shard["index"])
        assert table.schema.equals(INDEX.schema)
        by_index = {
            f"{row['key']}.{m['name']}": data[m["offset"] : m["offset"] + m["size"]]
            for row in table.to_pylist()
            for m in row["members"]
        }
        tar = tarfile.open(fileobj=io.BytesIO(data))
        assert by_index == {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


def test_samples_hold_the_documents(finished: Finished, listing: list[dict]) -> None:
    images = {r["image_id"]: r for r in finished.rows("images")}
    documents = {d["key"]: d for d in finished.rows("documents")}
    seen = []
    for shard in listing:
        tar = tarfile.open(finished.output / "shards" / shard["tar"])
        members = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]
        for key in dict.fromkeys(name.split(".")[0] for name in members):
            document = documents[key]
            seen.append(key)
            fields = json.loads(members[f"{key}.json"])
            assert fields["page_id"] == document["page_id"] and fields["url"] == document["url"]
            text = "\n\n".join(b["text"] for b in document["blocks"] if b["kind"] == "text")
            pictures = [images[b["image_id"]]["bytes"] for b in document["blocks"] if b["kind"] == "image"]
            if document["corpus"] == "interleaved":
                assert [b["kind"] for b in fields["blocks"]] == [b["kind"] for b in document["blocks"]]
                assert "\n\n".join(b["text"] for b in fields["blocks"] if b["kind"] == "text") == text
                names = [b["image"] for b in fields["blocks"] if b["kind"] == "image"]
                assert [members[f"{key}.{name}"] for name in names] == pictures
                assert f"{key}.{len(pictures)}.jpg" not in members
            elif document["corpus"] == "caption":
                assert [members[f"{key}.jpg"]] == pictures and members[f"{key}.txt"].decode() == text
            else:
                assert members[f"{key}.txt"].decode() == text
    assert sorted(seen) == sorted(documents)


def test_the_order_is_a_shuffle_of_the_whole_corpus(finished: Finished, listing: list[dict]) -> None:
    for corpus in CORPORA:
        shards = [s for s in listing if s["corpus"] == corpus]
        keys = [
            pq.read_table(finished.output / "shards" / s["index"], columns=["key"])["key"].to_pylist() for s in shards
        ]
        ranked = sorted((k for shard in keys for k in shard), key=lambda k: order(0, k))
        bounds = [i * len(ranked) // len(shards) for i in range(len(shards) + 1)]
        sizes = [len(shard) for shard in keys]
        assert max(sizes) - min(sizes) <= 1
        for number, shard in enumerate(keys):
            # rank * shards // total places a document; a boundary may round either way
            assert set(shard) >= set(ranked[bounds[number] + 1 : bounds[number + 1]])
            if corpus == "text":
                assert shard == sorted(shard, key=lambda k: order(0, k))


@pytest.mark.parametrize("corpus", CORPORA)
def test_webdataset_reads_them(finished: Finished, listing: list[dict], corpus: str) -> None:
    import webdataset

    urls = [str(finished.output / "shards" / s["tar"]) for s in listing if s["corpus"] == corpus]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode("pil"))
    assert len(samples) == sum(s["num_samples"] for s in listing if s["corpus"] == corpus)
    for sample in samples:
        pictures = [v for k, v in sample.items() if k.endswith("jpg")]
        assert all(isinstance(p, Image.Image) and max(p.size) <= 512 for p in pictures)
        assert len(pictures) == {"interleaved": sample["json"].get("num_images"), "caption": 1, "text": 0}[corpus]


@pytest.mark.parametrize("corpus", CORPORA)
def test_hugging_face_datasets_reads_them(finished: Finished, listing: list[dict], corpus: str) -> None:
    import datasets

    files = [str(finished.output / "shards" / s["tar"]) for s in listing if s["corpus"] == corpus]
    cache = str(finished.output.parent / f"hf-{corpus}")
    loaded = datasets.load_dataset("webdataset", data_files={"train": files}, split="train", cache_dir=cache)
    assert len(loaded) == sum(s["num_samples"] for s in listing if s["corpus"] == corpus)
    for sample in loaded:
        pictures = [v for k, v in sample.items() if k.endswith("jpg") and v is not None]
        assert len(pictures) == {"interleaved": sample["json"].get("num_images"), "caption": 1, "text": 0}[corpus]


def test_whole_hosts_are_held_out(finished: Finished, tmp_path: Path) -> None:
    from jobs.recipes import load
    from jobs.run import run
    from jobs.shard import STEP
    from pipeline.shards.stats import corpora
    from tests.sampleweb import RECIPE

    output = tmp_path / "out"
    shutil.copytree(finished.output, output)
    overrides = [f"fetch.proxy={finished.web.proxy}", "shard.validation_fraction=0.4"]
    run((STEP,), load(str(RECIPE), overrides), str(output), overwrite=True)
    shards = json.loads((output / "shards" / "shards.json").read_text())["shards"]
    hosts: dict[str, set[str]] = {TRAIN: set(), VALIDATION: set()}
    keys = []
    for shard in shards:
        assert shard["tar"].startswith({TRAIN: shard["corpus"], VALIDATION: VALIDATION}[shard["split"]] + "/")
        rows = pq.read_table(output / "shards" / shard["index"]).to_pylist()
        assert {split_of(row["host"], 0.4) for row in rows} == {shard["split"]}
        hosts[shard["split"]] |= {row["host"] for row in rows}
        keys += [row["key"] for row in rows]
    assert all(hosts.values()) and not set.intersection(*hosts.values())
    assert sorted(keys) == sorted(d["key"] for d in finished.rows("documents"))
    held_out = sum(s["num_samples"] for s in shards if s["split"] == VALIDATION)
    assert sum(facts["held_out"] for facts in corpora(str(output)).values()) == held_out > 0
