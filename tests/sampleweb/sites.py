"""The sites of the sample web: names and addresses under the reserved top-level domain (RFC 2606)."""

SITES = {
    "The Tile Museum": "http://tilemuseum.example",
    "Larkfield Weekly": "http://news.larkfield.example",
    "Amberford Gardens": "https://gardens.amberford.example",
    "Slow Trains": "http://slowtrains.example",
    "Paper Kitchen": "http://paperkitchen.example",
    "Kites and Quilts": "https://kites.example",
    "Drawing School": "http://school.millbrook.example",
    "The Round Table Forum": "http://forum.roundtable.example",
    "North Window": "http://northwindow.example",
    "Harbour Notes": "http://notes.harbour.example",
    "Small Shapes Shop": "https://shop.smallshapes.example",
    "Oakhaven Library": "http://library.oakhaven.example",
}


def on_host(address: str, name: str) -> str:
    """Return a site's address with a host name before its own: http://a.example, img -> http://img.a.example."""
    return address.replace("://", f"://{name}.")
