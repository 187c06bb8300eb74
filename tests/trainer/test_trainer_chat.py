"""The chat: each answer continues the whole conversation, and no error ends it."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from shardwriter import drawing
from training import untrained

from schemas.display import printable
from trainer.config import TrainConfig
from trainer.generate.chat import HELP, Conversation, GenerateRequest, chat, generate
from trainer.generate.engine import GenerationEngine, format_prompt
from trainer.generate.search import greedy
from trainer.load import Saved
from trainer.tokenizer import EOS, Tokenizer

Chat = Callable[..., tuple[str, list[str]]]
MAX_TOKENS = 5


@pytest.fixture(scope="module")
def saved(tokenizer: Tokenizer, tiny: Callable[..., TrainConfig]) -> Saved:
    return untrained(tokenizer, tiny("data.sequence_length=96"), seed=1)


@pytest.fixture(scope="module")
def image_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("my image_files")  # with a space in it
    paths = [folder / "red.jpg", folder / "blue.jpg"]
    for number, path in enumerate(paths):
        path.write_bytes(drawing(path.stem, number))
    return paths


@pytest.fixture
def run_chat(saved: Saved, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Chat:
    """Pipe lines into a chat; return its standard output, and the lines of standard error after the help."""

    def start(*lines: str | bytes) -> tuple[str, list[str]]:
        piped = b"".join(line.encode() + b"\n" if isinstance(line, str) else line for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        chat(saved, MAX_TOKENS)
        printed = capsys.readouterr()
        help_line, *errors = printed.err.splitlines()
        assert help_line == HELP
        return printed.out, errors

    return start


def answer(saved: Saved, prompt: str, images: list[Path]) -> tuple[str, str]:
    """Return the answer to a prompt, and the same with the space before its first word."""
    config = saved.config
    read = format_prompt(saved.tokenizer, prompt, images, config.vision.latents, config.data.sequence_length)
    (tokens,) = greedy(GenerationEngine(saved, [read], MAX_TOKENS), [MAX_TOKENS], EOS)
    (text,) = generate(saved, [GenerateRequest(prompt, tuple(images))], max_tokens=MAX_TOKENS)
    assert text == saved.tokenizer.decode(tokens)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=saved.tokenizer.model)
    starts_a_word = bool(tokens) and pieces.id_to_piece(tokens[0]).startswith("▁")
    return text, " " * starts_a_word + text


def test_an_answer_depends_on_the_whole_conversation(saved: Saved, image_files: list[Path], run_chat: Chat) -> None:
    red, blue = image_files
    first, spaced = answer(saved, "<image>What is this?", [red])
    text = f"<image>What is this?{spaced}\nAnd is it old?"
    second, spaced = answer(saved, text, [red])
    text = f"{text}{spaced}<image>And this?"
    third, _ = answer(saved, text, [red, blue])
    out, errors = run_chat(f'/image "{red}" What is this?', "And is it old?", f"/image '{blue}'", "And this?")
    assert out == printable(f"{first}\n{second}\n{third}\n", lines=True)
    assert not errors
    assert answer(saved, "And is it old?", [])[0] != second  # the conversation matters


def test_an_answer_continues_the_text_before_it(tokenizer: Tokenizer) -> None:
    """With a space between them if the answer starts a word."""
    conversation = Conversation(("", "It is"), (Path("a.jpg"),))
    for answer_text, whole in ((" older than", "It is older than"), ("!", "It is!")):
        tokens = tokenizer.encode(f"It is{answer_text}").tolist()[len(tokenizer.encode("It is")) :]
        answered = conversation.with_answer(tokenizer, tokens)
        assert answered.request == GenerateRequest(f"<image>{whole}", (Path("a.jpg"),))
        assert answered.with_message("Is it?").request.prompt == f"<image>{whole}\nIs it?"


def test_a_new_conversation_is_empty(saved: Saved, run_chat: Chat) -> None:
    first, second = (answer(saved, text, [])[0] for text in ("The old harbour", "It is"))
    assert run_chat("The old harbour", "/new", "It is", "/quit", "not read") == (f"{first}\n{second}\n", [])
    assert run_chat() == ("", [])
    assert run_chat("", "  ") == ("", [])


def test_an_empty_line_after_an_image_gets_an_answer(saved: Saved, image_files: list[Path], run_chat: Chat) -> None:
    text, _ = answer(saved, "", image_files[:1])
    again, _ = answer(saved, f"<image>{text}\nIs it?", image_files[:1])
    assert text
    assert run_chat(f'/image "{image_files[0]}"', "", "", "Is it?") == (f"{text}\n{again}\n", [])


def test_an_error_is_one_line_and_the_chat_continues(
    saved: Saved, image_files: list[Path], tmp_path: Path, run_chat: Chat
) -> None:
    (tmp_path / "no.jpg").write_text("no image")
    text, _ = answer(saved, "It is", [])
    errors = {
        "/image none.jpg What is this?": "none.jpg cannot be read as an image",
        f"/image {tmp_path}/no.jpg": "no.jpg cannot be read as an image",
        f"/image {tmp_path}": "cannot be read as an image",
        f"/image {'x' * 5000}.jpg": "cannot be read as an image",
        "/image nu\0l.jpg": "cannot be read as an image",
        "/image": "unknown command /image; the commands are /image PATH, /new and /quit",
        "/quti": "unknown command /quti; the commands are",
        "It is older. " * 50: "the model reads 96 at most; /new starts again",
    }
    for line, expected in errors.items():
        out, (error,) = run_chat(line, "It is")
        assert out == printable(f"{text}\n", lines=True)
        assert error.startswith("error: ") and expected in error


def test_a_full_row_is_an_error_until_a_new_conversation(saved: Saved, run_chat: Chat) -> None:
    long = "The old harbour looks over the sea. " * 3
    out, errors = run_chat(long, long, long, long, "/new", "It is")
    assert errors and all("/new starts again" in line for line in errors)
    assert out.endswith(printable(answer(saved, "It is", [])[0] + "\n", lines=True))


def test_placeholders_in_messages_are_escaped(saved: Saved, image_files: list[Path], run_chat: Chat) -> None:
    text, _ = answer(saved, "<image>Is < image> here?", image_files[:1])
    assert run_chat(f'/image "{image_files[0]}" Is <image> here?') == (printable(f"{text}\n", lines=True), [])
    conversation = Conversation().with_answer(saved.tokenizer, saved.tokenizer.encode("a <image>").tolist())
    assert conversation.request == GenerateRequest("a < image>")


def test_invalid_utf8_is_replaced(saved: Saved, run_chat: Chat) -> None:
    text, _ = answer(saved, "a \N{REPLACEMENT CHARACTER} b", [])
    assert run_chat(b"a \xff b") == (printable(f"{text}\n", lines=True), [])
