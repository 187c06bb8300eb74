"""Texts longer than CLIP's window, cut into sentences that fit it; and texts that say nothing."""

import open_clip
import pyarrow as pa
import pytest

from pipeline.score.segments import TextWindow, sentences, split_texts
from schemas.recipe import Clip
from schemas.tables import text_id
from tests.sampleweb import RECIPE

CLIP = f"local-dir:{RECIPE.parent / 'clip'}"
CONTEXT = 77
ROOM = CONTEXT - 2  # tokens beside the marks of start and end


@pytest.fixture(scope="module")
def window() -> TextWindow:
    return TextWindow(open_clip.get_tokenizer(CLIP))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("A red ring. A blue star! Which one? This.", ["A red ring.", "A blue star!", "Which one?", "This."]),
        ("It is 3.5 cm wide, e.g. this one. Yes…  Indeed", ["It is 3.5 cm wide, e.g. this one.", "Yes…", "Indeed"]),
        ('He said "a star." Then (a ring.) And so', ['He said "a star."', "Then (a ring.)", "And so"]),
        ("这是一颗星。那是一个圆！对", ["这是一颗星。", "那是一个圆！", "对"]),
        ("one line\nand another\n\n", ["one line", "and another"]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


def test_the_window_ends_where_the_tokenizer_cuts(window: TextWindow) -> None:
    assert window.fits("star " * ROOM)
    assert not window.fits("star " * (ROOM + 1))
    assert window.pieces("star " * ROOM) == [("star " * ROOM).strip()]


@pytest.mark.parametrize("pad", [0, 49407, 1])
@pytest.mark.parametrize("marks_end", [True, False])
def test_the_window_is_told_whatever_a_tokenizer_pads_with(pad: int, marks_end: bool) -> None:
    import torch

    class Tokenizer:
        context_length = 8

        def __call__(self, texts: list[str], context_length: int | None = None) -> torch.Tensor:
            width, end = context_length or self.context_length, [49407] * marks_end
            words = [2 + len(word) for word in texts[0].split()][: width - len(end)] + end
            return torch.tensor([words + [pad] * (width - len(words))])

    window, room = TextWindow(Tokenizer()), 8 - marks_end
    assert [window.fits("a " * n) for n in (0, 1, room - 1, room, room + 1, 3 * room)] == [True] * 4 + [False] * 2
    assert [window.is_empty(t) for t in ("", "  ", "a")] == [True, True, False]


def test_a_long_text_becomes_its_sentences_and_loses_nothing(window: TextWindow) -> None:
    long = "a small red star stands above two blue rings, " * 12 + "and that is all."
    text = f"First, the scene. {long.capitalize()} Then the rest."
    pieces = window.pieces(text)
    assert pieces[0] == "First, the scene."
    assert pieces[-1] == "Then the rest."
    assert len(pieces) > 3 and all(window.fits(p) for p in pieces)
    assert " ".join(pieces) == text


@pytest.mark.parametrize("letter", ["x", "星", "🌟"])
def test_a_text_without_any_space_is_halved_and_ends(window: TextWindow, letter: str) -> None:
    pieces = window.pieces(letter * 20_000)
    assert "".join(pieces) == letter * 20_000
    assert all(window.fits(p) for p in pieces)


def test_texts_that_say_nothing_have_no_piece_and_emoji_have_one(window: TextWindow) -> None:
    assert [window.pieces(t) for t in ("", " \n\t ", "\u200b")] == [[], [], ["\u200b"]]
    assert window.pieces(" 🌟🌟 ") == ["🌟🌟"]


def test_each_piece_of_a_text_comes_once_under_the_id_of_its_words() -> None:
    short, sentence = "A red ring.", "A small red star stands above two blue rings."
    texts = {"short": short, "long": " ".join([sentence] * 20 + [short]), "empty": ""}
    batch = pa.RecordBatch.from_pydict({"id": list(texts), "text": list(texts.values())})
    (out,) = split_texts(Clip(model=CLIP))(iter([batch]))
    assert [tuple(row.values()) for row in out.to_pylist()] == [
        ("short", text_id(short), short),
        ("long", text_id(sentence), sentence),
        ("long", text_id(short), short),
    ]
