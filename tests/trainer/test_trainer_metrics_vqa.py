"""VQA accuracy by hand, from the definition of the benchmark and the rules of its code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.evaluate.metrics import normalise_vqa, vqa_accuracy


@pytest.mark.parametrize(("num_same", "expected"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1), (10, 1)])
def test_accuracy_by_how_many_of_ten_people_agree(num_same: int, expected: float) -> None:
    """Leaving out each person in turn: of n who agree, n leave n - 1 and 10 - n leave n; three are enough for 1."""
    people = ["yes"] * num_same + [f"other {number}" for number in range(10 - num_same)]
    assert vqa_accuracy("yes", people) == pytest.approx(expected)


def test_nothing_is_normalised_if_all_agree() -> None:
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0
    assert vqa_accuracy("Yes", ["yes"] * 9 + ["no"]) == 1
    assert vqa_accuracy(" yes\n", ["yes\t"] * 10) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The Red Car", "red car"),
        ("a", ""),
        ("two", "2"),
        ("None", "0"),
        ("ten dogs", "10 dogs"),
        ("eleven", "eleven"),
        ("dont know", "don't know"),
        ("don't know", "don't know"),
        ("its 5 oclock", "its 5 o'clock"),
        ("twas", "'twas"),
        ("somebody'd", "somebodyd"),
        ("IM", "im"),
        ("yes.", "yes"),
        ("U.S.", "us"),
        ("3.5", "3.5"),
        ("3.", "3"),
        (".5", ".5"),
        ("1,000", "1000"),
        ("1,000 t-shirts", "1000 tshirts"),
        ("red,white", "red white"),
        ("red, white", "red white"),
        ("t-shirt", "t shirt"),
        ("t-shirt - red", "tshirt red"),
        ("black/white", "black white"),
        ('"stop"', "stop"),
        ("(left)", "left"),
        ("what?!", "what"),
        ("5:30", "5:30"),
        ("it's 50%", "it's 50%"),
    ],
)
def test_answers_are_normalised(answer: str, expected: str) -> None:
    assert normalise_vqa(answer) == expected


def test_both_sides_are_normalised() -> None:
    assert vqa_accuracy("the two dogs!", ["2 dogs"] * 4 + ["a dog"] * 6) == 1
    assert vqa_accuracy("2 dogs", ["The Two Dogs."] * 4 + ["a dog"] * 6) == 1


@given(st.lists(st.sampled_from(["yes", "no", "2", "two", "a two"]), min_size=10, max_size=10), st.randoms())
def test_order_of_people_does_not_matter(people: list[str], random) -> None:
    score = vqa_accuracy("2", people)
    assert 0 <= score <= 1
    assert vqa_accuracy("2", random.sample(people, 10)) == pytest.approx(score)
