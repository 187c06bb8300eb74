"""Lists of words and a language model, read from files."""

from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from pipeline.filter import load_resources, perplexity, read_words
from schemas.errors import PathError
from schemas.recipe import Filters, Lists

# Logarithms to base 10: of any other word, the end of a line, a, and 0; and of the end right after a.
ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-1\t<unk>
-99\t<s>\t0
-0.5\t</s>
-0.25\ta\t0
-0.75\t0\t0

\\2-grams:
-0.1\ta </s>

\\end\\
"""


def test_words_are_read_without_comments_and_case(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# a list\nRed\n\nÉté # summer\n", encoding="utf-8")
    assert read_words(str(path)) == {"red", "été"}
    assert load_resources(Lists(spam_words=str(path))).words["spam_words"] == {"red", "été"}
    assert "the" in load_resources(Lists()).words["stop_words"]
    assert load_resources(Lists()).perplexity is None


def test_a_missing_list_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"filters\.lists: cannot read .*gone"):
        read_words(str(tmp_path / "gone"))


@pytest.mark.parametrize("level", ["text", "paragraph"])
def test_a_threshold_needs_its_list(level: str) -> None:
    with pytest.raises(ValidationError, match=rf"filters\.{level}\.max_spam_word_fraction needs filters\.lists\.spam"):
        Filters.model_validate({level: {"max_spam_word_fraction": 0.1}})


def test_perplexity(tmp_path: Path) -> None:
    pytest.importorskip("kenlm")
    path = tmp_path / "model.arpa"
    path.write_text(ARPA)
    texts = ["a 7", "A\n\na", "never", ""]
    expected = [10 ** (1.5 / 3), 10 ** (0.7 / 4), 10 ** (1.5 / 2), 1]
    assert perplexity(str(path), None)(pa.array(texts)).to_pylist() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(PathError, match="cannot load"):
        perplexity(str(tmp_path / "gone"), None)
