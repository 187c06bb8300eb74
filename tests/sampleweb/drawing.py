"""Draw a scene with Pillow."""

import math
import random

from PIL import Image, ImageDraw

from tests.sampleweb.scenes import BACKGROUNDS, COLOURS, Scene, draw_scene

Points = list[tuple[float, float]]
OVERSAMPLING = 2  # drawn larger, then reduced: smooth edges
RADIUS = {"small": 0.11, "large": 0.21}  # of two things, as a fraction of the shorter side; one alone is wider
JITTER = 0.025


def render(scene: Scene, width: int, height: int, seed: int = 0) -> Image.Image:
    """Draw a scene as an RGB image of width x height pixels; the seed moves its shapes and colours a little."""
    rng = random.Random(f"drawing/{seed}/{scene!r}")
    canvas = Image.new(
        "RGB", (width * OVERSAMPLING, height * OVERSAMPLING), _tinted(BACKGROUNDS[scene.background], rng)
    )
    side = min(canvas.size)
    for colour, shape, x, y, radius in _placed(scene):
        centre = (canvas.width * (x + rng.uniform(-JITTER, JITTER)), canvas.height * (y + rng.uniform(-JITTER, JITTER)))
        mask = Image.new("L", canvas.size)
        _draw_shape(ImageDraw.Draw(mask), shape, *centre, side * radius * rng.uniform(0.92, 1.08))
        canvas.paste(_tinted(COLOURS[colour], rng), mask=mask)
    return canvas.resize((width, height), Image.Resampling.BOX)


def example(seed: int, index: int, split: str, side_pixels: int = 128) -> tuple[Scene, Image.Image]:
    """Return scene number `index` of a split with its square picture."""
    scene = draw_scene(seed, index, split)
    return scene, render(scene, side_pixels, side_pixels, index)


def _placed(scene: Scene) -> list[tuple[str, str, float, float, float]]:
    """Colour, shape, centre and radius of every shape, back to front, as fractions of the canvas."""
    first = scene.things[0]
    if len(scene.things) == 2:
        second = scene.things[1]
        if scene.relation == "inside":
            places = [(0.5, 0.5, 0.13), (0.5, 0.5, 0.4)]
        else:
            upright = scene.relation == "above"
            places = [
                (0.5, near, RADIUS[t.size]) if upright else (near, 0.5, RADIUS[t.size])
                for t, near in ((first, 0.26), (second, 0.74))
            ]
        shown = zip(scene.things, places, strict=True)
        return [(t.colour, t.shape, *place) for t, place in reversed(list(shown))]
    if first.num_copies == 1:
        return [(first.colour, first.shape, 0.5, 0.5, 1.6 * RADIUS[first.size])]
    rows = {2: (2,), 3: (3,), 4: (2, 2), 5: (3, 2)}[first.num_copies]
    return [
        (first.colour, first.shape, (column + 1) / (in_row + 1), (row + 1) / (len(rows) + 1), 0.105)
        for row, in_row in enumerate(rows)
        for column in range(in_row)
    ]


def _draw_shape(draw: ImageDraw.ImageDraw, shape: str, x: float, y: float, r: float) -> None:
    def disc(cx: float, cy: float, radius: float, fill: int) -> None:
        draw.ellipse((cx - radius, cy - radius, cx + radius, cy + radius), fill=fill)

    def polygon(points: Points) -> None:
        draw.polygon([(x + r * u, y + r * v) for u, v in points], fill=255)

    match shape:
        case "circle":
            disc(x, y, r, 255)
        case "ring":
            disc(x, y, r, 255)
            disc(x, y, 0.55 * r, 0)
        case "crescent":
            disc(x, y, r, 255)
            disc(x + 0.5 * r, y - 0.1 * r, 0.85 * r, 0)
        case "square":
            polygon([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)])
        case "cross":
            a, b = 0.32, 1.0
            polygon(
                [
                    (-a, -b),
                    (a, -b),
                    (a, -a),
                    (b, -a),
                    (b, a),
                    (a, a),
                    (a, b),
                    (-a, b),
                    (-a, a),
                    (-b, a),
                    (-b, -a),
                    (-a, -a),
                ]
            )
        case "heart":
            polygon(_heart())
        case "diamond":
            polygon([(0, -1), (0.65, 0), (0, 1), (-0.65, 0)])
        case "star":
            polygon(_ring_of(5, 1.0, 0.42))
        case "triangle":
            polygon(_ring_of(3, 1.0))
        case "hexagon":
            polygon(_ring_of(6, 1.0))
        case _:
            raise ValueError(f"no such shape: {shape}")


def _ring_of(num_corners: int, outer: float, inner: float | None = None) -> Points:
    """Corners on a circle, the first on top; with `inner`, a notch between each two."""
    radii = [outer] if inner is None else [outer, inner]
    steps = num_corners * len(radii)
    angles = [2 * math.pi * i / steps for i in range(steps)]
    return [(radii[i % len(radii)] * math.sin(a), -radii[i % len(radii)] * math.cos(a)) for i, a in enumerate(angles)]


def _heart() -> Points:
    angles = [2 * math.pi * i / 40 for i in range(40)]
    ys = [13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a) for a in angles]
    return [(math.sin(a) ** 3, -y / 16) for a, y in zip(angles, ys, strict=True)]


def _tinted(colour: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, c + rng.randint(-8, 8))) for c in colour)
    return red, green, blue
