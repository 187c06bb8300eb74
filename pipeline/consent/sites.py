"""Files that sites keep for robots, kept across runs."""

from dataclasses import asdict, dataclass

from pipeline.store import Store
from schemas.errors import IntegrityError
from schemas.ids import digest


@dataclass(frozen=True)
class SiteFile:
    """What a site answered when it was asked for one of these files."""

    url: str
    fetched_at: float  # seconds since the epoch
    status: int  # 0 when no answer came
    body: bytes

    @property
    def failed(self) -> bool:
        """Whether the site gave no answer, or one that says nothing about its file: later, or that it is in trouble."""
        return self.status in (0, 429) or self.status >= 500


@dataclass(frozen=True)
class SiteFiles:
    """A folder of answers, one small file each. It knows no clock: whoever asks says what time it is.

    since is when the run began: a failure counts until the run ends, and a later run asks again.
    """

    store: Store
    max_age_seconds: float
    since: float

    def get(self, url: str, now: float) -> SiteFile | None:
        """Return the kept answer; None when there is none that still counts, or its file is damaged."""
        try:
            kept = self.store.read_json(self._path(url))
            file = SiteFile(**{**kept, "body": kept["body"].encode("latin-1")})
            # machines' clocks differ, so an answer may seem to come from the future
            young = abs(now - file.fetched_at) < self.max_age_seconds
            counts = file.url == url and young and not (file.failed and file.fetched_at < self.since)
        except (FileNotFoundError, IntegrityError, AttributeError, KeyError, TypeError, ValueError):
            return None
        return file if counts else None

    def put(self, file: SiteFile) -> None:
        """Keep an answer in place of an older one. Each byte of its body becomes the character of that number."""
        self.store.write_json(self._path(file.url), {**asdict(file), "body": file.body.decode("latin-1")})

    def _path(self, url: str) -> str:
        key = digest("site", url)
        return self.store.at(key[:2], f"{key}.json")
