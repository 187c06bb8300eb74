"""Untrusted text is printed as text: no control characters, no changed direction, no markup."""

import json
import unicodedata
from pathlib import Path

import pytest
from handmade import commit, picture, row, text
from runs import weft
from test_jobs_why import NO_JAVA

from jobs.cli import inspect, why
from pipeline.io.store import Store
from schemas.tables import CAPTIONS, PAGES, REJECTIONS, image_id, rejection

ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj\u2066\x7f\r[bold red]loud[/] [link=http://evil/]here[/link] :smile:"
URL = f"http://x/{ESCAPES}"
PICTURE = f"http://x/{ESCAPES}.jpg"


@pytest.fixture
def output(tmp_path: Path) -> str:
    """Return an output in which every text from the web tries to control a terminal."""
    store = Store(str(tmp_path / "out"))
    page = row(PAGES, page_id="p" * 32, url=URL, title=ESCAPES, warc_file=f"/a/{ESCAPES}.warc.gz", host=ESCAPES,
               blocks=[text(ESCAPES), picture(PICTURE)])  # fmt: skip
    caption = row(CAPTIONS, image_id=image_id(PICTURE), image_url=PICTURE, caption=ESCAPES, page_id="p" * 32)
    reject = rejection("extract", "NOT_PARSEABLE", "page", url=URL + "2", detail=ESCAPES, warc_file=ESCAPES,
                       warc_offset=0)  # fmt: skip
    commit(store, "pages", "extract", {PAGES: [page], CAPTIONS: [caption], REJECTIONS: [reject]})
    return str(tmp_path / "out")


def check(shown: str) -> None:
    """Assert that a terminal shows only text, and that markup is unchanged."""
    acting = [c for c in shown if (unicodedata.category(c) in ("Cc", "Cs") and c != "\n") or c in "\u202e\u2066"]
    assert acting == []


@pytest.mark.parametrize("name", [URL, URL + "2", PICTURE])
def test_why(output: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    why.show_why(output, name, as_json=False)
    shown = capsys.readouterr().out
    check(shown)
    assert "\\x1b[2J" in shown and "[bold red]loud[/]" in shown and ":smile:" in shown


def test_why_as_json_holds_the_same_value(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    why.show_why(output, URL, as_json=True)
    shown = capsys.readouterr().out
    check(shown)
    assert json.loads(shown)["pages"][0]["title"] == ESCAPES


def test_hosts_of_the_funnel(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    inspect.show_dropped(output, "host", 5, as_json=False)
    check(capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [("verify", "OUT"), ("stats", "OUT"), ("why", "OUT", "x"), ("extract", "IN", "-o", "OUT"), ("plan", "IN")],
)
def test_names_of_files(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A folder and an archive with escape sequences in their names, which the command rejects."""
    places = {"OUT": str(tmp_path / "\x1b[2J\u202e"), "IN": str(tmp_path / "\x1b[2J\u202e.warc.gz")}
    done = weft(*(places.get(argument, argument) for argument in arguments), **NO_JAVA)
    check(done.stdout + done.stderr)
    assert (done.returncode, done.stdout) == (2, "") and "\\x1b[2J" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1
