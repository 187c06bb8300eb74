"""Working directories: folders of any name, with modules of the same names as Weft's."""

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runs import BIN, TIMEOUT_SECONDS, run_arguments, sums, undisturbed
from webs import Web

from jobs.step import read_files
from pipeline.io.store import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = "a b%20#ü[1]"
OWN = ("jobs.py", "schemas.py", "pipeline.py", "trainer.py", "filters/__init__.py", "sample.py", "json.py", "pickle.py",
       "multiprocessing.py", "dataclasses.py", "pyspark.py", "numpy.py", "torch.py", "usercustomize.py")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an unusual name, and with modules that end the process that imports them."""
    folder = tmp_path / NAME
    for name in OWN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("import os\nos.write(2, b'a module of the person is imported')\nos._exit(9)\n")
    return folder


def weft(folder: Path, *arguments: str) -> str:
    """Run the command in a folder; return what it printed."""
    done = subprocess.run([str(BIN / "weft"), *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=TIMEOUT_SECONDS, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of the person" not in done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [NAME, "{x,y}", "q?*", "back\\slash", "c,d;e:f&g=h+i%2Fj"])
def test_a_table_is_read_from_a_folder_of_any_name(spark: "SparkSession", tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path / name))
    spark.range(3).write.parquet(store.url("table"))
    parts = store.parts("table")
    assert parts
    assert read_files(spark, store, parts).count() == read_files(spark, store, ["table"]).count() == 3


def test_archives_are_read_and_verified_next_to_modules_of_the_same_names(small_web: Web, folder: Path) -> None:
    (folder / "crawl [2]").mkdir()
    for archive in small_web.archives[:2]:
        (folder / "crawl [2]" / Path(archive).name).symlink_to(archive)
    (folder / "block #list.txt").write_text("nowhere.example\n")
    blocklist = "extract.prefilter.blocklist=block #list.txt"
    made = ("--set", blocklist, "--master", "local[2]", "--output", "out %41#")
    weft(folder, "extract", "--recipe", "everything", *made, "crawl [2]/*.warc.gz")
    assert len(list((folder / "out %41#" / "pages").glob("*.parquet"))) == 2
    assert "no defects" in weft(folder, "verify", "out %41#", "--processes", "2")


@pytest.mark.slow
def test_all_commands_work_there(small_web: Web, spark: "SparkSession", folder: Path, tmp_path: Path) -> None:
    expected = undisturbed(small_web, tmp_path / "undisturbed")
    output = folder / "out %41#"
    weft(folder, *run_arguments(small_web, output, "--master", "local[2]"))
    assert sums(output) == expected
    assert "no defects" in weft(folder, "verify", output.name, "--processes", "2")
    weft(folder, "stats", output.name, "--funnel")
    weft(folder, "card", output.name)
    weft(folder, "report", output.name, "--to", "re port#.html", "--master", "local[2]")
    assert (folder / "re port#.html").stat().st_size > 0
    weft(folder, "tokenizer", "--data", output.name, "--output", "to ken%20#", "--vocab-size", "1000")
    steps = ("--set", "steps=2", "--set", "checkpoint.every_steps=1")
    weft(folder, "train", "--data", output.name, "--tokenizer", "to ken%20#", "--output", "check [1]#", "--processes",
         "2", *steps)  # fmt: skip
    assert (folder / "check [1]#" / "model").is_dir()
    assert weft(folder, "generate", "--checkpoint", "check [1]#", "An image of", "--max-tokens", "2").strip()
