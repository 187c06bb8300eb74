"""Who answers: a trained model, or in tests anything else that follows the same protocol."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from trainer.evaluate.asked import Asked
from trainer.evaluate.example import Answer
from trainer.evaluate.spelling import Spelling, Trie
from trainer.evaluate.task import Manner
from trainer.generate.continuation import Continuation
from trainer.generate.search import search
from trainer.saved import Saved
from trainer.tokenizer import EOS


class Answerer(Protocol):
    """One who answers a batch."""

    def answer(self, manner: Manner, asked: Sequence[Asked]) -> list[Answer]:
        """Return an answer to each, in order."""


class Model:
    """A trained model, all of a batch at a time: prompts are read once and kept, then go on token by token."""

    def __init__(self, saved: Saved) -> None:
        self._saved = saved
        self._trie = lru_cache(maxsize=4)(self._spelt)

    def answer(self, manner: Manner, asked: Sequence[Asked]) -> list[Answer]:
        """Answer a batch. Raises: IntegrityError when an image cannot be read."""
        return self._rank(asked) if manner.how == "rank" else self._say(manner, asked)

    def _rank(self, asked: Sequence[Asked]) -> list[Answer]:
        encode = self._saved.tokenizer.encode
        prompts = [prompt for one in asked for prompt in one.prompts]
        options = [
            [encode(option) for option in (one.example.options[:1] if one.example.candidates else one.example.options)]
            for one in asked
            for _ in one.prompts
        ]
        longest = max(len(option) for of_prompt in options for option in of_prompt)
        scores = iter(Continuation(self._saved, prompts, longest).score(options))
        answers = []
        for one in asked:
            log_p = [score for _ in one.prompts for score in next(scores)]
            best = max(range(len(log_p)), key=log_p.__getitem__)
            answers.append(Answer(str(best) if one.example.candidates else one.example.options[best], tuple(log_p)))
        return answers

    def _say(self, manner: Manner, asked: Sequence[Asked]) -> list[Answer]:
        room = [one.max_tokens for one in asked]
        going_on = Continuation(self._saved, [one.prompts[0] for one in asked], max(room))
        held = (
            Spelling(going_on, [self._trie(one.example.options) for one in asked])
            if manner.how == "spell"
            else going_on
        )
        said = search(held, manner.num_beams, room, EOS)
        return [Answer(first_line(self._saved.tokenizer.decode(tokens))) for tokens in said]

    def _spelt(self, options: tuple[str, ...]) -> Trie:
        return Trie.of((self._saved.tokenizer.encode(option).tolist() for option in options), EOS)


def first_line(said: str) -> str:
    """Return the answer in what a model said: its first line that is not empty."""
    return next((line.strip() for line in said.splitlines() if line.strip()), "")
