"""A sample web on disk, and a finished run of one."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds


@dataclass(frozen=True)
class Web:
    """A sample web on disk, its ground truth, and the proxy that serves its images."""

    folder: Path
    proxy: str

    @property
    def archives(self) -> list[str]:
        return sorted(str(p) for p in self.folder.glob("pages-*.warc.gz"))

    def truth(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text("utf-8").splitlines()]


@dataclass(frozen=True)
class Finished:
    """A finished run's output."""

    web: Web
    output: Path

    def rows(self, table: str) -> list[dict[str, Any]]:
        return ds.dataset(self.output / table, format="parquet").to_table().to_pylist()

    @cached_property
    def rejections(self) -> list[dict[str, Any]]:
        return self.rows("rejections")
