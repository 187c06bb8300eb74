"""`weft card`: it agrees with the ground truth, escapes markup, and reveals nothing of the machine."""

import fnmatch
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import weft
from webs import Finished

from pipeline.inspect.card import block, code, plain, readme, size_category, table
from pipeline.inspect.croissant import croissant
from pipeline.inspect.facts import Facts, gather, public_name, public_values
from schemas.recipe import Recipe
from schemas.tables import CORPORA


@pytest.fixture(scope="module")
def facts(finished: Finished) -> Facts:
    return gather(str(finished.output), None, None)


@pytest.fixture(scope="module")
def carded(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a validation split and a card."""
    from jobs.cli.output import write_card
    from jobs.recipes import load
    from jobs.run import run
    from jobs.shard import STEP
    from tests.sampleweb import RECIPE

    output = Path(shutil.copytree(finished.output, tmp_path_factory.mktemp("carded") / "out"))
    overrides = [f"fetch.proxy={finished.web.proxy}", "shard.validation_fraction=0.4"]
    run((STEP,), load(str(RECIPE), overrides), str(output), overwrite=True)
    write_card(str(output), None, None, None)
    return output


def front(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])


def test_the_front_matter_names_every_shard(carded: Path) -> None:
    values = front((carded / "shards" / "README.md").read_text("utf-8"))
    assert values["license"] == "other" and values["language"] == ["en"]
    assert [c["config_name"] for c in values["configs"]] == list(CORPORA)
    for entry in json.loads((carded / "shards" / "shards.json").read_text())["shards"]:
        (config,) = (c for c in values["configs"] if c["config_name"] == entry["corpus"])
        hits = {f["split"] for c in values["configs"] for f in c["data_files"]
                if fnmatch.fnmatch(entry["tar"], f["path"])}  # fmt: skip
        assert hits == {entry["split"]}
        assert any(fnmatch.fnmatch(entry["tar"], f["path"]) for f in config["data_files"])


@pytest.mark.parametrize(
    ("number", "category"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**12 - 1, "100B<n<1T"),
     (10**12, "n>1T")],
)  # fmt: skip
def test_the_size_category(number: int, category: str) -> None:
    assert size_category(number) == category


@pytest.mark.parametrize("corpus", CORPORA)
def test_datasets_loads_the_folder_with_the_card(carded: Path, corpus: str, tmp_path: Path) -> None:
    import datasets

    shards = carded / "shards"
    loaded = datasets.load_dataset(str(shards), corpus, cache_dir=str(tmp_path))
    wanted: Counter[str] = Counter()
    for entry in json.loads((shards / "shards.json").read_text())["shards"]:
        wanted[entry["split"]] += entry["num_samples"] * (entry["corpus"] == corpus)
    assert {split: len(rows) for split, rows in loaded.items()} == dict(+wanted)
    assert len(wanted) == 2


def test_the_code_in_the_card_runs(carded: Path, tmp_path: Path) -> None:
    text = (carded / "shards" / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 2
    for source in blocks:
        done = subprocess.run(
            [sys.executable, "-c", source],
            cwd=carded / "shards",
            env={**os.environ, "HF_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.fullmatch(r"https?://\S+", done.stdout.strip())


def test_counts_are_those_of_the_run(finished: Finished, facts: Facts) -> None:
    documents = finished.rows("documents")
    assert facts.num_samples == len(documents)
    assert facts.hosts == Counter(d["host"] for d in documents)
    captures = sorted(d["captured_at"] for d in documents)
    assert facts.captured == (captures[0], captures[-1])
    text = readme(facts)
    for corpus, n in Counter(d["corpus"] for d in documents).items():
        assert re.search(rf"^\| {corpus} \| train \| [\d,]+ \| {n:,} \|", text, re.M)
    for archive in finished.web.archives:
        assert f"- `{Path(archive).name}`" in text
    rules = Counter((r["step"], r["rule"]) for r in finished.rejections)
    listed = {tuple(row[:2]): row[2] for row in re.findall(r"^\| (\w+) \| `([A-Z_0-9]+)` \|.*\| ([\d,]+) \| [^|]*\|$",
                                                           text, re.M)}  # fmt: skip
    assert {key: int(n.replace(",", "")) for key, n in listed.items()} == rules


def test_the_card_reveals_nothing_of_the_machine(finished: Finished, carded: Path) -> None:
    for name in ("README.md", "croissant.json"):
        text = (carded / "shards" / name).read_text("utf-8")
        assert str(finished.web.folder) not in text and str(finished.output) not in text
        assert str(Path(__file__).parent.parent.parent) not in text and "/tmp/" not in text
    assert "local-dir:clip" in (carded / "shards" / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("/data/crawl/a.warc.gz", "a.warc.gz"),
        ("file:///data/a.warc.gz", "a.warc.gz"),
        ("s3://bucket/crawl/a.warc.gz", "s3://bucket/crawl/a.warc.gz"),
        ("https://user:secret@host.example/a.warc.gz?token=1#x", "https://host.example/a.warc.gz"),
    ],
)
def test_names_of_archives(name: str, public: str) -> None:
    assert public_name(name) == public


def test_values_of_a_recipe() -> None:
    values = {"model": "local-dir:/m/clip", "tag": "hf-hub:org/name", "sets": ["/e/items.jsonl", "~/x/y.jsonl"], "n": 7,
              "about": "pairs by LAION / DataComp, see https://arxiv.example/1"}  # fmt: skip
    assert public_values(values) == {"model": "local-dir:clip", "tag": "hf-hub:org/name",
                                     "sets": ["items.jsonl", "y.jsonl"], "n": 7, "about": values["about"]}  # fmt: skip


def test_the_same_run_gives_the_same_bytes(finished: Finished, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        done = weft("card", str(finished.output), "--output", str(tmp_path / folder), "--name", "My corpus",
                    "--license", "odc-by")  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.split() == [str(tmp_path / folder / f) for f in ("README.md", "croissant.json")]
    for name in ("README.md", "croissant.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    values = front((tmp_path / "a" / "README.md").read_text())
    assert (values["pretty_name"], values["license"]) == ("My corpus", "odc-by") and "license_name" not in values
    assert not (finished.output / "shards" / "README.md").exists()


def test_verify_knows_the_card(carded: Path) -> None:
    done = weft("verify", str(carded), "--quick")
    assert done.returncode == 0 and "note" not in done.stdout


def test_an_empty_folder_gives_one_line(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.output / "shards", tmp_path / "shards")
    for folder in (tmp_path, tmp_path / "shards", tmp_path / "none"):
        done = weft("card", str(folder))
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert weft("card", str(finished.output), "--license", "my own!").returncode == 2


HOSTILE = [
    "a|b.example",
    "`rm`.example",
    "x.example](https://evil.example) [",
    "<script>alert(1)</script>",
    "line\nbreak\n## Heading",
    "left\u202eright",
    "![x](https://evil.example/x.png)",
]


def rendered(text: str) -> str:
    """Render Markdown like GitHub, with tables and automatic links."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable(["table"]).render(text)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_strangers_stay_words(facts: Facts, name: str) -> None:
    hostile = replace(facts, hosts={name: 3, "after.example": 1}, archives=[name], name=name, license=None)
    text = readme(hostile)
    assert front(text)["pretty_name"] == name
    usual = rendered(readme(facts).split("---\n", 2)[2])
    html = rendered(text.split("---\n", 2)[2])
    for tag in ("<h1", "<h2", "<a ", "<img", "<script", "<table", "<tr", "<td", "<li"):
        lost = len(facts.archives) - 1 if tag == "<li" else 0
        assert html.count(tag) == usual.count(tag) - lost, (tag, name)
    assert not any(c in html for c in "\u202e")


def test_cells_and_spans() -> None:
    assert table(("a",), [["x|y"], [r"x\|y"], [r"x\\|y"]]).splitlines()[2:] == [r"| x\|y |", r"| x\|y |", r"| x\\\|y |"]
    assert code("a`b``c") == "```a`b``c```" and code("`") == "`` ` ``"
    assert block("```\nx", "yaml") == "````yaml\n```\nx\n````"
    assert plain("*a* <b> www.x.example me@x.example") == r"\*a\* \<b\> www&#46;x.example me&#64;x.example"


def test_redaction_and_evaluation_sets_are_described(facts: Facts) -> None:
    recipe = facts.recipe.model_dump()
    recipe["redact"] |= {"email": True, "ip": True}
    recipe["decontaminate"] |= {"texts": ["items.jsonl"]}
    recipe["fetch"] |= {"contact": "mailto:crawl@weft.example", "robots_txt": False, "directives": ()}
    text = readme(replace(facts, recipe=Recipe.model_validate(recipe)))
    assert "Placeholders replace e-mail addresses and public IP addresses" in text
    assert "Not searched for, and kept: phone numbers" in text
    assert "`items.jsonl`" in text and "share 13 consecutive words" in text
    assert "write to `crawl@weft.example`" in text
    assert "**not requested**" in text and text.count("**not respected**") == 1


def test_refusals_are_counted(finished: Finished, facts: Facts) -> None:
    took = Counter((r["step"], r["rule"]) for r in finished.rejections)
    assert took["fetch", "OPT_OUT"] > 0, "the sample web has such an image"
    (line,) = (x for x in readme(facts).splitlines() if "tdmrep.json" in x)
    assert line.endswith(f"Dropped images: {took['fetch', 'OPT_OUT']:,}.")


def test_a_run_without_samples_has_a_card(facts: Facts, tmp_path: Path) -> None:
    import mlcroissant

    empty = replace(facts, shards=[], hosts={}, languages={}, captured=("", ""))
    text = readme(empty)
    assert front(text)["configs"] == [] and "There is nothing to load" in text
    (tmp_path / "shards.json").write_text("{}")
    (tmp_path / "croissant.json").write_text(croissant(empty))
    assert mlcroissant.Dataset(str(tmp_path / "croissant.json")).metadata.issues.errors == set()


def test_mlcroissant_finds_no_error(carded: Path) -> None:
    import mlcroissant

    metadata = mlcroissant.Dataset(str(carded / "shards" / "croissant.json")).metadata
    assert metadata.issues.errors == set()
    recommended = {re.search(r"/(\w+)\"", warning)[1] for warning in metadata.issues.warnings}  # type: ignore[index]
    assert recommended == {"citeAs", "datePublished"}, "nobody told them"
    expected = {f"{corpus}{suffix}" for corpus in CORPORA for suffix in ("", "-validation")}
    assert {r.id for r in metadata.record_sets} == expected


def leaves(fields: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for field in fields:
        yield from leaves(field["subField"]) if "subField" in field else [field]


def by_path(value: Any, path: str) -> Any:
    for name in path.removeprefix("$.").split("."):
        value = [v[name] for v in value] if isinstance(value, list) else value[name.removesuffix("[*]")]
    return value


def test_croissant_describes_files_and_fields_correctly(carded: Path) -> None:
    shards = carded / "shards"
    value = json.loads((shards / "croissant.json").read_text("utf-8"))
    files = {d["@id"]: d for d in value["distribution"] if d["@type"] == "cr:FileObject"}
    assert files.keys() == {str(p.relative_to(shards)) for p in shards.rglob("*.tar")} | {"shards.json"}
    for file in files.values():
        assert file["sha256"] == hashlib.sha256((shards / file["contentUrl"]).read_bytes()).hexdigest()
    sets = {d["@id"]: d for d in value["distribution"] if d["@type"] == "cr:FileSet"}
    kinds = {"sc:Text": str, "sc:Integer": int, "sc:Float": float}
    for records in value["recordSet"]:
        for field in leaves(records["field"]):
            source = field["source"]
            of = sets[source["fileSet"]["@id"]]
            tar = tarfile.open(fileobj=io.BytesIO((shards / of["containedIn"][0]["@id"]).read_bytes()))
            members = tar.getmembers()
            member = next(m for m in members if fnmatch.fnmatch(m.name, of["includes"]))
            keys = {m.name.split(".")[0] for m in members}
            extract = source["extract"]
            if extract.get("fileProperty") == "filename":
                found = re.match(source["transform"]["regex"], member.name)
                assert found and found[1] in keys
            elif "jsonPath" in extract:
                told = by_path(json.loads(tar.extractfile(member).read()), extract["jsonPath"])  # type: ignore[union-attr]
                for item in told if isinstance(told, list) else [told]:
                    assert isinstance(item, kinds[field["dataType"]]), field["@id"]
            else:
                assert extract == {"fileProperty": "content"}
