"""From archives to a trained model on the sample web, command by command: `python -m tests.sampleweb.demo DIR`."""

import subprocess
import sys
import time
from pathlib import Path

from pipeline.inspect.replay import replaying
from tests.sampleweb import RECIPE
from tests.sampleweb.web import write_web

WEFT = str(Path(sys.executable).parent / "weft")
USAGE = "usage: python -m tests.sampleweb.demo DIR"


def say(command: list[str]) -> None:
    """Print a command and run it; its failure ends the demo."""
    shown = ["weft" if part == WEFT else part for part in command]
    print("\n$ " + " ".join(shown), flush=True)
    status = subprocess.run(command, check=False).returncode
    if status:
        sys.exit(status)


def main(folder: Path) -> None:
    """Make the sample web, run the pipeline on it, train on the shards, and say where everything lies."""
    started = time.monotonic()
    web, out = folder / "web", folder / "out"
    print(f"Drawing a sample web into {web} ...", flush=True)
    write_web(web)
    archives = sorted(str(p) for p in web.glob("pages-*.warc.gz"))
    with replaying([str(web / "images.warc.gz")]) as port:
        proxy = f"fetch.proxy=http://127.0.0.1:{port}"
        run = [WEFT, "run", "--recipe", str(RECIPE), "--output", str(out), "--set", proxy, "--overwrite"]
        say([*run, *archives])
    say([WEFT, "tokenizer", "--data", str(out)])
    say([WEFT, "stats", str(out)])
    say([WEFT, "train", "--config", "debug", "--data", str(out), "--overwrite"])
    print(f"""
Done in {time.monotonic() - started:.0f} s. Look at
  {web}/truth.jsonl              what is true of every page of the sample web
  {out}/documents                what became of them; {out}/rejections says why not
  {out}/shards                   the tars, each with its index, listed in shards.json
  {out}/checkpoints              the decoder that was trained on them, and its metrics.jsonl
Next: weft run --recipe kosmos1 --output OUT --set fetch.contact=mailto:YOU@HOST YOUR.warc.gz ...""")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]))
