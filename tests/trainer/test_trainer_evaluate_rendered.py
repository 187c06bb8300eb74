"""Opinions rendered as images: all text inside the square, deterministic pixels, smaller letters for longer text."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_tools import word
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from trainer.evaluate.tasks import TASKS
from trainer.evaluate.tasks.text import SIDE_PIXELS, render

MARGIN = 12  # of 16 pixels, since letters may extend beyond their box
SENTENCES = {
    "one word": "gorgeous",
    "one letter": "a",
    "60 words": " ".join(word(n) for n in range(60)),
    "60 long words": " ".join(word(n) + word(n + 1) for n in range(60)),
    "a long word": word(1) * 12,
    "wide letters": "WWWW MMMM " * 12,
    "capitals": "IT IS NOT A GOOD FILM, BUT A LONG ONE. " * 4,
    "tails": "jgjqy fj " * 20,
}


def ink(sentence: str) -> np.ndarray:
    """Return a mask of the pixels that are not white."""
    return np.asarray(render(sentence)) < 255


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_margins_are_white(sentence: str) -> None:
    found = ink(sentence)
    assert found.shape == (SIDE_PIXELS, SIDE_PIXELS) == (448, 448)
    inside = slice(MARGIN, SIDE_PIXELS - MARGIN)
    assert found.sum() == found[inside, inside].sum() > 0


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=56))
def test_sentences_of_up_to_56_words_stay_inside_the_square(numbers: list[int]) -> None:
    found = ink(" ".join(map(word, numbers)))
    inside = slice(MARGIN, SIDE_PIXELS - MARGIN)
    assert found.sum() == found[inside, inside].sum() > 0


def test_longer_sentences_have_smaller_letters() -> None:
    """By the height of the first letter, which is the same."""
    heights = []
    for number in (1, 20, 60):
        rows = np.flatnonzero(ink(" ".join(["H"] + [word(n) for n in range(number)]))[:, :22].any(1))
        gaps = np.flatnonzero(np.diff(rows) > 1)
        heights.append(int(gaps[0]) + 1 if len(gaps) else len(rows))
    assert heights[0] > heights[1] > heights[2] > 4


def test_a_sentence_is_rendered_once_and_deterministically(tmp_path: Path) -> None:
    rows = ["a fine film", "a dull film", "a fine film "]
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n" + "".join(f"{row}\t{n % 2}\n" for n, row in enumerate(rows)))
    generated = tmp_path / "generated"
    found = TASKS["sst2"].read(tmp_path, generated)
    paths = [example.images[0] for example in found]
    assert paths[0] == paths[2] != paths[1]
    assert sorted(generated.iterdir()) == sorted(set(paths))
    before = [path.stat().st_mtime_ns for path in paths]
    assert TASKS["sst2"].read(tmp_path, generated) == found
    assert [path.stat().st_mtime_ns for path in paths] == before
    with Image.open(paths[0]) as image:
        assert (np.asarray(image) == np.asarray(render("a fine film"))).all()
        assert image.size == (448, 448)
