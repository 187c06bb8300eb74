"""Show how one page is judged: its blocks and images in reading order, what stays and what goes."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from pipeline.extract.content import judge
from pipeline.extract.content.blocks import Block, Place, Spot
from pipeline.extract.content.paragraphs import in_order
from pipeline.extract.images import Image, mark_images
from pipeline.extract.tree import NotParseable, parse
from schemas.display import printable
from schemas.errors import PathError

SHOWN_CHARACTERS = 200  # of a block


def show(inputs: list[str], url: str) -> None:
    """Print a line for each block and image of an HTML file: + or -, its probability, where it stands, what it says.

    Raises: PathError unless there is one file, and HTML in it.
    """
    if len(inputs) != 1:
        raise PathError(f"--url shows one page, and {len(inputs)} files are named")
    try:
        tree = parse(Path(inputs[0]).read_bytes(), None)
    except OSError as error:
        raise PathError(f"{inputs[0]}: {error.strerror}") from error
    except NotParseable as error:
        raise PathError(f"{inputs[0]} is no HTML: {error}") from error
    images = mark_images(tree, url)
    judged = judge(tree, images)
    chosen_images = {spot.image for spot in judged.chosen_spots}
    verdicts = zip(judged.p_N.tolist(), judged.chosen_N.tolist(), strict=True)  # of the blocks, in their order
    console = Console(highlight=False)
    for part in in_order(judged.blocks, range(len(judged.blocks)), judged.spots):
        if isinstance(part, Spot):
            line = _image_line(part, images[part.image], part.image in chosen_images)
        else:
            line = _block_line(part, *next(verdicts))
        console.print(line, soft_wrap=True)
    kept = int(judged.chosen_N.sum())
    console.print(
        f"{kept} of {len(judged.blocks)} blocks and {len(chosen_images)} of {len(images)} images stay", style="bold"
    )


def _block_line(block: Block, p: float, chosen: bool) -> Text:
    text = " ".join(block.text.split())
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} ... ({len(text)} characters)"
    return _line(chosen, f"{p:.2f}", block.place, shown)


def _image_line(spot: Spot, image: Image, chosen: bool) -> Text:
    size = f" {image.width or '?'}x{image.height or '?'}" if image.width or image.height else ""
    words = "".join(f" {name}={said!r}" for name in ("alt", "caption") if (said := getattr(image, name)))
    return _line(chosen, " img", spot.place, f"{image.url}{size}{words}")


def _line(chosen: bool, what: str, place: Place, said: str) -> Text:
    return Text(printable(f"{'+' if chosen else '-'} {what} {place.tag:<10} {said}"), style="" if chosen else "dim")
