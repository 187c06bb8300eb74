"""The recipe: all settings of a run, validated. Unknown keys and invalid values are errors that name the key."""

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
"""Respected by default."""


# The labels of fastText's lid.176: mostly ISO 639-1, else ISO 639-3. Each is followed by its aliases: ISO 639-2 and
# 639-3 codes, withdrawn codes, country codes, and the English name.
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
_BY_ALIAS = {name: names.split()[0] for names in _TABLE.split(";") for name in names.split()}
LANGUAGES = frozenset(_BY_ALIAS.values())
"""All labels of the language identification model."""


def _known(code: object) -> object:
    """Check that a code is a label of the identification model; any other would never match a page."""
    if code is False:
        raise PydanticCustomError("yaml_boolean", "YAML reads no as false: write 'no', in quotes, for Norwegian")
    if not isinstance(code, str) or code in LANGUAGES:
        return code
    lower = code.strip().lower()
    near = (lower, re.split(r"[-_ (]", lower, maxsplit=1)[0], *difflib.get_close_matches(lower, _BY_ALIAS, n=1))
    suggestion = next((_BY_ALIAS[name] for name in near if name in _BY_ALIAS), None)
    hint = f" (did you mean {suggestion}?)" if suggestion else ""
    raise PydanticCustomError("unknown_language", "the identification model has no such language{hint}", {"hint": hint})


LanguageCode = Annotated[str, BeforeValidator(_known)]


class PrefilterConfig(Section):
    """Rejects pages before extraction. It sees menus and boilerplate too, so choose low thresholds."""

    languages: tuple[LanguageCode, ...] = Field(
        (),
        description="ISO 639 codes of the identification model; drops a page that is in none of them; empty keeps "
        "all languages",
    )
    min_language_score: Fraction = Field(0.0, description="min. probability of one of these languages")
    min_words: int = Field(0, ge=0, description="min. words, including menus, of a page without images")
    require_image: bool = Field(False, description="drop pages without images; not with the text corpus")
    directives: tuple[Directive, ...] = Field(
        DIRECTIVES,
        description="directives in a page's headers or meta elements that drop it; noimageai and noimageindex drop "
        "only its images",
    )
    blocklist: str | None = Field(
        None, min_length=1, description="file with a host or URL prefix per line; drops their pages; null blocks none"
    )

    @model_validator(mode="after")
    def _languages_have_a_bound(self) -> Self:
        if bool(self.languages) != (self.min_language_score > 0):
            raise ValueError(
                "extract.prefilter.languages and extract.prefilter.min_language_score (above 0) need each other"
            )
        return self


class Extract(Section):
    max_page_bytes: int = Field(10_000_000, gt=0, description="max. size of an HTML body")
    max_seconds: float = Field(10, gt=0, description="max. CPU time per page; the max. wall time is 60 times as long")
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="max. memory per page")
    prefilter: PrefilterConfig = PrefilterConfig()
    max_failed_archives: int | None = Field(
        None,
        ge=0,
        description="max. archives that cannot be opened or read; the run continues without them, and the same command "
        "tries them again; null is 0 for fewer than 100 archives, else 1 %",
    )
    engine: Literal["blocks", "trafilatura"] = Field(
        "blocks", description="main-content extraction: Weft's block model, or trafilatura for comparison"
    )


class Fetch(Section):
    user_agent: str = Field(
        "weft", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="user agent name for robots.txt and directives"
    )
    contact: str | None = Field(
        None,
        pattern=r"^(https?://|mailto:)[!-~]+$",
        description="contact for site owners, https://... or mailto:...; sent with every request; without it only "
        "loopback addresses of allow_hosts are requested, or any through a loopback proxy",
    )
    robots_txt: bool = Field(True, description="fetch and respect robots.txt")
    directives: tuple[Directive, ...] = Field(
        DIRECTIVES, description="directives in response headers or a site's tdmrep.json that drop an image"
    )
    cache: str | None = Field(
        None,
        min_length=1,
        description="folder (path or URL) for robots.txt and tdmrep.json; null is OUT/sites",
    )
    cache_hours: float = Field(24, ge=0, description="lifetime of that cache; at most a day by RFC 9309")
    host_connections: int = Field(4, gt=0, description="max. concurrent connections per host, over all tasks")
    host_requests_per_second: float | None = Field(
        10, gt=0, description="max. requests per second per host, over all tasks; null is no limit"
    )
    max_crawl_delay_seconds: float = Field(
        60, ge=0, description="a longer Crawl-delay in robots.txt forbids the site's images"
    )
    retries: int = Field(2, ge=0, description="max. retries after 429, 503 and timeouts; other failures are final")
    backoff_seconds: float = Field(1, gt=0, description="delay before the first retry; doubles with each retry")
    max_wait_seconds: float = Field(60, gt=0, description="max. delay; a longer Retry-After ends the retries")
    connect_seconds: float = Field(10, gt=0, description="connection timeout, including TLS")
    read_seconds: float = Field(10, gt=0, description="timeout for the next bytes of a response")
    total_seconds: float = Field(30, gt=0, description="timeout for a complete request")
    max_redirects: int = Field(5, ge=0, description="max. redirects per image")
    allow_hosts: tuple[str, ...] = Field(
        (), description="host names that may resolve to private, loopback and other reserved addresses"
    )
    proxy: str | None = Field(
        None,
        pattern=r"^http://[^/\s]+$",
        description="forward proxy, http://HOST:PORT; https URLs are sent to it as http requests",
    )
    threads: int = Field(32, gt=0, description="concurrent requests per task")
    commit_images: int = Field(
        1000, gt=0, description="responses per commit; a killed task repeats at most these and those in progress"
    )

    @property
    def host_interval_seconds(self) -> float:
        """Minimum time between the starts of two requests to one host."""
        return 1 / self.host_requests_per_second if self.host_requests_per_second else 0.0


Format = Literal["jpeg", "png", "gif", "webp", "avif", "bmp", "tiff", "ico"]
# Excludes formats that run programs or read other files, and document formats.
FORMATS: tuple[Format, ...] = get_args(Format)


class Decode(Section):
    max_bytes: int = Field(20_000_000, gt=0, description="max. file size; reading stops there")
    min_side_pixels: int = Field(1, ge=1, description="min. shorter side")
    max_pixels: int = Field(100_000_000, gt=0, description="max. pixels, checked before decoding")
    max_seconds: float = Field(10, gt=0, description="max. CPU time to decode an image, as extract.max_seconds")
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="max. memory to decode an image")
    max_aspect_ratio: float | None = Field(
        None, ge=1, description="max. ratio of the longer to the shorter side; null is no limit"
    )
    drop_single_colour: bool = Field(False, description="drop images whose pixels all have one colour")
    formats: tuple[Format, ...] = Field(FORMATS, min_length=1, description="image formats to keep")
    min_bytes: int = Field(0, ge=0, description="min. file size as fetched")
    max_original_side_pixels: int | None = Field(
        None, gt=0, description="max. longer side as fetched; null is no limit"
    )
    max_side_pixels: int = Field(512, gt=0, description="max. longer side as stored; larger images are scaled down")
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of the stored JPEG")


class LanguageFilters(Section):
    keep: tuple[LanguageCode, ...] = Field(
        (), description="languages to keep, as ISO 639 codes of the identification model; empty keeps all"
    )
    min_score: Fraction = Field(0.0, description="min. probability of the page's language")


def _text_bound(text_filter: TextFilter) -> tuple[Any, Any]:
    """Return the type and the field of a threshold; null is no limit."""
    description = f"{'min.' if text_filter.is_minimum else 'max.'} {text_filter.what}; null is no limit"
    if text_filter.kind == "fraction":
        return Fraction | None, Field(None, description=description)
    if text_filter.kind == "positive":
        return float | None, Field(None, gt=0, description=description)
    return (int if text_filter.kind == "count" else float) | None, Field(None, ge=0, description=description)


_TextBounds = create_model("_TextBounds", __base__=Section, **{f.key: _text_bound(f) for f in TEXT_FILTERS})  # type: ignore[call-overload]


class TextBounds(_TextBounds):
    """Thresholds on measures of a text; a measure without thresholds is not computed."""

    def bound(self, key: str) -> float | None:
        """Return a threshold by its key."""
        value: float | None = getattr(self, key)
        return value


class Lists(Section):
    """Files for filters: word lists with one word per line, `#` begins a comment; and a language model."""

    stop_words: str | None = Field(None, min_length=1, description="stop word list; null is a built-in English list")
    common_words: str | None = Field(None, min_length=1, description="list of common words of the language")
    flagged_words: str | None = Field(None, min_length=1, description="list of flagged words")
    spam_words: str | None = Field(None, min_length=1, description="list of spam words")
    kenlm: str | None = Field(
        None, min_length=1, description="local KenLM language model, ARPA or binary; needs weft[kenlm]"
    )
    sentencepiece: str | None = Field(
        None, min_length=1, description="local SentencePiece model that tokenizes for kenlm; null splits at white space"
    )


class Gibberish(Section):
    max_emoji_fraction: float | None = Field(None, ge=0, description="max. emoji per word; null is no limit")
    max_hashtag_fraction: float | None = Field(None, ge=0, description="max. hashtags per word; null is no limit")
    max_url_fraction: float | None = Field(None, ge=0, description="max. URLs per word; null is no limit")


class CaptionFilters(Section):
    min_words: int = Field(1, ge=1, description="min. words of a caption in the caption corpus")
    min_characters: int | None = Field(None, ge=0, description="min. characters of it; null is no limit")


class ImageFilters(Section):
    url_tokens: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="do not fetch images whose URL contains one of these, ignoring case"
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
    def _thresholds_have_their_lists(self) -> Self:
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
    enabled: bool = Field(False, description="keep one of each group of pages with nearly the same text")
    ngram_words: int = Field(5, gt=0, description="words per shingle; texts are compared by their shingles")
    bands: int = Field(14, gt=0, description="bands of a MinHash signature; texts that agree in one band are grouped")
    rows: int = Field(
        8,
        gt=0,
        description="hashes per band; about 2 of 3 texts with similarity (1 / bands) ** (1 / rows) are grouped",
    )
    min_similarity: Fraction = Field(
        0.0, description="min. estimated Jaccard similarity of shingles between a dropped page and the kept one"
    )


class Paragraphs(Section):
    """Text blocks that repeat on many pages; the comparison ignores case, punctuation and the values of digits."""

    max_host_pages: int | None = Field(
        None, gt=0, description="max. pages of one host with the same paragraph; null is no limit"
    )
    max_pages: int | None = Field(
        None, gt=0, description="max. pages of the run with the same paragraph; null is no limit"
    )
    keep: Literal["none", "newest"] = Field(
        "none", description="drop a paragraph above these limits from all pages (none), or keep it on the newest"
    )
    min_words: int = Field(1, ge=0, description="min. words of a paragraph to compare; shorter ones are kept")


class Dedup(Section):
    url: bool = Field(False, description="keep the newest of the captures of one URL")
    text: bool = Field(False, description="keep the newest of the pages with the same text")
    image_set: bool = Field(False, description="keep the newest of the pages with the same set of image URLs")
    paragraphs: Paragraphs = Paragraphs()
    min_words_left: int | None = Field(
        None,
        ge=0,
        description="min. words of a page after dedup removed paragraphs; null is filters.text.min_words",
    )
    minhash: MinHash = MinHash()
    image: bool = Field(False, description="keep one of the image URLs with the same bytes")
    phash_distance: int | None = Field(
        None,
        ge=0,
        le=16,
        description="max. Hamming distance (of 64 bits, always even) between perceptual hashes of near-duplicate "
        "images; null disables the comparison",
    )
    keep_near_duplicate_images: Literal["one", "one_a_page", "all"] = Field(
        "one",
        description="images to keep of a near-duplicate cluster: the largest in the run, the first on each page, or "
        "all",
    )
    max_image_uses: int | None = Field(None, gt=0, description="max. pages with the same image URL; null is no limit")
    max_near_duplicate_uses: int | None = Field(
        None, gt=0, description="max. pages with any image of a near-duplicate cluster; null is no limit"
    )

    @model_validator(mode="after")
    def _near_duplicates_need_a_distance(self) -> Self:
        if self.max_near_duplicate_uses is not None and self.phash_distance is None:
            raise ValueError("dedup.max_near_duplicate_uses needs dedup.phash_distance, which defines the clusters")
        return self


class Decontaminate(Section):
    """Evaluation sets to keep out of the training data: local paths or fsspec URLs."""

    texts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="JSONL files, also compressed, with one item per line"
    )
    keys: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="names of an item's values to compare, at any depth; empty compares every string"
    )
    images: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="folders of images; files without an image suffix are skipped"
    )
    ngram_words: int = Field(13, gt=0, description="consecutive words that a contaminated text shares with an item")
    min_item_words: int = Field(8, gt=0, description="min. words of an item shorter than that, which is matched as one")
    max_shared_items: int = Field(
        10, gt=0, description="max. items that share an n-gram; n-grams of more items are ignored"
    )
    max_blocks: int = Field(10, ge=0, description="max. contaminated blocks of a page; with more the page is dropped")
    max_image_distance: int = Field(
        4, ge=0, le=16, description="max. Hamming distance (of 64 bits) of perceptual hashes to drop an image"
    )

    @model_validator(mode="after")
    def _short_items_are_shorter(self) -> Self:
        if self.min_item_words > self.ngram_words:
            raise ValueError("decontaminate.min_item_words must be at most decontaminate.ngram_words")
        return self


Cosine = Annotated[float, Field(ge=-1, le=1)]


class Clip(Section):
    enabled: bool = Field(True, description="compute CLIP scores")
    model: str = Field("ViT-B-32", description="open_clip model name, or local-dir:PATH")
    pretrained: str | None = Field(None, description="open_clip tag (downloaded) or path of a checkpoint")
    batch_size: int | None = Field(
        None, gt=0, description="images or texts per forward pass; null is chosen for the device"
    )
    keep_embeddings: bool = Field(False, description="also write the table `embeddings`")
    texts: Literal["blocks", "sentences"] = Field(
        "blocks", description="compare an image with the page's text blocks, or with each sentence of them"
    )
    safety: str | None = Field(
        None,
        min_length=1,
        description="safetensors file of an unsafe-image classifier on CLIP embeddings, see docs/score.md; null "
        "disables it",
    )


class ScoreBounds(Section):
    min_caption_score: Cosine | None = Field(None, description="min. score of a caption pair; null keeps all")
    max_caption_fraction: Fraction | None = Field(
        None, description="fraction of the scored caption pairs to keep, highest scores first; null keeps all"
    )
    min_image_score: Cosine | None = Field(None, description="min. best score of an interleaved image; null keeps all")
    max_unsafe_score: Fraction | None = Field(None, description="max. score of an image by clip.safety; null keeps all")
    unsafe_drops: Literal["image", "page"] = Field(
        "image", description="drop the unsafe image, or the page and its captions"
    )


class Assemble(Section):
    max_images: int | None = Field(None, gt=0, description="max. images kept in a document; null is no limit")
    min_document_images: int | None = Field(
        None, gt=0, description="min. images of an interleaved document; with fewer only its text is kept"
    )
    max_document_images: int | None = Field(
        None, gt=0, description="max. images of an interleaved document; with more only its text is kept"
    )
    min_words_per_image: float | None = Field(None, gt=0, description="min. words per image of an interleaved document")
    min_interspersed_fraction: Fraction = Field(0.0, description="min. fraction of images that are adjacent to text")
    single_image_keep_fraction: Fraction = Field(1.0, description="fraction of single-image documents to keep")
    placement: Literal["page", "assignment"] = Field(
        "page",
        description="position of images: as on the page, or each before its own sentence with the highest total score "
        "(needs clip.texts=sentences)",
    )
    max_image_captions: int | None = Field(
        None, gt=0, description="max. captions per image in the caption corpus, best first; null is no limit"
    )
    max_caption_images: int | None = Field(
        None, gt=0, description="max. images per caption in the caption corpus, best first; null is no limit"
    )


class Redact(Section):
    """Personal data to replace by placeholders in texts, alt texts and captions, see pipeline/redact.py."""

    email: bool = Field(False, description="replace e-mail addresses by <email>")
    ip: bool = Field(False, description="replace public IP addresses by <ip>")
    phone: bool = Field(False, description="replace phone numbers by <phone>")


class Shard(Section):
    target_bytes: int = Field(256_000_000, gt=0, description="target size of a shard")
    validation_fraction: Fraction = Field(
        0.001, description="fraction of hosts held out for validation, in separate shards"
    )


class DropLimits(Section):
    """Limits on what one rule may drop; above them the recipe is probably wrong.

    They check a step's result without changing it, so another value does not invalidate outputs.
    """

    max_dropped_fraction: Fraction | None = Field(
        0.95, description="max. fraction of a step's input that one of its rules may drop; null is no limit"
    )
    rules: dict[str, Fraction | None] = Field(
        {}, description="limits for single rules, by reason code, e.g. {TOO_SHORT: 0.5}; null is no limit"
    )
    min_items: int = Field(100, gt=0, description="min. input of a rule to which limits apply")
    action: Literal["warn", "fail"] = Field(
        "warn", description="above a limit: warn and record it, or fail the run before the step is committed"
    )

    @model_validator(mode="after")
    def _rules_exist(self) -> Self:
        for rule in self.rules:
            if rule not in CODES:
                raise ValueError(f"drop_limits.rules: unknown rule {rule}{nearest(rule, CODES)}")
        return self

    def bound(self, rule: str) -> float | None:
        """Return the maximum fraction that a rule may drop; None for no limit."""
        return self.rules.get(rule, self.max_dropped_fraction)


class Recipe(Section):
    """A complete recipe. Every manifest records its resolved form and hash."""

    name: str = Field(description="name of the recipe")
    about: str = Field("", description="one line: what it reproduces, and its source")
    seed: int = Field(0, ge=0, description="seed of random sampling and of the shuffle")
    corpora: tuple[Literal["interleaved", "caption", "text"], ...] = Field(
        ("interleaved", "caption", "text"), min_length=1, description="corpora to build"
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
            raise ValueError("extract.prefilter.require_image drops pages of the text corpus: remove text from corpora")
        return self

    @model_validator(mode="after")
    def _scores_are_there(self) -> Self:
        if self.assemble.placement == "assignment" and not (self.clip.enabled and self.clip.texts == "sentences"):
            raise ValueError("assemble.placement=assignment needs clip.enabled and clip.texts=sentences")
        if self.score.max_unsafe_score is not None and not (self.clip.enabled and self.clip.safety):
            raise ValueError("score.max_unsafe_score needs clip.enabled and clip.safety, the classifier")
        return self

    def part(self, *sections: str) -> dict[str, Any]:
        """Return the named sections as JSON values; a step's manifest records and compares them."""
        return {s: self.model_dump(mode="json")[s] for s in sections}
