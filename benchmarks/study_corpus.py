"""Count the captions of a corpus of the study, and those that are wrong by the web's truth."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

_RELATIONS = {"a", "on", "background", "above", "below", "to", "the", "left", "right", "of", "inside"}


def captions(corpus: Path, web: Path) -> dict[str, int]:
    """Count a corpus's captions that are trained on; `wrong`: what they name is not what the image's scene holds.

    Every right phrasing names size, colour and shape of each thing, and the colour behind them
    (tests/sampleweb/captions.py).
    """
    lines = map(json.loads, (web / "truth-images.jsonl").read_text(encoding="utf-8").splitlines())
    scenes = {line["image_url"]: set((line["scene"] or "").split()) - _RELATIONS for line in lines}
    found = [(scenes[url], words) for url, words in _captions(corpus)]
    return {"captions": len(found), "wrong": sum(not named <= set(_plain(words)) for named, words in found)}


def _captions(corpus: Path) -> Iterator[tuple[str, str]]:
    """Yield the image address and the text of each caption sample."""
    listed = json.loads((corpus / "shards" / "shards.json").read_text(encoding="utf-8"))["shards"]
    for shard in listed:
        if shard["corpus"] == "caption" and shard["split"] == "train":
            with tarfile.open(corpus / "shards" / shard["tar"]) as tar:
                files = {m.name: file.read() for m in tar if (file := tar.extractfile(m)) is not None}
            for name, content in files.items():
                if name.endswith(".json"):
                    words = files[name.removesuffix("json") + "txt"].decode()
                    yield json.loads(content)["image_url"], words


def _plain(words: str) -> list[str]:
    return [word.strip(",.") for word in words.lower().split()]
