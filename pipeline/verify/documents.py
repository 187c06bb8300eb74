"""Documents that hold their own sum (manifests, commits, configurations), and folders of a tokenizer or of weights."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.commits import COMMITS
from pipeline.lookup import STEPS
from pipeline.store import CONFIG, MANIFEST, Manifest, Store
from pipeline.verify.defect import Defect
from schemas.display import describe
from schemas.errors import IntegrityError
from schemas.shards import TOKENIZER, TOKENIZER_ABOUT
from schemas.sums import FILES, difference, unseal

TRAINER = "train"  # and TOKENIZER: what makes a damaged one anew, for Defect.step
CHECKPOINTS = "checkpoints"


@dataclass
class Documents:
    """What documents there are, what is wrong with them, and which of them an older release wrote without a sum."""

    defects: list[Defect] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)

    def read(self, store: Store, path: str, step: str) -> object:
        """Return what a document holds; None when it is not there, or damaged."""
        try:
            value, sealed = unseal(store.fs.cat_file(store.at(path)))
        except FileNotFoundError:
            return None
        except (IntegrityError, OSError) as error:
            what = str(error) if isinstance(error, IntegrityError) else describe(error, 200)
            self.defects.append(Defect(path, f"is not as it was written: {what}", step=step))
            return None
        if not sealed:
            self.unsealed.append(path)
        return value


def read_manifests(store: Store, documents: Documents) -> dict[str, Manifest]:
    """Return the manifest of each step that has finished, and read what stands beside them.

    These are the configurations that steps were started with, and the commits of extract.
    """
    found = {}
    for folder, step in STEPS.items():
        path = f"{folder}/{MANIFEST}"
        value = documents.read(store, path, step)
        if value is None:
            continue
        try:
            found[step] = Manifest(**value)  # type: ignore[arg-type]
        except TypeError as error:
            documents.defects.append(Defect(path, f"is of another version of Weft: {error}", step=step))
    for path in store.documents(CONFIG):
        documents.read(store, path, path.rsplit("/", 1)[-1].removesuffix(".json"))
    for path in store.documents("pages", COMMITS):
        documents.read(store, path, "extract")
    return found


def trained_folders(store: Store, everything: bool) -> list[tuple[str, str]]:
    """List folders of a tokenizer or of weights, with what is in them: those of a run, or all below the root."""
    tops = store.fs.ls(store.path, detail=False) if store.fs.exists(store.path) else []
    names = [top.rstrip("/").rsplit("/", 1)[-1] for top in tops]
    roots = [""] if everything else [n for n in names if n == TOKENIZER or n.startswith(CHECKPOINTS)]
    found = []
    for root in roots:
        paths = [path[len(store.path) + 1 :] for path in store.fs.find(store.at(root) if root else store.path)]
        weights = {path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] in (FILES, "state.json")}
        weights |= {path.rpartition("/")[0] for path in paths if path.endswith("model.safetensors")}
        words = {path.rpartition("/")[0] for path in paths if path.rpartition("/")[2] == TOKENIZER_ABOUT}
        inside = {folder for folder in words if any(folder.startswith(f"{w}/" if w else "") for w in weights)}
        found += [(folder, TRAINER) for folder in sorted(weights) if not folder.rpartition("/")[2].startswith(".")]
        found += [(folder, TOKENIZER) for folder in sorted(words - inside)]
    return found


def check_trained(root: str, folder: str, kind: str) -> tuple[Documents, int]:
    """Check a folder of a tokenizer or of weights; return what is wrong, and how many files have a sum."""
    store, documents = Store(root), Documents()
    name = "/".join(filter(None, (folder, TOKENIZER_ABOUT if kind == TOKENIZER else FILES)))
    value = documents.read(store, name, kind)
    if kind == TRAINER and value is None and not documents.defects:
        documents.unsealed.append(folder or ".")
        return documents, 0
    sums: dict[str, Any] = {}  # of a tokenizer, whose size nothing says, the SHA-256 alone
    if isinstance(value, dict):
        sums = value.get("files", {}) if kind == TRAINER else {}
        if kind == TOKENIZER and "sha256" in value:
            sums = {"tokenizer.model": {"sha256": value["sha256"]}}
    for file, said in sums.items():
        path = "/".join(filter(None, (folder, file)))
        try:
            found = store.sum(path)
            if what := difference(found, {**found, **said}):
                documents.defects.append(Defect(path, what, step=kind))
        except FileNotFoundError:
            documents.defects.append(Defect(path, "is not there", step=kind))
        except OSError as error:
            documents.defects.append(Defect(path, f"cannot be read: {describe(error, 200)}", step=kind))
    return documents, len(sums)
