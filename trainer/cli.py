"""The command line of the trainer: `python -m trainer COMMAND`, alone or by torchrun; `weft` has the same commands.

Commands import what they need when they run, so that a missing package gives an error of one line.
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
    typer.Option("--data", "-d", metavar="DIR", help="Output of a run, or its shards folder; a path or a URL."),
]
Checkpoint = Annotated[
    str, typer.Option("--checkpoint", "-c", metavar="DIR", help="Exported weights, a checkpoint, or a run's folder.")
]
OwnTokenizer = Annotated[str | None, typer.Option(metavar="DIR", help="Default: the one beside the checkpoint.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override one key of the configuration, such as steps=200; repeatable."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Remove an existing output first.")]
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
    vocab_size: Annotated[
        int, typer.Option(help="Maximum number of tokens; a small corpus yields fewer.", min=300)
    ] = 64_007,
    overwrite: Overwrite = False,
) -> None:
    """Train a SentencePiece tokenizer on the text of the shards.

    Example: `weft tokenizer --data OUT --vocab-size 32000`
    """
    from trainer.data.shards import default_folder
    from trainer.train_tokenizer import train_tokenizer

    folder = output or default_folder(data, "tokenizer")
    made = train_tokenizer(data, folder, vocab_size, overwrite=overwrite)
    typer.echo(message(f"{made.vocab_size:,} tokens in {folder}"))


@app.command()
def train(
    data: Data,
    config: Annotated[
        str, typer.Option("--config", metavar="NAME|FILE", help="debug, kosmos1_1b6, instruct or a YAML file.")
    ] = "debug",
    weights: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DIR", help="Start from trained weights, a checkpoint or a run's folder, with its sizes."
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
    """Train a multimodal decoder on shards. A stopped run continues from its newest checkpoint.

    Fine-tune it on instructions, mixed with its training data:
    `weft train --config instruct --from OUT --data OUT --set data.instructions=[FILE.jsonl]`

    On several machines use torchrun: `torchrun OPTIONS -m trainer train --config ... --data ...`.

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
        str | None, typer.Argument(metavar="PROMPT", help="Text; `<image>` marks the place of an image.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="An image; repeatable, in order. Without `<image>`, images come before the text."
        ),
    ] = None,
    input_file: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="FILE", help='JSON lines of {"prompt": TEXT, "images": [PATH, ...]}, instead of PROMPT.'
        ),
    ] = None,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive", "-i", help="Chat: answer each line of standard input; /image PATH adds an image."
        ),
    ] = False,
    tokenizer: OwnTokenizer = None,
    beam: Annotated[int, typer.Option(help="Number of beams; 1 is greedy search.", min=1)] = 1,
    length_penalty: Annotated[
        float,
        typer.Option(
            help="Beams are ranked by log-probability / length ** this; a larger value prefers longer ones.", min=0
        ),
    ] = 1.0,
    max_tokens: Annotated[int, typer.Option(help="Maximum number of tokens; `</s>` ends it earlier.", min=1)] = 64,
) -> None:
    """Continue a prompt of text and images with a trained model. Only the continuation is printed.

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
        str,
        typer.Option("--data", "-d", metavar="DIR", help="Folder of the benchmarks, with a subfolder for each task."),
    ],
    task: Annotated[
        list[str], typer.Option("--task", "-t", metavar="NAME", help="Repeatable; `weft tasks` lists them.")
    ],
    shots: Annotated[
        str,
        typer.Option(
            metavar="N,...", help="Numbers of few-shot examples, such as 0,2,4,8; each gives one row of results."
        ),
    ] = "0",
    rationale: Annotated[
        bool,
        typer.Option("--rationale", help="Let the model describe each image first (multimodal chain of thought)."),
    ] = False,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="DIR", help="Default: `evaluation` in the checkpoint's folder."),
    ] = None,
    tokenizer: OwnTokenizer = None,
    batch: Annotated[int, typer.Option(help="Examples in a batch.", min=1)] = 32,
    limit: Annotated[
        int | None, typer.Option(help="Maximum number of examples of each task, chosen by the seed.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the shots and of the limit.", min=0)] = 0,
    show_prompts: Annotated[
        int | None,
        typer.Option(metavar="N", help="Print the first N prompts as the model reads them; evaluate nothing.", min=1),
    ] = None,
    processes: Processes = 1,
) -> None:
    """Evaluate a model on the benchmarks of Kosmos-1. A stopped evaluation continues where it stopped.

    The output folder receives the answers and results.json; the table also shows the paper's results. On several
    machines: `torchrun OPTIONS -m trainer eval`, with the same options.

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
    """List the tasks of `weft eval` and their files.

    Example: `weft tasks`
    """
    from trainer.evaluate.session import list_tasks

    typer.echo(list_tasks())


@app.command()
def raven(
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Output folder.")],
    number: Annotated[int, typer.Option(help="Number of matrices; the paper's test has 50.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="The same seed gives the same set on every machine.", min=0)] = 0,
) -> None:
    """Generate Raven's matrices, each with six candidates of which one is correct, for `weft eval --task raven`.

    Example: `weft raven --output BENCHMARKS/raven`
    """
    from pathlib import Path

    from trainer.evaluate.raven.files import write

    write(Path(output), seed, number)
    typer.echo(message(f"{number} matrices in {output}"))
