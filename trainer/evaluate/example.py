"""What a task asks, and what is answered: the same few fields for captions, questions, classes and matrices."""

from dataclasses import dataclass
from pathlib import Path

from trainer.generate.prompt import PLACEHOLDER

CONTEXT = "<context>"


@dataclass(frozen=True)
class Example:
    """One thing that is asked."""

    id: str
    """Its name, for people. Two that give each other's answer away share one."""
    words: str
    """What is asked; `<image>` says where an image stands, `<context>` where the context does."""
    images: tuple[Path, ...]
    right: tuple[str, ...]
    """Answers that are right, at least one. The first is what a shot shows."""
    options: tuple[str, ...] = ()
    """What may be answered; none: whatever the model says."""
    candidates: tuple[Path, ...] = ()
    """Images that take turns as the last one. The one behind which `options[0]` is likeliest is the answer, by its
    number from 0."""
    context: str = ""
    """Text that is cut at its end where a model cannot read all of it."""


@dataclass(frozen=True)
class Answer:
    """What a model answers to an example."""

    text: str
    """What it said; of options the likeliest; of candidates the number."""
    log_p: tuple[float, ...] = ()
    """Of each option, or of each candidate."""


def plain(words: str) -> str:
    """Return words that others wrote as they may stand in a prompt: whoever spells `<image>` in them shows none."""
    for mark in (PLACEHOLDER, CONTEXT):
        words = words.replace(mark, mark.replace("<", "< "))
    return words.strip()
