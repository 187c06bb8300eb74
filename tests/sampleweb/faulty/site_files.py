"""Variants of a site's robots.txt and tdmrep.json, valid and invalid."""

from tests.sampleweb.faulty.answers import Answer, response, silence

STATUSES = {"missing": 404, "forbidden": 403, "error": 500}
DISALLOW = "User-agent: *\nDisallow: /private/\n"
_COMMENT = "# " + "robots come and go, this line stays " * 3 + "\n"
TEXTS = {
    "disallow": DISALLOW,
    "delay": "User-agent: *\nCrawl-delay: 1\n",
    # RFC 9309, section 2.5: a crawler may stop reading after 500 KiB; /beyond/ stands behind that
    "huge": DISALLOW + _COMMENT * 6000 + "Disallow: /beyond/\n" + _COMMENT * 6000,
}


def site_file(shape: str, media_type: str) -> Answer:
    """Return the answer for a shape: one of STATUSES, one of TEXTS, 'silent', or the text itself."""
    if shape in STATUSES:
        return Answer(response(STATUSES[shape], b"no such luck", "text/html"))
    if shape == "silent":
        return Answer(b"", silence())
    return Answer(response(200, TEXTS.get(shape, shape).encode(), media_type))
