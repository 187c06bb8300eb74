"""The commands that learn from the shards."""

from typing import Annotated

import typer

from jobs.cli.options import Assignments, Data, Overwrite, app
from schemas.display import message


@app.command()
def tokenizer(
    data: Data,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Default: DATA/tokenizer.")
    ] = None,
    vocab_size: Annotated[int, typer.Option(help="Pieces at most; a small corpus yields fewer.", min=300)] = 64_007,
    overwrite: Overwrite = False,
) -> None:
    """Train a SentencePiece tokenizer on the text of the shards.

    Example: `weft tokenizer --data OUT --vocab-size 32000`
    """
    from trainer.data.shards import beside
    from trainer.pieces import learn

    folder = output or beside(data, "tokenizer")
    made = learn(data, folder, vocab_size, overwrite=overwrite)
    typer.echo(message(f"{made.vocab_size:,} pieces in {folder}"))


@app.command()
def train(
    data: Data,
    config: Annotated[
        str, typer.Option("--config", metavar="NAME|FILE", help="debug, kosmos1_1b6, instruct or a YAML file.")
    ] = "debug",
    weights: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DIR", help="Start from trained weights, a checkpoint or a run's folder; take its sizes."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(metavar="DIR", help="Default: DATA/tokenizer, or the weights' own.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Default: DATA/checkpoints; with --from checkpoints-CONFIG."
        ),
    ] = None,
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    processes: Annotated[int, typer.Option(help="Processes on this machine, one for each GPU.", min=1)] = 1,
) -> None:
    """Train a decoder that sees on the shards. A run that was stopped goes on from its newest checkpoint.

    Tune one on instructions, mixed with the shards it learnt from:
    `weft train --config instruct --from OUT --data OUT --set data.instructions=[FILE.jsonl]`

    On several machines start `trainer.train` by torchrun yourself: `python -m trainer.train --help`.

    Example: `weft train --config kosmos1_1b6 --data OUT --processes 8`
    """
    from trainer.run.session import start, start_processes

    given = (config, assignments or [], weights, data, tokenizer, output, overwrite)
    if processes == 1:
        start(*given)
    else:
        raise typer.Exit(start_processes(processes, *given))


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
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", "-i", help="A talk, instead: each line of standard input is answered; /image PATH shows."
        ),
    ] = False,
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

    from trainer.generate.run import Request, check, show
    from trainer.generate.talk import talk
    from trainer.saved import load

    images, file = [Path(name) for name in image or []], None if input_file is None else Path(input_file)
    check(prompt, file, interactive, images, beam)
    saved = load(checkpoint, tokenizer)
    if interactive:
        talk(saved, max_tokens)
    else:
        request = None if prompt is None else Request(prompt, tuple(images))
        show(saved, request, file, beam, length_penalty, max_tokens)
