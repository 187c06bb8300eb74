"""The commands `weft verify`, `weft report`, `weft card` and `weft replay`."""

import os
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobs.cli.options import AsJson, Master, To, app, renamed
from jobs.printing import print_line
from jobs.printing import progress_console as console
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
    """Write the card and the Croissant file beside the shards or into another folder, and print their paths.

    Raises: PathError when there are no shards, or no manifests of the run that made them.
    """
    facts = gather(directory, name, license)
    store, folder = (Store(to), "") if to else (facts.store, facts.folder)
    for file, text in ((CARD, readme(facts)), (CROISSANT, croissant(facts))):
        parts = [part for part in (folder, file) if part]
        store.write(store.at(*parts), text.encode("utf-8", "replace"))
        print_line("/".join((store.root, *parts)))


def show_defects(directory: str, deep: bool, processes: int | None, as_json: bool) -> bool:
    """Check an output and print the defects, as lines or as one JSON object; return whether there are none.

    Raises: PathError when the directory holds no run.
    """
    report = _verify(directory, deep, processes or os.cpu_count() or 1)
    remedies = _remedies(directory, report.defects)
    if as_json:
        print(to_json({**asdict(report), "remedies": remedies}, 1))
        return not report.defects
    for line in (*map(str, report.defects), *(f"note: {note}" for note in report.notes)):
        print_line(line)
    checked = ", ".join(f"{number:,} {what}" for what, number in report.counts.items())
    print_line(f"{checked}: {f'{len(report.defects):,} defects' if report.defects else 'no defects'}")
    for remedy in remedies:
        print_line(remedy)
    return not report.defects


def _verify(directory: str, deep: bool, processes: int) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("files"))
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, *times, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("verify", total=None)
        return verify_output(directory, deep, processes, lambda done, of: bar.update(task, completed=done, total=of))


_TRAINED = {
    "tokenizer": "damaged tokenizer: copy it again, or retrain it with `weft tokenizer ... --overwrite`",
    "train": "damaged checkpoint: copy it again, or delete it; `weft train` continues from the checkpoint before it",
}


def _remedies(directory: str, defects: list[Defect]) -> list[str]:
    """Return the commands that remake the damaged steps; the same `weft run` then remakes the steps after them."""
    damaged = {defect.step for defect in defects}
    steps = [step for step in STEPS if step in damaged]
    trained = [line for step, line in _TRAINED.items() if step in damaged]
    if not steps:
        return trained
    commands = [f"`weft {s} --output {directory} --overwrite{' INPUT...' * (s == 'extract')}`" for s in steps]
    then = "" if steps[-1] == "shard" and len(steps) == 1 else ", then the original `weft run` command for the rest"
    return [f"to repair: {', '.join(commands)}{then}", *trained]


@app.command()
def verify(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output of a run, a shards folder, a tokenizer or a checkpoint; a path or an address."
        ),
    ],
    deep: Annotated[
        bool,
        typer.Option(
            "--deep/--quick",
            help="--deep compares checksums, reads every row and decodes every image; --quick compares checksums and "
            "reads only files that differ.",
        ),
    ] = True,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="Number of processes; default: one per core.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the integrity of an output: tables, manifests, shards, samples, images, tokenizer and checkpoints.

    Every file is compared with its SHA-256. Not checked: Spark's event logs (_events), the cache of robots.txt and the
    like (sites), training logs, and the files of `weft card` and `weft report`. Needs neither Java nor Spark.

    Prints one line per defect: file, sample, what is wrong; then the commands that repair it. Exit status: 0 no
    defects, 1 defects, 2 nothing to check.

    Example: `weft verify OUT --quick`
    """

    if not show_defects(directory, deep, processes, as_json):
        raise typer.Exit(1)


@app.command()
def report(
    directory: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="Output of a finished or unfinished run, or a shards folder; a path or an address."
        ),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The file to write; default: DIR/report.html.")
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", help="Samples to include per corpus; each adds up to 30 kB.", min=0)
    ] = 100,
    master: Master = None,
    to: To = None,
) -> None:
    """Write one self-contained HTML file about a run, to open in a browser.

    Shows the funnel with examples of what each rule dropped; distributions of document lengths, image sizes and scores;
    languages, hosts, licenses and opt-outs; the largest duplicate clusters; and samples of each corpus. Deterministic,
    and its size does not grow with the run. Needs Java.

    Example: `weft report OUT --output report.html --samples 50`
    """
    from jobs.errors import explain_read_errors
    from jobs.report import report as write

    with explain_read_errors(directory):
        write(directory, output or renamed("--to", "--output", to), samples, master)


@app.command()
def card(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Output of a finished run; a path or an address.")],
    name: Annotated[str | None, typer.Option(help="Name of the dataset; default: the recipe's name.")] = None,
    license: Annotated[
        str | None,
        typer.Option("--license", metavar="ID", help="License of the dataset, e.g. cc-by-4.0; default: other."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write to; default: the shards folder."),
    ] = None,
    to: To = None,
) -> None:
    """Write a dataset card (README.md) and Croissant metadata (croissant.json) for the shards.

    Needs a finished run: what it states comes from the manifests and the shards.

    Example: `weft card OUT --name "My corpus"`
    """
    import re

    from jobs.errors import explain_read_errors

    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", license):
        raise typer.BadParameter("give the license id used on the Hugging Face Hub, e.g. cc-by-4.0 or odc-by")
    with explain_read_errors(directory):
        write_card(directory, name, license, output or renamed("--to", "--output", to))


@app.command()
def replay(
    warcs: Annotated[list[str], typer.Argument(metavar="WARC...", help="Archives to serve.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 means any free one.", min=0, max=65535)] = 0,
) -> None:
    """Serve archived responses from an HTTP forward proxy on 127.0.0.1, until interrupted.

    With `--set fetch.proxy=http://127.0.0.1:PORT` a run then gets its images from the archives, not from the web.

    Example: `weft replay crawl/*.warc.gz --port 8080`
    """
    from pipeline.inspect.replay import serve
    from pipeline.warc.inputs import expand

    serve(port, expand(warcs))
