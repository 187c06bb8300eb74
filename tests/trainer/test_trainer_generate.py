"""Generation: the KV cache, greedy and beam search, streaming, and the command line."""

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
def image_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("image_files")
    paths = [folder / "red.jpg", folder / "blue.jpg"]
    for number, path in enumerate(paths):
        path.write_bytes(drawing(path.stem, number))
    return paths


def prompts_of(saved: Saved, image_files: list[Path]) -> list[Prompt]:
    """Make prompts of several lengths: with one image, with none, with two."""
    given = [("a", image_files[:1]), ("The old harbour looks over", []), ("One <image> and <image> is", image_files)]
    return [format_prompt(saved.tokenizer, text, images, 2, 64) for text, images in given]


@pytest.mark.parametrize("changes", [(), ("model.positions=sinusoidal",), ("model.document_mask=false",)])
def test_cached_probabilities_equal_recomputed_ones(
    saved: Saved, tiny: Config, image_files: list[Path], changes: tuple[str, ...]
) -> None:
    """A batch of prompts of different lengths, with images before and inside the text, equals each prompt alone.

    As in beam search, rows fork, change places and end, until only rows of one prompt are left. The probability of
    <image> is added to that of </s>.
    """
    torch.manual_seed(0)
    config = tiny(*changes)
    model = Kosmos(config, saved.tokenizer.vocab_size).eval()
    saved = Saved(model, saved.tokenizer, config, torch.device("cpu"))
    prompts = prompts_of(saved, image_files)
    engine = GenerationEngine(saved, prompts, max_tokens=8)
    rows: list[int] = [0, 1, 2]
    generated: list[list[int]] = [[], [], []]
    steps = {1: [0, 0, 1, 2, 2], 3: [1, 0, 2, 4, 3], 5: [3, 4, 3]}  # otherwise all rows continue in place
    log_p = engine.first()
    for step in range(8):
        for place, row in enumerate(rows):
            prompt = prompts[row]
            tokens = torch.cat(
                [torch.from_numpy(prompt.tokens_L).long(), torch.tensor(generated[place], dtype=torch.int64)]
            )[None]
            image_mask = torch.zeros_like(tokens, dtype=torch.bool)
            image_mask[0, : len(prompt.image_mask_L)] = torch.from_numpy(prompt.image_mask_L)
            images = torch.stack([pixels(path, saved) for path in prompt.images]) if prompt.images else None
            with torch.no_grad():
                logits = model(tokens, image_mask, torch.ones_like(tokens), images)[0, -1, : saved.tokenizer.vocab_size]
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
            generated = [[*generated[c], int(t)] for c, t in zip(chosen, tokens, strict=True)]
            log_p = engine.then(tokens, torch.tensor(chosen))


class RandomModel:
    """A small model whose next-token probabilities are a fixed random function of all tokens before."""

    def __init__(self, vocabulary: int, seed: int, prompts: Sequence[tuple[int, ...]] = ((),)) -> None:
        self.vocabulary, self.seed = vocabulary, seed
        self.rows = list(prompts)

    def of(self, generated: tuple[int, ...]) -> torch.Tensor:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + hash(generated) % 1_000_003)
        return (2 * torch.randn(self.vocabulary, generator=generator)).log_softmax(-1)

    def first(self) -> torch.Tensor:
        return torch.stack([self.of(generated) for generated in self.rows])

    def then(self, tokens_R: torch.Tensor, rows_R: torch.Tensor) -> torch.Tensor:
        self.rows = [(*self.rows[r], t) for r, t in zip(rows_R.tolist(), tokens_R.tolist(), strict=True)]
        return self.first()


def brute_force(model: RandomModel, max_tokens: int, length_penalty: float) -> list[int]:
    """Score all possible sequences."""
    found = []
    for length in range(max_tokens + 1):
        for generated in itertools.product(range(1, model.vocabulary), repeat=length):
            score = sum(float(model.of(generated[:i])[generated[i]]) for i in range(length))
            if length < max_tokens:
                found.append(((score + float(model.of(generated)[END])) / (length + 1) ** length_penalty, generated))
            else:
                found.append((score / length**length_penalty, generated))
    return list(max(found)[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_enough_beams_find_the_best_sequence(seed: int, length_penalty: float) -> None:
    model = RandomModel(4, seed)
    best = brute_force(model, 4, length_penalty)
    assert beam(RandomModel(4, seed), 500, [4], END, length_penalty) == [best]


def by_sorted_lists(model: RandomModel, num_beams: int, max_tokens: int, length_penalty: float) -> list[int]:
    """Beam search in its simplest form: sort all extensions, and keep the best."""
    (prompt,) = model.rows
    live: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, max_tokens + 1):
        longer = [
            (score + log_p, [*generated, token])
            for score, generated in live
            for token, log_p in enumerate(model.of((*prompt, *generated)).tolist())
        ]
        longer.sort(reverse=True)
        ended += [
            (score / length**length_penalty, generated[:-1])
            for score, generated in longer[:num_beams]
            if generated[-1] == END
        ]
        live = [(score, generated) for score, generated in longer if generated[-1] != END][:num_beams]
        if len(ended) >= num_beams:
            return max(ended)[1]
    return max(ended + [(score / max_tokens**length_penalty, generated) for score, generated in live])[1]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0])
def test_beam_search_equals_a_simple_implementation(length_penalty: float) -> None:
    lengths = set()
    for seed in range(60):
        expected = by_sorted_lists(RandomModel(9, seed), 5, 7, length_penalty)
        assert beam(RandomModel(9, seed), 5, [7], END, length_penalty) == [expected]
        lengths.add(len(expected))
    assert len(lengths) > 2  # some end early, and some are truncated


def test_a_batch_of_prompts_equals_each_alone() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        prompts = [tuple(rng.choices(range(100, 200), k=rng.randint(0, 3))) for _ in range(rng.randint(2, 6))]
        room = [rng.randint(1, 8) for _ in prompts]
        num_beams, length_penalty = rng.randint(1, 5), rng.choice([0.0, 1.0])
        alone = [
            beam(RandomModel(7, seed, [prompt]), num_beams, [most], END, length_penalty)[0]
            for prompt, most in zip(prompts, room, strict=True)
        ]
        assert beam(RandomModel(7, seed, prompts), num_beams, room, END, length_penalty) == alone
        generated = [greedy(RandomModel(7, seed, [p]), [most], END)[0] for p, most in zip(prompts, room, strict=True)]
        assert greedy(RandomModel(7, seed, prompts), room, END) == generated


def test_one_beam_is_greedy_search() -> None:
    ends = 0
    for seed in range(30):
        (one,) = beam(RandomModel(5, seed), 1, [6], END)
        assert [one] == greedy(RandomModel(5, seed), [6], END)
        ends += len(one) < 6
    assert 0 < ends < 30


def test_more_beams_find_more_likely_sequences() -> None:
    def log_p(generated: list[int], model: RandomModel) -> float:
        whole = [*generated, END][:5]
        return sum(float(model.of(tuple(whole[:i]))[token]) for i, token in enumerate(whole))

    found = [
        [log_p(beam(RandomModel(6, s), k, [5], END, 0.0)[0], RandomModel(6, s)) for s in range(40)] for k in (1, 8)
    ]
    assert sum(found[1]) > sum(found[0]) + 5


def test_rows_of_greedy_search_end_separately() -> None:
    class Counting(RandomModel):
        """Row n yields n, n times, and then ends."""

        def first(self) -> torch.Tensor:
            tokens = [END if len(row) >= n else n for n, row in enumerate(self.rows)]
            return torch.nn.functional.one_hot(torch.tensor(tokens), self.vocabulary).float().log()

    assert greedy(Counting(5, 0, [()] * 4), [9] * 4, END) == [[], [1], [2, 2], [3, 3, 3]]
    assert greedy(Counting(5, 0, [()] * 4), [2] * 4, END) == [[], [1], [2, 2], [3, 3]]
    assert greedy(Counting(5, 0, [()] * 4), [9, 9, 1, 2], END) == [[], [1], [2], [3, 3]]


def test_a_checkpoint_and_exported_weights_generate_the_same(
    trained: Path, saved: Saved, image_files: list[Path]
) -> None:
    requests = [
        GenerateRequest("a", tuple(image_files[:1])),
        GenerateRequest("It is"),
        GenerateRequest("", tuple(image_files)),
    ]
    generated = list(generate(saved, requests, max_tokens=12))
    (checkpoint,) = (trained / "checkpoints").glob("step-*")
    assert list(generate(load(str(checkpoint)), requests, max_tokens=12)) == generated
    assert [next(generate(saved, [r], max_tokens=12)) for r in requests] == generated  # a batch changes nothing
    assert list(generate(saved, requests, max_tokens=12, num_beams=1, batch=2)) == generated
    by_beams = [next(generate(saved, [r], max_tokens=5, num_beams=3)) for r in requests]
    assert list(generate(saved, requests, max_tokens=5, num_beams=3, batch=2)) == by_beams
    with pytest.raises(IntegrityError, match="another tokenizer"):
        load(str(checkpoint), str(other_tokenizer(checkpoint)))


def other_tokenizer(checkpoint: Path) -> Path:
    folder = checkpoint.parent.parent / "other"
    train_tokenizer(str((checkpoint.parent.parent / "tokenizer").resolve().parent), str(folder), vocab_size=400)
    return folder


def test_a_prompt_is_formatted_as_in_training(tokenizer: Tokenizer, image_files: list[Path]) -> None:
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
        prompt = format_prompt(tokenizer, text, image_files[:num_images], 2, 64)
        assert prompt.tokens_L.tolist() == tokens
        assert prompt.image_mask_L.sum() == 2 * num_images
    with pytest.raises(RecipeError, match="1 <image> for 2 images"):
        format_prompt(tokenizer, "<image>", image_files, 2, 64)
    with pytest.raises(RecipeError, match="reads 8 at most"):
        format_prompt(tokenizer, "It is", image_files, 2, 8)
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


def streamed_at(tokenizer: Tokenizer, tokens: list[int]) -> list[str]:
    """Return the text that was yielded before each token but the first, and at the end."""
    parts: list[str] = []
    streamed: list[str] = []

    def source() -> Iterator[int]:
        for number, token in enumerate(tokens):
            if number:
                streamed.append("".join(parts))
            yield token

    stream_of_parts = as_text(tokenizer, source())
    try:
        while True:
            parts.append(next(stream_of_parts))
    except StopIteration as ended:
        assert ended.value == tokens
    assert all(parts)
    return [*streamed, "".join(parts)]


@pytest.mark.parametrize(
    "text", ["Größe", "中文 und 🙂!", "a 🙂🙂 b", " \n two", f"{NO_CHARACTER} a{NO_CHARACTER}", ""]
)
def test_a_character_is_streamed_with_its_last_byte(tokenizer: Tokenizer, text: str) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    tokens = tokenizer.encode(text).tolist()
    decoded, whole = b"", []
    for piece in map(pieces.id_to_piece, tokens):
        decoded += bytes([int(piece[3:5], 16)]) if piece.startswith("<0x") else piece.replace("▁", " ").encode()
        whole.append(decoded.decode("utf-8", "ignore").removeprefix(" ").rstrip(NO_CHARACTER))
    assert streamed_at(tokenizer, tokens) == [*whole[:-1], text]


def test_invalid_bytes_are_streamed_as_decoded(tokenizer: Tokenizer) -> None:
    half, after = tokenizer.encode("中").tolist()[:-1], tokenizer.encode("a bridge").tolist()
    text = tokenizer.decode([*half, *after])
    assert text.endswith("a bridge") and NO_CHARACTER in text
    assert streamed_at(tokenizer, [*half, *after])[-1] == text
    assert streamed_at(tokenizer, half)[-1] == tokenizer.decode(half)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_any_tokens_are_streamed_as_decoded(tokenizer: Tokenizer, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(END_IMAGE + 1, tokenizer.vocab_size - 1), max_size=12))
    assert streamed_at(tokenizer, tokens)[-1] == tokenizer.decode(tokens)


def test_text_is_streamed_during_generation(saved: Saved, image_files: list[Path]) -> None:
    """The first part is yielded before the last is generated; joined, they equal the text without streaming."""
    several = 0
    for request in (
        GenerateRequest("a", tuple(image_files[:1])),
        GenerateRequest("It is"),
        GenerateRequest("The old", tuple(image_files)),
    ):
        (text,) = generate(saved, [request], max_tokens=12)
        calls: list[int] = []
        hook = saved.model.decoder.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        parts = stream(saved, request, max_tokens=12)
        streamed, calls_at_first = [next(parts, "")], len(calls)
        streamed += parts
        hook.remove()
        assert "".join(streamed) == text
        several += len(streamed) > 1 and calls_at_first < len(calls)
    assert several


def test_generation_ends_at_the_row_length(saved: Saved) -> None:
    """A prompt that leaves room for two tokens gets two: with greedy search, streaming, and beam search."""
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


def printed(text: str) -> str:
    """Return a continuation as it is printed, with control characters escaped."""
    return printable(text, lines=True) + "\n"


def test_the_command_line(
    trained: Path, saved: Saved, image_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--checkpoint", str(trained), "--max-tokens", "4"]
    assert main(["generate", "a", *where, "--image", str(image_files[0])]) == 0
    generated = capsys.readouterr().out
    lines = tmp_path / "prompts.jsonl"
    requests = [{"prompt": "a", "images": [os.path.relpath(image_files[0], tmp_path)]}, {"prompt": "It"}]
    lines.write_text("\n".join(map(json.dumps, requests)))
    assert main(["generate", "--input", str(lines), *where]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["prompt"] for row in rows] == ["a", "It"]
    assert printed(rows[0]["text"]) == generated
    assert main(["generate", "a", *where, "--beam", "3", "--image", str(image_files[0])]) == 0
    request = GenerateRequest("a", (image_files[0],))
    assert capsys.readouterr().out == printed(next(generate(saved, [request], max_tokens=4, num_beams=3)))
    lines.write_text('{"prompt": "a"}\n{"images": []}')
    for arguments, message in (
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
        (["-i", *where, "--image", str(image_files[0])], "images by /image PATH"),
    ):
        assert main(["generate", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and message in error
    assert main(["generate", "a", *where, "--beam", "0"]) == 2


def test_weft_generate_is_the_same_command(
    trained: Path, image_files: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def weft(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["weft", "generate", "--checkpoint", str(trained), *arguments])
        with pytest.raises(SystemExit) as ended:
            weft_main()
        generated = capsys.readouterr()
        return ended.value.code, generated.out, generated.err

    generated = next(generate(load(str(trained)), [GenerateRequest("a", (image_files[0],))], max_tokens=4))
    requests = ["a", "--image", str(image_files[0]), "--max-tokens", "4"]
    assert weft(*requests) == (0, printed(generated), "")
    assert weft("a", "--image", "none.jpg") == (2, "", "weft: no image none.jpg\n")
    assert weft() == (2, "", "weft: give one of PROMPT, --input FILE and --interactive\n")
    assert weft("a", "-i")[0] == 2
    typed = io.TextIOWrapper(io.BytesIO(f"/image {image_files[0]} a\n".encode()))
    monkeypatch.setattr(sys, "stdin", typed)
    code, out, _ = weft("--interactive", "--max-tokens", "4")
    assert (code, out) == (0, printed(generated))


def test_image_paths_are_relative_to_the_requests_file(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a", "images": ["x.jpg", "/y.jpg"]}')
    assert read_requests(tmp_path / "p.jsonl") == [GenerateRequest("a", (tmp_path / "x.jpg", Path("/y.jpg")))]
