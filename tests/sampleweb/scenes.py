"""The content of a scene: one to five shapes with colours, sizes and places, and a background."""

import random
from dataclasses import dataclass

from schemas.tables import fraction

COLOURS = {
    "red": (214, 39, 40),
    "orange": (250, 140, 20),
    "yellow": (245, 215, 30),
    "green": (40, 150, 60),
    "blue": (30, 90, 205),
    "purple": (130, 60, 175),
    "pink": (245, 120, 180),
    "brown": (125, 75, 40),
    "black": (20, 20, 20),
    "white": (250, 250, 250),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "heart", "cross", "ring", "hexagon", "crescent")
CONTAINERS = ("circle", "square", "hexagon")  # wide enough to hold another shape
BACKGROUNDS = {
    "white": (252, 252, 252),
    "black": (12, 12, 12),
    "grey": (150, 150, 155),
    "cream": (250, 238, 205),
    "pale blue": (190, 215, 245),
    "pale green": (195, 235, 195),
}
TOO_FAINT = {("white", "white"), ("cream", "white"), ("cream", "yellow"), ("white", "yellow"), ("black", "black")}
SIZES = ("small", "large")
RELATIONS = ("above", "left of", "inside")  # of the first thing to the second
SPLITS = {"training": (0.0, 0.8), "held-out": (0.8, 0.9), "web": (0.9, 1.0)}


@dataclass(frozen=True)
class Thing:
    """One shape, or several alike; several have no size word."""

    colour: str
    shape: str
    size: str = ""
    num_copies: int = 1


@dataclass(frozen=True)
class Scene:
    """One thing, or two in a relation, on a ground. Two scenes that compare unequal are told apart by sight."""

    things: tuple[Thing, ...]
    background: str
    relation: str = ""

    @property
    def split(self) -> str:
        """The one split that may use this scene: 'training', 'held-out' or 'web', by a hash of what it holds."""
        place = fraction(0, "scene", repr(self))
        return next(name for name, (start, end) in SPLITS.items() if start <= place < end)


def draw_scene(seed: int, index: int, split: str) -> Scene:
    """Draw the scene number `index` of a split: a pure function of its arguments."""
    rng = random.Random(f"scene/{seed}/{index}/{split}")
    while (scene := _any_scene(rng)).split != split:
        pass
    return scene


def opposite_scene(scene: Scene, seed: int, index: int, split: str) -> Scene:
    """Draw a scene of a split that shares no colour, shape, relation, number of things or ground with `scene`."""
    rng = random.Random(f"opposite/{seed}/{index}/{split}")
    while (other := _any_scene(rng)).split != split or _features(other) & _features(scene):
        pass
    return other


def _any_scene(rng: random.Random) -> Scene:
    background = rng.choice(list(BACKGROUNDS))
    colours = [c for c in COLOURS if (background, c) not in TOO_FAINT]
    first, second = rng.sample(colours, 2)
    kind = rng.choice(("one", "two", "two", "several"))
    if kind == "one":
        return Scene((Thing(first, rng.choice(SHAPES), rng.choice(SIZES)),), background)
    if kind == "several":
        return Scene((Thing(first, rng.choice(SHAPES), num_copies=rng.randint(2, 5)),), background)
    relation = rng.choice(RELATIONS)
    if relation == "inside":
        inner, outer = Thing(first, rng.choice(SHAPES), "small"), Thing(second, rng.choice(CONTAINERS), "large")
        return Scene((inner, outer), background, relation)
    things = tuple(Thing(colour, rng.choice(SHAPES), rng.choice(SIZES)) for colour in (first, second))
    return Scene(things, background, relation)


def _features(scene: Scene) -> set[object]:
    shown = {word for thing in scene.things for word in (thing.colour, thing.shape, thing.num_copies)}
    return shown - {1} | {("ground", scene.background), ("relation", scene.relation), ("things", len(scene.things))}
