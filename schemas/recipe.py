"""The recipe: every choice of a run, validated. Unknown keys and impossible values are errors that name the key."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from schemas.overrides import Section

Fraction = Annotated[float, Field(ge=0, le=1)]
Directive = Literal["noai", "noimageai", "noindex", "noimageindex", "noml", "tdm-reservation"]
DIRECTIVES: tuple[Directive, ...] = get_args(Directive)  # honoured unless a recipe says otherwise
Cosine = Annotated[float, Field(ge=-1, le=1)]


class Gates(Section):
    """What refuses a page before it is extracted; a gate judges the whole page, so its bounds are low."""

    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = Field(
        (), description="ISO 639 codes; a page that is likely in none of them goes; empty keeps every language"
    )
    min_language_score: Fraction = Field(0.0, description="lowest probability of some wanted language")
    min_words: int = Field(0, ge=0, description="fewest words, menus included, of a page without images")
    need_image: bool = Field(False, description="whether a page without any image goes; not with the text corpus")
    directives: tuple[Directive, ...] = Field(
        DIRECTIVES,
        description="directives, in a page's headers or meta elements, that refuse it; noimageai and noimageindex "
        "refuse its images alone",
    )
    blocklist: str | None = Field(
        None, min_length=1, description="file of one host or address prefix a line whose pages go; null blocks none"
    )

    @model_validator(mode="after")
    def _languages_have_a_bound(self) -> Self:
        if bool(self.languages) != (self.min_language_score > 0):
            raise ValueError("extract.gates.languages and extract.gates.min_language_score (above 0) go together")
        return self


class Extract(Section):
    max_page_bytes: int = Field(10_000_000, gt=0, description="a larger HTML body is rejected")
    max_seconds: float = Field(10, gt=0, description="longest time for one page")
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="most memory for one page")
    gates: Gates = Gates()
    engine: Literal["blocks", "trafilatura"] = Field(
        "blocks", description="who tells main content: our own block model, or trafilatura, to compare with"
    )


class Language(Section):
    keep: tuple[str, ...] = Field((), description="ISO 639 codes that stay; empty keeps every language")
    min_score: Fraction = Field(0.0, description="lowest probability of the page's language")


class Text(Section):
    min_words: int = Field(0, ge=0, description="fewest words of a page")


class Gibberish(Section):
    max_emoji_fraction: float | None = Field(None, ge=0, description="most emoji per word; null is no bound")
    max_hashtag_fraction: float | None = Field(None, ge=0, description="most hashtags per word; null is no bound")
    max_url_fraction: float | None = Field(None, ge=0, description="most addresses per word; null is no bound")


class Caption(Section):
    min_words: int = Field(1, ge=1, description="fewest words of an alt text in the caption corpus")


class Filters(Section):
    language: Language = Language()
    text: Text = Text()
    gibberish: Gibberish = Gibberish()
    caption: Caption = Caption()


class Fetch(Section):
    user_agent: str = Field(
        "weft", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="the name that robots.txt and directives know us by"
    )
    contact: str | None = Field(
        None,
        pattern=r"^(https?://|mailto:)[!-~]+$",
        description="where a site's owner learns about the run, https://... or mailto:...; sent with every request; "
        "without it only loopback addresses are asked",
    )
    robots_txt: bool = Field(True, description="whether robots.txt is asked for and honoured")
    directives: tuple[Directive, ...] = Field(
        DIRECTIVES, description="directives, in an answer's headers or a site's tdmrep.json, that refuse an image"
    )
    cache: str | None = Field(
        None,
        min_length=1,
        description="folder for robots.txt and tdmrep.json, any address; null keeps them in OUT/sites",
    )
    cache_hours: float = Field(24, ge=0, description="how long those count; RFC 9309 says a day at most")
    host_connections: int = Field(4, gt=0, description="most connections to one host at a time, over all tasks")
    host_requests_per_second: float | None = Field(
        10, gt=0, description="most requests to one host in a second, over all tasks; null is no bound"
    )
    max_crawl_delay_seconds: float = Field(
        60, ge=0, description="a longer Crawl-delay in robots.txt counts as a refusal"
    )
    retries: int = Field(2, ge=0, description="further tries after 429, 503 and time-outs; other failures are final")
    backoff_seconds: float = Field(1, gt=0, description="wait before the first further try; each one doubles it")
    max_wait_seconds: float = Field(60, gt=0, description="longest wait; a longer Retry-After ends the tries")
    connect_seconds: float = Field(10, gt=0, description="longest wait for a connection, encryption included")
    read_seconds: float = Field(10, gt=0, description="longest wait for the next bytes of an answer")
    total_seconds: float = Field(30, gt=0, description="longest time of one request, from first to last")
    max_redirects: int = Field(5, ge=0, description="most redirects on the way to an image")
    allow_hosts: tuple[str, ...] = Field(
        (), description="host names that may lead to private, loopback and other addresses that are else off limits"
    )
    proxy: str | None = Field(
        None,
        pattern=r"^http://[^/\s]+$",
        description="forward proxy, http://HOST:PORT; addresses with https are asked of it as http",
    )
    threads: int = Field(32, gt=0, description="requests under way in one task")
    shard_images: int = Field(
        1000, gt=0, description="answers of one commit: what a killed task asks again at most, but for those under way"
    )

    @property
    def host_interval_seconds(self) -> float:
        """Least time between the starts of two requests to one host."""
        return 1 / self.host_requests_per_second if self.host_requests_per_second else 0.0


class Decode(Section):
    max_bytes: int = Field(20_000_000, gt=0, description="largest file; reading ends there")
    min_side_pixels: int = Field(1, ge=1, description="shortest side that stays")
    max_pixels: int = Field(100_000_000, gt=0, description="most pixels, checked before decoding")
    max_seconds: float = Field(10, gt=0, description="longest time for decoding one image")
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="most memory for decoding one image")
    max_aspect: float | None = Field(
        None, ge=1, description="largest ratio of the longer to the shorter side; null is no bound"
    )
    drop_single_colour: bool = Field(False, description="drop images of one colour")
    max_side_pixels: int = Field(512, gt=0, description="longer side as stored; smaller images are not enlarged")
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of the stored JPEG")


class Dedup(Section):
    url: bool = Field(False, description="of captures of one address keep the newest")
    text: bool = Field(False, description="of pages with the same text keep the newest")
    image: bool = Field(False, description="of addresses with the same bytes keep one")
    image_distance: int | None = Field(
        None,
        ge=0,
        le=16,
        description="of images whose perceptual hashes differ in this many bits of 64 at most keep the largest; null "
        "compares none. Such hashes differ in an even number of bits",
    )
    max_image_uses: int | None = Field(
        None, gt=0, description="most pages that an image's address stands on; null is no bound"
    )
    max_lookalike_uses: int | None = Field(
        None, gt=0, description="most pages that all images of a cluster of look-alikes stand on; null is no bound"
    )

    @model_validator(mode="after")
    def _uses_of_lookalikes_need_a_distance(self) -> Self:
        if self.max_lookalike_uses is not None and self.image_distance is None:
            raise ValueError("dedup.max_lookalike_uses needs dedup.image_distance, which says what looks alike")
        return self


class Clip(Section):
    enabled: bool = Field(True, description="false scores nothing")
    model: str = Field("ViT-B-32", description="open_clip model name, or local-dir:PATH")
    pretrained: str | None = Field(None, description="open_clip tag (fetched from a hub) or path of a checkpoint")
    batch_size: int | None = Field(
        None, gt=0, description="images or texts in one forward pass; null is what fills the device"
    )
    keep_embeddings: bool = Field(False, description="whether table `embeddings` is written too")


class Score(Section):
    min_caption_score: Cosine | None = Field(None, description="lowest score of a caption pair; null keeps all")
    min_image_score: Cosine | None = Field(
        None, description="lowest best score of an interleaved image; null keeps all"
    )


class Assemble(Section):
    max_images: int | None = Field(None, gt=0, description="most images of one document; null is no bound")
    min_interspersed_fraction: Fraction = Field(0.0, description="least fraction of images that stand beside text")
    single_image_keep_fraction: Fraction = Field(1.0, description="fraction of one-image documents that stay")


class Shard(Section):
    target_bytes: int = Field(256_000_000, gt=0, description="size that shards aim at")


class Recipe(Section):
    """A whole recipe. Its resolved form and hash go into every manifest."""

    name: str = Field(description="what the recipe is called")
    about: str = Field("", description="one line: what it reproduces, and its source")
    seed: int = Field(0, ge=0, description="seed of every coin and of the shuffle")
    corpora: tuple[Literal["interleaved", "caption", "text"], ...] = Field(
        ("interleaved", "caption", "text"), min_length=1, description="which corpora to make"
    )
    extract: Extract = Extract()
    filters: Filters = Filters()
    fetch: Fetch = Fetch()
    decode: Decode = Decode()
    dedup: Dedup = Dedup()
    clip: Clip = Clip()
    score: Score = Score()
    assemble: Assemble = Assemble()
    shard: Shard = Shard()

    @model_validator(mode="after")
    def _text_needs_no_image(self) -> Self:
        if self.extract.gates.need_image and "text" in self.corpora:
            raise ValueError("extract.gates.need_image drops pages that corpus text wants: take text out of corpora")
        return self

    def part(self, *sections: str) -> dict[str, Any]:
        """Return the named sections as plain JSON values: what a step's manifest records and compares."""
        return {s: self.model_dump(mode="json")[s] for s in sections}
