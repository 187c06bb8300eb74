"""Assignment of images to sentences: the highest sum, as by exhaustive search, and where texts are split."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from pipeline.assemble import assign, place


def matrices(most_images: int, most_sentences: int) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, most_images), st.integers(1, most_sentences))
    scores = st.integers(-100_000, 100_000).map(lambda n: n / 100_000)
    return shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=scores))


@given(matrices(5, 6))
def test_no_other_assignment_has_a_higher_sum(scores: np.ndarray) -> None:
    places, (images, sentences) = assign(scores), scores.shape
    assert len(places) == images and set(places) <= set(range(sentences))
    if images <= sentences:
        assert len(set(places)) == images, "each has a sentence of its own"
        sums = [scores[range(images), list(p)].sum() for p in permutations(range(sentences), images)]
        assert scores[range(images), places].sum() == pytest.approx(max(sums))


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 40), (40, 3), (500, 60), (7, 1)])
def test_it_equals_scipy_and_surplus_images_take_their_best_sentence(shape: tuple[int, int]) -> None:
    scores = np.random.default_rng(shape[0]).uniform(-1, 1, shape)
    images, sentences = linear_sum_assignment(-scores)
    places = np.array(assign(scores))
    assert (places[images] == sentences).all()
    left = np.setdiff1d(np.arange(shape[0]), images)
    assert len(left) == max(0, shape[0] - shape[1])
    assert (places[left] == scores[left].argmax(axis=1)).all()


EMPTY = dict.fromkeys(("text", "image_url", "image_id", "score"))


def document(blocks: list[dict[str, Any]]) -> list[str]:
    return [b["text"] if b["kind"] == "text" else f"{b['image_id']} {b['score']:g}" for b in blocks]


def test_a_block_is_split_before_the_sentence_of_an_image() -> None:
    texts = {0: "One is red. Two is blue! Three is green.", 3: "  Four,\nfive.", 9: "Six."}
    places = [(0, 0), (0, 1), (0, 2), (3, 0), (3, 1), (9, 0)]
    wanted = {1: ("a", (0, 1)), 2: ("b", (3, 0)), 5: ("c", (9, 0)), 7: ("d", (0, 2))}
    blocks = {i: {**EMPTY, "kind": "text", "text": t} for i, t in texts.items()}
    blocks |= {i: {**EMPTY, "kind": "image", "image_id": name, "score": 0.9} for i, (name, _) in wanted.items()}
    scores = {
        i: [{"block": b, "sentence": s, "score": 0.5 if (b, s) == best else 0.25} for b, s in reversed(places)]
        for i, (_, best) in wanted.items()
    }
    found = document(place(dict(sorted(blocks.items())), scores))
    assert found == ["One is red.", "a 0.5", "Two is blue!", "d 0.5", "Three is green.", "b 0.5", "Four,\nfive.",
                     "c 0.5", "Six."]  # fmt: skip


def test_images_of_one_sentence_keep_the_order_of_the_page() -> None:
    blocks = {i: {**EMPTY, "kind": "image", "image_id": name, "score": 1.0} for i, name in enumerate("abc")}
    blocks[7] = {**EMPTY, "kind": "text", "text": "Only this."}
    scores = {i: [{"block": 7, "sentence": 0, "score": value}] for i, value in enumerate((0.1, 0.3, 0.2))}
    assert document(place(blocks, scores)) == ["a 0.1", "b 0.3", "c 0.2", "Only this."]
