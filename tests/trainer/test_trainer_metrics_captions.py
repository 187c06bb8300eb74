"""CIDEr: by its formula, written a second time and plainly; the words of captions by a table. SPICE: that it is found.

Each row of the table follows a rule of the Penn Treebank's tokenization, or of the COCO evaluation, and was compared
with that evaluation's program.
"""

import json
import math
import os
import random
import stat
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import MissingError, SchemaError, WeftError
from trainer.evaluate.caption_metrics import cider, cider_each, spice, words

VOCABULARY = ["a", "the", "man", "dog", "cat", "rides", "sees", "red", "blue", "horse", "on", "near", "wave", "tree"]
PIECES = (
    "a", "a-", "a.", "<a", "a'", "&", "a@", "!", "a/", "-", "n't", "1,", "a,", "a.,", ":", "U.S.", "http://", "http://.",
    "www.", "x's", "&lt;", "'", "(",
)  # fmt: skip
SENTENCES = st.lists(st.sampled_from(VOCABULARY), max_size=9).map(" ".join)
SETS = st.lists(st.tuples(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=4)), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man riding a wave on top of a surfboard.", "a man riding a wave on top of a surfboard"),
        ("  Two  dogs\trun \n", "two dogs run"),
        ("", ""),
        (" . ", ""),
        ("Cats, dogs; birds: all - here... yes!", "cats dogs birds all here yes"),
        ("wait…what -- a–b — c", "wait what a b c"),
        ("wow!! what?!", "wow !! what ?!"),  # runs are no punctuation that the evaluation knows
        ("don't can't won't isn't", "do n't ca n't wo n't is n't"),
        ("DON’T it’s I'd've", "do n't it 's i 'd 've"),
        ("it's dog's dogs' they'll we're I'm he'd", "it 's dog 's dogs they 'll we 're i 'm he 'd"),
        ("cannot gonna wanna gotta gimme lemme", "can not gon na wan na got ta gim me lem me"),
        ("'tis 'twas more'n wannabe", "'t is 't was more 'n wannabe"),
        ("'em 'til 'cause the '90s ol' goin'", "'em 'til 'cause the '90s ol' goin"),
        ("rock 'n' roll rock'n'roll", "rock 'n' roll rock 'n' roll"),
        ("o'clock O'Brien ma'am l'amour y'all", "o'clock o'brien ma'am l'amour y' all"),
        ("says \"hello\" and 'hi' and “ho” and ``hum''", "says hello and hi and ho and hum"),
        ("(left) [right] {brace}", "-lrb- left -rrb- -lsb- right -rsb- -lcb- brace -rcb-"),
        ("Mr. and Mrs. Lee, St. Louis, U.S.", "mr. and mrs. lee st. louis u.s."),
        ("5 p.m. 5:30pm 10am 24/7", "5 p.m. 5:30 pm 10am 24/7"),
        ("Jan. 5 in may. no. 5 but no.", "jan. 5 in may no. 5 but no"),
        ("Pa. pa. Sat. Inc. etc.", "pa. pa sat inc. etc."),
        ("e.g. cats, i.e. pets vs. dogs", "e.g. cats i.e. pets vs. dogs"),
        ("J.K. Rowling and J. Doe have a plan B. The end", "j.k. rowling and j. doe have a plan b the end"),
        ("1,000 3.5 .5 1/2 12/25/2014 2014-01-02", "1,000 3.5 .5 1/2 12/25/2014 2014-01-02"),
        ("$5.00 £10 €20 50% 50¢", "$ 5.00 # 10 $ 20 50 % 50 cents"),
        ("1½ cups, 2 1/2-inch", "1 1/2 cups 2 1/2 inch"),
        ("5kg 5 kg 20°C 6'2\" 4x4 3D 1980s", "5kg 5 kg 20 ° c 6 2 4x4 3d 1980s"),
        ("a black-and-white T-shirt, x-ray", "a black-and-white t-shirt x-ray"),
        ("black/white and/or w/ fries", "black/white and/or w / fries"),
        ("rock & roll AT&T b&w R&B", "rock & roll at&t b & w r&b"),
        ("salt &amp; pepper &lt; &quot;a&quot;", "salt & pepper < a"),
        ("see www.example.com, http://example.com/a?b=1.", "see www.example.com http://example.com/a?b=1"),
        ("mail me@example.com @user #tag #1", "mail me@example.com @user #tag # 1"),
        ("the street.A man", "the street.a man"),
        ("CAFÉ jalapeño crème Ünïcödé", "café jalapeño crème ünïcödé"),
        ("a 😀 dog ❤ :) ;-)", "a dog ❤ :-rrb- ;--rrb-"),
        ("<unk> a <b>bold</b> <3", "<unk> a <b> bold </b> < 3"),
        ("C++ under_score a+b = c", "c++ under_score a + b = c"),
    ],
)
def test_words_of_captions(caption: str, expected: str) -> None:
    assert words(caption) == expected.split()


@given(st.text(max_size=60))
def test_words_of_any_text_have_no_space_and_are_small(caption: str) -> None:
    for word in words(caption):
        assert word
        assert word.split() == [word]
        assert word.lower() == word


@pytest.mark.parametrize("piece", PIECES)
def test_a_long_caption_costs_no_more_than_its_length(piece: str) -> None:
    """A cost that grew with the square would be minutes."""
    began = time.process_time()
    assert len(words(piece * 20_000)) <= 20_000 * len(piece)
    assert time.process_time() - began < 20


def plain_cider(candidates: list[list[str]], references: list[list[list[str]]]) -> list[float]:
    """CIDEr-D from section 3 and 5 of the paper, one sum after the other."""
    scores = []
    for said, rights in zip(candidates, references, strict=True):
        total = 0.0
        for right in rights:
            for n in (1, 2, 3, 4):
                left, other = tally(said, n), tally(right, n)
                g = {gram: count * rareness(gram, n, references) for gram, count in left.items()}
                h = {gram: count * rareness(gram, n, references) for gram, count in other.items()}
                dot = sum(min(g[gram], h[gram]) * h[gram] for gram in g if gram in h)
                size = math.sqrt(sum(x * x for x in g.values()) * sum(x * x for x in h.values()))
                if size > 0:
                    total += 10 * dot / size * math.exp(-((len(said) - len(right)) ** 2) / 72) / 4 / len(rights)
        scores.append(total)
    return scores


def tally(text: list[str], n: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(len(text) - n + 1):
        gram = " ".join(text[start : start + n])
        found[gram] = found.get(gram, 0) + 1
    return found


def rareness(gram: str, n: int, references: list[list[list[str]]]) -> float:
    images = sum(any(gram in tally(right, n) for right in rights) for rights in references)
    return math.log(len(references)) - math.log(max(1, images))


@given(SETS)
def test_cider_is_the_formula(images: list[tuple[str, list[str]]]) -> None:
    candidates, references = [said for said, _ in images], [right for _, right in images]
    expected = plain_cider([said.split() for said in candidates], [[r.split() for r in right] for right in references])
    assert cider_each(candidates, references) == pytest.approx(expected, abs=1e-9)
    assert cider(candidates, references) == pytest.approx(sum(expected) / len(expected), abs=1e-9)


def test_cider_by_hand() -> None:
    """Two images share no word, so all weights are log 2; of four words in five, the cosines are those of counts."""
    cosines = 4 / math.sqrt(5 * 4), 3 / math.sqrt(4 * 3), 2 / math.sqrt(3 * 2), 1 / math.sqrt(2 * 1)
    one, two = cider_each(["red dogs run fast today", "q"], [["red dogs run fast"], ["one two"]])
    assert one == pytest.approx(10 * sum(cosines) / 4 * math.exp(-1 / 72))
    assert two == 0


def test_counts_are_clipped() -> None:
    """Repeating a word that the reference has once gains nothing: 1 of |(3)| |(1, 1)|, and only words are shared."""
    scores = cider_each(["dog dog dog", "x"], [["dog runs"], ["one two"]])
    assert scores[0] == pytest.approx(10 / (3 * math.sqrt(2)) / 4 * math.exp(-1 / 72))


@given(st.integers(2, 5), st.randoms(use_true_random=False))
def test_the_only_reference_itself_scores_ten(num_images: int, chance: random.Random) -> None:
    captions = [" ".join(f"w{image}x{chance.randrange(9)}" for _ in range(chance.randint(4, 9))) for image in range(9)]
    chosen = captions[:num_images]
    assert cider_each(chosen, [[caption] for caption in chosen]) == pytest.approx([10.0] * num_images)


@given(SETS, st.randoms(use_true_random=False))
def test_order_of_references_case_and_a_final_stop_do_not_matter(
    images: list[tuple[str, list[str]]], chance: random.Random
) -> None:
    candidates, references = [said for said, _ in images], [right for _, right in images]
    expected = cider_each(candidates, references)
    assert all(0 <= score <= 10 + 1e-9 for score in expected)
    shuffled = [chance.sample(right, len(right)) for right in references]
    assert cider_each(candidates, shuffled) == pytest.approx(expected)
    assert cider_each([f"{said.upper()}." for said in candidates], references) == pytest.approx(expected)
    stopped = [[f"{text.capitalize()} ." for text in right] for right in references]
    assert cider_each(candidates, stopped) == pytest.approx(expected)


def test_an_image_alone_and_a_caption_without_words_score_nothing() -> None:
    assert cider(["a red dog runs"], [["a red dog runs"]]) == 0
    assert cider_each(["", "a red dog runs"], [["one two"], ["a red dog runs"]]) == pytest.approx([0, 10])
    assert cider_each(["", "."], [["", "!"], [" "]]) == [0, 0]


@pytest.mark.parametrize(
    ("candidates", "references", "message"),
    [
        ([], [], "no caption to judge"),
        (["a"], [], "1 captions, but references for 0 images"),
        (["a", "b"], [["a"], []], r"image 1 \(from 0\) has no reference"),
    ],
)
def test_what_cannot_be_judged_is_refused(candidates: list[str], references: list[list[str]], message: str) -> None:
    for metric in (cider, cider_each, spice):
        with pytest.raises(SchemaError, match=message):
            metric(candidates, references)


def test_cider_is_that_of_the_coco_evaluation() -> None:
    scorer = pytest.importorskip("pycocoevalcap.cider.cider")
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer").PTBTokenizer()
    chance = random.Random(7)
    ends = ["at 5 p.m.", "in the U.S.", "that isn't red", "(No. 5)", "for $1,000.50", "& more...", 'saying "hi"!', ""]
    texts = [
        [f"{' '.join(chance.choices(VOCABULARY, k=8))} {chance.choice(ends)}" for _ in range(6)] for _ in range(99)
    ]
    said = tokenizer.tokenize({number: [{"caption": text[0]}] for number, text in enumerate(texts)})
    right = tokenizer.tokenize({number: [{"caption": one} for one in text[1:]] for number, text in enumerate(texts)})
    expected, each = scorer.Cider().compute_score(right, said)
    candidates, references = [text[0] for text in texts], [text[1:] for text in texts]
    assert cider(candidates, references) == pytest.approx(expected, abs=1e-6)
    assert cider_each(candidates, references) == pytest.approx(list(each), abs=1e-6)


def test_spice_is_left_out_where_it_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEFT_SPICE", raising=False)
    assert spice(["a dog"], [["a dog"]]) is None


def test_spice_needs_its_whole_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEFT_SPICE", str(tmp_path))
    with pytest.raises(MissingError, match=r"holds no spice-1\.0\.jar"):
        spice(["a dog"], [["a dog"]])
    (tmp_path / "spice-1.0.jar").touch()
    with pytest.raises(MissingError, match="with its lib/"):
        spice(["a dog"], [["a dog"]])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A Java whose program is a shell's: SPICE itself cannot be had with its parser's models here."""

    def set_up(script: str) -> Path:
        java = tmp_path / "home" / "bin" / "java"
        java.parent.mkdir(parents=True)
        java.write_text(
            f"#!/bin/sh\ncp in.json {tmp_path}/seen.json\nprintf '%s ' \"$@\" > {tmp_path}/asked\n{script}\n"
        )
        java.chmod(java.stat().st_mode | stat.S_IXUSR)
        (tmp_path / "lib").mkdir()
        (tmp_path / "spice-1.0.jar").touch()
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("WEFT_SPICE", str(tmp_path))
        return tmp_path

    return set_up


def test_spice_is_the_mean_and_no_number_counts_nothing(stand_in) -> None:
    found = json.dumps([{"image_id": 0, "scores": {"All": {"f": 0.5}}}, {"scores": {"All": {"f": float("nan")}}}])
    folder = stand_in(f"echo '{found}' > out.json")
    assert spice(["a dög", "b"], [["c", "d"], ["e"]]) == 0.25
    assert json.loads((folder / "seen.json").read_text()) == [
        {"image_id": 0, "test": "a dög", "refs": ["c", "d"]},
        {"image_id": 1, "test": "b", "refs": ["e"]},
    ]
    asked = f"-Xmx8G -jar {folder / 'spice-1.0.jar'} in.json -out out.json -cache cache -subset -silent "
    assert (folder / "asked").read_text() == asked


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'no heap' >&2; exit 3", "SPICE failed with 3: no heap"),
        ("exit 0", "SPICE failed with 0: no word of why"),
        ("echo '[]' > out.json", "judged 0 of 1 images"),
        ("echo '[{}]' > out.json", "no scores that can be read"),
        ("echo '{' > out.json", "no scores that can be read"),
    ],
)
def test_a_spice_that_fails_is_one_clear_line(stand_in, script: str, message: str) -> None:
    stand_in(script)
    with pytest.raises(WeftError, match=message) as error:
        spice(["a dog"], [["a dog"]])
    assert os.linesep not in str(error.value)
