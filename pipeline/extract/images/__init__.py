"""The images of a page: which there are, which address each means, and what the page says of it.

marks          every image of a tree, marked where it stands
hidden         images that only a script or a reader without scripts would see
addresses      which address an image element means
srcset         the candidates of a srcset, and the best of them
declared       sizes and captions that the page declares
captions       the words for the caption corpus, or why there are none
stock_phrases  words that say nothing of an image
"""

from pipeline.extract.images.marks import Image, mark_images, marked

__all__ = ["Image", "mark_images", "marked"]
