"""What the download adapter relies on in img2dataset. An update that breaks one of these fails here, by its name."""

import inspect
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.request import Request

import pytest

from pipeline.fetch import download as adapter
from pipeline.fetch.download import AnswerBody, download
from pipeline.io.imports import replaced_modules
from schemas.errors import TransientError

RELIES = f"img2dataset {version('img2dataset')} breaks what pipeline/fetch/download.py relies on:"
THREADS = 4
NUM = 40


class Worker:
    """Answers tickets as a DownloadWorker does, by a function from a ticket's number to a body."""

    def __init__(self, answer: Callable[[int], bytes] = lambda number: b"%d" % number, threads: int = THREADS) -> None:
        self.config, self.answer = SimpleNamespace(threads=threads), answer
        self.answers: dict[str, str] = {}
        self.broken: Exception | None = None
        self.tickets: list[int] = []

    def open(self, request: Request, data: None = None, timeout: object = None) -> AnswerBody:
        number = int(request.full_url.removeprefix("weft:"))
        self.tickets.append(number)
        self.answers[request.full_url] = f"answer {number}"
        return AnswerBody(self.answer(number))


class Results:
    """Collects what is written, and in which threads."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.before, self.rows, self.threads = before, [], set()

    def add(self, answer: str, body: bytes | None) -> None:
        self.before()
        self.threads.add(threading.get_ident())
        self.rows.append((answer, body))

    def close(self) -> None:
        pass


def run(worker: Worker, results: Results, num: int = NUM) -> None:
    try:
        download(worker, num, results)  # type: ignore[arg-type]
    except (KeyError, TypeError) as error:
        pytest.fail(f"{RELIES} its arguments, urllib's global opener, or the ticket in meta['url']: {error!r}")


def test_its_downloader_takes_our_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    with replaced_modules(torch=None, wandb=ModuleType("wandb")):
        import img2dataset.downloader as library

    signature = inspect.signature(library.Downloader)
    monkeypatch.setattr(library, "Downloader", lambda **arguments: arguments)
    given: Any = adapter._downloader(Worker(), NUM, Results(), "")  # type: ignore[arg-type]
    try:
        signature.bind(**given)
    except TypeError as error:
        pytest.fail(f"{RELIES} the arguments of Downloader: {error}")


@pytest.mark.parametrize("num", [0, 1, NUM])
def test_each_ticket_is_requested_once_by_urllib_and_written_once(num: int, capfd: pytest.CaptureFixture[str]) -> None:
    worker, results = Worker(), Results()
    run(worker, results, num)
    assert sorted(worker.tickets) == list(range(num)), (
        f"{RELIES} one request for each ticket, by urllib's global opener"
    )
    assert sorted(results.rows) == sorted((f"answer {n}", b"%d" % n) for n in range(num)), (
        f"{RELIES} the writer gets each ticket as meta['url'], with what the resizer returned of its own body"
    )
    assert capfd.readouterr() == ("", ""), f"{RELIES} it prints through sys.stdout and sys.stderr alone"


def test_a_failure_is_written_without_a_body_and_not_retried() -> None:
    def answer(number: int) -> bytes:
        if number % 3:
            return b"body"
        raise OSError("no answer")

    worker, results = Worker(answer), Results()
    run(worker, results)
    assert len(worker.tickets) == NUM, f"{RELIES} no retries"
    expected = {(f"answer {n}", b"body" if n % 3 else None) for n in range(NUM)}
    assert set(results.rows) == expected, f"{RELIES} a request that fails is written with None for its body"


def test_results_come_in_the_order_of_the_answers() -> None:
    others = threading.Event()
    worker = Worker(lambda number: b"%d" % (number or others.wait(20)))
    results = Results(lambda: others.set() if len(results.rows) == NUM - 2 else None)
    run(worker, results)
    assert results.rows[-1] == ("answer 0", b"1"), f"{RELIES} a slow answer delays no other"


def test_it_requests_in_as_many_threads_as_told_and_writes_in_one() -> None:
    together = threading.Barrier(THREADS)

    def answer(number: int) -> bytes:
        together.wait(20)  # NUM is a multiple of THREADS
        return b"body"

    worker, results = Worker(answer), Results()
    run(worker, results)
    assert all(body for _, body in results.rows), f"{RELIES} thread_count requests at a time"
    assert results.threads == {threading.get_ident()}, f"{RELIES} the writer is called in the caller's thread"


def test_bodies_that_wait_for_the_writer_are_bounded() -> None:
    most = []

    def pause() -> None:
        if not most:
            time.sleep(0.5)
            most.append(len(worker.tickets))

    worker = Worker()
    run(worker, Results(pause))
    assert most[0] <= 2 * THREADS, f"{RELIES} at most two bodies for each thread wait in memory"


def test_an_error_of_the_writer_comes_out() -> None:
    def fail() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run(Worker(), Results(fail))


def test_its_own_failure_is_told_with_the_cause() -> None:
    with pytest.raises(
        TransientError, match=r"(?s)img2dataset failed.*Number of processes must be at least 1"
    ) as error:
        run(Worker(threads=0), Results())
    assert "Traceback" in str(error.value), f"{RELIES} it prints the cause of its failure, and returns False"
