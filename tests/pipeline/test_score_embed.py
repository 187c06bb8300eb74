"""Embeddings and scores: those of open_clip itself, whatever stands beside a row in its batch."""

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import open_clip
import pyarrow as pa
import pytest
import torch
from PIL import Image

from pipeline.score.clip import CPU_BATCH, EMBEDDED, IMAGES, TEXTS, embed, load
from pipeline.score.similarity import pair_scores
from schemas.errors import RecipeError
from schemas.recipe import Clip
from tests.sampleweb import RECIPE, captions
from tests.sampleweb.clip_scenes import scenes
from tests.sampleweb.drawing import render

HOME = f"local-dir:{RECIPE.parent / 'clip'}"
CLIP = Clip(model=HOME)
SCENES = scenes("held-out", CPU_BATCH + 8)  # a full batch and a padded one
SIZES_PIXELS = ((512, 384), (96, 128), (64, 64), (300, 31))


def jpeg(image: Image.Image, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    image.convert(mode).save(file, "JPEG", quality=92)
    return file.getvalue()


DATA = [jpeg(render(s, *SIZES_PIXELS[i % 4], i), "L" if i % 5 == 0 else "RGB") for i, s in enumerate(SCENES)]
WORDS = [captions.caption(s) for s in SCENES]


def embedded(column: str, values: list[bytes] | list[str], *cuts: int, config: Clip = CLIP) -> dict[str, list[float]]:
    """Embed values under their numbers, in batches cut at the given places."""
    rows = pa.RecordBatch.from_pydict({"id": [str(i) for i in range(len(values))], column: values})
    ends = [0, *cuts, len(values)]
    batches = [rows.slice(start, end - start) for start, end in pairwise(ends)]
    out = list(embed(config, column)(iter(batches)))
    assert all(b.schema == EMBEDDED for b in out)
    found = [(row["id"], row["embedding"]) for b in out for row in b.to_pylist()]
    assert [i for i, _ in found] == [str(i) for i in range(len(values))]
    return dict(found)


def scored(images: list[list[float]], pieces: list[list[list[float]]]) -> list[float]:
    columns = {
        "image_id": ["i"] * len(images),
        "image_embedding": pa.array(images, pa.list_(pa.float32())),
        "text_embeddings": pa.array(pieces, pa.list_(pa.list_(pa.float32()))),
    }
    (out,) = pair_scores(iter([pa.RecordBatch.from_pydict(columns)]))
    assert out.schema.names == ["image_id", "score"]
    return out["score"].to_pylist()


@pytest.fixture(scope="module")
def cosines() -> np.ndarray:
    """Cosines of every image with every text by open_clip's own functions, one image and one text at a time."""
    model, _, preprocess = open_clip.create_model_and_transforms(HOME)
    tokenize = open_clip.get_tokenizer(HOME)
    model.eval()
    with torch.no_grad():
        images = [model.encode_image(preprocess(Image.open(io.BytesIO(d)))[None], normalize=True) for d in DATA]
        texts = [model.encode_text(tokenize([w]), normalize=True) for w in WORDS]
        return (torch.cat(images) @ torch.cat(texts).T).numpy()


def test_a_score_is_open_clips_cosine(cosines: np.ndarray) -> None:
    images, texts = embedded(IMAGES, DATA), embedded(TEXTS, WORDS)
    found = scored([images[i] for i in images for _ in texts], [[t] for _ in images for t in texts.values()])
    assert np.ptp(cosines) > 1  # they tell pairs apart, so that equality says something
    np.testing.assert_allclose(np.reshape(found, cosines.shape), cosines, rtol=0, atol=1e-5)


@pytest.mark.parametrize("column, values", [(IMAGES, DATA), (TEXTS, WORDS)])
def test_an_embedding_does_not_depend_on_its_partition(column: str, values: list[bytes] | list[str]) -> None:
    whole = embedded(column, values)
    assert embedded(column, values, 1, 2, 33) == whole
    for start, end in ((0, 1), (3, 4), (5, 22), (30, len(values))):
        part = embedded(column, values[start:end])
        assert list(part.values()) == list(whole.values())[start:end]
    assert list(embedded(column, values[::-1]).values()) == list(whole.values())[::-1]


@pytest.mark.parametrize("harm", [lambda d: d[:-200], lambda d: b"", lambda d: b"<html>", lambda d: d[:300]])
def test_a_corrupt_image_has_no_embedding_and_takes_no_other_with_it(harm: Callable[[bytes], bytes]) -> None:
    whole = embedded(IMAGES, DATA)
    bad = {0, 7, CPU_BATCH - 1, len(DATA) - 1}
    found = embedded(IMAGES, [harm(d) if i in bad else d for i, d in enumerate(DATA)])
    assert found == {i: None if int(i) in bad else vector for i, vector in whole.items()}


def test_a_batch_of_nothing_but_corrupt_images_is_no_error() -> None:
    assert embedded(IMAGES, [b"no image"] * 3) == {"0": None, "1": None, "2": None}


def test_nothing_loads_no_model() -> None:
    assert list(embed(Clip(model="no such model", pretrained="none"), IMAGES)(iter([]))) == []


@pytest.mark.parametrize("text", ["", "🌟", "🌟🔵" * 60, "\u200b", "a" * 500])
def test_any_text_has_an_embedding_of_length_one(text: str) -> None:
    (vector,) = embedded(TEXTS, [text]).values()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_best_piece_of_a_text_counts() -> None:
    one, other, none = [1.0, 0.0], [0.6, 0.8], [0.0, 1.0]
    assert scored([one, one, one], [[none, other], [none], [other, one, none]]) == pytest.approx([0.6, 0, 1])
    assert scored([], []) == []


def test_a_model_that_cannot_be_had_is_one_line() -> None:
    with pytest.raises(RecipeError, match=r"clip\.pretrained is not set"):
        load(Clip(model="ViT-B-32"))
    with pytest.raises(RecipeError, match=r"clip\.model=no-such-model .* cannot be loaded"):
        load(Clip(model="no-such-model", pretrained="x"))
