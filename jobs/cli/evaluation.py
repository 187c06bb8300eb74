"""The commands that measure a trained decoder."""

from typing import Annotated

import typer

from jobs.cli.options import app
from schemas.display import message


@app.command(name="eval")
def evaluate(
    checkpoint: Annotated[
        str,
        typer.Option("--checkpoint", "-c", metavar="DIR", help="Exported weights, a checkpoint, or a run's folder."),
    ],
    data: Annotated[
        str, typer.Option("--data", "-d", metavar="DIR", help="The benchmarks' files, each in a folder of its name.")
    ],
    task: Annotated[
        list[str], typer.Option("--task", "-t", metavar="NAME", help="Repeatable; `weft tasks` lists them.")
    ],
    shots: Annotated[
        str, typer.Option(metavar="N,...", help="Examples shown before each question, as 0,2,4,8: one row for each.")
    ] = "0",
    rationale: Annotated[
        bool,
        typer.Option("--rationale", help="Let the model introduce each picture first (multimodal chain of thought)."),
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: `evaluation` in the checkpoint's folder."),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="Default: the one beside the checkpoint.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Examples that are answered at a time.", min=1)] = 32,
    limit: Annotated[
        int | None, typer.Option(help="Ask only so many examples of each task, chosen by the seed.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the shots and of the limit.", min=0)] = 0,
    show_prompts: Annotated[
        int | None,
        typer.Option(metavar="N", help="Print the first N prompts as the model reads them; ask nothing.", min=1),
    ] = None,
    processes: Annotated[int, typer.Option(help="Processes on this machine, one for each GPU.", min=1)] = 1,
) -> None:
    """Measure a decoder on what Kosmos-1 was measured on. One that was stopped goes on where it stood.

    The output holds the answers and results.json; the table shows the paper's figures beside. On several machines:
    `torchrun -m trainer.evaluate`, with the same options.

    Example: `weft eval -c OUT/checkpoints -d BENCHMARKS -t coco -t vqav2 --shots 0,2,4,8`
    """
    from pathlib import Path

    from trainer.evaluate.session import Request, numbers, run, run_processes

    folder = None if output is None else Path(output)
    request = Request(checkpoint, tuple(task), Path(data), numbers(shots), rationale, folder, tokenizer, batch, limit,
                      seed, show_prompts)  # fmt: skip
    if processes == 1:
        run(request)
    else:
        raise typer.Exit(run_processes(request, processes))


@app.command()
def tasks() -> None:
    """List the tasks of `weft eval`, and the files that each reads.

    Example: `weft tasks`
    """
    from trainer.evaluate.session import tasks_told

    typer.echo(tasks_told())


@app.command()
def raven(
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Folder of the set.")],
    number: Annotated[int, typer.Option(help="Matrices; the paper's test has 50.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="The same seed draws the same set, everywhere.", min=0)] = 0,
) -> None:
    """Draw a set of Raven's matrices, each with one right answer of six, for `weft eval --task raven`.

    Example: `weft raven --output BENCHMARKS/raven`
    """
    from pathlib import Path

    from trainer.evaluate.raven.files import write

    write(Path(output), seed, number)
    typer.echo(message(f"{number} matrices in {output}"))
