"""The sample's CLIP: open_clip loads it, and it distinguishes correct captions from wrong ones."""

import open_clip
import pytest

from tests.sampleweb.clip_evaluation import evaluate
from tests.sampleweb.clip_training import HOME


@pytest.fixture(scope="module")
def figures():
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{HOME}")
    return evaluate(model, preprocess, open_clip.get_tokenizer(f"local-dir:{HOME}"), num_scenes=200)


def test_the_checkpoint_is_small():
    assert sum(path.stat().st_size for path in HOME.iterdir()) <= 10_000_000


def test_correct_captions_score_higher_than_wrong_ones(figures):
    assert figures.retrieval >= 0.97
    assert figures.roc_auc >= 0.995
    assert figures.precision >= 0.97
    assert figures.recall >= 0.97
