"""The command that tells what a run will cost."""

from typing import Annotated

import typer

from jobs.cli.options import AsJson, Assignments, Inputs, app


@app.command()
def plan(
    inputs: Inputs,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="Default: the pilot's, else kosmos1.")
    ] = None,
    assignments: Assignments = None,
    cores: Annotated[int | None, typer.Option(metavar="N", min=1, help="Default: this machine's.")] = None,
    gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs for score.")] = 0,
    pilot: Annotated[
        str | None, typer.Option("--from", metavar="OUT", help="Reckon from a run on a part of the inputs.")
    ] = None,
    pilot_cores: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Cores that it ran on; default: this machine's.")
    ] = None,
    pilot_gpus: Annotated[int, typer.Option(metavar="N", min=0, help="GPUs that its score ran on.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Tell what a run will cost before it is run: pages, core-hours, downloads, bytes, hours.

    Each figure says whether it is measured, from a pilot, published or assumed. A pilot on a few archives says most.
    Needs neither Java nor Spark, and reads no archive.

    Example: `weft plan warc.paths.gz --from PILOT --cores 1000`
    """
    import os

    from jobs.plan import show
    from pipeline.plan.pilot import Pilot

    here = os.cpu_count() or 1
    found = Pilot(pilot, pilot_cores or here, pilot_gpus) if pilot is not None else None
    show(inputs, recipe, assignments or (), cores or here, gpus, found, as_json)
