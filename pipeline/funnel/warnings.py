"""What of a run is likely to be wrong, though it came to its end: each warning in plain words, with what to do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.lookup import Lookup
from pipeline.store import Manifest
from schemas.display import percent
from schemas.errors import PathError
from schemas.reasons import BY_CODE

LOST_IMAGES = 0.5  # of the images asked for; of old links a sixth is gone
FEW = 0.05  # of what a step judged went on: as the drop limit of one rule, for all of a step's together
MANY_FAILURES = 0.01  # of pages on which extraction failed, and of records that cannot be read
MIN_JUDGED = 20  # of fewer things a fraction says little, but for none at all
RETRIED = ("timeout", "dns", "unreachable", "http_429", "http_5xx")  # classes of failure that may pass
LOST = (*RETRIED, "refused_address", "robots", "directive", "http_4xx", "not_an_image", "undecodable")
NOTES = ("guard", "archives")  # notes of a manifest that are warnings
_NOT_READ = ("UNREADABLE", "TRUNCATED_RECORD", "BAD_HTTP")
_FAILED = ("PAGE_TIMEOUT", "PAGE_MEMORY", "EXTRACTION_FAILED")


@dataclass(frozen=True)
class Warned:
    """One warning: about which step, what is wrong, the remedy, and names of files for people who have these files."""

    step: str
    text: str
    remedy: str
    names: str = ""


def find_warnings(directory: str) -> list[Warned]:
    """Return the warnings of a run, in the order of its steps; none for a shards folder alone."""
    try:
        run = Lookup(directory)
    except PathError:
        return []
    found = [warned for manifest in run.manifests.values() for warned in _of_step(manifest)]
    if run.not_run:
        text = f"not finished: {', '.join(run.not_run)}"
        found.append(Warned(run.not_run[0], text, "the same `weft run` goes on from there"))
    return found


def _of_step(manifest: Manifest) -> Iterator[Warned]:
    if manifest.step == "extract":
        yield from _of_extract(manifest)
    few = _few_images(manifest) if manifest.step == "fetch" else _few_pages(manifest)
    if few:
        yield few
    elif "guard" in manifest.notes:
        remedy = (
            "look at what it drops, in `weft report OUT` or `weft stats OUT --funnel`, and change its key of the recipe"
        )
        yield Warned(manifest.step, manifest.notes["guard"], remedy)
    if manifest.step == "assemble":
        for corpus in manifest.recipe.get("corpora", ()):
            if not manifest.counts.get(corpus):
                text = f"no {corpus} document was made"
                yield Warned("assemble", text, "`weft stats OUT --funnel` shows where pages, captions and images went")


def _of_extract(manifest: Manifest) -> Iterator[Warned]:
    judged, rejected = manifest.judged.get("page", 0), manifest.rejected
    if "archives" in manifest.notes:
        remedy = "WET and WAT files hold no pages: give the WARC files that they were made from"
        text, _, names = manifest.notes["archives"].partition(": ")
        yield Warned("extract", text, remedy, names)
    unread, failed = (sum(rejected.get(rule, 0) for rule in rules) for rules in (_NOT_READ, _FAILED))
    if unread > MANY_FAILURES * (judged + unread):
        text = f"{percent(unread, judged + unread)} of the records cannot be read ({_most(rejected, _NOT_READ)})"
        yield Warned("extract", text, "compare the archives with the sums of who publishes them, and get them again")
    if failed > MANY_FAILURES * judged:
        text = f"extraction failed on {percent(failed, judged)} of {judged:,} pages ({_most(rejected, _FAILED)})"
        yield Warned("extract", text, "raise extract.max_seconds or extract.max_memory_bytes")


def _few_images(fetch: Manifest) -> Warned | None:
    """Warn where most images were lost, or nearly none is kept; name the failures, and how to try again."""
    kept, asked = fetch.counts.get("ok", 0), sum(fetch.counts.values())
    lost = sum(fetch.counts.get(status, 0) for status in LOST)
    if not _is_few(kept, asked, FEW) and not _is_few(asked - lost, asked, LOST_IMAGES):
        return None
    failures = {status: n for status, n in fetch.counts.items() if status != "ok" and n}
    most = sorted(failures, key=lambda status: (-failures[status], status))
    text = f"only {kept:,} of {asked:,} images are kept ({percent(kept, asked)}): "
    text += ", ".join(f"{status} {percent(failures[status], asked)}" for status in most[:4])
    again = [status for status in most if status in RETRIED]
    remedy = "`weft stats OUT --funnel --by host` names the hosts"
    if again:
        remedy = f"`weft fetch --output OUT --retry {','.join(again)}` asks again; " + remedy
    return Warned("fetch", text, remedy)


def _few_pages(manifest: Manifest) -> Warned | None:
    kept, judged = manifest.counts.get("pages"), manifest.judged.get("page", 0)
    if kept is None or not _is_few(kept, judged, FEW):
        return None
    of_pages = [rule for rule in manifest.rejected if BY_CODE[rule].level == "page"]
    text = f"only {kept:,} of {judged:,} pages go on ({percent(kept, judged)}): {_most(manifest.rejected, of_pages)}"
    remedy = "look at what these rules drop, in `weft report OUT` or `weft stats OUT --funnel`, and change the recipe"
    return Warned(manifest.step, text, remedy)


def _is_few(part: int, whole: int, fraction: float) -> bool:
    return whole > 0 and (part == 0 or (whole >= MIN_JUDGED and part < fraction * whole))


def _most(rejected: Mapping[str, int], rules: list[str] | tuple[str, ...]) -> str:
    ordered = sorted((rule for rule in rules if rejected.get(rule)), key=lambda rule: (-rejected[rule], rule))
    return ", ".join(f"{rule} {rejected[rule]:,}" for rule in ordered[:3])
