"""Wrong command lines: one clear line, exit status 2, no partial output."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from commands import Command, parse
from runs import BIN, TIMEOUT_SECONDS, weft
from webs import Finished

from tools.reference import walk

ARCHIVE = "WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"
CONTACT = ("--set", "fetch.contact=mailto:crawl@weft.example")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    path = tmp_path / "a.warc"
    path.write_text(ARCHIVE)
    return str(path)


def says(arguments: list[str], *words: str, **environment: str) -> None:
    done = weft(*arguments, **environment)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]


def test_a_missing_input(tmp_path: Path) -> None:
    says(["run", "-o", str(tmp_path / "out"), str(tmp_path / "none.warc.gz")], "none.warc.gz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [["plan", "{}"], ["extract", "{}", "--url", "http://host.example/"], ["replay", "--port", "0", "{}"],
     ["train", "--config", "{}", "--data", ".", "--output", "out"]],
)  # fmt: skip
def test_a_name_that_is_too_long(tmp_path: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        [BIN / "weft", *(word.format("a" * 300) for word in arguments)],
        cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "too long" in done.stderr.lower()


def test_a_glob_that_matches_nothing(tmp_path: Path) -> None:
    says(["extract", "-o", str(tmp_path / "out"), str(tmp_path / "*.warc.gz")], "*.warc.gz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("filters.langage.min_score=0.7", ("filters.langage", "did you mean language?")),
        ("filters.language.min_score=7", ("filters.language.min_score", "less than or equal to 1")),
        ("seed", ("key=value",)),
        ("seed.x=1", ("seed",)),
    ],
)
def test_a_wrong_key(archive: str, tmp_path: Path, assignment: str, words: tuple[str, ...]) -> None:
    says(["run", "-o", str(tmp_path / "out"), "--set", assignment, archive], *words)
    assert not (tmp_path / "out").exists()


def test_a_blocklist_that_is_not_there(archive: str, tmp_path: Path) -> None:
    blocklist = f"extract.prefilter.blocklist={tmp_path}/hosts.txt"
    says(
        ["run", "-o", str(tmp_path / "out"), "--set", blocklist, *CONTACT, archive],
        "extract.prefilter.blocklist",
        "hosts.txt",
    )
    assert not (tmp_path / "out").exists()


def test_an_unknown_recipe(archive: str, tmp_path: Path) -> None:
    says(["run", "-r", "kosmos", "-o", str(tmp_path / "out"), archive], "kosmos", "did you mean kosmos1?")
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(archive: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    says(
        ["run", "-r", "everything", "-o", str(tmp_path / "file" / "out"), *CONTACT, archive], "cannot write", "file/out"
    )


def test_an_unknown_master(archive: str, tmp_path: Path) -> None:
    says(["run", "-o", str(tmp_path / "out"), "--master", "localhost", archive], "--master localhost", "spark://")
    assert not (tmp_path / "out").exists()


def test_fetching_without_a_contact(archive: str, tmp_path: Path) -> None:
    says(["run", "-o", str(tmp_path / "out"), archive], "--set fetch.contact=https://...", "mailto:")
    assert not (tmp_path / "out").exists()


def test_no_java(archive: str, tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "JAVA_HOME": ""}
    says(["run", "-o", str(tmp_path / "out"), archive], "Java 17", "apt install openjdk-17-jre-headless", **bare)
    assert not (tmp_path / "out").exists()


def test_a_step_before_its_inputs(tmp_path: Path) -> None:
    says(["filter", "-o", str(tmp_path / "nothing")], "weft extract")
    says(["stats", str(tmp_path)], "shards.json")


def test_another_recipe_names_the_difference(finished: Finished) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.output.rglob("*")}
    other = ("--set", "filters.language.min_score=0.5")
    arguments = ["run", "-r", "kosmos1", "-o", str(finished.output), *CONTACT, *other, *finished.web.archives]
    says(arguments, "filters.language.min_score=0.8, not 0.5", "--overwrite")
    assert {p: p.stat().st_mtime_ns for p in finished.output.rglob("*")} == before


def test_one_page_is_shown_with_its_decision(tmp_path: Path) -> None:
    words = "The oak at the end of the lane, number {}, is older than the village, and nobody has counted its rings."
    html = f"<nav><a href=/>Home</a></nav><article><p>{words.format(1)}</p><img src=a.jpg><p>{words.format(2)}</p>"
    (tmp_path / "page.html").write_text(html)
    shown = weft("extract", str(tmp_path / "page.html"), "--url", "http://host.example/x/").stdout.splitlines()
    assert [(line[0], line.split()[-1]) for line in shown[:-1]] == [
        ("-", "Home"), ("+", "rings."), ("+", "http://host.example/x/a.jpg"), ("+", "rings."),
    ]  # fmt: skip
    assert shown[-1] == "2 of 3 blocks and 1 of 1 images kept"
    says(["extract", str(tmp_path / "none.html"), "--url", "http://host.example/"], "none.html", "No such file")
    says(["extract", "a.html", "b.html", "--url", "http://host.example/"], "one page")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--foo"], "No such option: --foo (Possible options: --from); see `weft run --help`"),
        (["stats"], "Missing argument 'DIR'; see `weft stats --help`"),
        (["nothing"], "No such command 'nothing'"),
        (["plan", "--cores", "0", "x"], "greater than or equal to 1"),
        (["run", "-o", "out"], "give the archives to extract as INPUT;"),
        (["run", "-o", "out", "--until", "filter"], "give the archives to extract as INPUT;"),
        (["run", "-o", "out", "--from", "score", "a.warc"], "--from score reads no archives: leave out INPUT"),
        (["run", "-o", "out", "--from", "score", "--until", "fetch"], "--until fetch is before --from score"),
        (["run", "-o", "out", "--from", "scores"], "'scores' is not one of 'extract', 'filter', "),
        (["run", "-o", "out", "--from", "score"], "out has no finished extract step; run `weft extract` first"),
    ],
)
def test_wrong_arguments(arguments: list[str], words: str) -> None:
    says(arguments, words)


def test_every_command_explains_itself_with_an_example() -> None:
    for name, command in walk():
        examples = re.findall("Example: `([^`]+)`", command.help)
        assert examples, name
        for example in examples:
            assert f"{example} ".startswith(f"{name} "), example
            parse(Command("help", 0, example, whole=True))
        outputs = [p.opts for p in command.params if not getattr(p, "hidden", False) and "output" in p.name]
        assert outputs in ([], [["--output", "-o"]]), name


def test_help_teaches() -> None:
    done = weft("recipe", "show", "-h", COLUMNS="120", TERM="dumb")
    assert done.returncode == 0
    assert "Usage: weft recipe show" in done.stdout and "Example: weft recipe show" in done.stdout
    assert weft("--version").stdout == f"weft {version('weft')}\n"
    completed = weft(_WEFT_COMPLETE="complete_bash", COMP_WORDS="weft ver", COMP_CWORD="1")
    assert completed.stdout.split() == ["verify"]
    listed = {line.split()[0] for line in weft("recipe", "list").stdout.splitlines() if line[:1].strip()}
    assert listed == {"datacomp", "everything", "fineweb", "kosmos1", "laion", "mmc4", "obelics"}
    assert "min_score: 0.8" in weft("recipe", "show", "kosmos1").stdout


@pytest.mark.parametrize(
    "arguments",
    [["recipe", "show", "kosmos1"], ["recipe", "show", "kosmos1", "--json"], ["plan", "a.warc"], ["run", "-h"]],
)
def test_a_closed_pipe_ends_a_command_quietly(archive: str, tmp_path: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # before anything is written, as `head` that has seen enough
    done = subprocess.run([BIN / "weft", *arguments], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path,
                          timeout=TIMEOUT_SECONDS, check=False)  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([BIN / "weft", "recipe", "list"], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=TIMEOUT_SECONDS, check=False)  # fmt: skip
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["no space left to write the output: free some and try again"],
    )


def test_a_closed_pipe_of_messages_ends_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([BIN / "weft", "stats", tmp_path], stdout=subprocess.PIPE, stderr=writer,
                          timeout=TIMEOUT_SECONDS, check=False)  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_former_option_works_with_a_notice(tmp_path: Path) -> None:
    done = weft("card", str(tmp_path), "--to", str(tmp_path))
    assert done.returncode == 2
    notice, error = done.stderr.splitlines()
    assert notice == "weft: --to is deprecated, use --output; the next release removes --to"
    assert "shards.json" in error


def test_nothing_is_truncated_or_wrapped_without_a_terminal(tmp_path: Path) -> None:
    folder = tmp_path / ("a-long-name-" * 15)
    folder.mkdir()
    (folder / "far.paths").write_text("https://host.example/b.warc\n")
    lines = weft("plan", str(folder / "far.paths"), "--from", str(folder)).stderr.splitlines()
    assert len(lines) == 1 and str(folder) in lines[0]
    shown = weft("plan", str(folder / "far.paths")).stdout
    assert "fetch may take longer: hours by the busiest host is not measured; a pilot measures it (--from OUT)" in shown


def test_stats_and_their_json(finished: Finished) -> None:
    printed = weft("stats", str(finished.output), COLUMNS="160")
    assert printed.returncode == 0 and "Funnel" in printed.stdout
    told = json.loads(weft("stats", str(finished.output), "--json").stdout)
    documents = finished.rows("documents")
    for corpus, facts in told["corpora"].items():
        mine = [d for d in documents if d["corpus"] == corpus]
        assert facts["samples"] == len(mine)
        assert facts["images"] == sum(b["kind"] == "image" for d in mine for b in d["blocks"])
        assert facts["languages"] == {"en": len(mine)}
        text = [[b["text"] for b in d["blocks"] if b["kind"] == "text"] for d in mine]
        characters = sum(len("\n\n".join(t)) for t in text)
        assert (facts["characters"], facts["tokens"]) == (characters, characters // 4)
        assert facts["num_hosts"] == len({d["host"] for d in mine})
    told_by_folder = json.loads(weft("stats", str(finished.output / "shards"), "--json").stdout)
    assert told_by_folder == {"warnings": told["warnings"], "corpora": told["corpora"], "funnel": []}
    rules = {rule: n for step in told["funnel"] for rule, n in step["rejected"].items()}
    assert rules == {rule: sum(r["rule"] == rule for r in finished.rejections) for rule in rules}


def test_stats_count_the_tokens_of_a_tokenizer(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "shards").symlink_to(finished.output / "shards")
    made = weft("tokenizer", "--data", str(tmp_path), "--vocab-size", "1000")
    assert made.stdout == f"1,000 tokens in {tmp_path}/tokenizer\n", made.stderr
    counted = json.loads((tmp_path / "tokenizer" / "tokenizer.json").read_text())["counted"]
    told = json.loads(weft("stats", str(tmp_path), "--json").stdout)["corpora"]
    for corpus, facts in told.items():
        assert facts["tokens_by"] == "tokenizer"
        assert {name: facts[name] for name in ("samples", "characters", "tokens")} == counted[corpus]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("decontaminate.texts=[none.jsonl]", "none.jsonl"),
        ("decontaminate.images=[none]", "none"),
        ("filters.lists.stop_words=none.txt", "none.txt"),
        ("clip.model=local-dir:none", "clip.model=local-dir:none"),
        ("clip.safety=none.safetensors", "clip.safety=none.safetensors"),
        ("extract.prefilter.blocklist=none.txt", "none.txt"),
    ],
)
def test_a_missing_file_of_the_recipe_is_found_before_anything_is_written(
    setting: str, words: str, archive: str, tmp_path: Path
) -> None:
    from tests.sampleweb import RECIPE

    output = tmp_path / "out"
    says(["run", "--recipe", str(RECIPE), "--set", setting, *CONTACT, "-o", str(output), archive], words)
    assert not any(output.rglob("*.parquet"))


def test_commands_about_a_run_need_no_spark() -> None:
    asked = "jobs.cli.output, jobs.cli.inspect, jobs.cli.plan, jobs.cli.inspect, jobs.cli.output, jobs.cli.why"
    source = f"import sys; sys.modules['pyspark'] = sys.modules['py4j'] = None; import {asked}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
