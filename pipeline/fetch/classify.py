"""What img2dataset says of a failure, to one of the classes of schemas.tables.IMAGE_STATUS."""

import re

_CLASSES = (
    (r"HTTP Error 4\d\d", "http_4xx"),
    (r"HTTP Error \d\d\d", "http_5xx"),
    (r"X-Robots-Tag directive", "directive"),
    (r"timed out|timeout", "timeout"),
    (r"Name or service not known|name resolution|nodename nor servname|No address associated|getaddrinfo", "dns"),
    (r"unknown url type|no host given|URL can't contain control|nonnumeric port", "refused_address"),
)


def classify(error: str) -> str:
    """Return the class of a failed download; 'unreachable' is what no other class fits."""
    for pattern, status in _CLASSES:
        if re.search(pattern, error, re.IGNORECASE):
            return status
    return "unreachable"
