"""Prompts: those of the paper, with truncated contexts and escaped placeholders."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from benchmark_files import write
from benchmark_tools import write_image
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from trainer.evaluate.model import EncodedPrompt, Reader, encode_prompt, show_prompt
from trainer.evaluate.run import RATIONALE_MODE, Result, Settings, add_shots, evaluate, examples
from trainer.evaluate.task import MULTIPLE_CHOICE, AnswerMode, Completion, Example, escape
from trainer.evaluate.tasks import TASKS
from trainer.tokenizer import IMAGE, Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "evaluation"
CASES = [(name, shots) for name, task in TASKS.items() for shots in (0, 2) if not shots or task.read_shots]


@pytest.fixture(scope="module")
def reader(tokenizer: Tokenizer) -> Reader:
    return Reader(tokenizer, num_image_tokens=2, length=4096)


@pytest.mark.parametrize(("name", "shots"), CASES)
def test_prompts_are_the_golden_ones(name: str, shots: int, reader: Reader, tmp_path: Path) -> None:
    """Of two examples, with two candidates at most."""
    benchmark, task = write(name, tmp_path), TASKS[name]
    chosen = examples(task, benchmark.data, benchmark.output, Settings())[:2]
    with_shots = add_shots(task, benchmark.data, benchmark.output, Settings(shots=shots), chosen)
    prompts = [
        prompt for example in with_shots for prompt in encode_prompt(reader, example, task.mode.max_tokens).prompts[:2]
    ]
    shown = "\n\n".join(show_prompt(reader, prompt) for prompt in prompts) + "\n"
    assert shown == (GOLDEN / f"{name}-{shots}.txt").read_text(encoding="utf-8")


def test_every_golden_prompt_is_used() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(f"{name}-{shots}.txt" for name, shots in CASES)


def test_each_candidate_is_the_last_image_of_a_prompt(reader: Reader, tmp_path: Path) -> None:
    example = write("raven", tmp_path).examples[2]
    encoded = encode_prompt(reader, example, 16)
    assert [prompt.images for prompt in encoded.prompts] == [(*example.images, path) for path in example.candidates]
    assert len(encoded.prompts) == 6 and all((p.tokens_L == IMAGE).sum() == 9 for p in encoded.prompts)


ANY = st.characters(codec="utf-8", exclude_characters="▁")  # which SentencePiece takes for a space
LONG = Example("page", "<image> Context: <context> Q: Where? A:", (), ("here",), context="x")


@settings(deadline=None, max_examples=150)
@given(context=st.text(ANY, max_size=300), length=st.integers(60, 200))
def test_a_context_is_truncated_to_fit(tokenizer: Tokenizer, images: Path, context: str, length: int) -> None:
    """For any content; and only a few tokens stay unused."""
    reader, example = Reader(tokenizer, 2, length), replace(LONG, images=(images,), context=context)
    encoded = encode_prompt(reader, example, 16)
    assert encoded.num_tokens + 16 <= length
    whole = encode_prompt(Reader(tokenizer, 2, 100_000), example, 16)
    if encoded.example.prompt != whole.example.prompt:
        assert encoded.num_tokens + 16 > length - 60  # a truncated character may free the tokens of its bytes
    assert whole.example.prompt == LONG.prompt.replace("<context>", escape(context))


def test_a_context_is_not_truncated_further_than_needed(tokenizer: Tokenizer, images: Path) -> None:
    context = " ".join(["harbour bridge bakery"] * 200)
    read = encode_prompt(Reader(tokenizer, 2, 200), replace(LONG, images=(images,), context=context), 16)
    before, _, after = LONG.prompt.partition("<context>")
    kept = read.example.prompt.removeprefix(before).removesuffix(after)
    assert context.startswith(kept) and 200 - 16 - 12 <= read.num_tokens <= 200 - 16
    empty = encode_prompt(Reader(tokenizer, 2, 200), replace(LONG, images=(images,), context=""), 16)
    assert "<context>" not in empty.example.prompt


def test_a_prompt_that_is_too_long_names_its_example(tokenizer: Tokenizer, images: Path) -> None:
    for example in (replace(LONG, images=(images,)), Example("page", "<image> What?", (images,), ("x",), ("a" * 99,))):
        with pytest.raises(RecipeError, match=r"^page: the prompt takes \d+ tokens, .* plus \d+ for the answer; use"):
            encode_prompt(Reader(tokenizer, 2, 30), example, 16)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image(tmp_path_factory.mktemp("images") / "red.jpg", 0)


@pytest.mark.parametrize("written", ["<image>", "<im<image>age>", "<context>", "<context<image>>", " <image><image>"])
def test_placeholders_in_texts_are_escaped(written: str) -> None:
    assert "<image>" not in escape(written) and "<context>" not in escape(written)


@settings(max_examples=200)
@given(st.text(alphabet="<imagecontx> ", max_size=40))
def test_no_text_contains_a_placeholder_after_escaping(written: str) -> None:
    assert "<image>" not in escape(written) and "<context>" not in escape(written)


class ConstantAdapter:
    """Gives the same answer to every prompt, and records the prompts."""

    def __init__(self, text: str, reader: Reader) -> None:
        self.text, self.reader = text, reader
        self.read: list[tuple[AnswerMode, str]] = []

    def answer(self, mode: AnswerMode, encoded: Sequence[EncodedPrompt]) -> list[Completion]:
        self.read += [(mode, show_prompt(self.reader, prompt)) for one in encoded for prompt in one.prompts]
        return [Completion(self.text, tuple(-float(n) for n, _ in enumerate(one.example.options))) for one in encoded]


def with_rationale(name: str, shots: int, adapter: ConstantAdapter, root: Path) -> Result:
    benchmark = write(name, root)
    settings = Settings(shots=shots, rationale=True, batch=4)
    return evaluate(TASKS[name], benchmark.data, benchmark.output, settings, adapter, "one", adapter.reader)


def test_a_rationale_is_between_image_and_question(reader: Reader, tmp_path: Path) -> None:
    adapter = ConstantAdapter("a quiet <image> harbour", reader)
    result = with_rationale("hateful", 0, adapter, tmp_path / "0")
    assert (result.rationale, result.num_examples) == (True, 6)
    first, second = adapter.read[:6], adapter.read[6:]
    assert {mode for mode, _ in first} == {RATIONALE_MODE} and {mode for mode, _ in second} == {MULTIPLE_CHOICE}
    name = "8000.png"
    opened = f"<s><image>[2 slots: 0{name}]</image>Introduce this picture in detail:"
    question = "Question: does this picture contain real hate speech? Answer:"
    assert (first[0][1], second[0][1]) == (opened, f"{opened} a quiet < image> harbour\n{question}")
    few = ConstantAdapter("a quiet harbour", reader)
    with_rationale("hateful", 2, few, tmp_path / "2")
    assert all(text.count("a quiet harbour") == 1 and text.count("[2 slots") == 3 for _, text in few.read[6:])
    assert all(text.endswith(f"detail: a quiet harbour\n{question}") for _, text in few.read[6:])


def test_a_rationale_keeps_the_text_before_the_image(reader: Reader, tmp_path: Path) -> None:
    adapter = ConstantAdapter("a tail", reader)
    with_rationale("birds", 0, adapter, tmp_path)
    *_, (_, text) = adapter.read
    text, _, question = text.partition("Introduce this picture in detail: a tail\n")
    assert " has a " in text and text.endswith("</image>") and question.startswith("Question: what is the name")


@pytest.mark.parametrize("name", ["raven", "relative-size"])
def test_a_rationale_needs_one_image(name: str, reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="--rationale is only for tasks with one image for each example"):
        with_rationale(name, 0, ConstantAdapter("x", reader), tmp_path)
