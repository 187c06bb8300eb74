"""How documents and captions are put together, what is blanked in them, and how they are cut into shards."""

from typing import Literal

from pydantic import Field

from schemas.overrides import Section
from schemas.recipe.values import Fraction


class Assemble(Section):
    max_images: int | None = Field(None, gt=0, description="most images of one document; null is no bound")
    min_document_images: int | None = Field(
        None, gt=0, description="fewest images of an interleaved document; with fewer only its text goes on"
    )
    max_document_images: int | None = Field(
        None, gt=0, description="most images of an interleaved document; with more only its text goes on"
    )
    min_words_per_image: float | None = Field(
        None, gt=0, description="fewest words of an interleaved document for each of its images"
    )
    min_interspersed_fraction: Fraction = Field(0.0, description="least fraction of images that stand beside text")
    single_image_keep_fraction: Fraction = Field(1.0, description="fraction of one-image documents that stay")
    placement: Literal["page", "assignment"] = Field(
        "page",
        description="where images stand: where the page has them, or each before a sentence of its own, so that the "
        "sum of scores is highest (needs clip.texts=sentences)",
    )
    max_image_captions: int | None = Field(
        None, gt=0, description="most captions of one image in the caption corpus, the best stay; null is no bound"
    )
    max_caption_images: int | None = Field(
        None, gt=0, description="most images with one caption in the caption corpus, the best stay; null is no bound"
    )


class Redact(Section):
    """Which personal data in texts, alt texts and captions is replaced by a placeholder, see pipeline/redact.py."""

    email: bool = Field(False, description="whether e-mail addresses become <email>")
    ip: bool = Field(False, description="whether public IP addresses become <ip>")
    phone: bool = Field(False, description="whether phone numbers become <phone>")


class Shard(Section):
    target_bytes: int = Field(256_000_000, gt=0, description="size that shards aim at")
    validation_fraction: Fraction = Field(
        0.001, description="part of the hosts whose pages are held out, in shards of their own; about that part of all"
    )
