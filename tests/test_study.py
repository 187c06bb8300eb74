"""The study counts a caption as wrong if it describes another scene than its image, by the ground truth."""

import json
import tarfile
from pathlib import Path

from webs import Finished

from benchmarks.study_corpus import captions


def urls(shards: Path) -> list[str]:
    """Read the URL of every caption's image from the tars."""
    found = []
    for path in sorted((shards / "caption").glob("*.tar")):
        with tarfile.open(path) as tar:
            found += [
                json.load(file)["image_url"] for m in tar if m.name.endswith(".json") and (file := tar.extractfile(m))
            ]
    return found


def test_wrong_captions_are_those_of_another_scene(finished: Finished, tmp_path: Path) -> None:
    every = urls(finished.output / "shards")
    assert captions(finished.output, finished.web.folder) == {"captions": len(every), "wrong": 0}
    other = set(every[::7])
    truth = []
    for line in (finished.web.folder / "truth-images.jsonl").read_text().splitlines():
        told = json.loads(line)
        truth.append(json.dumps(told | ({"scene": "a large nothing"} if told["image_url"] in other else {})) + "\n")
    (tmp_path / "truth-images.jsonl").write_text("".join(truth))
    assert captions(finished.output, tmp_path)["wrong"] == sum(url in other for url in every) > 0
