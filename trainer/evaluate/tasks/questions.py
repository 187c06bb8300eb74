"""Questions about images and web pages: VQAv2, VizWiz, WebSRC."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from bs4 import BeautifulSoup
from bs4.exceptions import ParserRejectedMarkup
from pydantic import Field, RootModel

from schemas.errors import PathError, SchemaError
from trainer.evaluate import metrics
from trainer.evaluate.metrics import exact_match, token_f1
from trainer.evaluate.task import (
    SAY,
    AnswerMode,
    Completion,
    Example,
    FileRow,
    Task,
    TaskScore,
    image,
    mean_of,
    plain,
    read_json,
    read_table,
    text_of,
)


class _Given(FileRow):
    answer: str


class _Question(FileRow):
    question_id: int
    image_id: int
    question: str


class _Questions(FileRow):
    questions: list[_Question]


class _Annotation(FileRow):
    question_id: int
    answers: Annotated[list[_Given], Field(min_length=1)]


class _Annotations(FileRow):
    annotations: list[_Annotation]


class _Seen(FileRow):
    image: str
    question: str
    answers: Annotated[list[_Given], Field(min_length=1)]


class _AllSeen(RootModel[list[_Seen]]):
    pass


def _words(question: str) -> str:
    return f"<image> Question: {plain(question)} Answer:"


def _right(given: list[_Given]) -> tuple[str, ...]:
    """Order what people answered, the most frequent first, as shots show it; all ten count."""
    counts = Counter(one.answer for one in given)
    return tuple(sorted((one.answer for one in given), key=lambda answer: -counts[answer]))


def _vqav2(split: str, folder: Path, _drawn: Path) -> list[Example]:
    file, answers = (folder / f"v2_{kind}_{split}_{what}.json" for kind, what in
                     (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations")))  # fmt: skip
    right = {a.question_id: _right(a.answers) for a in read_json(answers, _Annotations).annotations}
    found = []
    for number, row in enumerate(read_json(file, _Questions).questions):
        where = f"{file}, questions.{number}"
        if row.question_id not in right:
            raise SchemaError(f"{where}: question {row.question_id} has no answers in {answers.name}")
        path = image(folder / split, f"COCO_{split}_{row.image_id:012}.jpg", where)
        found.append(Example(str(row.question_id), _words(row.question), (path,), right[row.question_id]))
    return found


def _vizwiz(split: str, folder: Path, _drawn: Path) -> list[Example]:
    file = next((p for p in (folder / "Annotations" / f"{split}.json", folder / f"{split}.json") if p.is_file()),
                folder / f"{split}.json")  # fmt: skip
    return [
        Example(row.image, _words(row.question), (image(folder / split, row.image, f"{file}, {number}"),),
                _right(row.answers))
        for number, row in enumerate(read_json(file, _AllSeen).root)
    ]  # fmt: skip


def score_questions(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Judge by VQA accuracy."""
    return {"accuracy": mean_of(metrics.vqa_accuracy, examples, answers)}


VQAV2 = Task(
    "vqav2",
    "questions of val2014: v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, val2014/",
    partial(_vqav2, "val2014"),
    score_questions,
    SAY,
    partial(_vqav2, "train2014"),
)
VIZWIZ = Task(
    "vizwiz",
    "questions of blind people: Annotations/val.json, val/",
    partial(_vizwiz, "val"),
    score_questions,
    SAY,
    partial(_vizwiz, "train"),
)


WEB_PAGE_PROMPT = (
    "<image> Given the context below from web page, extract the answer from the given text like this: "
    "Question: Who is the publisher of this book? Answer: Penguin Books Ltd. Context: <context> Q: {question} A:"
)
_SPLITS = ("dataset_split.json", "dataset_split_release.json")


class _WebSrcSplit(FileRow):
    dev: list[str]


class _Asked(FileRow):
    id: Annotated[str, Field(min_length=8)]
    question: str
    answer: str


def _read_web_pages(folder: Path, _drawn: Path) -> list[Example]:
    split = next((folder / name for name in _SPLITS if (folder / name).is_file()), folder / _SPLITS[0])
    held_out = set(read_json(split, _WebSrcSplit).dev)
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
            question = WEB_PAGE_PROMPT.format(question=plain(row.question))
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


def score_web_pages(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Judge by exact match and F1."""
    return {"exact": mean_of(exact_match, examples, answers), "f1": mean_of(token_f1, examples, answers)}


WEBSRC = Task(
    "websrc",
    "questions on web pages: dataset_split.json, DOMAIN/SITE/dataset.csv and processed_data/",
    _read_web_pages,
    score_web_pages,
    AnswerMode("say", max_tokens=32),
)
