"""Commands in the documents parse, and run if possible; messages in the FAQ exist in the code.

ELSEWHERE gives the reason for commands that are only parsed.
"""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import DOCUMENTS, ROOT, Command, commands, parse
from webs import Finished, Web

ELSEWHERE = {
    r"^apt ": "installs packages of the system",
    r"^(pip|git|wget|hf|huggingface-cli|aws|scp|rsync|ssh) ": "asks a server that is not there",
    r"^(source|export|cd|mkdir|cp|tar|zcat|shuf|head) |^\w+=|^\$\w": "of the reader's own shell",
    r"^(spark-submit|sbatch|srun|kubectl|docker)": "sends work to other hosts",
    r"^(torchrun|tensorboard)": "asks for GPUs, or a browser",
    r"trainer\.train": "started by torchrun, on machines with GPUs",
    r"kosmos1_1b6": "asks for a GPU, and for CLIP's tower",
    r"--processes \d": "asks for GPUs",
    r"^weft eval": "asks for others' benchmarks; tests/trainer/test_trainer_evaluate_command.py has invented ones",
    r"--config instruct": "asks for instructions; tests/trainer/test_trainer_instruct.py has invented ones",
    r"s3://|s3a://": "asks for an object store",
    r"spark://|--master |weft submit": "sends work to a cluster",
    r"warc\.paths\.gz": "asks for Common Crawl's archives",
    r"^make ": "takes as long as the tests themselves; make says what it would do",
}
"""What commands are parsed alone, and why."""

SLOW = (
    "report",
    "run",
    "extract",
    "filter",
    "fetch",
    "dedup",
    "score",
    "assemble",
    "shard",
    "tokenizer",
    "train",
    "generate",
)
"""Commands of which a run takes long: those that start Spark, or train."""

EVERY = commands()
WHOLE = [c for c in EVERY if c.whole]


def elsewhere(command: Command) -> str | None:
    text = re.sub(r"\s#.*", "", command.text)
    return next((why for pattern, why in ELSEWHERE.items() if re.search(pattern, text)), None)


def is_slow(command: Command) -> bool:
    return command.words[1] in SLOW and "--url" not in command.words


HERE = [c for c in WHOLE if c.words[0] == "weft" and not elsewhere(c) and c.document != "docs/start.md"]
START = [c for c in WHOLE if c.words[0] == "weft" and not elsewhere(c) and c.document == "docs/start.md"]


@pytest.mark.parametrize("command", EVERY, ids=str)
def test_the_command_parses(command: Command) -> None:
    parse(command)
    if command.words[0] == "make" and command.whole:
        subprocess.run(["make", "-n", *command.words[1:]], cwd=ROOT, capture_output=True, check=True)


def test_every_command_is_run_or_has_a_reason_not_to() -> None:
    ours = {str(c) for c in (*HERE, *START)}
    for command in WHOLE:
        assert str(command) in ours or command.words[0] == "make" or elsewhere(command), (
            f"{command}: neither run here nor in ELSEWHERE"
        )


@pytest.mark.parametrize(
    "text",
    ["weft runn -o OUT a.warc.gz", "weft run --outputt OUT a.warc.gz", "weft run a.warc.gz", "weft stats OUT --by page",
     "weft run -o OUT --set filters.langage.min_score=1 a.warc.gz", "weft train --data OUT --set stepz=1",
     "torchrun -m trainer train --confg debug --data OUT", "spark-submit jobs/main.py --recipe kosmos a.warc.gz"],
)  # fmt: skip
def test_a_command_that_does_not_parse_is_found(text: str) -> None:
    with pytest.raises(AssertionError):
        parse(Command("x.md", 1, text, whole=True))


@pytest.fixture(scope="module")
def trained(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a tokenizer and a model after two steps."""
    output = Path(shutil.copytree(finished.output, tmp_path_factory.mktemp("trained") / "OUT"))
    for arguments in (["tokenizer"], ["train", "--config", "debug", "--set", "steps=2"]):
        start([*arguments, "--data", str(output)], output.parent)
    return output


def start(arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "weft"), *arguments],
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stderr[-2000:]}"
    return done.stdout


def furnish(folder: Path, finished: Finished) -> None:
    """Write the files that the documents mention into a folder: a page, an image, a list of archives."""
    page = max(finished.rows("pages"), key=lambda p: len(p["blocks"]))
    image = next(i for i in finished.rows("images") if i["status"] == "ok")
    (folder / "all.paths").write_text("\n".join(finished.web.archives))
    (folder / "x.jpg").write_bytes(image["bytes"])
    paragraphs = "".join(f"<p>{b['text']}</p>" for b in page["blocks"] if b["kind"] == "text")
    (folder / "page.html").write_text(f"<!doctype html><html><body><main>{paragraphs}</main></body></html>", "utf-8")


def of_this_run(words: list[str], finished: Finished) -> list[str]:
    """Replace the placeholders of the documents by names of the sample web."""
    from tests.sampleweb import RECIPE

    page = finished.rows("documents")[0]
    names = {"crawl/*.warc.gz": finished.web.archives, "crawl.warc.gz": finished.web.archives,
             "pilot.paths": finished.web.archives, "ID|URL": [page["url"]],
             "https://host.example/page.html": [page["url"]], "kosmos1": [str(RECIPE)]}  # fmt: skip
    told = [new for word in words for new in names.get(word, [word])]
    if told[0] == "recipe":
        return words
    if told[0] in ("run", "fetch"):  # no stranger's server is asked
        told += ["--set", f"fetch.proxy={finished.web.proxy}"]
    if told[0] == "train":
        told += ["--set", "steps=2"]
    if told[0] == "run" and "--recipe" not in told:
        told += ["--recipe", str(RECIPE)]
    return told


@pytest.mark.parametrize(
    "command",
    [pytest.param(c, id=str(c), marks=[pytest.mark.slow] * is_slow(c)) for c in HERE if c.words[1] != "replay"],
)
def test_the_command_runs(command: Command, finished: Finished, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    needs_training = command.words[1] in ("train", "generate")
    output = request.getfixturevalue("trained") if needs_training else finished.output
    shutil.copytree(output, tmp_path / "OUT")
    (tmp_path / "PILOT").symlink_to(tmp_path / "OUT", target_is_directory=True)
    furnish(tmp_path, finished)
    start(of_this_run(command.words[1:], finished), tmp_path)


@pytest.mark.parametrize("command", [pytest.param(c, id=str(c)) for c in HERE if c.words[1] == "replay"])
def test_the_replay_answers(command: Command, web: Web, tmp_path: Path) -> None:
    (tmp_path / "crawl").mkdir()
    shutil.copy(web.folder / "images.warc.gz", tmp_path / "crawl")
    with replay(command.words, tmp_path):
        pass


class replay:
    """A replay command of a document, on a free port, until the block ends."""

    def __init__(self, words: list[str], folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self.words = [{"8080": str(self.port)}.get(word, word) for word in words[1:]]
        self.folder = folder

    def __enter__(self) -> int:
        weft = str(Path(sys.executable).parent / "weft")
        self.process = subprocess.Popen([weft, *self.words], cwd=self.folder, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "it ended by itself"
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self.port
            time.sleep(0.2)
        raise AssertionError("it does not answer")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.mark.slow
def test_the_start_guide_leads_from_an_archive_to_a_model(web: Web, finished: Finished, tmp_path: Path) -> None:
    archives = [*web.archives, str(web.folder / "images.warc.gz")]
    (tmp_path / "crawl.warc.gz").write_bytes(b"".join(Path(a).read_bytes() for a in archives))
    furnish(tmp_path, finished)
    page = next(d["url"] for d in finished.rows("documents") if d["corpus"] == "text")
    (served,) = (c for c in START if c.words[1] == "replay")
    with replay(served.words, tmp_path) as port:
        for command in START:
            if command.words[1] == "replay":
                continue
            words = [w.replace("127.0.0.1:8080", f"127.0.0.1:{port}") for w in command.words[1:]]
            words = [page if w == "https://YOUR.SITE/page.html" and words[0] == "why" else w for w in words]
            said = start([*words, *(["--set", "steps=2"] if words[0] == "train" else [])], tmp_path)
            if words[:2] == ["stats", "OUT"] and len(words) == 2:
                assert "caption" in said and "interleaved" in said and "text" in said
    (source,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "start.md").read_text("utf-8"), re.S)
    told = subprocess.run(
        [sys.executable, "-c", source], cwd=tmp_path, env={**os.environ, "HF_HOME": str(tmp_path / "hf")},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert told.splitlines() and all(re.fullmatch(r"https?://\S+ \d+", line) for line in told.splitlines())


def strings_of_the_code() -> Iterator[str]:
    """Yield each string of the code, with … for formatted values."""

    def text(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
        return "…"

    for package in ("jobs", "pipeline", "filters", "schemas", "trainer"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                    yield re.sub("…+", "…", text(node))


MESSAGES = [
    m[1].strip() for m in re.findall(r"^\| (`+)(.+?)\1 \|", (ROOT / "docs" / "faq.md").read_text("utf-8"), re.M)
]


@pytest.mark.parametrize("message", MESSAGES)
def test_the_faq_quotes_messages_of_the_code(message: str) -> None:
    assert len(re.sub(r"[…\W]", "", message)) >= 10, "too little is quoted to be found"
    assert any(message in said for said in strings_of_the_code())


def test_the_faq_has_messages() -> None:
    assert len(MESSAGES) >= 30 and len(set(MESSAGES)) == len(MESSAGES)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links_have_a_target(path: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`]*`", "", path.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (path.parent / target).exists(), target


def test_the_index_names_every_document() -> None:
    text = (ROOT / "docs" / "README.md").read_text("utf-8")
    for path in DOCUMENTS[1:]:
        assert path.name == "README.md" or f"({path.name})" in text
