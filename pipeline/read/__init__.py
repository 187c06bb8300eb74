"""Read archives of the web, the damaged ones too: every readable response comes out, and every unread byte has a row.

source     a file, opened by path or URL
stream     its bytes, decompressed; what does not decompress is a Damage
window     a bounded view that slides over them and knows where each byte came from
records    WARC and ARC records in them; what belongs to none is a Gap
wacz       the archives within a zip
archive    all of these put together: scan
message    the HTTP message in a record, its body decoded
mime       what a response is, by its headers or its bytes
dates      times of capture in one form
response   what the pipeline asks for: read_archive
captures   what replay asks for: the newest capture of an address
"""

from pipeline.read.response import Response, Unreadable, Wanted, is_page, read_archive

__all__ = ["Response", "Unreadable", "Wanted", "is_page", "read_archive"]
