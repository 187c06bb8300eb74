"""A talk: each answer is that to the whole of what was said, and nothing that goes wrong ends it."""

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

Talk = Callable[..., tuple[str, list[str]]]
MOST = 5


@pytest.fixture(scope="module")
def saved(tokenizer: Tokenizer, tiny: Callable[..., TrainConfig]) -> Saved:
    return untrained(tokenizer, tiny("data.sequence_length=96"), seed=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("my pictures")  # with a space in it
    paths = [folder / "red.jpg", folder / "blue.jpg"]
    for number, path in enumerate(paths):
        path.write_bytes(drawing(path.stem, number))
    return paths


@pytest.fixture
def talking(saved: Saved, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Talk:
    """Pipe lines into a talk; return what it printed, and the lines of standard error behind the help."""

    def start(*lines: str | bytes) -> tuple[str, list[str]]:
        piped = b"".join(line.encode() + b"\n" if isinstance(line, str) else line for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        chat(saved, MOST)
        printed = capsys.readouterr()
        told, *wrong = printed.err.splitlines()
        assert told == HELP
        return printed.out, wrong

    return start


def answer(saved: Saved, prompt: str, images: list[Path]) -> tuple[str, str]:
    """Return what is said behind a prompt, and the same with the space that stands before its first word."""
    config = saved.config
    read = format_prompt(saved.tokenizer, prompt, images, config.vision.latents, config.data.sequence_length)
    (tokens,) = greedy(GenerationEngine(saved, [read], MOST), [MOST], EOS)
    (said,) = generate(saved, [GenerateRequest(prompt, tuple(images))], max_tokens=MOST)
    assert said == saved.tokenizer.decode(tokens)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=saved.tokenizer.model)
    starts_a_word = bool(tokens) and pieces.id_to_piece(tokens[0]).startswith("▁")
    return said, " " * starts_a_word + said


def test_a_turn_reads_all_that_was_said(saved: Saved, pictures: list[Path], talking: Talk) -> None:
    red, blue = pictures
    first, spelt = answer(saved, "<image>What is this?", [red])
    said = f"<image>What is this?{spelt}\nAnd is it old?"
    second, spelt = answer(saved, said, [red])
    said = f"{said}{spelt}<image>And this?"
    third, _ = answer(saved, said, [red, blue])
    out, wrong = talking(f'/image "{red}" What is this?', "And is it old?", f"/image '{blue}'", "And this?")
    assert out == printable(f"{first}\n{second}\n{third}\n", lines=True)
    assert not wrong
    assert answer(saved, "And is it old?", [])[0] != second  # it matters what was said before


def test_an_answer_goes_on_with_the_words_before_it(tokenizer: Tokenizer) -> None:
    """A space stands between them where the answer starts a word."""
    asked = Conversation(("", "It is"), (Path("a.jpg"),))
    for answer_text, whole in ((" older than", "It is older than"), ("!", "It is!")):
        tokens = tokenizer.encode(f"It is{answer_text}").tolist()[len(tokenizer.encode("It is")) :]
        answered = asked.with_answer(tokenizer, tokens)
        assert answered.request == GenerateRequest(f"<image>{whole}", (Path("a.jpg"),))
        assert answered.with_message("Is it?").request.prompt == f"<image>{whole}\nIs it?"


def test_a_new_talk_remembers_nothing(saved: Saved, talking: Talk) -> None:
    first, second = (answer(saved, text, [])[0] for text in ("The old harbour", "It is"))
    assert talking("The old harbour", "/new", "It is", "/quit", "not read") == (f"{first}\n{second}\n", [])
    assert talking() == ("", [])
    assert talking("", "  ") == ("", [])


def test_an_empty_line_asks_for_words_behind_an_image(saved: Saved, pictures: list[Path], talking: Talk) -> None:
    said, _ = answer(saved, "", pictures[:1])
    again, _ = answer(saved, f"<image>{said}\nIs it?", pictures[:1])
    assert said
    assert talking(f'/image "{pictures[0]}"', "", "", "Is it?") == (f"{said}\n{again}\n", [])


def test_what_goes_wrong_is_one_line_and_the_talk_goes_on(
    saved: Saved, pictures: list[Path], tmp_path: Path, talking: Talk
) -> None:
    (tmp_path / "no.jpg").write_text("no image")
    said, _ = answer(saved, "It is", [])
    wrongs = {
        "/image none.jpg What is this?": "none.jpg cannot be read as an image",
        f"/image {tmp_path}/no.jpg": "no.jpg cannot be read as an image",
        f"/image {tmp_path}": "cannot be read as an image",
        f"/image {'x' * 5000}.jpg": "cannot be read as an image",
        "/image nu\0l.jpg": "cannot be read as an image",
        "/image": "unknown command /image; the commands are /image PATH, /new and /quit",
        "/quti": "unknown command /quti; the commands are",
        "It is older. " * 50: "the model reads 96 at most; /new starts again",
    }
    for line, wrong in wrongs.items():
        out, (told,) = talking(line, "It is")
        assert out == printable(f"{said}\n", lines=True)
        assert told.startswith("error: ") and wrong in told


def test_a_full_row_says_so_until_a_new_talk(saved: Saved, talking: Talk) -> None:
    long = "The old harbour looks over the sea. " * 3
    out, wrong = talking(long, long, long, long, "/new", "It is")
    assert wrong and all("/new starts again" in line for line in wrong)
    assert out.endswith(printable(answer(saved, "It is", [])[0] + "\n", lines=True))


def test_nobody_shows_an_image_by_words(saved: Saved, pictures: list[Path], talking: Talk) -> None:
    said, _ = answer(saved, "<image>Is < image> here?", pictures[:1])
    assert talking(f'/image "{pictures[0]}" Is <image> here?') == (printable(f"{said}\n", lines=True), [])
    told = Conversation().with_answer(saved.tokenizer, saved.tokenizer.encode("a <image>").tolist())
    assert told.request == GenerateRequest("a < image>")


def test_any_bytes_are_words(saved: Saved, talking: Talk) -> None:
    said, _ = answer(saved, "a \N{REPLACEMENT CHARACTER} b", [])
    assert talking(b"a \xff b") == (printable(f"{said}\n", lines=True), [])
