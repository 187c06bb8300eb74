"""The server, in a thread of a test or as a process."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.sampleweb.faulty.answers import Answer
from tests.sampleweb.faulty.connection import Connection
from tests.sampleweb.faulty.faults import answer
from tests.sampleweb.faulty.site_files import site_file
from tests.sampleweb.faulty.tally import Tally

BACKLOG = 4096
TIMEOUT_SECONDS = 60  # to start and to stop, which take milliseconds


class Server:
    """One port of the hosts 127.0.0.1, 127.0.0.2 and so on; `robots` and `reservations` give hosts their site files."""

    def __init__(self, num_hosts: int, robots: Mapping[str, str], reservations: Mapping[str, str]) -> None:
        self.hosts = [f"127.0.0.{number}" for number in range(1, num_hosts + 1)]
        self.robots = robots
        self.reservations = reservations
        self.port = 0
        self.tally = Tally()
        self.connections: set[Connection] = set()
        self.listeners: list[asyncio.Server] = []

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.port}{path}"

    def count(self, path: str, host: str = "127.0.0.1") -> int:
        """Return how often a path was asked for."""
        return self.tally.count(host, path)

    def answer(self, host: str, path: str, num_earlier: int) -> Answer:
        """Return the answer to a request."""
        match path:
            case "/robots.txt":
                return site_file(self.robots.get(host, "missing"), "text/plain")
            case "/.well-known/tdmrep.json":
                return site_file(self.reservations.get(host, "missing"), "application/json")
        return answer(path, num_earlier)

    async def start(self, port: int) -> None:
        """Listen. Port 0 takes one that is free."""
        self.port = port
        for host in self.hosts:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(self), host, self.port, family=socket.AF_INET, backlog=BACKLOG
            )
            self.listeners.append(listener)
            self.port = listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and break off what is open."""
        for listener in self.listeners:
            listener.close()
        tasks = [connection.task for connection in self.connections if connection.task]
        for connection in self.connections:
            connection.transport.abort()
        await asyncio.sleep(0)  # connections learn that they are lost
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def serving(
    hosts: int = 1,
    robots: Mapping[str, str] | None = None,
    reservations: Mapping[str, str] | None = None,
    port: int = 0,
) -> Iterator[Server]:
    """Serve in a thread for as long as the context lasts."""
    server = Server(hosts, robots or {}, reservations or {})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(port), loop).result(TIMEOUT_SECONDS)
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(TIMEOUT_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_SECONDS)
        loop.close()
