"""The five additions of docs/architecture.md, each made in a copy of the code as the document says, and then used."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("schemas", "filters", "pipeline", "jobs", "trainer", "tools", "tests", "docs")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code, as a maintainer's checkout."""
    for name in CODE:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "assets"))
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def insert(file: Path, before: str, text: str) -> None:
    """Insert a text before the only line that begins so."""
    old = file.read_text("utf-8")
    (place,) = re.finditer(f"^{re.escape(before)}", old, re.MULTILINE)
    file.write_text(old[: place.start()] + text + old[place.start() :], "utf-8")


def python(copy: Path, *arguments: str) -> str:
    """Run Python in the copy."""
    done = subprocess.run([sys.executable, *arguments], cwd=copy, capture_output=True, text=True, timeout=240,
                          check=False, env={**os.environ, "PYTHONPATH": str(copy)})  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_document_names_these_additions() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8").partition("## How to add")[2]
    assert re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE) == [
        "A text filter", "A recipe key", "A column", "An evaluation task", "A model size"
    ]  # fmt: skip


def test_a_text_filter(copy: Path) -> None:
    insert(
        copy / "schemas" / "reasons.py",
        ")\n# fmt: on\n",
        '    TextFilter("num_questions", "max_questions", "QUESTIONS", "question marks", "count", "an example"),\n',
    )
    insert(copy / "filters" / "text.py", '    "num_words": ', '    "num_questions": _times(r"\\?"),\n')
    (copy / "tests" / "cases" / "filters" / "num_questions.jsonl").write_text(
        '{"name": "at the bound", "set": ["filters.text.max_questions=1"], "row": {"text": "a?"}, "measure": 1, '
        '"reason": null}\n'
        '{"name": "above", "set": ["filters.text.max_questions=1"], "row": {"text": "a? b?"}, "measure": 2, '
        '"reason": "QUESTIONS"}\n'
    )
    cases = "tests/filters/test_filters_cases.py"
    out = python(
        copy,
        "-m",
        "pytest",
        "-q",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        cases,
        "-k",
        "num_questions or test_every",
    )
    assert re.search(r"^4 passed", out, re.MULTILINE), out
    python(copy, "-m", "tools.reference", "docs")
    recipes = (copy / "docs" / "recipes.md").read_text("utf-8")
    assert "| `filters.text.max_questions` |" in recipes and "| `filters.paragraph.max_questions` |" in recipes


def test_a_recipe_key(copy: Path) -> None:
    insert(
        copy / "schemas" / "recipe.py",
        "    target_bytes: int",
        '    max_samples: int | None = Field(None, gt=0, description="most samples of a shard; null is no bound")\n',
    )
    told = python(
        copy,
        "-c",
        "from jobs.recipes import load; from jobs.shard import STEP\n"
        "old, new = load('kosmos1'), load('kosmos1', ['shard.max_samples=5'])\n"
        "print(old.shard.max_samples, new.shard.max_samples, STEP.config(old) == STEP.config(new))",
    )
    assert told == "None 5 False\n"


def test_a_column(copy: Path) -> None:
    insert(
        copy / "schemas" / "tables.py",
        '        Column("blocks", BLOCKS,',
        '        Column("num_blocks", pa.int32(), "how many blocks the page has"),\n',
    )
    insert(
        copy / "pipeline" / "html" / "extract.py",
        '            "license": ',
        '            "num_blocks": len(page.blocks),\n',
    )
    out = python(
        copy, "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", "tests/pipeline/test_extract_archive.py"
    )
    assert " passed" in out and "failed" not in out


def test_a_column_that_an_old_output_lacks_is_null(copy: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "assets", copy / "tests" / "assets")
    insert(
        copy / "schemas" / "tables.py",
        '        Column("blocks", BLOCKS,',
        '        Column("num_blocks", pa.int32(), "how many blocks the page has"),\n',
    )
    told = python(
        copy,
        "-c",
        "import pyarrow.compute as pc, tarfile\n"
        "from pipeline.io.tables import Lookup; from schemas.tables import PAGES\n"
        "tarfile.open('tests/assets/output-2026-11.tar.gz').extractall('out', filter='data')\n"
        "rows = Lookup('out').find(PAGES, pc.scalar(True), 'url', 'num_blocks')\n"
        "print(len(rows) > 0, {row['num_blocks'] for row in rows})",
    )
    assert told == "True {None}\n"


def test_an_evaluation_task(copy: Path) -> None:
    tasks = copy / "trainer" / "evaluate" / "tasks"
    (tasks / "capitals.py").write_text(
        '"""Capitals of countries."""\n\n'
        "from pathlib import Path\n\n"
        "from trainer.evaluate.task import MULTIPLE_CHOICE, Example, Task, exact_accuracy, text_of\n\n\n"
        "def _read(folder: Path, _generated: Path) -> list[Example]:\n"
        '    pairs = [line.split(",") for line in text_of(folder / "capitals.csv").splitlines()]\n'
        "    options = tuple(sorted(capital for _, capital in pairs))\n"
        '    return [Example(c, f"The capital of {c} is", (), (right,), options) for c, right in pairs]\n\n\n'
        'CAPITALS = Task("capitals", "capitals: capitals.csv", _read, exact_accuracy, MULTIPLE_CHOICE, _read)\n'
    )
    insert(
        tasks / "__init__.py",
        "from trainer.evaluate.tasks.images",
        "from trainer.evaluate.tasks.capitals import CAPITALS\n",
    )
    insert(tasks / "__init__.py", "        COCO,", "        CAPITALS,\n")
    insert(tasks.parent / "paper.yaml", "coco:", "capitals: {0: {accuracy: 50.0}}\n")
    (copy / "capitals.csv").write_text("Northland,Snow\nSouthland,Palm\n")
    told = python(
        copy,
        "-c",
        "from pathlib import Path\n"
        "from trainer.evaluate.run import Settings, examples; from trainer.evaluate.tasks import TASKS\n"
        "found = examples(TASKS['capitals'], Path('.'), Path('drawn'), Settings())\n"
        "print([(e.prompt, e.correct) for e in found])",
    )
    assert told == "[('The capital of Northland is', ('Snow',)), ('The capital of Southland is', ('Palm',))]\n"
    assert "capitals" in python(copy, "-m", "trainer", "tasks")


def test_a_model_size(copy: Path) -> None:
    configs = copy / "trainer" / "configs"
    text = (configs / "debug.yaml").read_text("utf-8")
    (configs / "small.yaml").write_text(text.replace("name: debug", "name: small").replace("layers: 4", "layers: 6"))
    told = python(copy, "-c", "from trainer.config import load; print(load('small', []).model.layers)")
    assert told == "6\n"
