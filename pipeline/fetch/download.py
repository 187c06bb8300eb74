"""Call img2dataset's downloader in a task, with our opener below it and our writer above."""

import contextlib
import io
import os
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.fetch.opener import Opener
from pipeline.fetch.results import Results
from pipeline.imports import stand_ins, temporary_folder
from schemas.errors import TransientError

if TYPE_CHECKING:
    from img2dataset.downloader import Downloader


def download(opener: Opener, num_addresses: int, results: Results) -> None:
    """Have img2dataset download as many images as the opener's schedule holds; each answer goes to the results.

    Raises: TransientError when img2dataset gives up.
    """
    with temporary_folder("weft-fetch-") as folder:
        tickets = Path(folder) / "tickets.arrow"
        table = pa.table({"url": [f"weft:{number}" for number in range(num_addresses)]})
        with pa.ipc.new_file(tickets, table.schema) as file:
            file.write_table(table)
        said = io.StringIO()
        urllib.request.install_opener(opener)  # type: ignore[arg-type]
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                is_done, _ = _downloader(opener, num_addresses, results, folder)((0, str(tickets)))
        finally:
            urllib.request.install_opener(None)
    if opener.broken:
        raise opener.broken
    results.close()
    if not is_done or opener.answers:
        raise TransientError(f"img2dataset gave up: {said.getvalue()[-1_000:]}")


def _downloader(opener: Opener, num_addresses: int, results: Results, folder: str) -> "Downloader":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for a newer version of itself
    # img2dataset imports wandb, which leaves two folders behind, and webdataset, which takes torch if it can: 500 MB
    # and seconds of every worker, for a logger and a writer that are not used here.
    with stand_ins(torch=None, wandb=ModuleType("wandb")):
        from img2dataset.downloader import Downloader

    class Writer:
        """What img2dataset calls with each result, see img2dataset.writer; the results say where it goes."""

        def __init__(self, *arguments: object) -> None:
            pass

        def write(self, body: bytes | None, key: str, caption: None, meta: dict[str, Any]) -> None:
            try:
                results.add(opener.answers.pop(meta["url"]), body)
            except Exception as error:  # which img2dataset passes over
                opener.broken = opener.broken or error
                raise

        def close(self) -> None:
            pass

    return Downloader(
        sample_writer_class=Writer,
        resizer=lambda stream, boxes: (stream.getvalue(), None, None, None, None, None),  # decoding is ours
        thread_count=opener.config.threads,
        save_caption=False,
        extract_exif=False,
        output_folder=folder,
        column_list=["url"],
        timeout=None,
        number_sample_per_shard=max(num_addresses, 2),
        oom_shard_count=1,
        compute_hash=None,
        verify_hash_type=None,
        encode_format="jpg",
        retries=0,
        user_agent_token=None,
        disallowed_header_directives=None,
    )
