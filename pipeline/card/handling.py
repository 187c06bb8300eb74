"""What a card says of people: of sites that refuse, of personal data, of evaluation sets, and of limits."""

from pipeline.card.facts import Facts
from pipeline.markdown import code, plain
from schemas.display import percent
from schemas.recipe import Recipe


def consent(facts: Facts) -> str:
    """Say what sites could say, and how often they refused."""
    fetch, gates = facts.recipe.fetch, facts.recipe.extract.gates
    robots = f"honoured for every image. Images refused so: {facts.rejected('fetch', 'ROBOTS'):,}."
    answers = f"honoured. Images refused so: {facts.rejected('fetch', 'DIRECTIVE'):,}."
    archived = (
        f"honoured. Pages refused so: {facts.rejected('extract', 'PAGE_DIRECTIVE'):,}; images of pages that forbid "
        f"their images alone: {facts.rejected('extract', 'DIRECTIVE'):,}."
    )
    lines = [
        "Pages come from archives: whether they could be captured was asked by those who made these.",
        f"robots.txt (RFC 9309), as {code(fetch.user_agent)}: {robots if fetch.robots_txt else '**not asked for**.'}",
        "Directives in the answer with an image, and tdmrep.json of its site: "
        + (f"{_list(fetch.directives)} {answers}" if fetch.directives else "**not honoured**."),
        "Directives of pages, in headers and meta elements, as archived: "
        + (f"{_list(gates.directives)} {archived}" if gates.directives else "**not honoured**."),
    ]
    if fetch.proxy:
        lines.append("Images were asked of a proxy; where that replayed archives, robots.txt is the archived one.")
    return "\n".join(f"- {line}" for line in lines)


def personal_data(recipe: Recipe) -> str:
    """Say what was replaced, and what was not."""
    kinds = {"e-mail addresses": recipe.redact.email, "public IP addresses": recipe.redact.ip,
             "phone numbers": recipe.redact.phone}  # fmt: skip
    on = [kind for kind, wanted in kinds.items() if wanted]
    off = [kind for kind, wanted in kinds.items() if not wanted]
    replaced = f"Placeholders stand for {_and(on)} in texts, alt texts and captions: those that look like one for sure."
    kept = f"Nothing looked for {_and(off)}: what pages show of them is here."
    faces = "Names, faces and whatever else pages and images show of people are as they were published."
    return " ".join([*([replaced] if on else []), *([kept] if off else []), faces])


def evaluation_sets(facts: Facts) -> str:
    """Say which evaluation sets were looked for, and what they took."""
    held = facts.recipe.decontaminate
    if not held.texts and not held.images:
        return "No evaluation set was looked for: its items may stand here."
    went = {rule: facts.rejected("dedup", f"CONTAMINATED_{rule}") for rule in ("PAGE", "TEXT", "CAPTION", "IMAGE")}
    lines = []
    if held.texts:
        lines.append(
            f"- Texts of {_list(held.texts)}: {went['PAGE']:,} pages, {went['TEXT']:,} paragraphs and "
            f"{went['CAPTION']:,} captions that share {held.ngram_words} words in a row with an item went."
        )
    if held.images:
        lines.append(
            f"- Images of {_list(held.images)}: {went['IMAGE']:,} images went, whose perceptual hash differs from "
            f"one of these in {held.max_image_distance} bits of 64 at most."
        )
    return "\n".join(lines)


def limits(facts: Facts) -> str:
    """List what a reader must not take the data for, as far as the recipe tells."""
    recipe = facts.recipe
    unsafe = recipe.score.max_unsafe_score is not None
    near = recipe.dedup.near_text.enabled or recipe.dedup.image_distance is not None
    top = next(iter(facts.hosts.values()), 0)
    found = [
        "The texts and images belong to those who published them; nobody was asked for a licence, and none was checked."
        if facts.licence is None
        else f"The licence was named by who made this card: {plain(facts.licence)}. No page was checked for it.",
        "Languages are told by lid.176, from a page's text.",
        f"Images are JPEG of quality {recipe.decode.jpeg_quality}, {recipe.decode.max_side_pixels} pixels at the "
        "longer side at most; larger ones were scaled down.",
        "No page was read by a person. Texts and images may be wrong, biased or offensive.",
        f"A classifier of unsafe images was run, up to {recipe.score.max_unsafe_score:g}."
        if unsafe
        else "No classifier of unsafe images was run.",
        "Captions were scored by CLIP, whose own biases decide what stays."
        if recipe.clip.enabled and (recipe.score.min_caption_score is not None
                                    or recipe.score.max_caption_fraction is not None)
        else "No score decides whether a caption says what its image shows.",
        *([] if near else ["Equal texts and images were looked for as far as the recipe says; near duplicates stay."]),
        f"{len(facts.hosts):,} hosts; the largest holds {percent(top, facts.num_samples) or 'none'} of all samples.",
    ]  # fmt: skip
    return "\n".join(f"- {line}" for line in found)


def removal(recipe: Recipe) -> str:
    """Say whom to ask to have something removed, and what to name."""
    whom = f"write to {code(recipe.fetch.contact.removeprefix('mailto:'))}" if recipe.fetch.contact else (
        "ask whoever published this dataset: the run named no contact"
    )  # fmt: skip
    return (
        f"To have a page, an image or a whole site removed, {whom}, and name its address. Each sample holds the "
        f"address of its page ({code('url')}) and of its images ({code('image_url')}), so that it can be found."
    )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)


def _and(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
