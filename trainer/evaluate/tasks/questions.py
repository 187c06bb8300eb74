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
    GENERATE,
    AnswerMethod,
    AnswerMode,
    Completion,
    Example,
    FileRow,
    Task,
    TaskScore,
    escape,
    image,
    mean_of,
    read_json,
    read_table,
    text_of,
)


class _HumanAnswer(FileRow):
    answer: str


class _Question(FileRow):
    question_id: int
    image_id: int
    question: str


class _Questions(FileRow):
    questions: list[_Question]


class _Annotation(FileRow):
    question_id: int
    answers: Annotated[list[_HumanAnswer], Field(min_length=1)]


class _Annotations(FileRow):
    annotations: list[_Annotation]


class _VizWizRow(FileRow):
    image: str
    question: str
    answers: Annotated[list[_HumanAnswer], Field(min_length=1)]


class _VizWizRows(RootModel[list[_VizWizRow]]):
    pass


def _prompt(question: str) -> str:
    return f"<image> Question: {escape(question)} Answer:"


def _by_frequency(answers: list[_HumanAnswer]) -> tuple[str, ...]:
    """Return all answers, the most frequent first, since shots show the first."""
    counts = Counter(one.answer for one in answers)
    return tuple(sorted((one.answer for one in answers), key=lambda answer: -counts[answer]))


def _vqav2(split: str, folder: Path, _generated: Path) -> list[Example]:
    file, answers = (folder / f"v2_{kind}_{split}_{what}.json" for kind, what in
                     (("OpenEnded_mscoco", "questions"), ("mscoco", "annotations")))  # fmt: skip
    correct = {a.question_id: _by_frequency(a.answers) for a in read_json(answers, _Annotations).annotations}
    found = []
    for number, row in enumerate(read_json(file, _Questions).questions):
        where = f"{file}, questions.{number}"
        if row.question_id not in correct:
            raise SchemaError(f"{where}: question {row.question_id} has no answers in {answers.name}")
        path = image(folder / split, f"COCO_{split}_{row.image_id:012}.jpg", where)
        found.append(Example(str(row.question_id), _prompt(row.question), (path,), correct[row.question_id]))
    return found


def _vizwiz(split: str, folder: Path, _generated: Path) -> list[Example]:
    file = next((p for p in (folder / "Annotations" / f"{split}.json", folder / f"{split}.json") if p.is_file()),
                folder / f"{split}.json")  # fmt: skip
    return [
        Example(row.image, _prompt(row.question), (image(folder / split, row.image, f"{file}, {number}"),),
                _by_frequency(row.answers))
        for number, row in enumerate(read_json(file, _VizWizRows).root)
    ]  # fmt: skip


def score_questions(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Score by VQA accuracy."""
    return {"accuracy": mean_of(metrics.vqa_accuracy, examples, answers)}


VQAV2 = Task(
    "vqav2",
    "questions of val2014: v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json, val2014/",
    partial(_vqav2, "val2014"),
    score_questions,
    GENERATE,
    partial(_vqav2, "train2014"),
)
VIZWIZ = Task(
    "vizwiz",
    "questions asked by blind people: Annotations/val.json, val/",
    partial(_vizwiz, "val"),
    score_questions,
    GENERATE,
    partial(_vizwiz, "train"),
)


WEB_PAGE_PROMPT = (
    "<image> Given the context below from web page, extract the answer from the given text like this: "
    "Question: Who is the publisher of this book? Answer: Penguin Books Ltd. Context: <context> Q: {question} A:"
)
_SPLITS = ("dataset_split.json", "dataset_split_release.json")


class _WebSrcSplit(FileRow):
    dev: list[str]


class _WebSrcRow(FileRow):
    id: Annotated[str, Field(min_length=8)]
    question: str
    answer: str


def _read_web_pages(folder: Path, _generated: Path) -> list[Example]:
    split = next((folder / name for name in _SPLITS if (folder / name).is_file()), folder / _SPLITS[0])
    held_out = set(read_json(split, _WebSrcSplit).dev)
    found = []
    for file in sorted(folder.glob("*/*/dataset.csv")):
        site = file.parent
        if site.parent.name[:2] + site.name not in held_out:
            continue
        texts: dict[str, str] = {}
        for where, row in read_table(file, _WebSrcRow):
            page = row.id[2:-5]  # an id is domain, page, question
            screenshot = image(
                site / "processed_data", f"{page}.png", where
            )  # first: it rejects a page outside the folder
            html = screenshot.with_suffix(".html")
            if page not in texts:
                texts[page] = visible_text(text_of(html), str(html))
            prompt = WEB_PAGE_PROMPT.format(question=escape(row.question))
            found.append(Example(row.id, prompt, (screenshot,), (row.answer,), context=texts[page]))
    if not found:
        raise PathError(f"no dataset.csv of a held-out site in {folder}/DOMAIN/SITE")
    return found


def visible_text(html: str, where: str = "the page") -> str:
    """Return the visible text of a page.

    Raises: SchemaError when the parser rejects the page, for example for an unknown marked section.
    """
    try:
        page = BeautifulSoup(html, "html.parser")
    except (ParserRejectedMarkup, RecursionError) as error:
        raise SchemaError(f"{where} cannot be parsed as HTML: {' '.join(str(error).split())[-100:]}") from error
    for hidden in page(["script", "style", "noscript", "template", "head"]):
        hidden.decompose()
    return " ".join(page.get_text(" ").split())


def score_web_pages(examples: Sequence[Example], answers: Sequence[Completion]) -> dict[str, TaskScore]:
    """Score by exact match and F1."""
    return {"exact": mean_of(exact_match, examples, answers), "f1": mean_of(token_f1, examples, answers)}


WEBSRC = Task(
    "websrc",
    "questions about web pages: dataset_split.json, DOMAIN/SITE/dataset.csv and processed_data/",
    _read_web_pages,
    score_web_pages,
    AnswerMode(AnswerMethod.GENERATE, max_tokens=32),
)
