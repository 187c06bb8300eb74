"""A planned page, and its expected outcome."""

from dataclasses import dataclass

from tests.sampleweb.embedding import Placement

Block = str | Placement
NUM_ARCHIVES = 4
MAX_IMAGES = 5  # of a document, recipe kosmos1


@dataclass(frozen=True)
class Page:
    """One capture of one page, planned before any HTML is written.

    `fate` is where it ends under recipe kosmos1: 'interleaved', 'text', or the code of the rule that takes it.
    """

    url: str
    captured_at: str
    archive: int  # number of the WARC file
    case: str  # why the page exists, a key of CASES
    site: str
    language: str
    layout: str
    title: str
    blocks: tuple[Block, ...]
    fate: str
    charset: str = "utf-8"
    charset_in: str = "header"  # or "meta"
    base: str = ""  # of a <base href>
    document_rule: str = ""  # what takes the interleaved form of a page that ends as text
    logo: Placement | None = None
    teasers: tuple[Placement, ...] = ()
    malformed: bool = False
    faults: tuple[tuple[str, int | None], ...] = ()  # rules that it breaks, with the number of the block that does

    @property
    def paragraphs(self) -> list[str]:
        return [block for block in self.blocks if isinstance(block, str)]

    @property
    def placements(self) -> list[Placement]:
        return [block for block in self.blocks if isinstance(block, Placement)]

    @property
    def shown(self) -> list[Placement]:
        """Every image of the page, in the order of its HTML."""
        return [*([self.logo] if self.logo else []), *self.placements, *self.teasers]

    @property
    def num_surviving_images(self) -> int:
        """Distinct sound images, as many as one document may hold."""
        return min(MAX_IMAGES, len({p.picture.url for p in self.placements if p.picture.fate == "ok"}))
