"""The commands in README.md and docs/*.md, and the real parsers of Weft's own."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

PROGRAMS = {
    "weft", "make", "python", "spark-submit", "torchrun", "apt", "pip", "source", "wget", "export", "srun", "sbatch",
    "tensorboard", "aws", "tar", "scp", "rsync", "ssh", "kubectl", "docker", "hf", "git", "cd", "mkdir",
    "cp", "head", "shuf", "zcat",
}  # fmt: skip
"""First words by which a line of a block is known for a command."""
NO_COMMANDS = (" WARC ──extract", "schemas/  ", "clip: {", "--")
"""How blocks begin that hold no commands, and name no other language: a drawing, a tree, a recipe, options."""
_STANDS_FOR = {"P": "8080", "N": "2", "NAME": "kosmos1"}  # what has to be a number, or the name of something
_SHELL = re.compile(r"^(?:\$\w|[A-Za-z_]\w*=|\d?[<>])")  # a program by a variable, or an assignment: the shell's own


@dataclass(frozen=True)
class Command:
    """A command and its place. whole: it can be run as written; else it is only mentioned, and may lack arguments."""

    document: str
    line: int
    text: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.document}:{self.line} {self.text[:70]}"

    @property
    def words(self) -> list[str]:
        words = [word for word in shlex.split(self.text, comments=True) if word != "..."]
        return words if self.whole else [_STANDS_FOR.get(word, word) for word in words]


def commands() -> list[Command]:
    """List all, in the order of the documents. Raises: AssertionError for an unknown kind of block."""
    return [command for path in DOCUMENTS for command in _of_document(path)]


def _of_document(path: Path) -> Iterator[Command]:
    name, text = str(path.relative_to(ROOT)), path.read_text("utf-8")
    prose = list(text.splitlines())
    for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
        first = text[: found.start()].count("\n") + 1
        for number in range(first - 1, first + found[0].count("\n")):
            prose[number] = ""
        if found[1] in ("", "sh", "bash") and not found[2].startswith(NO_COMMANDS):
            yield from _of_block(name, first + 1, found[2])
    for number, line in enumerate(prose, 1):
        for mention in re.findall(r"(?<!`)`(weft [a-z][^`]*)`(?!`)", line):
            for part in _alternatives(mention):
                yield Command(name, number, part, whole=False)


def _of_block(name: str, first: int, block: str) -> Iterator[Command]:
    start, held = first, ""
    for number, line in enumerate(block.splitlines(), first):
        start = start if held else number
        held += line.removesuffix("\\").strip() + " "
        if line.endswith("\\"):
            continue
        text, held = held.strip(), ""
        if not text or text.startswith("#"):
            continue
        word = text.split()[0]
        assert word in PROGRAMS or _SHELL.match(text) or "/" in word, (
            f"{name}:{start}: `{text}` is no command that tests/commands.py knows: name its program in PROGRAMS, or "
            "give the block another language, as ```text"
        )
        yield Command(name, start, text, whole="..." not in text.split("#")[0].split())


def _alternatives(mention: str) -> list[str]:
    """Split `weft extract | filter` into two commands."""
    first, *others = mention.split(" | ")
    return [first, *(f"weft {other}" for other in others)]


def parse(command: Command) -> None:
    """Parse a command without running it. Raises: AssertionError that gives the reason."""
    words = command.words
    if words[0] == "weft":
        _parse_weft(words[1:], command.whole)
    elif "trainer" in words:
        _parse_weft(words[words.index("trainer") + 1 :], command.whole)
    elif "jobs/main.py" in words:
        _parse_weft(["run", *words[words.index("jobs/main.py") + 1 :]], command.whole)


def _parse_weft(words: list[str], whole: bool) -> None:
    from typer._click.exceptions import ClickException, MissingParameter

    from jobs.cli.app import app

    command: Any = typer.main.get_command(app)
    name = "weft"
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-") or words[0].isupper():
            return
        name, *words = words
        assert name in command.commands, f"there is no command {name}"
        command = command.commands[name]
    try:
        context = command.make_context(name, list(words))
    except typer.Exit:  # --help
        return
    except MissingParameter as error:
        assert not whole, error.format_message()
    except ClickException as error:
        raise AssertionError(error.format_message()) from error
    else:
        _check_keys(name, context.params)


def _check_keys(name: str, parameters: dict[str, Any]) -> None:
    """Apply `--set` to the recipe or configuration of the command, or to the default one."""
    from jobs.recipes import load
    from trainer import config as configuration

    assignments = parameters.get("assignments") or []
    try:
        if name == "train":
            sizes = configuration.load("debug").model_dump(mode="json") if parameters.get("weights") else None
            configuration.load(parameters["config"], assignments, sizes and {**sizes, "start": "OUT"})
        elif "assignments" in parameters:
            load(parameters.get("recipe") or parameters.get("name") or "kosmos1", assignments)
    except Exception as error:
        raise AssertionError(str(error)) from error
