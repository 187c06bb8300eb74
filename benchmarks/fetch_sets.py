"""The two sets of addresses of the fetch benchmark: tests/sampleweb/faulty responds on HOSTS, nothing on DEAD.

The mixed set has the shares that img2dataset's own statistics give for CC12M in January 2024, three years after it came
out (huggingface.co/datasets/vikhyatk/cc-12m, train/00002_stats.json): 69.9 % sound, 9.5 % 404, 6.2 % 403, 401 and 400,
2.8 % 429, 2.0 % not an image, 1.4 % X-Robots-Tag, 1.0 % timed out while reading, 0.7 % 410; of the other 6.5 % nearly
all gave no answer. Two shares are not in it: moved images, counted there as sound, and those that a robots.txt
forbids, which img2dataset does not read. Silence is rarer here than there, or it would be all that is timed.
"""

import random
from collections.abc import Iterator
from itertools import cycle, islice

HOSTS = [f"127.0.0.{number}" for number in range(1, 51)]
DEAD = [f"127.0.0.{number}" for number in range(101, 201)]  # refuse every connection
HUNG = HOSTS[-10:]  # never answer
FORBIDDING = HOSTS[:10]  # have a robots.txt that forbids /private/
ROBOTS = dict.fromkeys(FORBIDDING, "disallow")
MIXED = {  # of a thousand
    "ok": 640,
    "chain/1": 40,
    "missing": 95,
    "forbidden": 62,
    "gone": 7,
    "busy/1/1": 14,
    "busy/9/1": 14,
    "flaky/1": 5,
    "error": 5,
    "noai": 14,
    "private": 20,
    "mistyped": 10,
    "page": 12,
    "dead": 45,
    "silent": 3,
    "drip/3": 4,
    "cut": 3,
    "empty": 2,
    "stale": 2,
    "gzipped": 2,
    "reset": 1,
}
NUM_HUGE, HUGE = 3, "huge/60000000"  # in the whole set
SEED = 4


def clean(num_images: int, port: int) -> list[str]:
    """Return addresses that all respond with an image, alternating over the hosts."""
    hosts = cycle(HOSTS)
    return [f"http://{next(hosts)}:{port}/ok/{number}.jpg" for number in range(num_images)]


def mixed(num_images: int, port: int) -> list[str]:
    """Return addresses of every kind, shuffled."""
    kinds = [HUGE] * NUM_HUGE + list(islice(_kinds(), num_images - NUM_HUGE))
    hosts = {"dead": cycle(DEAD), "silent": cycle(HUNG), "private": cycle(FORBIDDING)}
    others = cycle(HOSTS[: -len(HUNG)])
    addresses = [
        f"http://{next(hosts.get(kind, others))}:{port}/{kind}/{number}.jpg" for number, kind in enumerate(kinds)
    ]
    random.Random(SEED).shuffle(addresses)
    return addresses


def _kinds() -> Iterator[str]:
    """Yield kinds, each thousand with the shares of MIXED in a different order."""
    rng = random.Random(SEED)
    while True:
        thousand = [kind for kind, share in MIXED.items() for _ in range(share)]
        rng.shuffle(thousand)
        yield from thousand
