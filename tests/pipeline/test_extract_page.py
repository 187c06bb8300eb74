"""A page's blocks: text and images in reading order."""

from pipeline.html.page import extract_page

PAGE = "http://host.example/page.html"
LONG = "{} This paragraph is long enough to be taken for main text by any reader, and it says something of its own."


def blocks(body: str) -> list[str]:
    page = extract_page(f"<html><body><article>{body}</article></body></html>".encode(), "utf-8", PAGE)
    return [
        str(b["text"] if b["kind"] == "text" else b["image_url"]).removeprefix("http://host.example/")
        for b in page.blocks
    ]


def test_images_are_between_the_surrounding_paragraphs() -> None:
    a, b, c = (LONG.format(n) for n in ("One.", "Two.", "Three."))
    html = f"<p>{a}</p><figure><img src=1.jpg></figure><p>{b}</p><div><a href=x><img src=2.jpg></a></div><p>{c}</p>"
    assert blocks(html) == [a, "1.jpg", b, "2.jpg", c]


def test_an_image_inside_a_paragraph_does_not_split_its_text() -> None:
    a, b = LONG.format("One."), LONG.format("Two.")
    assert blocks(f"<p><img src=0.jpg>{a}</p><p>{b} And <img src=1.jpg> more.</p>") == [
        "0.jpg",
        a,
        f"{b} And more.",
        "1.jpg",
    ]


def test_text_is_the_same_without_images() -> None:
    words = [LONG.format(str(n)) for n in range(4)]
    with_images = "".join(f"<p>{w}</p><p><img src={n}.jpg alt=x></p>" for n, w in enumerate(words))
    assert [b for b in blocks(with_images) if ".jpg" not in b] == blocks("".join(f"<p>{w}</p>" for w in words)) == words


def test_lists_and_tables_keep_their_lines() -> None:
    a, b, c, d = (LONG.format(n) for n in ("One.", "Two.", "Three.", "Four."))
    table = "<table><tr><td>Height</td><td>21 cm</td></tr><tr><td>Width</td><td>30 cm</td></tr></table>"
    assert blocks(f"<p>{a}</p><ul><li>{b}</li><li>{c}</li></ul>{table}<p>{d}</p>") == [
        a, f"{b}\n{c}", "Height 21 cm\nWidth 30 cm", d,
    ]  # fmt: skip
