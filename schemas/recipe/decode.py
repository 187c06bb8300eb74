"""Which files are images that stay, and how those are stored."""

from typing import Literal, get_args

from pydantic import Field

from schemas.overrides import Section

Format = Literal["jpeg", "png", "gif", "webp", "avif", "bmp", "tiff", "ico"]
# No format that runs programs, reads other files, or is a document rather than a picture.
FORMATS: tuple[Format, ...] = get_args(Format)


class Decode(Section):
    max_bytes: int = Field(20_000_000, gt=0, description="largest file; reading ends there")
    min_side_pixels: int = Field(1, ge=1, description="shortest side that stays")
    max_pixels: int = Field(100_000_000, gt=0, description="most pixels, checked before decoding")
    max_seconds: float = Field(
        10, gt=0, description="longest processor time for decoding one image, as extract.max_seconds"
    )
    max_memory_bytes: int = Field(2_000_000_000, gt=0, description="most memory for decoding one image")
    max_aspect: float | None = Field(
        None, ge=1, description="largest ratio of the longer to the shorter side; null is no bound"
    )
    drop_single_colour: bool = Field(False, description="drop images of one colour")
    formats: tuple[Format, ...] = Field(FORMATS, min_length=1, description="image formats that stay")
    min_bytes: int = Field(0, ge=0, description="smallest file as fetched that stays")
    max_original_side_pixels: int | None = Field(
        None, gt=0, description="longer side as fetched that stays at most; null is no bound"
    )
    max_side_pixels: int = Field(512, gt=0, description="longer side as stored; smaller images are not enlarged")
    jpeg_quality: int = Field(92, ge=1, le=100, description="quality of the stored JPEG")
