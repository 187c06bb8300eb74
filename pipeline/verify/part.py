"""One Parquet part of a table: it is there, and reads; Spark and Weft write a checksum beside each page."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.store import Store
from pipeline.verify.defect import Defect, reason


def check_part(root: str, path: str, step: str, deep: bool) -> tuple[int, list[Defect]]:
    """Return a part's rows by its footer, and what is wrong with it; if deep, every page of it is read."""
    store = Store(root)
    try:
        with store.fs.open(store.at(path), "rb") as file:
            part = pq.ParquetFile(file, page_checksum_verification=True)
            num_rows = part.metadata.num_rows
            if deep:
                for _ in part.iter_batches(256):
                    pass
        return num_rows, []
    except FileNotFoundError:
        return 0, [Defect(path, "is not there", step=step)]
    except (OSError, ValueError, pa.ArrowException) as error:
        return 0, [Defect(path, f"cannot be read: {reason(error)}", step=step)]
