"""The recipe: every choice of a run, validated. Unknown keys and impossible values are errors that name the key."""

import difflib
import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BeforeValidator, Field, create_model, model_validator
from pydantic_core import PydanticCustomError

from schemas.overrides import Section, nearest
from schemas.reasons import CODES, TEXT_FILTERS, TextFilter
from schemas.renames import current_recipe

Fraction = Annotated[float, Field(ge=0, le=1)]
Directive = Literal["noai", "noimageai", "noindex", "noimageindex", "noml", "tdm-reservation"]
DIRECTIVES: tuple[Directive, ...] = get_args(Directive)
"""Honoured unless a recipe says otherwise."""


# The labels of fastText's lid.176: mostly ISO 639-1, ISO 639-3 where there is no shorter code. Each is followed by what
# else the language goes by: its ISO 639-2 and 639-3 codes, codes that were withdrawn, countries, and its English name.
_TABLE = """
af afr afrikaans; als gsw alemannic; am amh amharic; an arg aragonese; ar ara arb arabic; arz; as asm assamese;
ast asturian; av ava avar; az aze azj azerbaijani; azb; ba bak bashkir; bar bavarian; bcl; be bel by belarusian;
bg bul bulgarian; bh bih bihari; bn ben bengali; bo bod tib tibetan; bpy bishnupriya; br bre breton;
bs bos bosnian; bxr bua buriat; ca cat catalan; cbk chavacano; ce che chechen; ceb cebuano; ckb sorani;
co cos corsican; cs ces cze cz czech; cv chv chuvash; cy cym wel welsh; da dan dk danish; de deu ger german;
diq zza zazaki; dsb; dty; dv div dhivehi; el ell gre gr greek; eml emilian; en eng gb us english;
eo epo esperanto; es spa spanish; et est ekk estonian; eu eus baq basque; fa fas per pes ir persian farsi;
fi fin finnish; fr fra fre french; frr; fy fry frisian; ga gle irish; gd gla gaelic; gl glg galician;
gn grn guarani; gom kok konkani; gu guj gujarati; gv glv manx; he heb iw hebrew; hi hin hindi; hif;
hr hrv croatian; hsb; ht hat haitian; hu hun hungarian; hy hye arm armenian; ia ina interlingua;
id ind in indonesian; ie ile interlingue; ilo iloko; io ido; is isl ice icelandic; it ita italian;
ja jpn jp japanese; jbo lojban; jv jav jw javanese; ka kat geo georgian; kk kaz kz kazakh; km khm khmer;
kn kan kannada; ko kor kr korean; krc karachay; ku kur kmr kurdish; kv kom kpv komi; kw cor cornish;
ky kir kirghiz kyrgyz; la lat latin; lb ltz luxembourgish; lez lezghian; li lim limburgish; lmo lombard; lo lao;
lrc; lt lit lithuanian; lv lav lvs latvian; mai maithili; mg mlg plt malagasy; mhr mari; min minangkabau;
mk mkd mac macedonian; ml mal malayalam; mn mon khk mongolian; mr mar marathi; mrj; ms msa may zsm malay;
mt mlt maltese; mwl mirandese; my mya bur burmese; myv erzya; mzn mazanderani; nah nahuatl; nap neapolitan; nds;
ne nep npi nepali; new newari; nl nld dut dutch flemish; nn nno nynorsk; no nor nb nob norwegian bokmal;
oc oci occitan; or ori ory odia oriya; os oss ossetian; pa pan punjabi panjabi; pam pampanga; pfl;
pl pol polish; pms piedmontese; pnb; ps pus pashto; pt por portuguese; qu que quechua; rm roh romansh;
ro ron rum mo moldavian romanian; ru rus russian; rue rusyn; sa san sanskrit; sah yakut; sc srd sardinian;
scn sicilian; sco scots; sd snd sindhi; sh hbs serbocroatian; si sin sinhala; sk slk slo slovak;
sl slv slovenian slovene; so som somali; sq sqi alb albanian; sr srp rs serbian; su sun sundanese; sv swe se swedish;
sw swa swh swahili; ta tam tamil; te tel telugu; tg tgk tajik; th tha thai; tk tuk turkmen;
tl tgl fil tagalog filipino; tr tur turkish; tt tat tatar; tyv tuvan; ug uig uyghur uighur; uk ukr ua ukrainian;
ur urd urdu; uz uzb uzn uzbek; vec venetian; vep veps; vi vie vn vietnamese; vls; vo vol volapuk; wa wln walloon;
war waray; wuu; xal kalmyk; xmf mingrelian; yi yid ydd ji yiddish; yo yor yoruba; yue cantonese;
zh zho chi cmn cn tw chinese mandarin
"""
_RIGHT = {name: names.split()[0] for names in _TABLE.split(";") for name in names.split()}
LANGUAGES = frozenset(_RIGHT.values())
"""Every code that the identification model may give."""


def _known(code: object) -> object:
    """Return a code that the identification model has; another one would never match any page."""
    if code is False:
        raise PydanticCustomError("yaml_boolean", "YAML reads no as false: write 'no', in quotes, for Norwegian")
    if not isinstance(code, str) or code in LANGUAGES:
        return code
    lower = code.strip().lower()
    near = (lower, re.split(r"[-_ (]", lower, maxsplit=1)[0], *difflib.get_close_matches(lower, _RIGHT, n=1))
    right = next((_RIGHT[name] for name in near if name in _RIGHT), None)
    hint = f" (did you mean {right}?)" if right else ""
    raise PydanticCustomError("unknown_language", "the identification model has no such language{hint}", {"hint": hint})


LanguageCode = Annotated[str, BeforeValidator(_known)]


class PrefilterConfig(Section):
    """What refuses a page before it is extracted; a gate judges the whole page, so its bounds are low."""

    languages: tuple[LanguageCode, ...] = Field(
        (),
        description="ISO 639 codes of the identification model; a page that is likely in none of them goes; empty "
        "keeps every language",
    )
    min_language_score: Fraction = Field(0.0, description="lowest probability of some wanted language")
    min_words: int = Field(0, ge=0, description="fewest words, menus included, of a page without images")
    require_image: bool = Field(False, description="whether a page without any image goes; not with the text corpus")
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
            raise ValueError(
                "extract.prefilter.languages and extract.prefilter.min_language_score (above 0) go together"
            )
        return self


class Extract(Section):
    max_page_bytes: int = Field(10_000_000, gt=0, description="a larger HTML body is rejected")
    max_seconds: float = Field(
        10,
        gt=0,
        description="longest processor time for one page; of wall time 60 times that",
    )
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="most memory for one page")
    prefilter: PrefilterConfig = PrefilterConfig()
    engine: Literal["blocks", "trafilatura"] = Field(
        "blocks", description="who tells main content: our own block model, or trafilatura, to compare with"
    )


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
    commit_images: int = Field(
        1000, gt=0, description="answers of one commit: what a killed task asks again at most, but for those under way"
    )

    @property
    def host_interval_seconds(self) -> float:
        """Least time between the starts of two requests to one host."""
        return 1 / self.host_requests_per_second if self.host_requests_per_second else 0.0


Format = Literal["jpeg", "png", "gif", "webp", "avif", "bmp", "tiff", "ico"]
# No format that runs programs, reads other files, or is a document rather than a picture.
FORMATS: tuple[Format, ...] = get_args(Format)


class Decode(Section):
    max_bytes: int = Field(20_000_000, gt=0, description="largest file; reading ends there")
    min_side_pixels: int = Field(1, ge=1, description="shortest side that stays")
    max_pixels: int = Field(100_000_000, gt=0, description="most pixels, checked before decoding")
    max_seconds: float = Field(
        10, gt=0, description="longest processor time for decoding one image, as extract.max_seconds"
    )
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="most memory for decoding one image")
    max_aspect_ratio: float | None = Field(
        None, ge=1, description="largest ratio of the longer to the shorter side; null is no bound"
    )
    drop_single_colour: bool = Field(False, description="drop images of one colour")
    formats: tuple[Format, ...] = Field(FORMATS, min_length=1, description="image formats that stay")
    min_bytes: int = Field(0, ge=0, description="smallest file as fetched that stays")
    max_original_side_pixels: int | None = Field(
        None, gt=0, description="longer side as fetched that stays at most; null is no bound"
    )
    max_side_pixels: int = Field(512, gt=0, description="longer side as stored; smaller images are not enlarged")
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of the stored JPEG")


class LanguageFilters(Section):
    keep: tuple[LanguageCode, ...] = Field(
        (), description="ISO 639 codes of the identification model that stay; empty keeps every language"
    )
    min_score: Fraction = Field(0.0, description="lowest probability of the page's language")


def _text_bound(text_filter: TextFilter) -> tuple[Any, Any]:
    """Return the type and the field of a bound; null is no bound."""
    side = "least" if text_filter.is_minimum else "most"
    description = f"{side} {text_filter.what}; null is no bound"
    if text_filter.kind == "fraction":
        return Fraction | None, Field(None, description=description)
    if text_filter.kind == "positive":
        return float | None, Field(None, gt=0, description=description)
    return (int if text_filter.kind == "count" else float) | None, Field(None, ge=0, description=description)


_TextBounds = create_model("_TextBounds", __base__=Section, **{f.key: _text_bound(f) for f in TEXT_FILTERS})  # type: ignore[call-overload]


class TextBounds(_TextBounds):
    """Bounds of what is measured of a text; what has no bound is not measured."""

    def bound(self, key: str) -> float | None:
        """Return a bound by its key."""
        found: float | None = getattr(self, key)
        return found


class Lists(Section):
    """Files that filters compare with: of words, one a line, `#` begins a comment; and a language model."""

    stop_words: str | None = Field(None, min_length=1, description="words without content; null is a list of English")
    common_words: str | None = Field(None, min_length=1, description="words that a language uses")
    flagged_words: str | None = Field(None, min_length=1, description="words of pages that are not wanted")
    spam_words: str | None = Field(None, min_length=1, description="words of advertisement")
    kenlm: str | None = Field(
        None, min_length=1, description="language model, ARPA or binary, local; needs weft[kenlm]"
    )
    sentencepiece: str | None = Field(
        None, min_length=1, description="model that cuts words for kenlm, local; null cuts at white space"
    )


class Gibberish(Section):
    max_emoji_fraction: float | None = Field(None, ge=0, description="most emoji per word; null is no bound")
    max_hashtag_fraction: float | None = Field(None, ge=0, description="most hashtags per word; null is no bound")
    max_url_fraction: float | None = Field(None, ge=0, description="most addresses per word; null is no bound")


class CaptionFilters(Section):
    min_words: int = Field(1, ge=1, description="fewest words of an alt text in the caption corpus")
    min_characters: int | None = Field(None, ge=0, description="fewest characters of it; null is no bound")


class ImageFilters(Section):
    url_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="images whose address holds one of these, in any case, are not asked for"
    )


class Filters(Section):
    language: LanguageFilters = LanguageFilters()
    text: TextBounds = TextBounds()
    paragraph: TextBounds = TextBounds()
    gibberish: Gibberish = Gibberish()
    caption: CaptionFilters = CaptionFilters()
    image: ImageFilters = ImageFilters()
    lists: Lists = Lists()

    @model_validator(mode="after")
    def _bounds_have_their_lists(self) -> Self:
        for level in ("text", "paragraph"):
            bounds = getattr(self, level)
            for key, needed in (
                ("min_common_word_fraction", "common_words"),
                ("max_flagged_word_fraction", "flagged_words"),
                ("max_spam_word_fraction", "spam_words"),
                ("max_perplexity", "kenlm"),
            ):
                if getattr(bounds, key) is not None and getattr(self.lists, needed) is None:
                    raise ValueError(f"filters.{level}.{key} needs filters.lists.{needed}, the path of a file")
        return self


class MinHash(Section):
    enabled: bool = Field(False, description="whether of pages whose texts are nearly the same one stays")
    ngram_words: int = Field(5, gt=0, description="words of a shingle; texts are compared by the shingles they share")
    bands: int = Field(14, gt=0, description="bands of a MinHash signature; texts that agree in one are joined")
    rows: int = Field(
        8, gt=0, description="hashes of a band; two of three texts with (1 / bands) ** (1 / rows) in common are joined"
    )
    min_similarity: Fraction = Field(
        0.0, description="least share of shingles that a page has in common with the one it goes for, as estimated"
    )


class Paragraphs(Section):
    """Text blocks that stand on many pages; they are compared without case, punctuation and the values of digits."""

    max_host_pages: int | None = Field(
        None, gt=0, description="most pages of one host that a paragraph stands on; null is no bound"
    )
    max_pages: int | None = Field(
        None, gt=0, description="most pages of the whole run that a paragraph stands on; null is no bound"
    )
    keep: Literal["none", "newest"] = Field(
        "none", description="whether a paragraph on more pages goes from all of them, or stays on the newest"
    )
    min_words: int = Field(1, ge=0, description="fewest words of a paragraph that is compared; shorter ones stay")


class Dedup(Section):
    url: bool = Field(False, description="of captures of one address keep the newest")
    text: bool = Field(False, description="of pages with the same text keep the newest")
    image_set: bool = Field(False, description="of pages with the same set of image addresses keep the newest")
    paragraphs: Paragraphs = Paragraphs()
    min_words_left: int | None = Field(
        None,
        ge=0,
        description="fewest words of a page that lost paragraphs here; null is filters.text.min_words",
    )
    minhash: MinHash = MinHash()
    image: bool = Field(False, description="of addresses with the same bytes keep one")
    phash_distance: int | None = Field(
        None,
        ge=0,
        le=16,
        description="images look alike when their perceptual hashes differ in this many bits of 64 at most; null "
        "compares none. Such hashes differ in an even number of bits",
    )
    keep_near_duplicate_images: Literal["one", "one_a_page", "all"] = Field(
        "one",
        description="how many images of a cluster of near-duplicates stay: one (the largest) in the whole run, one "
        "(the first) on each page, or all",
    )
    max_image_uses: int | None = Field(
        None, gt=0, description="most pages that an image's address stands on; null is no bound"
    )
    max_near_duplicate_uses: int | None = Field(
        None, gt=0, description="most pages that all images of a cluster of near-duplicates stand on; null is no bound"
    )

    @model_validator(mode="after")
    def _near_duplicates_need_a_distance(self) -> Self:
        if self.max_near_duplicate_uses is not None and self.phash_distance is None:
            raise ValueError("dedup.max_near_duplicate_uses needs dedup.phash_distance, which says what looks alike")
        return self


class Decontaminate(Section):
    """Evaluation sets that nothing of may be learnt: local paths or addresses as fsspec takes them."""

    texts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="JSONL files, also compressed, of one item a line"
    )
    keys: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="names of the values of an item that count, at any depth; empty counts every string"
    )
    images: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="folders of images; what in them has no suffix of an image is passed over"
    )
    ngram_words: int = Field(13, gt=0, description="words in a row that a text and an item share when it goes")
    min_item_words: int = Field(
        8, gt=0, description="fewest words of an item that is shorter than that and looked for as a whole"
    )
    max_shared_items: int = Field(
        10, gt=0, description="most items that share a run of words: one that more share is no item's own"
    )
    max_blocks: int = Field(10, ge=0, description="a page that more blocks would go from goes whole")
    max_image_distance: int = Field(
        4, ge=0, le=16, description="bits of 64 in which the perceptual hash of an image that goes differs at most"
    )

    @model_validator(mode="after")
    def _short_items_are_shorter(self) -> Self:
        if self.min_item_words > self.ngram_words:
            raise ValueError("decontaminate.min_item_words is at most decontaminate.ngram_words")
        return self


Cosine = Annotated[float, Field(ge=-1, le=1)]


class Clip(Section):
    enabled: bool = Field(True, description="false scores nothing")
    model: str = Field("ViT-B-32", description="open_clip model name, or local-dir:PATH")
    pretrained: str | None = Field(None, description="open_clip tag (fetched from a hub) or path of a checkpoint")
    batch_size: int | None = Field(
        None, gt=0, description="images or texts in one forward pass; null is what fills the device"
    )
    keep_embeddings: bool = Field(False, description="whether table `embeddings` is written too")
    texts: Literal["blocks", "sentences"] = Field(
        "blocks", description="what of a page an image is compared with: its text blocks, or each sentence of them"
    )
    safety: str | None = Field(
        None,
        min_length=1,
        description="safetensors file with the layers of a classifier of unsafe images that reads CLIP's embeddings, "
        "see docs/score.md; null classifies none",
    )


class ScoreBounds(Section):
    min_caption_score: Cosine | None = Field(None, description="lowest score of a caption pair; null keeps all")
    max_caption_fraction: Fraction | None = Field(
        None, description="fraction of the scored caption pairs that stays: those of the highest scores; null keeps all"
    )
    min_image_score: Cosine | None = Field(
        None, description="lowest best score of an interleaved image; null keeps all"
    )
    max_unsafe_score: Fraction | None = Field(
        None, description="highest score by clip.safety of an image that stays; null keeps all"
    )
    unsafe_drops: Literal["image", "page"] = Field(
        "image", description="what goes: the unsafe image, or the whole page and its captions"
    )


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


class DropLimits(Section):
    """When a rule takes so much that the recipe is likelier wrong than the web.

    It judges a step's result and does not shape it: changing it makes nothing anew.
    """

    max_dropped_fraction: Fraction | None = Field(
        0.95, description="largest part of what a step judged that one of its rules may drop; null is no bound"
    )
    rules: dict[str, Fraction | None] = Field(
        {}, description="the same for single rules, by their code, e.g. {TOO_SHORT: 0.5}; null is no bound"
    )
    min_items: int = Field(100, gt=0, description="of fewer things a fraction says nothing, and none is bound")
    action: Literal["warn", "fail"] = Field(
        "warn", description="what a missed bound does: it is said and noted, or the run fails before the step counts"
    )

    @model_validator(mode="after")
    def _rules_exist(self) -> Self:
        for rule in self.rules:
            if rule not in CODES:
                raise ValueError(f"drop_limits.rules: unknown rule {rule}{nearest(rule, CODES)}")
        return self

    def bound(self, rule: str) -> float | None:
        """Return the largest part that a rule may drop; None where there is no bound."""
        return self.rules.get(rule, self.max_dropped_fraction)


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
    decontaminate: Decontaminate = Decontaminate()
    clip: Clip = Clip()
    score: ScoreBounds = ScoreBounds()
    assemble: Assemble = Assemble()
    redact: Redact = Redact()
    shard: Shard = Shard()
    drop_limits: DropLimits = DropLimits()

    @model_validator(mode="before")
    @classmethod
    def _former_names(cls, values: Any) -> Any:
        return current_recipe(values)[0] if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _text_needs_no_image(self) -> Self:
        if self.extract.prefilter.require_image and "text" in self.corpora:
            raise ValueError(
                "extract.prefilter.require_image drops pages that corpus text wants: take text out of corpora"
            )
        return self

    @model_validator(mode="after")
    def _scores_are_there(self) -> Self:
        if self.assemble.placement == "assignment" and not (self.clip.enabled and self.clip.texts == "sentences"):
            raise ValueError("assemble.placement=assignment needs clip.enabled and clip.texts=sentences")
        if self.score.max_unsafe_score is not None and not (self.clip.enabled and self.clip.safety):
            raise ValueError("score.max_unsafe_score needs clip.enabled and clip.safety, the classifier that scores")
        return self

    def part(self, *sections: str) -> dict[str, Any]:
        """Return the named sections as plain JSON values: what a step's manifest records and compares."""
        return {s: self.model_dump(mode="json")[s] for s in sections}
