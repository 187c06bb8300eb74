"""The commands that check, describe and serve what a run made: verify, report, card, replay."""

import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobs.cli.options import AsJson, Master, To, app, renamed
from jobs.printing import say
from jobs.progress import console
from pipeline.inspect.card import readme
from pipeline.inspect.croissant import croissant
from pipeline.inspect.facts import gather
from pipeline.inspect.verify import Report, verify_output
from pipeline.io.store import Store
from pipeline.shards.verify import Defect
from schemas.display import to_json
from schemas.shards import CARD, CROISSANT
from schemas.tables import STEPS


def write_card(directory: str, name: str | None, license: str | None, to: str | None) -> None:
    """Write both files beside the shards, or into another folder, and say where they are.

    Raises: PathError when there are no shards, or no run that made them.
    """
    facts = gather(directory, name, license)
    store, folder = (Store(to), "") if to else (facts.store, facts.folder)
    for file, text in ((CARD, readme(facts)), (CROISSANT, croissant(facts))):
        parts = [part for part in (folder, file) if part]
        store.write(store.at(*parts), text.encode("utf-8", "replace"))
        say("/".join((store.root, *parts)))


def show_defects(directory: str, deep: bool, processes: int | None, as_json: bool) -> bool:
    """Check an output and print the report, as lines or as one JSON object; return whether all is good.

    Raises: PathError when nothing of a run is there.
    """
    report = _watched(directory, deep, processes or os.cpu_count() or 1)
    remedies = _remedies(directory, report.defects)
    if as_json:
        print(to_json({**asdict(report), "remedies": remedies}, 1))
        return not report.defects
    for line in (*map(str, report.defects), *(f"note: {note}" for note in report.notes)):
        say(line)
    checked = ", ".join(f"{number:,} {what}" for what, number in report.counts.items())
    say(f"{checked}: {f'{len(report.defects):,} defects' if report.defects else 'all good'}")
    for remedy in remedies:
        say(remedy)
    return not report.defects


def _watched(directory: str, deep: bool, processes: int) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("verify", total=None)
        return verify_output(directory, deep, processes, lambda done, of: bar.update(task, completed=done, total=of))


_TRAINED = {
    "tokenizer": "a damaged tokenizer: copy it again, or train it again by `weft tokenizer ... --overwrite`",
    "train": "damaged weights: copy the folder again, or remove it; `weft train` goes on from the checkpoint before",
}


def _remedies(directory: str, defects: list[Defect]) -> list[str]:
    """Say which steps make what is damaged anew; what follows the first of them is made by the same `weft run`."""
    damaged = {defect.step for defect in defects}
    steps = [step for step in STEPS if step in damaged]
    trained = [line for step, line in _TRAINED.items() if step in damaged]
    if not steps:
        return trained
    commands = [f"`weft {s} --output {directory} --overwrite{' INPUT...' * (s == 'extract')}`" for s in steps]
    then = "" if steps[-1] == "shard" and len(steps) == 1 else ", then the `weft run` that made it makes the rest"
    return [f"to mend it: {', '.join(commands)}{then}", *trained]


@app.command()
def verify(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output of a run, a shards folder, a tokenizer, or a checkpoint; a path or an address."
        ),
    ],
    deep: Annotated[
        bool,
        typer.Option(
            "--deep/--quick",
            help="Sum every file, read every row, decode every image; or sum every file and read what differs.",
        ),
    ] = True,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="How many files at once; default: as many as cores.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that an output is whole: every table, manifest, shard, sample, image, tokenizer and checkpoint.

    Every file is compared with its SHA-256, by --quick too. Not checked: Spark's event logs (_events), the cache
    of what sites allow (sites), logs of a training, and what `weft card` and `weft report` write. Needs neither Java
    nor Spark.

    Each defect is one line: file, sample, what is wrong; the remedy comes last. Exit status: 0 all good, 1 defects,
    2 nothing to check.

    Example: `weft verify OUT --quick`
    """

    if not show_defects(directory, deep, processes, as_json):
        raise typer.Exit(1)


@app.command()
def report(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output of a run, finished or not, or a shards folder alone; a path or an address."
        ),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write; default: DIR/report.html.")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", help="Samples to look at, of each corpus at most: each adds up to 30 kB.", min=0)
    ] = 100,
    master: Master = None,
    to: To = None,
) -> None:
    """Write one HTML file about a run, to open in a browser or hand on: it needs nothing beside it.

    The funnel with examples of what each rule took; how long documents, how large images and how good scores are;
    languages, hosts, licenses, directives; the largest clusters of duplicates; and samples of each corpus to browse.
    The same run gives the same file, and a large run one that is about as large.

    Example: `weft report OUT --output report.html --samples 50`
    """
    from jobs.errors import explain_read_errors
    from jobs.report import report as write

    with explain_read_errors(directory):
        write(directory, output or renamed("--to", "--output", to), samples, master)


@app.command()
def card(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a finished run; a path or an address.")],
    name: Annotated[str | None, typer.Option(help="What the dataset is called; default: the recipe's name.")] = None,
    license: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="Its license, as cc-by-4.0; default: other, since none is known."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Where the two files go; default: beside the shards they describe."
        ),
    ] = None,
    to: To = None,
) -> None:
    """Write a dataset card (README.md) and Croissant metadata (croissant.json) beside the shards.

    Example: `weft card OUT --name "My corpus"`
    """
    import re

    from jobs.errors import explain_read_errors

    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", license):
        raise typer.BadParameter("a license is named by its id on the hub, as cc-by-4.0 or odc-by")
    with explain_read_errors(directory):
        write_card(directory, name, license, output or renamed("--to", "--output", to))


@app.command()
def replay(
    warcs: Annotated[list[str], typer.Argument(metavar="WARC...", help="Archives to answer from.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
) -> None:
    """Serve archived responses as a forward HTTP proxy on loopback, until interrupted.

    Point a run at it with `--set fetch.proxy=http://127.0.0.1:PORT`: images then come from the archive itself.

    Example: `weft replay crawl/*.warc.gz --port 8080`
    """
    from pipeline.inspect.replay import serve
    from pipeline.warc.inputs import expand

    serve(port, expand(warcs))
