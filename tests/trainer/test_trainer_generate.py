"""Generating: the cache changes nothing, searches find what they should, and wrong calls get one line."""

import io
import itertools
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sentencepiece
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shardwriter import drawing

from jobs.cli.app import main as weft_main
from schemas.display import printable
from schemas.errors import IntegrityError, PathError, RecipeError
from trainer.cli import main
from trainer.config import TrainConfig
from trainer.generate.chat import GenerateRequest, as_text, generate, read_requests, stream
from trainer.generate.engine import GenerationEngine, Prompt, format_prompt, pixels
from trainer.generate.search import beam, greedy
from trainer.load import Saved, load
from trainer.loop import run
from trainer.model.kosmos import Kosmos
from trainer.tokenizer import BOS, END_IMAGE, EOS, IMAGE, PAD, UNK, Tokenizer
from trainer.train_tokenizer import train_tokenizer

Config = Callable[..., TrainConfig]
END = 0
NO_CHARACTER = "\N{REPLACEMENT CHARACTER}"


@pytest.fixture(scope="module")
def trained(data: Path, tiny: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder beside its tokenizer, as `weft train` leaves it, with checkpoints and exported weights."""
    folder = tmp_path_factory.mktemp("trained")
    run(tiny("data.workers=0"), str(data), str(data / "tokenizer"), str(folder / "checkpoints"))
    (folder / "tokenizer").symlink_to(data / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def saved(trained: Path) -> Saved:
    return load(str(trained))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "red.jpg", folder / "blue.jpg"]
    for number, path in enumerate(paths):
        path.write_bytes(drawing(path.stem, number))
    return paths


def prompts_of(saved: Saved, pictures: list[Path]) -> list[Prompt]:
    """Make prompts of several lengths: with one image, with none, with two."""
    given = [("a", pictures[:1]), ("The old harbour looks over", []), ("One <image> and <image> is", pictures)]
    return [format_prompt(saved.tokenizer, text, images, 2, 64) for text, images in given]


@pytest.mark.parametrize("changes", [(), ("model.positions=sinusoidal",), ("model.document_mask=false",)])
def test_cached_expectations_are_the_recomputed_ones(
    saved: Saved, tiny: Config, pictures: list[Path], changes: tuple[str, ...]
) -> None:
    """Prompts of unlike lengths, with images before and between words, go on together; each is as if alone, anew.

    As with beams, rows branch, change places and end, until those of one prompt are left. Of what the model gives to
    words, to </s> and to <image>, </s> has the share of <image> too.
    """
    torch.manual_seed(0)
    config = tiny(*changes)
    model = Kosmos(config, saved.tokenizer.vocab_size).eval()
    saved = Saved(model, saved.tokenizer, config, torch.device("cpu"))
    prompts = prompts_of(saved, pictures)
    going_on = GenerationEngine(saved, prompts, max_tokens=8)
    rows: list[int] = [0, 1, 2]
    said: list[list[int]] = [[], [], []]
    steps = {1: [0, 0, 1, 2, 2], 3: [1, 0, 2, 4, 3], 5: [3, 4, 3]}  # else all go on in their places
    log_p = going_on.first()
    for step in range(8):
        for place, row in enumerate(rows):
            prompt = prompts[row]
            tokens = torch.cat(
                [torch.from_numpy(prompt.tokens_L).long(), torch.tensor(said[place], dtype=torch.int64)]
            )[None]
            slots = torch.zeros_like(tokens, dtype=torch.bool)
            slots[0, : len(prompt.image_mask_L)] = torch.from_numpy(prompt.image_mask_L)
            images = torch.stack([pixels(path, saved) for path in prompt.images]) if prompt.images else None
            with torch.no_grad():
                logits = model(tokens, slots, torch.ones_like(tokens), images)[0, -1, : saved.tokenizer.vocab_size]
            logits[[PAD, UNK, BOS, END_IMAGE]] = -math.inf
            shares = logits.double().softmax(-1)
            shares[EOS] += shares[IMAGE]
            shares[IMAGE] = 0
            expected = shares.log().float()
            torch.testing.assert_close(log_p[place, : len(expected)], expected, rtol=0, atol=1e-5)
            assert (log_p[place, len(expected) :] == -math.inf).all()
        if step < 7:
            chosen = steps.get(step, list(range(len(rows))))
            rows = [rows[c] for c in chosen]
            tokens = torch.tensor([10 + 3 * step + 7 * place for place in range(len(rows))])
            said = [[*said[c], int(t)] for c, t in zip(chosen, tokens, strict=True)]
            log_p = going_on.then(tokens, torch.tensor(chosen))


class Chances:
    """A tiny language: what comes next depends on all that was said, by chance drawn once for each beginning."""

    def __init__(self, vocabulary: int, seed: int, prompts: Sequence[tuple[int, ...]] = ((),)) -> None:
        self.vocabulary, self.seed = vocabulary, seed
        self.rows = list(prompts)

    def of(self, said: tuple[int, ...]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + hash(said) % 1_000_003)
        return (2 * torch.randn(self.vocabulary, generator=generator)).log_softmax(-1)

    def first(self) -> torch.Tensor:
        return torch.stack([self.of(said) for said in self.rows])

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        self.rows = [(*self.rows[r], t) for r, t in zip(rows_R.tolist(), tokens_R.tolist(), strict=True)]
        return self.first()


def brute_force(chances: Chances, max_tokens: int, length_penalty: float) -> list[int]:
    """Score everything that can be said."""
    found = []
    for length in range(max_tokens + 1):
        for said in itertools.product(range(1, chances.vocabulary), repeat=length):
            score = sum(float(chances.of(said[:i])[said[i]]) for i in range(length))
            if length < max_tokens:
                found.append(((score + float(chances.of(said)[END])) / (length + 1) ** length_penalty, said))
            else:
                found.append((score / length**length_penalty, said))
    return list(max(found)[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_enough_beams_find_the_best_of_all(seed: int, length_penalty: float) -> None:
    chances = Chances(4, seed)
    best = brute_force(chances, 4, length_penalty)
    assert beam(Chances(4, seed), 500, [4], END, length_penalty) == [best]


def by_sorted_lists(chances: Chances, num_beams: int, max_tokens: int, length_penalty: float) -> list[int]:
    """Search by beams as one would write it down: sort all that can be said next, and keep the best."""
    (prompt,) = chances.rows
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, max_tokens + 1):
        longer = [
            (score + log_p, [*said, token])
            for score, said in live
            for token, log_p in enumerate(chances.of((*prompt, *said)).tolist())
        ]
        longer.sort(reverse=True)
        ended += [(score / length**length_penalty, said[:-1]) for score, said in longer[:num_beams] if said[-1] == END]
        live = [(score, said) for score, said in longer if said[-1] != END][:num_beams]
        if len(ended) >= num_beams:
            return max(ended)[1]
    return max(ended + [(score / max_tokens**length_penalty, said) for score, said in live])[1]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_beams_are_those_of_sorted_lists(length_penalty: float) -> None:
    lengths = set()
    for seed in range(60):
        expected = by_sorted_lists(Chances(9, seed), 5, 7, length_penalty)
        assert beam(Chances(9, seed), 5, [7], END, length_penalty) == [expected]
        lengths.add(len(expected))
    assert len(lengths) > 2  # some end early, and some are cut


def test_prompts_at_once_are_each_as_if_alone() -> None:
    for seed in range(60):
        chance = random.Random(seed)
        prompts = [tuple(chance.choices(range(100, 200), k=chance.randint(0, 3))) for _ in range(chance.randint(2, 6))]
        room = [chance.randint(1, 8) for _ in prompts]
        num_beams, length_penalty = chance.randint(1, 5), chance.choice([0.0, 1.0])
        alone = [
            beam(Chances(7, seed, [prompt]), num_beams, [most], END, length_penalty)[0]
            for prompt, most in zip(prompts, room, strict=True)
        ]
        assert beam(Chances(7, seed, prompts), num_beams, room, END, length_penalty) == alone
        said = [greedy(Chances(7, seed, [p]), [most], END)[0] for p, most in zip(prompts, room, strict=True)]
        assert greedy(Chances(7, seed, prompts), room, END) == said


def test_one_beam_is_greedy() -> None:
    ends = 0
    for seed in range(30):
        (one,) = beam(Chances(5, seed), 1, [6], END)
        assert [one] == greedy(Chances(5, seed), [6], END)
        ends += len(one) < 6
    assert 0 < ends < 30


def test_more_beams_say_what_is_likelier() -> None:
    def log_p(said: list[int], chances: Chances) -> float:
        whole = [*said, END][:5]
        return sum(float(chances.of(tuple(whole[:i]))[token]) for i, token in enumerate(whole))

    found = [[log_p(beam(Chances(6, s), k, [5], END, 0.0)[0], Chances(6, s)) for s in range(40)] for k in (1, 8)]
    assert sum(found[1]) > sum(found[0]) + 5


def test_rows_of_greedy_search_end_each_by_itself() -> None:
    class Counting(Chances):
        """Row n says n, n times, and then ends."""

        def first(self) -> torch.Tensor:
            told = [END if len(said) >= n else n for n, said in enumerate(self.rows)]
            return torch.nn.functional.one_hot(torch.tensor(told), self.vocabulary).float().log()

    assert greedy(Counting(5, 0, [()] * 4), [9] * 4, END) == [[], [1], [2, 2], [3, 3, 3]]
    assert greedy(Counting(5, 0, [()] * 4), [2] * 4, END) == [[], [1], [2, 2], [3, 3]]
    assert greedy(Counting(5, 0, [()] * 4), [9, 9, 1, 2], END) == [[], [1], [2], [3, 3]]


def test_a_run_and_what_it_exported_say_the_same(trained: Path, saved: Saved, pictures: list[Path]) -> None:
    requests = [
        GenerateRequest("a", tuple(pictures[:1])),
        GenerateRequest("It is"),
        GenerateRequest("", tuple(pictures)),
    ]
    said = list(generate(saved, requests, max_tokens=12))
    (checkpoint,) = (trained / "checkpoints").glob("step-*")
    assert list(generate(load(str(checkpoint)), requests, max_tokens=12)) == said
    assert [next(generate(saved, [r], max_tokens=12)) for r in requests] == said  # a batch changes nothing
    assert list(generate(saved, requests, max_tokens=12, num_beams=1, batch=2)) == said
    by_beams = [next(generate(saved, [r], max_tokens=5, num_beams=3)) for r in requests]
    assert list(generate(saved, requests, max_tokens=5, num_beams=3, batch=2)) == by_beams
    with pytest.raises(IntegrityError, match="another tokenizer"):
        load(str(checkpoint), str(other_tokenizer(checkpoint)))


def other_tokenizer(checkpoint: Path) -> Path:
    folder = checkpoint.parent.parent / "other"
    train_tokenizer(str((checkpoint.parent.parent / "tokenizer").resolve().parent), str(folder), vocab_size=400)
    return folder


def test_a_prompt_is_formatted_as_training_is(tokenizer: Tokenizer, pictures: list[Path]) -> None:
    image = [IMAGE, PAD, PAD, END_IMAGE]
    a, b = (tokenizer.encode(text).tolist() for text in ("It is", "here"))
    cases = {
        ("It is", 0): [BOS, *a],
        ("It is", 2): [BOS, *image, *image, *a],
        ("It is <image> here", 1): [BOS, *a, *image, *b],
        ("<image>It is<image>", 2): [BOS, *image, *a, *image],
        ("", 1): [BOS, *image],
        ("", 0): [BOS],
    }
    for (text, num_images), tokens in cases.items():
        prompt = format_prompt(tokenizer, text, pictures[:num_images], 2, 64)
        assert prompt.tokens_L.tolist() == tokens
        assert prompt.image_mask_L.sum() == 2 * num_images
    with pytest.raises(RecipeError, match="1 <image> for 2 images"):
        format_prompt(tokenizer, "<image>", pictures, 2, 64)
    with pytest.raises(RecipeError, match="reads 8 at most"):
        format_prompt(tokenizer, "It is", pictures, 2, 8)
    with pytest.raises(PathError, match=r"no image none\.jpg"):
        format_prompt(tokenizer, "It is", [Path("none.jpg")], 2, 64)


def test_images_of_any_format_are_read_as_in_training(saved: Saved, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(drawing("red", 0, side=32))
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.png")
        image.convert("RGBA").save(tmp_path / "b.png")
    one, two, three = (pixels(tmp_path / name, saved) for name in ("a.jpg", "a.png", "b.png"))
    assert one.shape == (3, 32, 32)
    assert torch.equal(one, two) and torch.equal(two, three)
    (tmp_path / "no.jpg").write_text("no image")
    with pytest.raises(IntegrityError, match=r"no\.jpg cannot be read"):
        pixels(tmp_path / "no.jpg", saved)


def told_at(tokenizer: Tokenizer, tokens: list[int]) -> list[str]:
    """Return what had been told of a text when each token but the first came, and at the end."""
    parts: list[str] = []
    told: list[str] = []

    def coming() -> Iterator[int]:
        for number, token in enumerate(tokens):
            if number:
                told.append("".join(parts))
            yield token

    parts_to_come = as_text(tokenizer, coming())
    try:
        while True:
            parts.append(next(parts_to_come))
    except StopIteration as ended:
        assert ended.value == tokens
    assert all(parts)
    return [*told, "".join(parts)]


@pytest.mark.parametrize(
    "text", ["Größe", "中文 und 🙂!", "a 🙂🙂 b", " \n two", f"{NO_CHARACTER} a{NO_CHARACTER}", ""]
)
def test_a_character_is_told_with_the_last_of_its_bytes(tokenizer: Tokenizer, text: str) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    tokens = tokenizer.encode(text).tolist()
    spelt, whole = b"", []
    for piece in map(pieces.id_to_piece, tokens):
        spelt += bytes([int(piece[3:5], 16)]) if piece.startswith("<0x") else piece.replace("▁", " ").encode()
        whole.append(spelt.decode("utf-8", "ignore").removeprefix(" ").rstrip(NO_CHARACTER))
    assert told_at(tokenizer, tokens) == [*whole[:-1], text]


def test_bytes_that_are_no_character_are_told_as_decoded(tokenizer: Tokenizer) -> None:
    half, after = tokenizer.encode("中").tolist()[:-1], tokenizer.encode("a bridge").tolist()
    text = tokenizer.decode([*half, *after])
    assert text.endswith("a bridge") and NO_CHARACTER in text
    assert told_at(tokenizer, [*half, *after])[-1] == text
    assert told_at(tokenizer, half)[-1] == tokenizer.decode(half)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_tokens_are_told_as_decoded(tokenizer: Tokenizer, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(END_IMAGE + 1, tokenizer.vocab_size - 1), max_size=12))
    assert told_at(tokenizer, tokens)[-1] == tokenizer.decode(tokens)


def test_words_are_told_as_they_come(saved: Saved, pictures: list[Path]) -> None:
    """The first is told before the last is thought of; together they are what is generated at once."""
    several = 0
    for request in (
        GenerateRequest("a", tuple(pictures[:1])),
        GenerateRequest("It is"),
        GenerateRequest("The old", tuple(pictures)),
    ):
        (text,) = generate(saved, [request], max_tokens=12)
        calls: list[int] = []
        hook = saved.model.decoder.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        parts = stream(saved, request, max_tokens=12)
        told, calls_at_first = [next(parts, "")], len(calls)
        told += parts
        hook.remove()
        assert "".join(told) == text
        several += len(told) > 1 and calls_at_first < len(calls)
    assert several


def test_nothing_is_said_beyond_the_row(saved: Saved) -> None:
    """A prompt that leaves room for two tokens is gone on with by two: at once, as words come, and by beams."""
    prompt = "The old"
    while len(format_prompt(saved.tokenizer, prompt, [], 2, 64).tokens_L) < 62:
        prompt += " old"
    before = saved.tokenizer.encode(prompt).tolist()
    assert len(before) == 61
    two = greedy(GenerationEngine(saved, [format_prompt(saved.tokenizer, prompt, [], 2, 64)], 2), [2], EOS)[0]
    assert len(two) == 2
    text = saved.tokenizer.decode(two)
    assert list(generate(saved, [GenerateRequest(prompt)], max_tokens=1000)) == [text]
    assert "".join(stream(saved, GenerateRequest(prompt), max_tokens=1000)) == text
    (by_beams,) = generate(saved, [GenerateRequest(prompt)], max_tokens=1000, num_beams=2)
    assert by_beams == next(generate(saved, [GenerateRequest(prompt)], max_tokens=2, num_beams=2))


def shown(text: str) -> str:
    """Return a continuation as a terminal gets it: what acts on one, as this small model may say, is spelled out."""
    return printable(text, lines=True) + "\n"


def test_the_command_line(
    trained: Path, saved: Saved, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--checkpoint", str(trained), "--max-tokens", "4"]
    assert main(["generate", "a", *where, "--image", str(pictures[0])]) == 0
    said = capsys.readouterr().out
    lines = tmp_path / "prompts.jsonl"
    asked = [{"prompt": "a", "images": [os.path.relpath(pictures[0], tmp_path)]}, {"prompt": "It"}]
    lines.write_text("\n".join(map(json.dumps, asked)))
    assert main(["generate", "--input", str(lines), *where]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [t["prompt"] for t in told] == ["a", "It"]
    assert shown(told[0]["text"]) == said
    assert main(["generate", "a", *where, "--beam", "3", "--image", str(pictures[0])]) == 0
    request = GenerateRequest("a", (pictures[0],))
    assert capsys.readouterr().out == shown(next(generate(saved, [request], max_tokens=4, num_beams=3)))
    lines.write_text('{"prompt": "a"}\n{"images": []}')
    for arguments, wrong in (
        (["a", "--checkpoint", str(tmp_path)], "no checkpoint in"),
        (["a", *where, "--image", "none.jpg"], "no image none.jpg"),
        (["It is older. " * 50, *where], "the model reads 64 at most"),
        (["--input", str(lines), *where], "line 2 of"),
        (["--input", "none.jsonl", *where], "no file none.jsonl"),
        (["a", *where, "--tokenizer", str(tmp_path)], "no tokenizer in"),
        (where, "give one of PROMPT, --input FILE and --interactive"),
        (["a", *where, "--input", str(lines)], "give one of PROMPT"),
        (["a", *where, "-i"], "give one of PROMPT"),
        (["-i", *where, "--input", str(lines)], "give one of PROMPT"),
        (["-i", *where, "--beam", "2"], "no beam search"),
        (["-i", *where, "--image", str(pictures[0])], "images by /image PATH"),
    ):
        assert main(["generate", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and wrong in error
    assert main(["generate", "a", *where, "--beam", "0"]) == 2


def test_weft_generate_is_the_same_command(
    trained: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def weft(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["weft", "generate", "--checkpoint", str(trained), *arguments])
        with pytest.raises(SystemExit) as ended:
            weft_main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    said = next(generate(load(str(trained)), [GenerateRequest("a", (pictures[0],))], max_tokens=4))
    asked = ["a", "--image", str(pictures[0]), "--max-tokens", "4"]
    assert weft(*asked) == (0, shown(said), "")
    assert weft("a", "--image", "none.jpg") == (2, "", "weft: no image none.jpg\n")
    assert weft() == (2, "", "weft: give one of PROMPT, --input FILE and --interactive\n")
    assert weft("a", "-i")[0] == 2
    typed = io.TextIOWrapper(io.BytesIO(f"/image {pictures[0]} a\n".encode()))
    monkeypatch.setattr(sys, "stdin", typed)
    code, out, _ = weft("--interactive", "--max-tokens", "4")
    assert (code, out) == (0, shown(said))


def test_requests_may_stand_beside_their_images(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "images": ["x.jpg", "/y.jpg"]}')
    assert read_requests(tmp_path / "p.jsonl") == [GenerateRequest("a", (tmp_path / "x.jpg", Path("/y.jpg")))]
