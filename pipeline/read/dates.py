"""Times of capture, as archives write them, in one form."""

import re
from datetime import UTC, datetime, timedelta

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-?(?P<month>\d\d)(?:-?(?P<day>\d\d)(?:[T ]?(?P<hour>\d\d)"
    r"(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,]\d+)?)?)?)?)?)?"
    r"(?:(?<=\d)(?P<sign>[+-])(?P<zone_hours>\d\d):?(?P<zone_minutes>\d\d))?"
)


def to_utc(text: str) -> str:
    """Return a WARC-Date or a date of ARC as YYYY-MM-DDTHH:MM:SSZ, or "" when it is none.

    ISO 8601 with or without separators, fractions (dropped) and zone; what a shortened date leaves out is its start.

    >>> to_utc("2014-01"), to_utc("20080430204825"), to_utc("2014-02-10T00:00:01.5+01:00"), to_utc("null")
    ('2014-01-01T00:00:00Z', '2008-04-30T20:48:25Z', '2014-02-09T23:00:01Z', '')
    """
    match = _DATE.match(text.strip())
    if match is None:
        return ""
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    try:
        moment = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=UTC)
        if match["sign"]:
            ahead = timedelta(hours=int(match["zone_hours"]), minutes=int(match["zone_minutes"]))
            moment += -ahead if match["sign"] == "+" else ahead
    except (ValueError, OverflowError):
        return ""
    return moment.replace(tzinfo=None).isoformat() + "Z"
