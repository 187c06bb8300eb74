"""Scenes: their splits, content and captions."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sampleweb import captions
from tests.sampleweb.drawing import render
from tests.sampleweb.scenes import BACKGROUNDS, COLOURS, RELATIONS, SPLITS, Scene, Thing, draw_scene, opposite_scene

SEEDS = st.integers(0, 2**32)


def test_splits_share_no_scene():
    drawn = {split: {draw_scene(0, index, split) for index in range(1000)} for split in SPLITS}
    assert not drawn["training"] & drawn["web"]
    assert not drawn["training"] & drawn["held-out"]
    assert not drawn["held-out"] & drawn["web"]


def test_splits_have_the_planned_shares():
    pairs = [(Thing(c, "circle", "small"), Thing(d, "star", "large")) for c in COLOURS for d in COLOURS]
    scenes = [Scene(pair, ground, relation) for pair in pairs for ground in BACKGROUNDS for relation in RELATIONS]
    counts = Counter(scene.split for scene in scenes)
    assert counts["training"] / len(scenes) == pytest.approx(0.8, abs=0.06)


@given(SEEDS, st.sampled_from(list(SPLITS)))
def test_sampling_is_a_pure_function(seed, split):
    scene = draw_scene(seed, 3, split)
    assert scene == draw_scene(seed, 3, split)
    assert scene.split == split


@given(SEEDS)
def test_an_opposite_scene_shares_nothing(seed):
    scene = draw_scene(seed, 0, "web")
    other = opposite_scene(scene, seed, 0, "web")
    assert not {t.colour for t in scene.things} & {t.colour for t in other.things}
    assert not {t.shape for t in scene.things} & {t.shape for t in other.things}
    assert scene.background != other.background
    assert other.split == "web"


def test_captions_name_the_content():
    pair = Scene((Thing("red", "circle", "small"), Thing("blue", "square", "large")), "white", "above")
    assert captions.caption(pair) == "a small red circle above a large blue square on a white background"
    several = Scene((Thing("orange", "cross", num_copies=3),), "pale blue")
    assert captions.caption(several) == "three orange crosses on a pale blue background"


@given(SEEDS)
def test_every_wording_names_every_colour_and_shape(seed):
    scene = draw_scene(seed, 0, "training")
    rng = random.Random(seed)
    for text in (captions.phrasing(scene, rng), " ".join(captions.sentences(scene, rng))):
        for thing in scene.things:
            assert thing.colour in text
            assert thing.shape in text
        assert scene.background in text


@pytest.mark.parametrize(("relation", "red_half"), [("above", np.s_[:64, :]), ("left of", np.s_[:, :64])])
def test_the_first_thing_is_where_the_relation_says(relation, red_half):
    scene = Scene((Thing("red", "circle", "large"), Thing("blue", "square", "large")), "white", relation)
    pixels = np.asarray(render(scene, 128, 128)).astype(int)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 90)
    assert red[red_half].sum() > 0.99 * red.sum() > 0


def test_a_scene_is_drawn_deterministically_and_moved_by_a_seed():
    scene = draw_scene(0, 0, "web")
    assert render(scene, 96, 64).tobytes() == render(scene, 96, 64).tobytes()
    assert render(scene, 96, 64, seed=1).tobytes() != render(scene, 96, 64, seed=2).tobytes()
    assert render(scene, 96, 64).size == (96, 64)
