"""Settings of all runs, and what they make on disk."""

from dataclasses import dataclass
from pathlib import Path

from tests.sampleweb import RECIPE

SETTINGS = ("--master", "local[2]", "--recipe", str(RECIPE), "--set", "clip.enabled=false",
            "--set", "fetch.commit_images=10")  # fmt: skip


@dataclass(frozen=True)
class OnDisk:
    """A run on disk, to which the last archive was added after a first run; and the checksums after each."""

    output: Path
    first: dict[str, str]
    both: dict[str, str]
