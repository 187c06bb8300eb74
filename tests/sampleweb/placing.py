"""Place images on pages: draw the scene, name the file, choose the markup, write the alt text."""

import random
from dataclasses import replace

from tests.sampleweb import captions
from tests.sampleweb.embedding import EMBEDDINGS, Placement, resolved, source
from tests.sampleweb.pictures import EXTENSIONS, FLAWS, Picture
from tests.sampleweb.plan import Page
from tests.sampleweb.prose import Writer
from tests.sampleweb.scenes import Scene, draw_scene, opposite_scene
from tests.sampleweb.sites import SITES, on_host

SPLIT = "web"
ON_ANY_SITE = tuple(e for e in EMBEDDINGS if e not in ("relative", "root", "protocol"))  # whole addresses
SPACE_ENDS_ADDRESS = ("srcset", "srcset alone", "picture")
FLAWED_SIZES = {"tiny": (40, 40), "narrow": (200, 48), "pixel": (1, 1)}
ODD_STEMS = ("my picture", "carte d’été", "größe", "絵")
POOR_STEMS = ("button", "icon", "plugin", "widget")  # names of what is no picture


class Placer:
    """Hands out placements; no two pictures share a scene or a file name, but for copies that are asked for."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.num_draws = 0
        self.num_flawed = 0
        self.drawn: set[Scene] = set()
        self.sound: list[Picture] = []  # may be shown again as a teaser, or copied

    def sound_image(self, page: Page, words: Writer, rng: random.Random, whole_address: bool = False) -> Placement:
        """Place a new picture that nothing is wrong with."""
        extension = rng.choice(("jpg", "jpg", "jpg", "png", "webp"))
        width = rng.choice((128, 160, 192, 224, 256))
        size = (width, rng.choice((width, width * 3 // 4)))
        placement = self._placed(page, words, rng, extension, size, whole_address=whole_address)
        self.sound.append(placement.picture)
        return placement

    def flawed_image(self, page: Page, words: Writer, rng: random.Random) -> Placement:
        """Place a picture with a flaw; flaws take turns."""
        flaw = list(FLAWS)[self.num_flawed % len(FLAWS)]
        self.num_flawed += 1
        size = FLAWED_SIZES.get(flaw, (192, 192))
        placement = self._placed(page, words, rng, EXTENSIONS.get(flaw, "jpg"), size)
        return replace(placement, picture=replace(placement.picture, flaw=flaw))

    def copied_image(self, page: Page, words: Writer, rng: random.Random) -> Placement:
        """Place a new address that answers with the bytes of an earlier picture."""
        first = rng.choice(self.sound)
        placement = self._placed(page, words, rng, first.extension, (first.width, first.height), first.scene)
        return replace(placement, picture=replace(placement.picture, same_as=first))

    def moved_image(self, page: Page, words: Writer, rng: random.Random) -> Placement:
        """Place a picture whose address redirects to where it now lies."""
        placement = self._placed(page, words, rng, "jpg", (192, 192))
        return replace(placement, picture=replace(placement.picture, moved=True))

    def mislabelled(self, placement: Placement, words: Writer) -> Placement:
        """Give a placement the alt text of a scene that shares nothing with what is drawn."""
        opposite = opposite_scene(placement.picture.scene, self.seed, self.num_draws, SPLIT)
        return replace(placement, alt=words.label(opposite), caption="", matches=False)

    def teaser(self, words: Writer, rng: random.Random) -> Placement:
        """Place an earlier page's picture, as a sidebar does."""
        picture = rng.choice(self.sound)
        return Placement(picture, picture.url, "absolute", words.label(picture.scene))

    def logo(self, site: str) -> Placement:
        """Place a site's logo: too small to stay, with the site's name as alt text."""
        picture = Picture(
            f"{SITES[site]}/static/logo.png", draw_scene(self.seed, -1 - list(SITES).index(site), SPLIT), 40, 40, "tiny"
        )
        return Placement(picture, picture.url, "absolute", site, matches=False)

    def _placed(
        self,
        page: Page,
        words: Writer,
        rng: random.Random,
        extension: str,
        size: tuple[int, int],
        scene: Scene | None = None,
        whole_address: bool = False,
    ) -> Placement:
        scene = scene or self._new_scene()
        self.num_draws += 1
        odd = page.case == "odd names"
        usable = ON_ANY_SITE if whole_address else EMBEDDINGS
        embedding = "base" if page.base else rng.choice([e for e in usable if not (odd and e in SPACE_ENDS_ADDRESS)])
        stem = f"{rng.choice(ODD_STEMS)} " if odd else f"{scene.things[0].shape}-"
        if page.case == "poor images":
            stem = f"{stem}{rng.choice(POOR_STEMS)}-"
        src = source(embedding, on_host(SITES[page.site], "img"), f"{stem}{self.num_draws:04d}.{extension}")
        label = words.label(scene)
        figcaption = captions.caption(scene) if page.language == "en" else label
        picture = Picture(resolved(src, page.url, page.base), scene, *size)
        return Placement(picture, src, embedding, label, figcaption if rng.random() < 0.5 else "")

    def _new_scene(self) -> Scene:
        while (scene := draw_scene(self.seed, self.num_draws, SPLIT)) in self.drawn:
            self.num_draws += 1
        self.drawn.add(scene)
        return scene
