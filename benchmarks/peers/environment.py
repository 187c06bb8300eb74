"""A virtual environment for a peer whose requirements conflict with Weft's, created on first use."""

import subprocess
import sys
from pathlib import Path

from schemas.display import shorten

ROOT = Path(__file__).parents[2]


def python_with(name: str, requirements: tuple[str, ...]) -> str | None:
    """Return the Python of `.venv-NAME` at the root, created if it is missing or outdated.

    Returns None, and says why in one line, when it cannot be made.
    """
    folder = ROOT / f".venv-{name}"
    python, done = folder / "bin" / "python", folder / ".done"
    wanted = "\n".join(requirements)
    if done.exists() and done.read_text("utf-8") == wanted:
        return str(python)
    uv = str(Path(sys.executable).parent / "uv")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *requirements],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            print(f"{name} is left out: .venv-{name} cannot be made: {shorten(said)}", file=sys.stderr)
            return None
    done.write_text(wanted, encoding="utf-8")
    return str(python)
