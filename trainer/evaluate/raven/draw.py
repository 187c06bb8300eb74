"""Draw cells: figures with a black edge on white, in whole pixels without blended edges, each within its place.

Corners are whole numbers from tables, so every machine draws the same pixels.
"""

from functools import cache

from PIL import Image, ImageDraw

from trainer.evaluate.raven.cells import NUM_PLACES, SHAPES, Cell

SIDE_PIXELS = 224  # what the paper's vision tower reads
PLACE_PIXELS = SIDE_PIXELS // 3
_MARGIN_PIXELS = (SIDE_PIXELS - 3 * PLACE_PIXELS) // 2
_EDGE_PIXELS = 3
_RADII_PIXELS = (11, 18, 25, 32)
_SHADES = (255, 190, 110, 0)
_CORNERS = {  # hundredths of the radius, right and down
    "triangle": ((0, -100), (100, 80), (-100, 80)),
    "square": ((-88, -88), (88, -88), (88, 88), (-88, 88)),
    "hexagon": ((-100, 0), (-50, -87), (50, -87), (100, 0), (50, 87), (-50, 87)),
    "cross": (
        (-36, -100), (36, -100), (36, -36), (100, -36), (100, 36), (36, 36),
        (36, 100), (-36, 100), (-36, 36), (-100, 36), (-100, -36), (-36, -36),
    ),
    "star": (
        (0, -100), (26, -36), (95, -31), (43, 14), (59, 81),
        (0, 46), (-59, 81), (-43, 14), (-95, -31), (-26, -36),
    ),
}  # fmt: skip


def draw_cell(cell: Cell) -> Image.Image:
    """Draw a cell as grey pixels, 224 by 224."""
    image = Image.new("L", (SIDE_PIXELS, SIDE_PIXELS), 255)
    figure = _figure(SHAPES[cell.shape], _RADII_PIXELS[cell.size], _SHADES[cell.shade])
    for place in range(NUM_PLACES):
        if cell.places >> place & 1:
            row, column = divmod(place, 3)
            image.paste(figure, (_MARGIN_PIXELS + column * PLACE_PIXELS, _MARGIN_PIXELS + row * PLACE_PIXELS))
    return image


@cache
def _figure(shape: str, radius: int, shade: int) -> Image.Image:
    image = Image.new("L", (PLACE_PIXELS, PLACE_PIXELS), 255)
    draw = ImageDraw.Draw(image)
    middle = PLACE_PIXELS // 2
    if shape == "circle":
        box = (middle - radius, middle - radius, middle + radius, middle + radius)
        draw.ellipse(box, fill=shade, outline=0, width=_EDGE_PIXELS)
    else:
        corners = [(middle + x * radius // 100, middle + y * radius // 100) for x, y in _CORNERS[shape]]
        draw.polygon(corners, fill=shade, outline=0, width=_EDGE_PIXELS)
    return image
