"""The main content of a page: its tree is cut into blocks, these are measured and chosen, and images beside them.

blocks      the runs of text that a reader sees, and where images stand between them
markup      what elements and their names say
features    what is measured of a block
forest      trees that turn measures into a probability
text        which blocks are main text
pictures    which images belong to it
paragraphs  chosen blocks to texts
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from lxml.html import HtmlElement

from pipeline.extract.content.blocks import Block, Spot, cut
from pipeline.extract.content.markup import TAG_NUMBER
from pipeline.extract.content.paragraphs import join
from pipeline.extract.content.pictures import choose_pictures, picture_features
from pipeline.extract.content.text import choose_text, probabilities, word_counts
from pipeline.extract.images import Image

_FIGCAPTION = 1 << TAG_NUMBER["figcaption"]


@dataclass(frozen=True)
class Judged:
    """A page's blocks and images, and what was thought of them."""

    blocks: list[Block]
    p_N: npt.NDArray[np.float32]  # probability of each block to be main text
    chosen_N: npt.NDArray[np.bool_]
    spots: list[Spot]
    chosen_spots: list[Spot]


def judge(tree: HtmlElement, images: list[Image]) -> Judged:
    """Tell main content from the rest of a page that `mark_images` has marked.

    What is thought of the text does not depend on the images. The caption of a figure is no text of its own: it goes
    with its image, or not at all.
    """
    blocks, spots = cut(tree)
    p_N, words_N = probabilities(blocks), word_counts(blocks)
    is_caption_N = np.array([bool(b.place.tags & _FIGCAPTION) for b in blocks], np.bool_)
    chosen_N = choose_text(p_N, words_N) & ~is_caption_N
    chosen_spots: list[Spot] = []
    if spots:
        chosen_spots = choose_pictures(spots, images, picture_features(spots, images, blocks, p_N, words_N, chosen_N))
    return Judged(blocks, p_N, chosen_N, spots, chosen_spots)


def choose(tree: HtmlElement, images: list[Image]) -> list[str | int]:
    """Return the main content of a page that `mark_images` has marked: texts, and images by their number, in order."""
    judged = judge(tree, images)
    return join(judged.blocks, judged.chosen_N, judged.chosen_spots)
