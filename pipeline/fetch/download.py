"""Download images of some hosts with img2dataset, which calls DownloadWorker for requests and Results for output."""

import contextlib
import email.utils
import io
import os
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self
from urllib.request import Request

import pyarrow as pa

from pipeline.fetch.client import Client, Reply
from pipeline.fetch.commit_log import MOVED, CommitLog
from pipeline.fetch.permissions import ROBOTS, Permissions
from pipeline.fetch.scheduler import Address, Host, Scheduler
from pipeline.images.worker import MAX_IMAGES, DecodeWorker
from pipeline.io.imports import replaced_modules, temporary_folder
from pipeline.url import Failure, Url, class_of, parse, request_url
from pipeline.warc.http import in_headers
from schemas.display import describe
from schemas.errors import TransientError
from schemas.recipe import Fetch
from schemas.tables import IMAGES

MAX_SITE_FILE_BYTES = 500 * 1024 + 1  # RFC 9309, section 2.5; one byte more shows that a file is longer
MAX_SITE_FILE_REDIRECTS = 5  # RFC 9309, section 2.3.1.2
LOST_IN_A_ROW = 5  # consecutive requests without connection or complete response before a host is skipped
LOST_AT_FIRST = 3  # the same, for a host without any response yet
BUSY_SECONDS = 0.2  # delay while another thread requests a site's files
MAX_LARGE = 3  # bodies above client.LARGE_BYTES in memory at a time
_BUSY = (429, 503)
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class FetchAnswer:
    """The final result for an address; location is set if status is MOVED."""

    address: Address
    status: str
    error: str | None = None
    location: str | None = None
    is_large: bool = False  # whether its body holds a slot of MAX_LARGE


@dataclass(frozen=True)
class Again:
    """The address must be scheduled again, not before a time on the monotonic clock."""

    not_before: float = 0.0


class AnswerBody:
    """A body in the form that img2dataset reads: like io.BytesIO, but without a copy."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def read(self) -> bytes:
        return self.body

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class DownloadWorker:
    """The urllib opener that serves img2dataset's tickets: each returns the next image of the scheduler."""

    def __init__(
        self, config: Fetch, max_bytes: int, schedule: Scheduler, client: Client, permissions: Permissions
    ) -> None:
        self.config, self.max_bytes = config, max_bytes
        self.schedule, self.client, self.permissions = schedule, client, permissions
        self.interval = config.host_interval_seconds
        self.room = BoundedSemaphore(MAX_LARGE)
        self.answers: dict[str, FetchAnswer] = {}  # by ticket, until the writer takes them
        self.given_up: dict[str, Failure] = {}  # by host
        self.broken: Exception | None = None  # why results cannot be stored, which ends all requests

    def open(self, request: Request, data: None = None, timeout: object = None) -> AnswerBody:
        """Return the body of the next image; `answers` then holds its FetchAnswer under the ticket, the request's URL.

        Raises: Failure when the next result is not an image.
        """
        answer, body = self._next()
        self.answers[request.full_url] = answer
        if answer.status != "ok":
            raise Failure(answer.status, answer.error or "")
        return AnswerBody(body)

    def _next(self) -> tuple[FetchAnswer, bytes]:
        while not self.broken:
            host, address = self.schedule.take()
            if isinstance(host, Address):  # settled without a request
                assert isinstance(address, Failure)
                return FetchAnswer(host, address.status, address.error), b""
            assert isinstance(address, Address)
            again: Again | None = Again()
            try:
                done = Again() if self.broken else self._request(host, address)
                if not isinstance(done, Again):
                    again = None
                    return done
                again = done
            finally:
                self.schedule.done(host, address if again else None, again.not_before if again else 0.0)
        raise self.broken

    def _request(self, host: Host, address: Address) -> Again | tuple[FetchAnswer, bytes]:
        """Make one request: for one of the site's files or, when those are known, for the image."""
        try:
            place, origin = address.place, address.place.origin
            path = self.permissions.next_path(origin)
            if path == "":
                return Again(time.monotonic() + BUSY_SECONDS)
            if path is not None:
                return self._request_site_file(host, origin, path)
            if origin not in host.origins:
                return self._apply_site_rules(host, origin)
            refusal = self.given_up.get(host.name) or self.permissions.refusal(place)
            if refusal:
                raise refusal
            return self._request_image(host, address)
        except Failure as failure:
            return self._failed(host, address, failure)
        except Exception as error:  # an error caused by an untrusted server costs only one image
            return FetchAnswer(address, "unreachable", describe(error)), b""

    def _request_site_file(self, host: Host, origin: str, path: str) -> Again:
        """Request one of a site's files and record its response."""
        try:
            self.permissions.learn(origin, path, *self._site_file(host, origin + path))
            if path == ROBOTS:  # the delay applies to the other file too
                self.schedule.rest(host, time.monotonic() + self.permissions.crawl_delay(origin))
        except Failure as failure:
            num_tries = self.permissions.num_tries[origin, path]
            if self._should_retry(failure, num_tries):
                self.permissions.release(origin, path)
                self.schedule.rest(host, time.monotonic() + self._delay(failure, num_tries))
            else:
                self.permissions.learn(origin, path, 0, b"", failure)
        except BaseException:
            self.permissions.release(origin, path)
            raise
        return Again()

    def _apply_site_rules(self, host: Host, origin: str) -> Again:
        """Apply a site's rules: set the request rate, and settle the refused addresses."""
        host.origins.add(origin)
        delay = self.permissions.crawl_delay(origin)
        if delay > self.interval:
            self.schedule.limit(host, 1, max(delay, host.interval))
        elif host.interval <= self.interval:  # no other origin of the host requires more
            self.schedule.limit(host, self.config.host_connections, self.interval)
        self.schedule.settle(host, self._refusal)
        return Again()

    def _site_file(self, host: Host, url: str) -> tuple[int, bytes]:
        place = parse(url)
        for _ in range(MAX_SITE_FILE_REDIRECTS + 1):
            with self.client.get(place) as reply:
                location = reply.location(place.url) if reply.status in _REDIRECTS else None
                if location is None:
                    if reply.status in _BUSY:
                        raise _refusal_of(reply)
                    return reply.status, reply.body(MAX_SITE_FILE_BYTES, cut=True) if reply.status == 200 else b""
            place = location
            time.sleep(host.interval)
        return 404, b""  # unavailable, by RFC 9309

    def _request_image(self, host: Host, address: Address) -> Again | tuple[FetchAnswer, bytes]:
        with self.client.get(address.place) as reply:
            self._check(reply)
            if reply.status in _REDIRECTS:
                return self._redirect(host, address, reply)
            body, is_large = self._body(reply)
        self.schedule.answered(host)
        return FetchAnswer(address, "ok", is_large=is_large), body

    def _body(self, reply: Reply) -> tuple[bytes, bool]:
        """Read an image; return also whether it is large. A large one waits for a slot until `release` frees one."""
        acquired: list[bool] = []
        try:
            return reply.body(self.max_bytes, when_large=lambda: acquired.append(self.room.acquire())), bool(acquired)
        except BaseException:
            if acquired:
                self.room.release()
            raise

    def release(self, answer: FetchAnswer) -> None:
        """Free the slot of an answer whose body is no longer in memory."""
        if answer.is_large:
            self.room.release()

    def _check(self, reply: Reply) -> None:
        """Raise Failure unless a reply is a redirect, or its body may be used."""
        if not 200 <= reply.status < 300 and reply.status not in _REDIRECTS:
            raise _refusal_of(reply)
        directives = in_headers(reply.headers, self.config.user_agent)
        for directive in self.config.directives:
            if directive in directives:
                raise Failure("opt_out", directives[directive])

    def _redirect(self, host: Host, address: Address, reply: Reply) -> Again | tuple[FetchAnswer, bytes]:
        self.schedule.answered(host)
        place = reply.location(address.place.url)
        if place is None:
            raise Failure("unreachable", f"HTTP {reply.status} without Location")
        address.num_redirects += 1
        if address.num_redirects > self.config.max_redirects:
            raise Failure("unreachable", f"more than {self.config.max_redirects} redirects")
        address.left.append(address.place.url)
        place = parse(request_url(place.url, self.client.proxy is not None))
        if place.url in address.left:
            raise Failure("unreachable", f"redirect loop, at {place.url[:200]}")
        address.place, address.num_tries = place, 0
        if place.host == host.name:
            return Again()
        return FetchAnswer(address, MOVED, location=place.url), b""

    def _failed(self, host: Host, address: Address, failure: Failure) -> Again | tuple[FetchAnswer, bytes]:
        delay = self._delay(failure, address.num_tries)
        not_before = time.monotonic() + delay
        if failure.status == "http_429" or failure.wait_seconds is not None:  # applies to the host, not to one URL
            self.schedule.rest(host, not_before)
            if delay > self.config.max_wait_seconds:
                self._give_up(host, failure, f"requests a delay of {delay:g} s")
        self._count_loss(host, failure)
        if self._should_retry(failure, address.num_tries) and host.name not in self.given_up:
            address.num_tries += 1
            return Again(not_before)
        error = failure.error if address.num_redirects == 0 else f"{address.place.url[:200]}: {failure.error}"
        return FetchAnswer(address, failure.status, error), b""

    def _count_loss(self, host: Host, failure: Failure) -> None:
        """Give up a host that does not resolve or repeatedly fails to respond."""
        if not failure.is_lost:
            self.schedule.answered(host)
            return
        host.num_lost += 1
        is_unknown = failure.status == "dns" and not failure.is_temporary
        if is_unknown or host.num_lost >= (LOST_IN_A_ROW if host.has_answered else LOST_AT_FIRST):
            self._give_up(host, failure, f"does not respond: {failure.error}")

    def _give_up(self, host: Host, failure: Failure, why: str) -> None:
        """Send no more requests to a host; its remaining addresses fail with the same status."""
        if host.name not in self.given_up:
            self.given_up[host.name] = Failure(failure.status, f"not requested: {host.name} {why}")
            self.schedule.settle(host, self._refusal)

    def _should_retry(self, failure: Failure, num_tries: int) -> bool:
        is_soon = self._delay(failure, num_tries) <= self.config.max_wait_seconds
        return failure.is_temporary and num_tries < self.config.retries and is_soon

    def _delay(self, failure: Failure, num_tries: int) -> float:
        """Return the delay before a retry: the server's, else exponential backoff [seconds]."""
        if failure.wait_seconds is not None:
            return failure.wait_seconds
        return self.config.backoff_seconds * float(2**num_tries)

    def _refusal(self, place: Url) -> Failure | None:
        return self.given_up.get(place.host) or self.permissions.refusal(place)


def _refusal_of(reply: Reply) -> Failure:
    """Return the failure of a reply with an error status."""
    status, is_busy = reply.status, reply.status in _BUSY
    wait = _retry_after(reply) if is_busy else None
    return Failure(class_of(status), f"HTTP {status}", is_temporary=is_busy, wait_seconds=wait)


def _retry_after(reply: Reply, clock: Callable[[], float] = time.time) -> float | None:
    """Return the Retry-After of a reply in seconds, given as a number or date (RFC 9110, section 10.2.3)."""
    value = (reply.header("Retry-After") or "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - clock())
    except (ValueError, TypeError, OverflowError):
        return None


BATCH_BYTES = 1 << 20
_EMPTY: dict[str, Any] = dict.fromkeys(c.name for c in IMAGES.columns)


class Results:
    """Collects results until `close`. One batch is decoded while the next is filled, so two are in memory."""

    def __init__(self, decoder: DecodeWorker, commit_log: CommitLog, release: Callable[[FetchAnswer], None]) -> None:
        """Args: release is called with each answer whose body is no longer needed."""
        self.decoder, self.commit_log, self.release = decoder, commit_log, release
        self.batch: list[tuple[FetchAnswer, bytes]] = []
        self.num_bytes = 0
        self.thread = ThreadPoolExecutor(1)
        self.decoding: tuple[list[tuple[FetchAnswer, bytes]], Future[list[dict[str, Any]]]] | None = None

    def add(self, answer: FetchAnswer, body: bytes | None) -> None:
        """Add an answer, with the body of an image or None."""
        if body is None:
            self.commit_log.add(_row(answer, {}))
            return
        self.batch.append((answer, body))
        self.num_bytes += len(body)
        if len(self.batch) >= MAX_IMAGES or self.num_bytes >= BATCH_BYTES:
            self._decode()

    def close(self) -> None:
        """Decode the remaining images and commit."""
        self._decode()
        self._finish()
        self.thread.shutdown()
        self.commit_log.commit()

    def _decode(self) -> None:
        self._finish()
        if self.batch:
            bodies = [body for _, body in self.batch]
            self.decoding = self.batch, self.thread.submit(self.decoder.decode, bodies)
            self.batch, self.num_bytes = [], 0

    def _finish(self) -> None:
        if self.decoding:
            batch, decoded = self.decoding
            self.decoding = None
            try:
                for (answer, body), row in zip(batch, decoded.result(), strict=True):
                    self.commit_log.add(_row(answer, {**row, "original_bytes": len(body)}))
            finally:
                for answer, _ in batch:
                    self.release(answer)


def _row(answer: FetchAnswer, decoded: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `images` with the commit log's columns."""
    address = answer.address
    return {
        **_EMPTY,
        "image_id": address.image_id,
        "image_url": address.image_url,
        "status": answer.status,
        "error": answer.error,
        **decoded,
        "location": answer.location,
        "num_redirects": address.num_redirects,
        "part": None,
    }


if TYPE_CHECKING:
    from img2dataset.downloader import Downloader


def download(opener: DownloadWorker, num_addresses: int, results: Results) -> None:
    """Download all images of the worker's scheduler with img2dataset; each answer is added to the results.

    Raises: TransientError when img2dataset fails.
    """
    with temporary_folder("weft-fetch-") as folder:
        tickets = Path(folder) / "tickets.arrow"
        table = pa.table({"url": [f"weft:{number}" for number in range(num_addresses)]})
        with pa.ipc.new_file(tickets, table.schema) as file:
            file.write_table(table)
        output = io.StringIO()
        urllib.request.install_opener(opener)  # type: ignore[arg-type]
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                is_done, _ = _downloader(opener, num_addresses, results, folder)((0, str(tickets)))
        finally:
            urllib.request.install_opener(None)
    if opener.broken:
        raise opener.broken
    results.close()
    if not is_done or opener.answers:
        raise TransientError(f"img2dataset failed: {output.getvalue()[-1_000:]}")


def _downloader(opener: DownloadWorker, num_addresses: int, results: Results, folder: str) -> "Downloader":
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # disables its update check
    # img2dataset imports wandb, which creates two folders, and webdataset, which imports torch if installed: 500 MB and
    # seconds per worker, for a logger and a writer that are not used here.
    with replaced_modules(torch=None, wandb=ModuleType("wandb")):
        from img2dataset.downloader import Downloader

    class Writer:
        """The writer that img2dataset calls with each result, see img2dataset.writer."""

        def __init__(self, *arguments: object) -> None:
            pass

        def write(self, body: bytes | None, key: str, caption: None, meta: dict[str, Any]) -> None:
            try:
                results.add(opener.answers.pop(meta["url"]), body)
            except Exception as error:  # img2dataset ignores it
                opener.broken = opener.broken or error
                raise

        def close(self) -> None:
            pass

    return Downloader(
        sample_writer_class=Writer,
        resizer=lambda stream, boxes: (stream.getvalue(), None, None, None, None, None),  # images are decoded later
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
