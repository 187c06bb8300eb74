"""Requests of one fetch to misbehaving servers, and the class of every answer.

Paths define the answer, see tests/sampleweb/faulty/faults.py. Hosts are named by their roles.
"""

from urllib.parse import quote

from pipeline.fetch.commit_log import MOVED
from pipeline.fetch.download import LOST_IN_A_ROW
from schemas.recipe import Decode, Fetch, Recipe

ROBOTS_FILE, RESERVATIONS_FILE = "/robots.txt", "/.well-known/tdmrep.json"
READ_BYTES = 500 * 1024  # of a robots.txt; in this one they end with `Disallow: /`, which is no rule of it
CUT = "User-agent: *\n#".ljust(READ_BYTES - len("\nDisallow: /"), "#") + "\nDisallow: /beyond/\n"
ROBOTS = {
    "disallow": "disallow",
    "forbidden": "forbidden",
    "error": "error",
    "huge": "huge",
    "edge": CUT,
    "delay": "delay",
    "unwanted": "User-agent: weft\nDisallow: /\n",
    "others": "User-agent: otherbot\nDisallow: /\n",
    "mute": "silent",
}
RESERVATIONS = {"reserving": '[{"location": "/private/", "tdm-reservation": 1}]'}
PLAIN = (
    "sound", "busy", "dated", "stubborn", "patient", "flaky", "broken503", "silent", "dripping", "drips", "late",
    "large", "cut", "stale", "moves", "circles", "lost", "rated", "narrow", "overtaken",
)  # fmt: skip
HOSTS = {role: f"127.0.0.{number}" for number, role in enumerate([*PLAIN, *ROBOTS, *RESERVATIONS], 1)}
NUM_HOSTS = len(HOSTS)
HOSTS["odd"], HOSTS["closed"] = "127.0.0.201", "127.0.0.202"  # neither is the faulty server's
RETRIES = 2
TRIES = 1 + RETRIES
CONNECTIONS, PER_SECOND = 3, 20
MAX_BYTES, TOTAL_SECONDS = 1_000_000, 2.5


RECIPE = Recipe(
    name="faulty",
    decode=Decode(max_bytes=MAX_BYTES),
    fetch=Fetch(
        contact="https://weft.example/bot",
        allow_hosts=(*HOSTS.values(), "uncertain.example"),
        host_connections=CONNECTIONS,
        host_requests_per_second=PER_SECOND,
        retries=RETRIES,
        backoff_seconds=0.1,
        max_wait_seconds=3,
        connect_seconds=1,
        read_seconds=1.5,
        total_seconds=TOTAL_SECONDS,
        threads=64,
        commit_images=50,
    ),
)


def to(target: str, status: int = 302) -> str:
    """Return the path that redirects to a target; PORT is a placeholder for the server's port, as in all URLs here."""
    return f"/to/{status}/{quote(target, safe='')}"


# role, path, class, requests
CASES = [
    *[("sound", f"/{kind}/1.jpg", "ok", 1) for kind in ("ok", "gzipped", "mistyped", "untyped", "drip/1", "late/0.5")],
    ("sound", "/tagged/otherbot%3A%20noai/1.jpg", "ok", 1),
    ("sound", "/tagged/weft%3A%20noai/1.jpg", "opt_out", 1),
    ("sound", "/tagged/otherbot%3A%20noindex,%20weft%3A%20noimageai/1.jpg", "opt_out", 1),
    ("sound", "/tagged/max-snippet%3A%205,%20nofollow/1.jpg", "ok", 1),
    *[("sound", f"/{kind}/1.jpg", "ok", 1) for kind in ("hinted/1", "headers/300", "long/200000")],
    ("sound", "/noai/1.jpg", "opt_out", 1),
    ("sound", "/reserved/1.jpg", "opt_out", 1),
    ("sound", "/missing/1.jpg", "http_4xx", 1),
    ("sound", "/forbidden/1.jpg", "http_4xx", 1),
    ("sound", "/gone/1.jpg", "http_4xx", 1),
    ("sound", "/error/1.jpg", "http_5xx", 1),
    ("sound", "/page/1.jpg", "not_an_image", 1),
    ("sound", "/empty/1.jpg", "not_an_image", 1),
    ("sound", "/wide/1.png", "too_many_pixels", 1),
    # its site files are asked for, and heeded, at the turns of the first three
    *[("busy", f"/ok/{number}.jpg", "ok", 1) for number in range(3)],
    ("busy", "/busy/2/1/1.jpg", "ok", 2 + 1),
    *[("busy", f"/ok/{number}.jpg", "ok", 1) for number in range(3, 9)],
    ("dated", "/busydate/1/2/1.jpg", "ok", 1 + 1),
    ("stubborn", "/busy/9/1/1.jpg", "http_429", TRIES),
    ("patient", "/busy/9/60/1.jpg", "http_429", 1),  # longer than max_wait_seconds
    ("flaky", "/flaky/2/1.jpg", "ok", 2 + 1),
    ("broken503", "/flaky/9/1.jpg", "http_5xx", TRIES),
    ("silent", "/silent/1.jpg", "timeout", TRIES),
    ("dripping", "/drip/9/1.jpg", "timeout", TRIES),
    ("drips", "/dripheaders/9/1.jpg", "timeout", TRIES),
    ("late", "/late/9/1.jpg", "timeout", TRIES),
    ("large", "/endless/1.jpg", "too_large", 1),
    ("large", "/huge/90000000/1.jpg", "too_large", 1),
    ("large", "/bomb/1.jpg", "too_large", 1),
    ("large", "/huge/900000/1.jpg", "not_an_image", 1),
    ("cut", "/cut/1.jpg", "unreachable", 1),
    ("cut", "/garbage/1.jpg", "unreachable", 1),
    *[("stale", f"/stale/{number}.jpg", "ok", 1) for number in range(9)],
    ("moves", "/chain/3/1.jpg", "ok", 1),
    ("moves", "/chain/9/2.jpg", "unreachable", 1),
    ("moves", "/loop/3.jpg", "unreachable", 1),
    ("moves", to("/missing/9.jpg", 307), "http_4xx", 1),
    ("moves", to("file:///etc/hosts"), "private_address", 1),
    ("moves", to(f"//{HOSTS['rated']}:PORT/ok/77.jpg", 308), MOVED, 1),
    ("moves", to(f"http://{HOSTS['unwanted']}:PORT/ok/77.jpg"), MOVED, 1),
    ("moves", to("http://10.0.0.1/1.jpg"), MOVED, 1),
    ("moves", to("http://private.example/1.jpg", 301), MOVED, 1),
    *[("circles", f"/loop/{number}.jpg", "unreachable", 1) for number in range(2 * LOST_IN_A_ROW)],
    ("circles", "/chain/4/1.jpg", "ok", 1),
    *[("rated", f"/ok/{number}.jpg", "ok", 1) for number in range(20)],
    *[("narrow", f"/late/0.2/{number}.jpg", "ok", 1) for number in range(10)],
    ("disallow", "/ok/1.jpg", "ok", 1),
    ("disallow", "/private/1.jpg", "robots", 0),
    ("disallow", to("/private/2.jpg"), "robots", 1),
    ("forbidden", "/private/1.jpg", "ok", 1),  # 403 of robots.txt forbids nothing, RFC 9309, section 2.3.1.3
    ("error", "/ok/1.jpg", "http_5xx", 0),
    ("error", "/ok/2.jpg", "http_5xx", 0),
    ("mute", "/ok/1.jpg", "timeout", 0),
    ("mute", "/ok/2.jpg", "timeout", 0),
    ("huge", "/private/1.jpg", "robots", 0),
    ("huge", "/beyond/1.jpg", "ok", 1),  # its rule stands behind what is read
    ("edge", "/beyond/1.jpg", "ok", 1),
    ("unwanted", "/ok/1.jpg", "robots", 0),
    ("others", "/ok/1.jpg", "ok", 1),
    ("delay", "/ok/1.jpg", "ok", 1),
    ("delay", "/ok/2.jpg", "ok", 1),
    ("reserving", "/private/1.jpg", "opt_out", 0),
    ("reserving", "/ok/1.jpg", "ok", 1),
]
LOST = [f"/silent/{number}.jpg" for number in range(20)]  # of role lost
ADDRESSES = {
    "http://10.0.0.1/2.jpg": "private_address",
    "http://[::1]:PORT/ok/1.jpg": "private_address",
    "http://localhost:PORT/ok/1.jpg": "private_address",
    "http://2130706632:PORT/ok/1.jpg": "private_address",  # 127.0.0.200
    "http://0x7f.0.0.0310:PORT/ok/1.jpg": "private_address",  # the same
    "http://private.example/2.jpg": "private_address",
    "http://absent.example/1.jpg": "dns",
    "http://uncertain.example:PORT/ok/1.jpg": "ok",
    **{f"http://uncertain.example:PORT/stale/{number}.jpg": "ok" for number in range(5)},
    f"ftp://{HOSTS['sound']}:PORT/ok/1.jpg": "private_address",
    "http://[/1.jpg": "private_address",
    f"http://{HOSTS['closed']}:1/1.jpg": "unreachable",
    # once or twice: on a kept connection it looks like the end of that
    f"http://{HOSTS['cut']}:PORT/reset/1.jpg": "unreachable",
    f"http://{HOSTS['odd']}:ODDPORT/ok/1.jpg": "ok",
    f"http://{HOSTS['odd']}:ODDPORT/private/1.jpg": "robots",
}
