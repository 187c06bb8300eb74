"""Write the dataset card and the Croissant metadata of a run's shards."""

from jobs.printing import say
from pipeline.card import croissant, gather, readme
from pipeline.store import Store
from schemas.shards import CARD, CROISSANT


def show(directory: str, name: str | None, licence: str | None, to: str | None) -> None:
    """Write both files beside the shards, or into another folder, and say where they are.

    Raises: PathError when there are no shards, or no run that made them.
    """
    facts = gather(directory, name, licence)
    store, folder = (Store(to), "") if to else (facts.store, facts.folder)
    for file, text in ((CARD, readme(facts)), (CROISSANT, croissant(facts))):
        parts = [part for part in (folder, file) if part]
        store.write(store.at(*parts), text.encode("utf-8", "replace"))
        say("/".join((store.root, *parts)))
