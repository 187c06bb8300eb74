"""Thumbs are small, are there once, and never more than their budget, whatever bytes a shard holds."""

import base64
import io

import pytest
from PIL import Image

from jobs.report_examples import MAX_SIDE_PIXELS, Thumbs, place_thumbs, thumb


def picture(width: int, height: int, kind: str = "JPEG") -> bytes:
    made = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(made, kind)
    return made.getvalue()


@pytest.mark.parametrize(("width", "height"), [(1000, 500), (300, 2400), (240, 240), (40, 20), (5000, 2)])
def test_a_thumb_has_the_shape_of_its_picture(width: int, height: int) -> None:
    small = Image.open(io.BytesIO(thumb(picture(width, height))))
    assert small.format == "JPEG" and max(small.size) == min(max(width, height), MAX_SIDE_PIXELS)
    assert abs(small.width * height - small.height * width) <= max(width, height), small.size


@pytest.mark.parametrize("data", [b"", b"no picture", picture(20, 20)[:100], picture(20, 20, "PNG")])
def test_what_is_no_whole_jpeg_has_none(data: bytes) -> None:
    assert thumb(data) == b""


def test_the_budget_holds() -> None:
    thumbs = Thumbs()
    thumbs.allow(200)
    offered = (("a", b"1" * 60), ("b", b"2" * 90), ("c", b"3" * 30))
    assert [thumbs.take(name, jpeg) for name, jpeg in offered] == ["a", "", "c"]
    assert thumbs.take("a", b"1" * 60) == "a", "it is there"
    assert thumbs.take("d", b"") == "", "never made"
    assert sum(map(len, thumbs.urls.values())) <= 200
    assert base64.b64decode(thumbs.urls["c"].removeprefix("data:image/jpeg;base64,")) == b"3" * 30


def test_each_sample_gets_its_first_picture_before_another_its_second() -> None:
    samples = [
        ({"blocks": [{"kind": "text", "text": ""}, *({"kind": "image", "image": name} for name in names)]},
         [b"x" * 60 for _ in names])
        for names in (["a", "b", "c"], [], ["d", "e"])
    ]  # fmt: skip
    thumbs = Thumbs()
    thumbs.allow(330)
    placed = place_thumbs(samples, thumbs)
    assert [[b["image"] for b in s["blocks"][1:]] for s in placed] == [["a", "b", ""], [], ["d", ""]]
