"""Fill a text with spam, far beyond any threshold: a third to half of its words."""

import random

EMOJI = ("🎉", "🔥", "😍", "🚀", "💯", "🌈", "👉", "🎁")
HOSTS = ("we", "you", "all")  # plain words, so that the page is still told as English


def stuffed(text: str, case: str, rng: random.Random) -> str:
    """Return the text as a page of the case 'emoji', 'hashtags' or 'addresses' holds it; of others, unchanged."""
    words = text.split(" ")
    match case:
        case "emoji":
            return " ".join(f"{word} {rng.choice(EMOJI)}" for word in words)
        case "hashtags":
            return " ".join(f"#{word.strip('.,')}" if i % 3 == 1 else word for i, word in enumerate(words))
        case "addresses":
            return " ".join(
                f"{word} www.{rng.choice(HOSTS)}.example" if i % 2 else word for i, word in enumerate(words)
            )
        case _:
            return text
