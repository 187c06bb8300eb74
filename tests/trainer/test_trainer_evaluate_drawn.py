"""Opinions drawn as images: every word within the square, the same pixels again, longer ones in smaller letters."""

from pathlib import Path

import numpy as np
import pytest
from exam_tools import made
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.evaluate.tasks import TASKS
from trainer.evaluate.tasks.words import SIDE_PIXELS, draw

MARGIN = 12  # of the 16 pixels, some may be taken by what letters reach beyond their place
SENTENCES = {
    "one word": "gorgeous",
    "one letter": "a",
    "60 words": " ".join(made(n) for n in range(60)),
    "60 long words": " ".join(made(n) + made(n + 1) for n in range(60)),
    "a long word": made(1) * 12,
    "wide letters": "WWWW MMMM " * 12,
    "capitals": "IT IS NOT A GOOD FILM, BUT A LONG ONE. " * 4,
    "tails": "jgjqy fj " * 20,
}


def ink(sentence: str) -> np.ndarray:
    """Return where a picture is not white."""
    return np.asarray(draw(sentence)) < 255


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_no_ink_is_in_the_margins(sentence: str) -> None:
    found = ink(sentence)
    assert found.shape == (SIDE_PIXELS, SIDE_PIXELS) == (448, 448)
    inside = slice(MARGIN, SIDE_PIXELS - MARGIN)
    assert found.sum() == found[inside, inside].sum() > 0


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=56))
def test_no_sentence_of_up_to_56_words_leaves_the_square(numbers: list[int]) -> None:
    found = ink(" ".join(map(made, numbers)))
    inside = slice(MARGIN, SIDE_PIXELS - MARGIN)
    assert found.sum() == found[inside, inside].sum() > 0


def test_longer_sentences_are_drawn_smaller() -> None:
    """By the height of the first letter, which is the same."""
    heights = []
    for number in (1, 20, 60):
        rows = np.flatnonzero(ink(" ".join(["H"] + [made(n) for n in range(number)]))[:, :22].any(1))
        gaps = np.flatnonzero(np.diff(rows) > 1)
        heights.append(int(gaps[0]) + 1 if len(gaps) else len(rows))
    assert heights[0] > heights[1] > heights[2] > 4


def test_a_sentence_is_drawn_once_and_always_alike(tmp_path: Path) -> None:
    rows = ["a fine film", "a dull film", "a fine film "]
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n" + "".join(f"{row}\t{n % 2}\n" for n, row in enumerate(rows)))
    drawn = tmp_path / "drawn"
    found = TASKS["sst2"].read(tmp_path, drawn)
    paths = [example.images[0] for example in found]
    assert paths[0] == paths[2] != paths[1]
    assert sorted(drawn.iterdir()) == sorted(set(paths))
    before = [path.stat().st_mtime_ns for path in paths]
    assert TASKS["sst2"].read(tmp_path, drawn) == found
    assert [path.stat().st_mtime_ns for path in paths] == before
    with Image.open(paths[0]) as picture:
        assert (np.asarray(picture) == np.asarray(draw("a fine film"))).all()
        assert picture.size == (448, 448)
