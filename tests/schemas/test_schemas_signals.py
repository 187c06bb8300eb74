"""Signals as exceptions: raised or ignored, and a second signal ends the process immediately."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from schemas.errors import PathError
from schemas.program import Interrupted, continuing, interruptible


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_raised_with_its_status(number: signal.Signals, status: int) -> None:
    before = signal.getsignal(number)
    said = f"^interrupted by {number.name}; go on$"
    with pytest.raises(Interrupted, match=said) as raised, interruptible(), continuing("go on"):
        os.kill(os.getpid(), number)
    assert raised.value.status == status
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("error", [ConnectionError(), SystemExit(130)])
def test_a_later_error_does_not_hide_the_signal(error: BaseException) -> None:
    with pytest.raises(Interrupted), interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise error from None


def test_an_error_that_explains_the_interruption_is_raised() -> None:
    with pytest.raises(PathError, match="another run"), interruptible():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise PathError("another run has taken over") from None


def test_an_error_before_a_signal_is_raised_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), interruptible():
        raise ZeroDivisionError


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_handles_no_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def look() -> None:
        with interruptible():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [before]


UNWINDING = """
import os, signal, time
from schemas import program
program.REPEAT_SECONDS = 0
with program.interruptible():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        print("unwinding", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
"""


def test_a_second_signal_ends_the_process() -> None:
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", UNWINDING], cwd=root, capture_output=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (143, b"unwinding\n")
