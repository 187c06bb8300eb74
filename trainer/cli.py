"""The command line of the trainer: `python -m trainer COMMAND`, alone or by torchrun; `weft` has the same commands.

Each command imports what it needs when it runs, so that a package that is not installed is one line.
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from schemas.display import message
from trainer.program import run_command

app = typer.Typer(
    help="Train a decoder on shards, use it and measure it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # of every command
    rich_markup_mode="markdown",
)
Data = Annotated[
    str,
    typer.Option("--data", "-d", metavar="DIR", help="Output of a run, or its shards folder; a path or an address."),
]
Checkpoint = Annotated[
    str, typer.Option("--checkpoint", "-c", metavar="DIR", help="Exported weights, a checkpoint, or a run's folder.")
]
OwnTokenizer = Annotated[str | None, typer.Option(metavar="DIR", help="Default: the one beside the checkpoint.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one key of the configuration, as steps=200; repeatable."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Remove what is there and make it anew.")]
Processes = Annotated[int, typer.Option(help="Processes on this machine, one for each GPU.", min=1)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status, as `run_command` does."""
    return run_command(lambda: app(args=arguments, prog_name="python -m trainer", standalone_mode=False))


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
    from trainer.train_tokenizer import train_tokenizer

    folder = output or beside(data, "tokenizer")
    made = train_tokenizer(data, folder, vocab_size, overwrite=overwrite)
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
    processes: Processes = 1,
) -> None:
    """Train a decoder that sees on the shards. A run that was stopped goes on from its newest checkpoint.

    Tune one on instructions, mixed with the shards it learnt from:
    `weft train --config instruct --from OUT --data OUT --set data.instructions=[FILE.jsonl]`

    On several machines start it by torchrun yourself: `torchrun OPTIONS -m trainer train --config ... --data ...`.

    Example: `weft train --config kosmos1_1b6 --data OUT --processes 8`
    """
    from trainer.loop import start, start_processes

    given = (config, assignments or [], weights, data, tokenizer, output, overwrite)
    if processes == 1:
        start(*given)
    else:
        raise typer.Exit(start_processes(processes, *given))


@app.command()
def generate(
    checkpoint: Checkpoint,
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
    tokenizer: OwnTokenizer = None,
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

    from trainer.generate.chat import GenerateRequest, chat, check, show
    from trainer.load import load

    images, file = [Path(name) for name in image or []], None if input_file is None else Path(input_file)
    check(prompt, file, interactive, images, beam)
    saved = load(checkpoint, tokenizer)
    if interactive:
        chat(saved, max_tokens)
    else:
        request = None if prompt is None else GenerateRequest(prompt, tuple(images))
        show(saved, request, file, beam, length_penalty, max_tokens)


@app.command(name="eval")
def evaluate(
    checkpoint: Checkpoint,
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
    tokenizer: OwnTokenizer = None,
    batch: Annotated[int, typer.Option(help="Examples that are answered at a time.", min=1)] = 32,
    limit: Annotated[
        int | None, typer.Option(help="Ask only so many examples of each task, chosen by the seed.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the shots and of the limit.", min=0)] = 0,
    show_prompts: Annotated[
        int | None,
        typer.Option(metavar="N", help="Print the first N prompts as the model reads them; ask nothing.", min=1),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Measure a decoder on what Kosmos-1 was measured on. One that was stopped goes on where it stood.

    The output holds the answers and results.json; the table shows the paper's figures beside. On several machines:
    `torchrun OPTIONS -m trainer eval`, with the same options.

    Example: `weft eval -c OUT/checkpoints -d BENCHMARKS -t coco -t vqav2 --shots 0,2,4,8`
    """
    from pathlib import Path

    from trainer.evaluate.session import EvalRequest, numbers, run, run_processes

    folder = None if output is None else Path(output)
    request = EvalRequest(checkpoint, tuple(task), Path(data), numbers(shots), rationale, folder, tokenizer, batch,
                          limit, seed, show_prompts)  # fmt: skip
    if processes == 1:
        run(request)
    else:
        raise typer.Exit(run_processes(request, processes))


@app.command()
def tasks() -> None:
    """List the tasks of `weft eval`, and the files that each reads.

    Example: `weft tasks`
    """
    from trainer.evaluate.session import list_tasks

    typer.echo(list_tasks())


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
