"""WebSRC (arXiv 2101.09465): questions on web pages, of which the model gets a screenshot and the words.

Files as released: DOMAIN/SITE/dataset.csv, DOMAIN/SITE/processed_data/PAGE.html and .png, and which sites are held out
in `dataset_split.json`. Those are asked, as the test's answers are not public. The prompt is the paper's (arXiv
2302.14045, section 4.5).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from bs4 import BeautifulSoup
from bs4.exceptions import ParserRejectedMarkup
from pydantic import Field

from schemas.errors import PathError, SchemaError
from trainer.evaluate.example import Answer, Example, plain
from trainer.evaluate.files import Row, image, read_json, read_table, text_of
from trainer.evaluate.judging import mean_of
from trainer.evaluate.metrics.exact import exact_match, token_f1
from trainer.evaluate.task import Manner, Score, Task

PROMPT = (
    "<image> Given the context below from web page, extract the answer from the given text like this: "
    "Question: Who is the publisher of this book? Answer: Penguin Books Ltd. Context: <context> Q: {question} A:"
)
_SPLITS = ("dataset_split.json", "dataset_split_release.json")


class _Split(Row):
    dev: list[str]


class _Asked(Row):
    id: Annotated[str, Field(min_length=8)]
    question: str
    answer: str


def _read(folder: Path, _drawn: Path) -> list[Example]:
    split = next((folder / name for name in _SPLITS if (folder / name).is_file()), folder / _SPLITS[0])
    held_out = set(read_json(split, _Split).dev)
    found = []
    for file in sorted(folder.glob("*/*/dataset.csv")):
        site = file.parent
        if site.parent.name[:2] + site.name not in held_out:
            continue
        words: dict[str, str] = {}
        for where, row in read_table(file, _Asked):
            page = row.id[2:-5]  # as the release numbers them: domain, page, question
            screenshot = image(site / "processed_data", f"{page}.png", where)  # first: it refuses a page elsewhere
            html = screenshot.with_suffix(".html")
            if page not in words:
                words[page] = visible(text_of(html), str(html))
            question = PROMPT.format(question=plain(row.question))
            found.append(Example(row.id, question, (screenshot,), (row.answer,), context=words[page]))
    if not found:
        raise PathError(f"no dataset.csv of a held-out site in {folder}/DOMAIN/SITE")
    return found


def visible(html: str, where: str = "the page") -> str:
    """Return the words of a page that a reader sees, in order.

    Raises: SchemaError when the parser gives a page up, as one with a marked section that it does not know.
    """
    try:
        page = BeautifulSoup(html, "html.parser")
    except (ParserRejectedMarkup, RecursionError) as error:
        raise SchemaError(f"{where} is no HTML that can be read: {' '.join(str(error).split())[-100:]}") from error
    for hidden in page(["script", "style", "noscript", "template", "head"]):
        hidden.decompose()
    return " ".join(page.get_text(" ").split())


def score(examples: Sequence[Example], answers: Sequence[Answer]) -> dict[str, Score]:
    """Judge by exact match and F1."""
    return {"exact": mean_of(exact_match, examples, answers), "f1": mean_of(token_f1, examples, answers)}


WEBSRC = Task(
    "websrc",
    "questions on web pages: dataset_split.json, DOMAIN/SITE/dataset.csv and processed_data/",
    _read,
    score,
    Manner("say", max_tokens=32),
)
