"""Hosts in a virtual network: Linux network namespaces, each with one cable to a common switch."""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PREFIX = "10.77.0."  # of addresses in the namespaces alone: nothing of this machine's own network is touched


def need_namespaces() -> None:
    """Skip the test where namespaces cannot be made."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2 (on Debian: apt install iproute2)")


@dataclass
class Hosts:
    """The hosts by name, with their addresses and processes."""

    tag: str
    addresses: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def namespace(self, name: str) -> str:
        return f"weft-{self.tag}-{name}"

    def start(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process on a host; it is ended with the hosts."""
        with log.open("ab") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(name), *command],
                stdout=file,
                stderr=file,
                env={**os.environ, "SPARK_LOCAL_IP": self.addresses[name], **(environment or {})},
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def cable(self, name: str, state: str) -> None:
        """Disconnect a host ("down") or connect it ("up"), at the switch."""
        _ip("-n", self.namespace("switch"), "link", "set", f"to-{name}", state)


@contextmanager
def network(*names: str) -> Iterator[Hosts]:
    """Make hosts that reach each other, and nothing else."""
    hosts = Hosts(uuid.uuid4().hex[:6], {name: f"{PREFIX}{number}" for number, name in enumerate(names, 2)})
    switch = hosts.namespace("switch")
    made = []
    try:
        _ip("netns", "add", switch)
        made.append(switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for name, address in hosts.addresses.items():
            space = hosts.namespace(name)
            _ip("netns", "add", space)
            made.append(space)
            _ip("-n", switch, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", switch, "link", "set", f"to-{name}", "master", "bridge", "up")
            _ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _ip("-n", space, "link", "set", device, "up")
        yield hosts
    finally:
        for process in reversed(hosts.processes):
            _end(process)
        for space in reversed(made):
            _ip("netns", "delete", space)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its session: a disconnected executor no longer hears its Worker."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
