"""The command that sends a run to a cluster."""

from typing import Annotated, Literal

import typer

from jobs.cli.options import Assignments, Inputs, Output, Overwrite, RecipeName, app


@app.command()
def submit(
    inputs: Inputs,
    output: Output,
    master: Annotated[
        str, typer.Option("--master", metavar="URL", help="spark://HOST:7077, yarn or k8s://https://...")
    ],
    environment: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URL",
            help="Packed environment (`make package`); default: every node has this one at the same path.",
        ),
    ] = None,
    deploy_mode: Annotated[
        Literal["client", "cluster"] | None,
        typer.Option(help="Where the driver runs; default: cluster on Kubernetes, else client."),
    ] = None,
    conf: Annotated[
        list[str] | None, typer.Option("--conf", metavar="KEY=VALUE", help="A setting of Spark; repeatable, and wins.")
    ] = None,
    executors: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Default: what the archives keep busy, 10 at most.")
    ] = None,
    executor_cores: Annotated[int, typer.Option(metavar="N", min=1, help="Cores of an executor.")] = 4,
    gpus_per_executor: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs of an executor.")] = 0,
    gpu_discovery: Annotated[
        str | None, typer.Option(metavar="PATH", help="Script on every node that prints its GPUs; see docs/cluster.md.")
    ] = None,
    recipe: RecipeName = "kosmos1",
    assignments: Assignments = None,
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the line for a shell, and start nothing.")] = False,
) -> None:
    """Send `weft run` to a cluster by spark-submit, with sane settings; its exit status is passed on.

    What can be wrong with the arguments is said before Spark starts. See docs/cluster.md.

    Example: `weft submit --master yarn --environment dist/environment.tar.gz --output s3://BUCKET/OUT warc.paths.gz`
    """
    from jobs.sending import Request, send

    request = Request(
        tuple(inputs), output, master, environment, deploy_mode, tuple(conf or ()), executors, executor_cores,
        gpus_per_executor, gpu_discovery, recipe, tuple(assignments or ()), overwrite,
    )  # fmt: skip
    raise typer.Exit(send(request, dry_run))
