"""Run the server: prints a line when it is ready; /_requests returns counts, /_reset clears them; SIGTERM ends it."""

import argparse
import asyncio
import signal

from tests.sampleweb.faulty.gallery import NUM_PICTURES, picture
from tests.sampleweb.faulty.server import Server


async def _serve(server: Server, port: int) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await server.start(port)
    print(f"{len(server.hosts)} hosts on port {server.port}", flush=True)
    await stopped.wait()
    await server.stop()


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(
        prog="tests.sampleweb.faulty", description="a web server that misbehaves on demand"
    )
    parser.add_argument("--hosts", type=int, default=1, help="number of addresses, from 127.0.0.1 on")
    parser.add_argument("--port", type=int, default=0, help="the port of all of them; 0 takes a free one")
    parser.add_argument("--robots", action="append", default=[], metavar="HOST=SHAPE", help="shape of a robots.txt")
    chosen = parser.parse_args()
    for number in range(NUM_PICTURES):
        picture(number)  # drawn before anyone waits for it
    asyncio.run(_serve(Server(chosen.hosts, dict(pair.split("=", 1) for pair in chosen.robots), {}), chosen.port))


if __name__ == "__main__":
    main()
