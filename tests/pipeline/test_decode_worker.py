"""The image decode worker: a hang, a crash or a bomb costs one image, and leaks no process or memory."""

import ctypes
import io
import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline import sandbox
from pipeline.images import worker as module
from pipeline.images.decode import decode
from pipeline.images.worker import DecodeWorker
from schemas.recipe import Decode
from tests.processes import children, is_alive

MB = 1_000_000


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PICTURE = encoded(Image.linear_gradient("L"), "PNG")


def fragile(data: bytes, config: Decode) -> dict[str, Any]:
    """Decode, or do the harm that the bytes name, as a fault in a C library might."""
    if data == b"hang":
        sum(range(10**12))  # in C, so that no handler of a signal would run
    if data == b"wait":
        ctypes.pythonapi.sleep(600)
    if data == b"starve":
        time.sleep(2)
        return decode(PICTURE, config)
    if data == b"crash":
        ctypes.string_at(0)
    if data == b"kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if data == b"leave":
        os._exit(0)
    if data == b"hoard":
        bytearray(100_000 * MB)
    return decode(data, config)


HARMFUL = {
    b"hang": "took more than 1 s of CPU time",
    b"crash": "the process was ended by SIGSEGV",
    b"kill": "the process was ended by SIGKILL",
    b"leave": "the process ended with status 0",
    b"hoard": "needed more than decode.max_memory_bytes",
}


def child_of(pid: int) -> int:
    (child,) = children(pid)
    return child


def peak_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def end(pids: list[int]) -> bool:
    deadline = time.monotonic() + 120
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not any(map(is_alive, pids))


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads that take and release the locks of the allocator, imports and files, as downloads do."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.001):
            zlib.compress(b"x" * 10_000)
            Path("/proc/self/stat").read_bytes()

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


def test_it_gives_what_decode_gives() -> None:
    with DecodeWorker(Decode()) as decoder:
        for data in (PICTURE, b"", b"<svg/>", PICTURE[:-30], encoded(Image.new("CMYK", (900, 700)), "JPEG")):
            assert decoder(data) == decode(data, Decode())


def test_each_harm_costs_one_image(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(module, "decode", fragile)
    with DecodeWorker(Decode(max_seconds=1)) as decoder:
        guarding = decoder._supervisor.pid
        request.getfixturevalue("busy_threads")  # started after it was entered, as downloads are
        for data, error in HARMFUL.items():
            assert decoder(PICTURE)["status"] == "ok"
            row = decoder(data)
            assert (row["status"], row["error"]) == ("undecodable", error)
            assert row.keys() == decode(PICTURE, Decode()).keys() and len(row["sha256"]) == 64
        assert decoder(PICTURE)["status"] == "ok"
        assert decoder._supervisor.pid == guarding  # this process never forked again


def test_waiting_is_not_counted_against_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decode", fragile)
    with DecodeWorker(Decode(max_seconds=1)) as decoder:
        assert decoder(b"starve")["status"] == "ok"
    monkeypatch.setattr(sandbox, "WALL_FACTOR", 1)
    with DecodeWorker(Decode(max_seconds=1)) as decoder:
        row = decoder(b"wait")
        assert (row["status"], row["bytes"]) == ("stalled", None) and row["error"].startswith("not done after 1 s")
        assert [r["status"] for r in decoder.decode([PICTURE, b"wait", PICTURE])] == ["ok", "stalled", "ok"]


def test_the_decoding_child_may_be_killed_between_images() -> None:
    with DecodeWorker(Decode()) as decoder:
        assert decoder(PICTURE)["status"] == "ok"
        os.kill(child_of(decoder._supervisor.pid), signal.SIGKILL)
        assert decoder(PICTURE)["error"] == "the process was ended by SIGKILL"
        assert decoder(PICTURE)["status"] == "ok"


def test_without_its_process_the_worker_raises_and_does_not_fork() -> None:
    with DecodeWorker(Decode()) as decoder:
        assert decoder(PICTURE)["status"] == "ok"
        os.kill(decoder._supervisor.pid, signal.SIGKILL)
        for _ in range(2):
            with pytest.raises(ChildProcessError):
                decoder(PICTURE)
    with pytest.raises(ChildProcessError):
        DecodeWorker(Decode())(PICTURE)


def test_no_process_outlives_it() -> None:
    with DecodeWorker(Decode()) as decoder:
        decoder(PICTURE)
        pids = [decoder._supervisor.pid, child_of(decoder._supervisor.pid)]
        assert all(map(is_alive, pids))
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)  # nor a zombie


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in the midst of an image"])
def test_no_process_outlives_its_parent(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "decode", fragile)
    told, tell = os.pipe()
    parent = os.fork()
    if parent == 0:
        decoder = DecodeWorker(Decode(max_seconds=1)).__enter__()
        decoder(PICTURE)
        os.write(tell, b"%d %d" % (decoder._supervisor.pid, child_of(decoder._supervisor.pid)))
        if busy:
            threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            decoder(b"hang")
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(tell)
    pids = [int(pid) for pid in os.read(told, 40).split()]
    os.close(told)
    os.waitpid(parent, 0)
    assert len(pids) == 2 and end(pids)


def flat_png(side: int, bits: int) -> bytes:
    """A valid grey PNG: one row compressed once, and repeated by deflate's full flush."""
    row = bytes(1 + side * bits // 8)
    packer = zlib.compressobj(9)
    head = packer.compress(row) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(row * 64) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = (side - 1) % 64
    tail = packer.compress(row * rest) + packer.flush()[:-4]  # and the checksum, which is of the zeros of all rows
    total = len(row) * side
    checksum = struct.pack(">I", (total % 65_521) << 16 | 1)  # Adler-32 of so many zeros
    body = head + block * ((side - 1) // 64) + tail + checksum

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_the_flat_png_is_one() -> None:
    assert decode(flat_png(200, 8), Decode())["status"] == decode(flat_png(200, 1), Decode())["status"] == "ok"


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    return {
        "a PNG of 65,536 x 65,536": flat_png(65_536, 1),
        "a JPEG of 280 megapixels": encoded(Image.new("L", (20_000, 14_000), 99), "JPEG", quality=50),
    }


@pytest.mark.parametrize("name", ["a PNG of 65,536 x 65,536", "a JPEG of 280 megapixels"])
def test_a_bomb_is_rejected_before_memory_is_allocated(name: str, bombs: dict[str, bytes]) -> None:
    bomb = bombs[name]
    with DecodeWorker(Decode()) as decoder:
        decoder(PICTURE)
        child = child_of(decoder._supervisor.pid)
        before = peak_bytes(child)
        assert decoder(bomb)["status"] == "too_many_pixels"
        assert peak_bytes(child) - before < 30 * MB + 3 * len(bomb)
        assert child_of(decoder._supervisor.pid) == child


def test_memory_is_limited_if_a_recipe_accepts_a_bomb(bombs: dict[str, bytes]) -> None:
    config = Decode(max_pixels=2**33, max_memory_bytes=300 * MB)
    with DecodeWorker(config) as decoder:
        row = decoder(bombs["a PNG of 65,536 x 65,536"])
        assert (row["status"], row["error"]) == ("undecodable", "needed more than decode.max_memory_bytes")
        row = decoder(flat_png(40_000, 8))  # 1.6 GB
        assert (row["status"], row["error"]) == ("undecodable", "needed more than decode.max_memory_bytes")
        assert decoder(PICTURE)["status"] == "ok"


def test_the_memory_for_a_jpeg_depends_on_the_target_size(bombs: dict[str, bytes]) -> None:
    with DecodeWorker(Decode(max_pixels=2**33)) as decoder:
        decoder(PICTURE)
        before = peak_bytes(child_of(decoder._supervisor.pid))
        row = decoder(bombs["a JPEG of 280 megapixels"])
        assert (row["status"], row["width"], row["height"]) == ("ok", 512, 358)
        assert peak_bytes(child_of(decoder._supervisor.pid)) - before < 60 * MB
