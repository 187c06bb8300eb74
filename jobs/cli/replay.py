"""The command that answers from archives."""

from typing import Annotated

import typer

from jobs.cli.options import app


@app.command()
def replay(
    warcs: Annotated[list[str], typer.Argument(metavar="WARC...", help="Archives to answer from.")],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 0,
) -> None:
    """Serve archived responses as a forward HTTP proxy on loopback, until interrupted.

    Point a run at it with `--set fetch.proxy=http://127.0.0.1:PORT`: images then come from the archive itself.

    Example: `weft replay crawl/*.warc.gz --port 8080`
    """
    from pipeline.inputs import expand
    from pipeline.replay import serve

    serve(port, expand(warcs))
