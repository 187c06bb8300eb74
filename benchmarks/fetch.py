"""Compare fetch with plain img2dataset, both with the same threads: `python -m benchmarks.fetch [--images N]`.

A server on this machine answers for 50 hosts, once with sound images alone and once as the live web does
(benchmarks/fetch_sets.py). A rate is addresses per second of the whole call, however they end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.fetch_peer import NUM_PROCESSES
from benchmarks.fetch_run import FaultyServer, FetchOutcome, Ran, faulty_server
from benchmarks.fetch_sets import DEAD, HOSTS, ROBOTS, clean, mixed
from benchmarks.results import report
from benchmarks.worker_memory import watching

ROUNDS = 2
SETS = {"clean": clean, "mixed": mixed}
Run = Callable[[list[str], int, Path], FetchOutcome]


def run_ours(addresses: list[str], threads: int, folder: Path) -> FetchOutcome:
    """Fetch with Weft: NUM_PROCESSES parallel Spark tasks, `threads` concurrent requests each."""
    from benchmarks.fetch_ours import run

    found: FetchOutcome = run(addresses, threads, (*HOSTS, *DEAD), folder)
    return found


def run_peer(addresses: list[str], threads: int, folder: Path) -> FetchOutcome:
    """Fetch with plain img2dataset in a new process."""
    (folder / "addresses.txt").write_text("\n".join(addresses), "utf-8")
    command = [sys.executable, "-m", "benchmarks.fetch_peer", str(folder), str(threads)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        watching(process.pid) as peak,
    ):
        process.wait()
    if process.returncode:
        raise SystemExit(f"img2dataset failed: {(folder / 'log').read_text('utf-8')[-1000:]}")
    told = json.loads((folder / "outcome.json").read_text("utf-8"))
    return FetchOutcome(told["seconds"], told["ok"], peak.num_bytes)


RUNS: dict[str, Run] = {"ours": run_ours, "peer": run_peer}


def main() -> None:
    """Measure, print the tables, store the ratios."""
    parser = argparse.ArgumentParser(prog="benchmarks.fetch", description="time fetching beside plain img2dataset")
    parser.add_argument("data", nargs="?", help="not read: every benchmark is given it")
    parser.add_argument("--images", type=int, default=20_000, help="addresses in each set")
    parser.add_argument("--threads", type=int, default=32, help=f"threads of each of {NUM_PROCESSES} processes")
    parser.add_argument("--only", choices=RUNS, help="run this side alone, and keep nothing")
    chosen = parser.parse_args()
    names = [chosen.only] if chosen.only else list(RUNS)
    with faulty_server(len(HOSTS), ROBOTS) as server:
        found = {
            name: _in_turn(names, server, addresses(chosen.images, server.port), chosen.threads, name)
            for name, addresses in SETS.items()
        }
    for name, ran in found.items():
        _print(name, chosen.images, ran)
    if not chosen.only:
        _report(found, chosen.images)


def _in_turn(
    names: list[str], server: FaultyServer, addresses: list[str], threads: int, title: str
) -> dict[str, list[Ran]]:
    """Run each side ROUNDS times, alternating the order."""
    order = [name for number in range(ROUNDS) for name in (names if number % 2 == 0 else reversed(names))]
    found: dict[str, list[Ran]] = {name: [] for name in names}
    for name in track(order, title, console=Console(stderr=True)):
        server.reset()
        with tempfile.TemporaryDirectory() as folder:
            found[name].append(server.ran(RUNS[name](addresses, threads, Path(folder))))
    return found


def _print(title: str, num_images: int, found: dict[str, list[Ran]]) -> None:
    figures = {name: [_figures(ran, num_images) for ran in rans] for name, rans in found.items()}
    table = Table(title, *found)
    for what in dict.fromkeys(what for rans in figures.values() for ran in rans for what in ran):
        table.add_row(what, *(" ".join(f"{ran.get(what, 0):,.0f}" for ran in rans) for rans in figures.values()))
    Console().print(table)


def _figures(ran: Ran, num_images: int) -> dict[str, float]:
    return {
        "seconds": ran.seconds,
        "seconds, first to last request": ran.served_seconds,
        "images/s": num_images / ran.seconds,
        "images/s, first to last request": num_images / ran.served_seconds,
        "sound images": ran.ok,
        "MB sent": ran.sent_bytes / 1e6,
        "MB, largest worker": ran.peak_worker_bytes / 1e6,
        "requests": sum(ran.requests.values()),
        **{f"requests, {kind}": number for kind, number in ran.requests.items()},
    }


def _report(found: dict[str, dict[str, list[Ran]]], num_images: int) -> None:
    def both(title: str, of: Callable[[Ran], float], unit: str) -> tuple[float, float, str]:
        return mean(map(of, found[title]["ours"])), mean(map(of, found[title]["peer"])), unit

    def rate(ran: Ran) -> float:
        return num_images / ran.seconds

    peaks = {name: max(ran.peak_worker_bytes for ran in rans) for name, rans in found["mixed"].items()}
    measures = {f"{title}_images_per_second": both(title, rate, "images/s") for title in SETS}
    measures["mixed_sound_images_per_second"] = both("mixed", lambda ran: ran.ok / ran.seconds, "images/s")
    measures["mixed_images_per_request"] = both("mixed", lambda ran: num_images / sum(ran.requests.values()), "images")
    measures["workers_per_gigabyte"] = (1e9 / peaks["ours"], 1e9 / peaks["peer"], "workers, at their peak")
    report("fetch", measures)


if __name__ == "__main__":
    main()
