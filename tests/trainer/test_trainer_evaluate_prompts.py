"""Prompts: what a model really receives is the paper's; contexts are cut to what fits; foreign words show no images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from exam_tools import picture
from examination import write
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from trainer.evaluate.model import EncodedPrompt, Reader, encode_prompt, show_prompt
from trainer.evaluate.run import Result, Settings, evaluate, examples, show_shots
from trainer.evaluate.task import AnswerMode, Completion, Example, plain
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import IMAGE, Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "evaluation"
CASES = [(name, shots) for name, task in TASKS.items() for shots in (0, 2) if not shots or task.read_shots]


@pytest.fixture(scope="module")
def reader(words: Tokenizer) -> Reader:
    return Reader(words, num_image_tokens=2, length=4096)


@pytest.mark.parametrize(("name", "shots"), CASES)
def test_prompts_are_the_golden_ones(name: str, shots: int, reader: Reader, tmp_path: Path) -> None:
    """Of two examples; of several candidates the first two."""
    exam, task = write(name, tmp_path), TASKS[name]
    chosen = examples(task, exam.data, exam.output, Settings())[:2]
    with_shots = show_shots(task, exam.data, exam.output, Settings(shots=shots), chosen)
    prompts = [
        prompt for example in with_shots for prompt in encode_prompt(reader, example, task.mode.max_tokens).prompts[:2]
    ]
    told = "\n\n".join(show_prompt(reader, prompt) for prompt in prompts) + "\n"
    assert told == (GOLDEN / f"{name}-{shots}.txt").read_text(encoding="utf-8")


def test_no_golden_prompt_is_left_behind() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(f"{name}-{shots}.txt" for name, shots in CASES)


def test_a_candidate_is_the_last_image_of_a_prompt_each(reader: Reader, tmp_path: Path) -> None:
    example = write("raven", tmp_path).asked[2]
    asked = encode_prompt(reader, example, 16)
    assert [prompt.images for prompt in asked.prompts] == [(*example.images, path) for path in example.candidates]
    assert len(asked.prompts) == 6 and all((p.tokens_L == IMAGE).sum() == 9 for p in asked.prompts)


ANY = st.characters(codec="utf-8", exclude_characters="▁")  # which SentencePiece takes for a space
LONG = Example("page", "<image> Context: <context> Q: Where? A:", (), ("here",), context="x")


@settings(deadline=None, max_examples=150)
@given(context=st.text(ANY, max_size=300), length=st.integers(60, 200))
def test_a_context_is_cut_to_what_fits(words: Tokenizer, images: Path, context: str, length: int) -> None:
    """Whatever stands in it; and never more than a few tokens are left free."""
    reader, example = Reader(words, 2, length), replace(LONG, images=(images,), context=context)
    asked = encode_prompt(reader, example, 16)
    assert asked.num_tokens + 16 <= length
    whole = encode_prompt(Reader(words, 2, 100_000), example, 16)
    if asked.example.words != whole.example.words:
        assert asked.num_tokens + 16 > length - 60  # a cut character may give back what its bytes took
    assert whole.example.words == LONG.words.replace("<context>", plain(context))


def test_as_much_of_a_context_is_read_as_fits(words: Tokenizer, images: Path) -> None:
    context = " ".join(["harbour bridge bakery"] * 200)
    read = encode_prompt(Reader(words, 2, 200), replace(LONG, images=(images,), context=context), 16)
    before, _, behind = LONG.words.partition("<context>")
    kept = read.example.words.removeprefix(before).removesuffix(behind)
    assert context.startswith(kept) and 200 - 16 - 12 <= read.num_tokens <= 200 - 16
    empty = encode_prompt(Reader(words, 2, 200), replace(LONG, images=(images,), context=""), 16)
    assert "<context>" not in empty.example.words


def test_a_prompt_that_is_too_long_is_told_with_its_example(words: Tokenizer, images: Path) -> None:
    for example in (replace(LONG, images=(images,)), Example("page", "<image> What?", (images,), ("x",), ("a" * 99,))):
        with pytest.raises(
            RecipeError, match=r"^page: the prompt takes \d+ tokens, .* beside \d+ for the answer; give"
        ):
            encode_prompt(Reader(words, 2, 30), example, 16)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture(tmp_path_factory.mktemp("images") / "red.jpg", 0)


@pytest.mark.parametrize("written", ["<image>", "<im<image>age>", "<context>", "<context<image>>", " <image><image>"])
def test_whoever_spells_an_image_in_words_shows_none(written: str) -> None:
    assert "<image>" not in plain(written) and "<context>" not in plain(written)


@settings(max_examples=200)
@given(st.text(alphabet="<imagecontx> ", max_size=40))
def test_no_words_show_an_image(written: str) -> None:
    assert "<image>" not in plain(written) and "<context>" not in plain(written)


class Saying:
    """One who says the same of all, and remembers what was asked."""

    def __init__(self, text: str, reader: Reader) -> None:
        self.text, self.reader = text, reader
        self.read: list[tuple[AnswerMode, str]] = []

    def answer(self, mode: AnswerMode, asked: Sequence[EncodedPrompt]) -> list[Completion]:
        self.read += [(mode, show_prompt(self.reader, prompt)) for one in asked for prompt in one.prompts]
        return [Completion(self.text, tuple(-float(n) for n, _ in enumerate(one.example.options))) for one in asked]


def with_rationale(name: str, shots: int, said: Saying, root: Path) -> Result:
    exam = write(name, root)
    how = Settings(shots=shots, rationale=True, batch=4)
    return evaluate(TASKS[name], exam.data, exam.output, how, said, "one", said.reader)


def test_a_rationale_stands_between_the_picture_and_the_question(reader: Reader, tmp_path: Path) -> None:
    said = Saying("a quiet <image> harbour", reader)
    result = with_rationale("hateful", 0, said, tmp_path / "0")
    assert (result.rationale, result.num_examples) == (True, 6)
    first, second = said.read[:6], said.read[6:]
    assert {mode.how for mode, _ in first} == {"say"} and {mode.how for mode, _ in second} == {"rank"}
    name = "8000.png"
    opened = f"<s><image>[2 slots: 0{name}]</image>Introduce this picture in detail:"
    question = "Question: does this picture contain real hate speech? Answer:"
    assert (first[0][1], second[0][1]) == (opened, f"{opened} a quiet < image> harbour\n{question}")
    few = Saying("a quiet harbour", reader)
    with_rationale("hateful", 2, few, tmp_path / "2")
    assert all(told.count("a quiet harbour") == 1 and told.count("[2 slots") == 3 for _, told in few.read[6:])
    assert all(told.endswith(f"detail: a quiet harbour\n{question}") for _, told in few.read[6:])


def test_a_rationale_goes_behind_what_stands_before_the_picture(reader: Reader, tmp_path: Path) -> None:
    said = Saying("a tail", reader)
    with_rationale("birds", 0, said, tmp_path)
    *_, (_, told) = said.read
    told, _, question = told.partition("Introduce this picture in detail: a tail\n")
    assert " has a " in told and told.endswith("</image>") and question.startswith("Question: what is the name")


@pytest.mark.parametrize("name", ["raven", "relative-size"])
def test_a_rationale_needs_one_picture(name: str, reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--rationale is for tasks that ask about one picture each"):
        with_rationale(name, 0, Saying("x", reader), tmp_path)
