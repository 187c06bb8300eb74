"""The commands that learn from the shards."""

from typing import Annotated

import typer

from jobs.cli.options import Assignments, Data, Overwrite, app


@app.command()
def tokenizer(
    data: Data,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: DATA/tokenizer.")
    ] = None,
    vocab_size: Annotated[int, typer.Option(help="Pieces at most; a small corpus yields fewer.", min=300)] = 64_007,
    overwrite: Overwrite = False,
) -> None:
    """Train a SentencePiece tokenizer on the text of the shards."""
    from trainer.data.shards import beside
    from trainer.pieces import learn

    folder = output or beside(data, "tokenizer")
    made = learn(data, folder, vocab_size, overwrite=overwrite)
    typer.echo(f"{made.vocab_size:,} pieces in {folder}")


@app.command()
def train(
    data: Data,
    config: Annotated[
        str, typer.Option("--config", metavar="NAME|FILE", help="debug, kosmos1_1b6 or a YAML file.")
    ] = "debug",
    tokenizer: Annotated[str | None, typer.Option(metavar="DIR", help="Default: DATA/tokenizer.")] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: DATA/checkpoints.")
    ] = None,
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    processes: Annotated[int, typer.Option(help="Processes on this machine, one for each GPU.", min=1)] = 1,
) -> None:
    """Train a decoder that sees on the shards. A run that was stopped goes on from its newest checkpoint.

    On several machines start `trainer.train` by torchrun yourself: `python -m trainer.train --help`.
    """
    from trainer import config as configuration
    from trainer.data.shards import beside
    from trainer.train import TERMINATED, report, run

    settings = configuration.load(config, assignments or [])
    words, folder = tokenizer or beside(data, "tokenizer"), output or beside(data, "checkpoints")
    if processes == 1:
        summary = run(settings, data, words, folder, overwrite)
        report(summary)
        raise typer.Exit(TERMINATED if summary.terminated else 0)
    from torch.distributed.run import main as torchrun

    more = [part for assignment in assignments or [] for part in ("--set", assignment)] + ["--overwrite"] * overwrite
    where = ["--config", config, "--data", data, "--tokenizer", words, "--output", folder]
    torchrun(["--standalone", f"--nproc-per-node={processes}", "-m", "trainer.train", *where, *more])


@app.command()
def generate(
    checkpoint: Annotated[
        str,
        typer.Option("--checkpoint", "-c", metavar="DIR", help="Exported weights, a checkpoint, or a run's folder."),
    ],
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="Words; `<image>` says where an image stands.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="An image; repeatable, in order. Without `<image>` they stand before the words."
        ),
    ] = None,
    input_file: Annotated[
        str | None,
        typer.Option("--input", metavar="FILE", help='JSON lines of {"prompt": TEXT, "images": [PATH, ...]}, instead.'),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="Default: the one beside the checkpoint.")
    ] = None,
    beam: Annotated[int, typer.Option(help="Beams; 1 takes the likeliest token each time.", min=1)] = 1,
    length_penalty: Annotated[
        float, typer.Option(help="Beams rank by log-probability / length ** this; more prefers longer ones.", min=0)
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Tokens at most; it ends earlier at `</s>`.", min=1)] = 64,
) -> None:
    """Go on with a prompt of words and images, by a trained decoder. Only the continuation is printed.

    Example: `weft generate --checkpoint OUT "An image of" --image x.jpg --beam 5`
    """
    from pathlib import Path

    from trainer.generate.run import Request, show
    from trainer.generate.saved import load

    if (prompt is None) == (input_file is None):
        raise typer.BadParameter("give a PROMPT, or --input FILE")
    request = None if prompt is None else Request(prompt, tuple(Path(name) for name in image or []))
    file = None if input_file is None else Path(input_file)
    show(load(checkpoint, tokenizer), request, file, beam, length_penalty, max_tokens)
