"""Write what became of a run, its samples and its losses into one HTML file."""

from rich.filesize import decimal

from jobs import session
from jobs.printing import say
from jobs.progress import progress
from pipeline.report.data import Sources, gather
from pipeline.report.page import render
from pipeline.store import Store
from schemas.errors import PathError
from schemas.shards import REPORT


def report(directory: str, output: str | None, num_samples: int, master: str | None) -> str:
    """Write the report of a run, or of its finished steps, or of a shards folder, and say where it is; return that.

    Args: output is a file, and by default REPORT in the directory; num_samples is at most so many of each corpus.
    Raises: PathError when nothing of a run is there, or the file cannot be written; MissingError without Java.
    """
    session.check_master(master)
    session.check_java()
    sources = Sources(directory)
    store, name = _target(output) if output is not None else (sources.store, REPORT)
    _check_writable(store, name)
    is_ours = session.active() is None
    with session.using(master) as spark, progress(spark, "report"):
        if is_ours:  # of a damaged file Spark would log what the task raised, four times
            spark.sparkContext.setLogLevel("OFF")
        page = render(gather(spark, sources, num_samples)).encode("utf-8", "replace")
    store.write(store.at(name), page)
    say(f"{store.at(name) if store.local else f'{store.root}/{name}'} ({decimal(len(page))})")
    return store.at(name)


def _target(output: str) -> tuple[Store, str]:
    """Return the folder of a file and its name in it."""
    folder, slash, name = output.rpartition("/")
    if not name:
        raise PathError(f"--output {output} is a folder: name the file too, as {output}{REPORT}")
    return Store(folder + slash if folder in ("", "file://") else folder) if slash else Store("."), name


def _check_writable(store: Store, name: str) -> None:
    if store.fs.isdir(store.at(name)):
        raise PathError(f"{store.at(name)} is a folder: --output names the file to write, as --output report.html")
    try:
        store.check_writable()
    except (PathError, NotImplementedError) as error:
        raise PathError(f"cannot write {store.root}/{name}: {error}; --output FILE names another place") from error
