"""Language tasks: every score is compared with one computed without a cache, one text at a time."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training import untrained

from schemas.errors import MissingError, PathError, RecipeError
from trainer.config import TrainConfig
from trainer.evaluate.language import LanguageModel, Pair, are_greedy, evaluate_language, find, pair, windows
from trainer.evaluate.run import Settings, Workgroup
from trainer.generate.chat import GenerateRequest, generate
from trainer.load import Saved
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, UNK, Tokenizer

ROW = 32
LONG = "The old harbour looks over the sea. Is it older than the bridge? Größe zählt nicht, sagt man hier! " * 2
PAIRS = [
    ("The old harbour", " looks over the sea."),
    ("The old harbour", " is older"),
    ("The old harbour", " Größe"),
    ("The old harbour ", "looks over the sea."),
    ("A bakery\n", "stands near"),
    ("", "Nobody knows!"),
    ("  ", "Nobody knows!"),
    (LONG, " Nobody"),
    (LONG, " It is older than the bridge. Nobody knows!"),
]


@dataclass(frozen=True)
class Instance:
    args: tuple[Any, ...]


@pytest.fixture(scope="module")
def saved(tokenizer: Tokenizer, tiny: Callable[..., TrainConfig]) -> Saved:
    return untrained(tokenizer, tiny(f"data.sequence_length={ROW}"), seed=3)


def log_p(saved: Saved, tokens: list[int]) -> torch.Tensor:
    """Return the log-probabilities of each next token, (L, V), without a cache. That of <image> is added to </s>."""
    row = torch.tensor([tokens])
    with torch.no_grad():
        logits = saved.model(row, torch.zeros_like(row, dtype=torch.bool), torch.ones_like(row), None)[0].double()
    shares = logits[:, : saved.tokenizer.vocab_size]
    shares[:, [PAD, UNK, BOS, END_IMAGE]] = -math.inf
    shares = shares.softmax(-1)
    shares[:, EOS] += shares[:, IMAGE]
    shares[:, IMAGE] = 0
    return shares.log()


def reference(saved: Saved, tokens: list[int], num_expected: int) -> tuple[float, bool]:
    """Return the log-probability of the last tokens, and whether each is the most likely."""
    log_p_LV = log_p(saved, tokens[:-1])[-num_expected:]
    expected = torch.tensor(tokens[-num_expected:])
    found = log_p_LV.gather(1, expected[:, None]).sum().item()
    return found, bool((log_p_LV.argmax(-1) == expected).all())


def instances(pairs: list[tuple[Any, ...]]) -> list[Instance]:
    return [Instance(args) for args in pairs]


def greedy_text(saved: Saved, context: str, num_tokens: int) -> str:
    """Return the greedy continuation of a context, with the space before it."""
    tokens = [BOS, *saved.tokenizer.encode(context).tolist()]
    for _ in range(num_tokens):
        tokens.append(int(log_p(saved, tokens)[-1].argmax()))
    return saved.tokenizer.decode(tokens).removeprefix(context)


def test_log_likelihoods_equal_the_reference(saved: Saved) -> None:
    encode = saved.tokenizer.encode
    generated = [
        (context, greedy_text(saved, context, n)) for context in ("The old harbour", "Is it", "A") for n in (1, 2)
    ]
    pairs = PAIRS + [(context, text) for context, text in generated if text.strip()]
    expected = []
    for context, text in pairs:
        whole, before = encode(context + text).tolist(), len(encode(context.rstrip()))
        assert whole[:before] == encode(context.rstrip()).tolist()
        expected.append(reference(saved, [BOS, *whole][-(ROW + 1) :], len(whole) - before))
    assert {is_greedy for _, is_greedy in expected} == {True, False}
    for batch in (1, 3, 64):
        found = LanguageModel(saved, batch).loglikelihood(instances(pairs))
        assert [score for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
        assert [is_greedy for _, is_greedy in found] == [is_greedy for _, is_greedy in expected]


def test_spaces_belong_to_the_continuation(tokenizer: Tokenizer) -> None:
    for before, expected in PAIRS:
        made = pair(tokenizer, before, expected, 500)
        assert [*made.context, *made.continuation] == [BOS, *tokenizer.encode(before + expected)]
        assert tokenizer.decode([*made.context, *made.continuation]) == before + expected
    spaced, apart = pair(tokenizer, "A bakery ", "stands", 500), pair(tokenizer, "A bakery", " stands", 500)
    assert [*spaced.continuation] == [*apart.continuation] and [*spaced.context] == [*apart.context]


def test_a_token_across_the_boundary_belongs_to_the_continuation(tokenizer: Tokenizer) -> None:
    whole = tokenizer.encode("Is it older than the bridge?").tolist()
    before = tokenizer.encode("Is it older than the").tolist()
    assert len(tokenizer.encode("Is it older than the br")) >= len(whole) > len(before) + 1
    made = pair(tokenizer, "Is it older than the br", "idge?", 500)
    assert (made.context.tolist(), made.continuation.tolist()) == ([BOS, *before], whole[len(before) :])


def test_an_empty_continuation_has_probability_one(saved: Saved) -> None:
    requests = [("The old", ""), ("The old", " harbour"), (LONG, "")]
    found = LanguageModel(saved, 4).loglikelihood(instances(requests))
    assert found[0] == found[2] == (0.0, True)
    assert found[1][0] < 0
    assert LanguageModel(saved, 4).loglikelihood([]) == []


def test_a_long_context_is_truncated_at_its_start(saved: Saved) -> None:
    whole = saved.tokenizer.encode(LONG + " Nobody")
    made = pair(saved.tokenizer, LONG, " Nobody", ROW)
    assert [*made.context, *made.continuation] == whole[-(ROW + 1) :].tolist()
    num = len(saved.tokenizer.encode(LONG))
    with pytest.raises(RecipeError, match=f"a continuation takes {num} tokens; the model reads {ROW} at most"):
        pair(saved.tokenizer, "", LONG, ROW)


def test_greedy_options_do_not_depend_on_other_options(saved: Saved) -> None:
    """Also for options that share a prefix, or are prefixes of each other."""
    context = "The old harbour"
    prompt = [BOS, *saved.tokenizer.encode(context).tolist()]
    generated: list[int] = []
    for _ in range(4):
        generated.append(int(log_p(saved, prompt + generated)[-1].argmax()))
    other = next(token for token in range(300, 400) if token not in generated)
    options = {
        True: [generated[:1], generated[:3], generated],
        False: [[other], [*generated[:3], other], [*generated[:2], other, generated[3]], [other, *generated[1:]]],
    }
    mixed = [(option, truth) for truth, some in options.items() for option in some]
    mixed = mixed[::2] + mixed[1::2]
    before = np.array(prompt, np.int32)
    for subset in (mixed, [m for m in mixed if m[1]], [m for m in mixed if not m[1]], mixed[:1]):
        pairs = [Pair(before, np.array(option, np.int32)) for option, _ in subset]
        assert are_greedy(saved, pairs, 8) == [truth for _, truth in subset]


@pytest.mark.parametrize("num_tokens", [0, 1, ROW - 1, ROW, ROW + 1, 2 * ROW, 2 * ROW + 5, 90])
def test_windows_predict_each_token_once(num_tokens: int) -> None:
    tokens = np.arange(100, 100 + num_tokens, dtype=np.int32)
    made = list(windows(tokens, ROW))
    assert [token for window in made for token in window.continuation] == tokens.tolist()
    whole = [BOS, *tokens.tolist()]
    for window in made:
        read = [*window.context, *window.continuation][:-1]
        assert len(read) <= ROW
        start = whole.index(window.context[0])
        assert whole[start : start + len(read)] == read
    for window in made[1:]:
        assert len(window.context) + len(window.continuation) == ROW + 1  # as much context as fits


def test_windows_are_those_of_the_harness() -> None:
    utils = pytest.importorskip("lm_eval.utils")
    for num_tokens in (1, ROW - 1, ROW, ROW + 1, 2 * ROW, 2 * ROW + 5, 90):
        tokens = list(range(100, 100 + num_tokens))
        theirs = map(utils.make_disjoint_window, utils.get_rolling_token_windows(tokens, BOS, ROW, 1))
        ours = windows(np.array(tokens, np.int32), ROW)
        assert [(w.context.tolist(), w.continuation.tolist()) for w in ours] == [(list(a), list(b)) for a, b in theirs]


def test_rolling_log_likelihoods_equal_the_reference(saved: Saved) -> None:
    texts = [LONG, "The old harbour", "", LONG[:150], "A"]
    expected = []
    for text in texts:
        whole = [BOS, *saved.tokenizer.encode(text).tolist()]
        total = 0.0
        for place in range(1, len(whole)):
            window_end = min(((place - 1) // ROW + 1) * ROW + 1, len(whole))
            total += reference(saved, whole[max(0, window_end - ROW - 1) : place + 1], 1)[0]
        expected.append(total)
    assert len(saved.tokenizer.encode(LONG)) > 2 * ROW
    for batch in (1, 3):
        found = LanguageModel(saved, batch).loglikelihood_rolling(instances([(text,) for text in texts]))
        assert found == pytest.approx(expected, abs=1e-3)


def generated_until(saved: Saved, context: str, until: list[str], most: int) -> str:
    tokens = [BOS, *saved.tokenizer.encode(context).tolist()]
    generated: list[int] = []
    while len(generated) < most:
        generated.append(int(log_p(saved, tokens + generated)[-1].argmax()))
        if generated[-1] == EOS or any(end in saved.tokenizer.decode(generated) for end in until):
            break
    text = saved.tokenizer.decode(generated)
    starts = [place for place in range(len(text)) if any(text.startswith(end, place) for end in until)]
    return text[: starts[0]] if starts else text


def test_generation_ends_before_a_stop_string(saved: Saved) -> None:
    requests: list[tuple[Any, ...]] = []
    expected: list[str] = []
    for context in ("The old harbour", "Is it older than the bridge?", "A", "", "Nobody", "It is", "the sea."):
        whole = generated_until(saved, context, [], 8)
        if len(whole) < 4:
            continue
        for until in ([whole[2:4]], [whole[3:], whole[2:]], [whole[-1], whole[1]], ["\0"], []):
            for most in (1, 3, 8):
                requests.append((context, {"until": [*until, ""], "max_gen_toks": most, "do_sample": False}))
                expected.append(generated_until(saved, context, until, most))
        requests += [
            (context, {"until": whole[2], "max_tokens": 8}),
            (context, {"max_gen_toks": None, "temperature": 0}),
        ]
        expected += [generated_until(saved, context, [whole[2]], 8), generated_until(saved, context, [], ROW // 2)]
    assert len(set(expected)) > 10
    for batch in (1, 3, 64):
        assert LanguageModel(saved, batch).generate_until(instances(requests)) == expected
    for sampling in ({"do_sample": True}, {"temperature": 0.7}):
        with pytest.raises(RecipeError, match="needs random sampling"):
            LanguageModel(saved, 1).generate_until(instances([("A", sampling)]))


def test_a_context_is_truncated_to_leave_room(saved: Saved) -> None:
    """Generated text takes half a row at most; the end of the context is kept."""
    found = LanguageModel(saved, 2).generate_until(instances([(LONG, {"until": [], "max_gen_toks": 500})]))
    tokens = saved.tokenizer.encode(LONG).tolist()[-ROW // 2 :]
    generated: list[int] = []
    while len(generated) < ROW // 2 and EOS not in generated:
        generated.append(int(log_p(saved, tokens + generated)[-1].argmax()))
    assert found == [saved.tokenizer.decode(generated)]


def test_a_missing_harness_names_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(MissingError, match=r'pip install "weft\[language\]"'):
        find(["hellaswag"], tmp_path)


CHOICES = [
    {"q": "The old harbour", "options": ["looks over the sea", "knows", "is red"], "right": 0},
    {"q": "Is it older", "options": ["bakery", "than the bridge?"], "right": 1},
    {"q": "A small bakery", "options": ["stands near it", "harbour", "Größe", "it"], "right": 2},
]


@pytest.fixture
def tasks(tmp_path: Path, saved: Saved) -> Path:
    """Three custom tasks: multiple choice, log-likelihood of texts, and generation."""
    generated = [next(generate(saved, [GenerateRequest(c["q"])], max_tokens=4)) for c in CHOICES]
    rows = {
        "choices": CHOICES,
        "texts": [{"text": LONG}, {"text": "The old harbour looks over the sea."}],
        "words": [
            {"q": c["q"], "a": text if i else "no"} for i, (c, text) in enumerate(zip(CHOICES, generated, strict=True))
        ],
    }
    definitions = {
        "choices": "output_type: multiple_choice\ndoc_to_text: q\ndoc_to_target: right\ndoc_to_choice: options\n"
        "metric_list: [{metric: acc}, {metric: acc_norm}]",
        "texts": "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: text\n"
        "metric_list: [{metric: byte_perplexity}]",
        "words": "output_type: generate_until\ndoc_to_text: q\ndoc_to_target: a\n"
        "generation_kwargs: {until: ['\\0'], max_gen_toks: 4}\nmetric_list: [{metric: exact_match}]",
    }
    folder = tmp_path / "language"
    folder.mkdir()
    for name, definition in definitions.items():
        data = tmp_path / f"{name}.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows[name]))
        where = json.dumps({"data_files": {"test": str(data)}, "cache_dir": str(tmp_path / "cache")})
        head = f"task: own_{name}\ndataset_path: json\ndataset_kwargs: {where}\ntest_split: test\n"
        (folder / f"{name}.yaml").write_text(head + definition + "\n")
    return tmp_path


def test_custom_tasks_need_no_hub(saved: Saved, tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = pytest.importorskip("lm_eval.tasks")
    monkeypatch.setattr(harness, "TaskManager", cache(harness.TaskManager))  # reading all of its tasks takes seconds
    names = ["own_choices", "own_texts", "own_words"]
    manager = find(names, tasks)
    results = {r.task: r for r in evaluate_language(saved, names, manager, Settings(batch=3), Workgroup())}
    assert [r.num_examples for r in results.values()] == [3, 2, 3]
    found = {name: results[f"language:{name}"].scores for name in names}
    right: dict[str, list[bool]] = {"acc": [], "acc_norm": []}
    for row in CHOICES:
        scores = []
        for option in row["options"]:
            whole = saved.tokenizer.encode(f"{row['q']} {option}").tolist()
            num = len(whole) - len(saved.tokenizer.encode(row["q"]))
            scores.append(reference(saved, [BOS, *whole], num)[0])
        lengths = [len(option) for option in row["options"]]
        right["acc"].append(int(np.argmax(scores)) == row["right"])
        right["acc_norm"].append(int(np.argmax(np.array(scores) / lengths)) == row["right"])
    for metric, of_rows in right.items():
        assert found["own_choices"][metric].value == pytest.approx(100 * sum(of_rows) / 3)
    texts = [LONG, "The old harbour looks over the sea."]
    total = sum(LanguageModel(saved, 1).loglikelihood_rolling(instances([(text,) for text in texts])))
    per_byte = total / sum(len(text.encode()) for text in texts)
    assert found["own_texts"]["byte_perplexity"].value == pytest.approx(math.exp(-per_byte), rel=1e-4)
    (match,) = found["own_words"].values()
    assert match.value == pytest.approx(200 / 3)
    assert match.low is not None and match.high is not None
    (limited,) = evaluate_language(saved, ["own_words"], manager, Settings(limit=1), Workgroup())
    assert [score.value for score in limited.scores.values()] == [0] and limited.num_examples == 1
    with pytest.raises(RecipeError, match=r"no task own_word \(did you mean own_words\?\)"):
        find(["own_word"], tasks)
    (tasks / "words.jsonl").unlink()
    with pytest.raises(PathError, match="the harness cannot read the data of own_words"):
        evaluate_language(saved, ["own_words"], find(["own_words"], tasks), Settings(), Workgroup())
