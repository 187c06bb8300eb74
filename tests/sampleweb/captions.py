"""Describe a scene in English: its caption, other phrasings, and full sentences."""

import random

from tests.sampleweb.scenes import Scene, Thing

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}
PLURALS = {"cross": "crosses"}
INVERSE = {"above": "below", "left of": "to the right of"}
PLAIN = {"above": "above", "left of": "to the left of", "inside": "inside"}


def caption(scene: Scene) -> str:
    """Return the scene's caption: 'a small red circle above a large blue square on a white background'."""
    return f"{things(scene)} on a {scene.background} background"


def things(scene: Scene) -> str:
    """Name the things of a scene and their relation, without the ground."""
    if len(scene.things) == 1:
        return _noun(scene.things[0])
    first, second = scene.things
    return f"{_noun(first)} {PLAIN[scene.relation]} {_noun(second)}"


def phrasing(scene: Scene, rng: random.Random) -> str:
    """Return a short description such as a page's alt text holds; one of several wordings."""
    turned = _turned(scene)
    return rng.choice(
        (
            caption(scene),
            caption(scene),
            f"{turned} on a {scene.background} background",
            f"Drawing of {things(scene)}, {scene.background} background",
            f"{_capital(turned)} against a {scene.background} ground",
            f"A {scene.background} picture with {things(scene)}",
        )
    )


def sentences(scene: Scene, rng: random.Random, carrier: str = "picture") -> list[str]:
    """Return two or three sentences that describe the scene; `carrier` is what it is drawn on."""
    shown, turned, ground = things(scene), _turned(scene), scene.background
    first = rng.choice(
        (
            f"The {carrier} shows {shown} on a {ground} background.",
            f"On this {carrier} you see {shown}, and the background is {ground}.",
            f"What the {carrier} holds is easy to name: {shown} on a {ground} background.",
            f"Here the {carrier} carries {turned}, drawn on a {ground} background.",
            f"The painter gave this {carrier} a {ground} background and put {shown} on it.",
        )
    )
    second = rng.choice(_details(scene))
    third = rng.choice(
        (
            f"Everything else on the {carrier} is plain {ground}.",
            f"No line and no shadow disturbs the {ground} background.",
            f"The {ground} ground leaves plenty of room around it.",
        )
    )
    return [first, second, third] if rng.random() < 0.5 else [first, second]


def _details(scene: Scene) -> tuple[str, ...]:
    first = scene.things[0]
    if len(scene.things) == 2:
        second = scene.things[1]
        if scene.relation == "inside":
            return (
                f"The {second.shape} is {second.colour} and large enough to hold the {first.colour} {first.shape}.",
                f"Around the {first.colour} {first.shape} lies the {second.colour} {second.shape} like a frame.",
            )
        above = scene.relation == "above"
        return (
            f"The {first.shape} {'at the top' if above else 'on the left'} is {first.size} and {first.colour}, "
            f"the {second.shape} {'at the bottom' if above else 'on the right'} is {second.size} and {second.colour}.",
            f"{'Under' if above else 'To the right of'} the {first.colour} {first.shape} there is room "
            f"for one {second.size} {second.colour} {second.shape}.",
        )
    if first.num_copies > 1:
        number = NUMBERS[first.num_copies]
        return (
            f"All {number} of the {_plural(first.shape)} are {first.colour} and of one size.",
            f"Count the {_plural(first.shape)} and you will find {number}, each of them {first.colour}.",
        )
    return (
        f"The {first.shape} is {first.size}, {first.colour} and quite alone.",
        f"A single {first.colour} {first.shape} is all there is, and it is {first.size}.",
    )


def _turned(scene: Scene) -> str:
    """The things told from the other side: B below A for A above B."""
    if scene.relation not in INVERSE:
        return things(scene)
    first, second = scene.things
    return f"{_noun(second)} {INVERSE[scene.relation]} {_noun(first)}"


def _noun(thing: Thing) -> str:
    if thing.num_copies > 1:
        return f"{NUMBERS[thing.num_copies]} {thing.colour} {_plural(thing.shape)}"
    return f"a {thing.size} {thing.colour} {thing.shape}"


def _plural(shape: str) -> str:
    return PLURALS.get(shape, shape + "s")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
