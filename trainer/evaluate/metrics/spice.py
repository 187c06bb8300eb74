"""SPICE: the F-score of objects, attributes and relations of a caption against those of its references.

Definition: Anderson et al. (arXiv 1607.08822), by the Java program of its authors, where the user has it.
"""

import json
import math
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from schemas.errors import MissingError, WeftError
from trainer.evaluate.metrics.cider import check

_FOLDER = "WEFT_SPICE"
_JAR = "spice-1.0.jar"
_MAX_SECONDS = 4 * 3600.0  # it parses each reference: some images in a second


def spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float | None:
    """The mean of F over the images, 0 to 1; an image of whose F is not a number counts 0.

    None where there is no Java, or where WEFT_SPICE does not name the folder of the program (spice-1.0.jar, with its
    lib/). Raises SchemaError unless there is a candidate, and for each a list of one reference or more; MissingError if
    that folder does not hold the program; WeftError if the program fails, or takes more than four hours.
    """
    check(candidates, references)
    folder, java = os.environ.get(_FOLDER), _java()
    if not folder:
        return None
    jar = Path(folder).resolve() / _JAR
    if not jar.is_file() or not (jar.parent / "lib").is_dir():
        raise MissingError(f"{_FOLDER}={folder} holds no {_JAR} with its lib/: name the folder of SPICE, or unset it")
    if java is None:
        return None
    rows = [
        {"image_id": number, "test": said, "refs": list(texts)}
        for number, (said, texts) in enumerate(zip(candidates, references, strict=True))
    ]
    with TemporaryDirectory(prefix="weft-spice-") as scratch:
        (Path(scratch) / "cache").mkdir()
        (Path(scratch) / "in.json").write_text(json.dumps(rows), encoding="utf-8")
        _run([java, "-Xmx8G", "-jar", str(jar), "in.json", "-out", "out.json", "-cache", "cache", "-subset", "-silent"],
             Path(scratch))  # fmt: skip
        return fmean(_scores(Path(scratch) / "out.json", len(rows)))


def _java() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which(str(Path(home) / "bin" / "java")) if home else shutil.which("java")


def _run(command: list[str], folder: Path) -> None:
    try:
        ended = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=_MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WeftError(f"SPICE took more than {_MAX_SECONDS:.0f} seconds: give it fewer images") from error
    if ended.returncode or not (folder / "out.json").is_file():
        said = ended.stderr.decode(errors="replace").strip().splitlines() or ["no word of why"]
        raise WeftError(f"SPICE failed with {ended.returncode}: {said[0][:200]}; unset {_FOLDER} to go on without it")


def _scores(file: Path, num_images: int) -> list[float]:
    try:
        found = [float(row["scores"]["All"]["f"]) for row in json.loads(file.read_text(encoding="utf-8"))]
    except (KeyError, TypeError, ValueError) as error:
        raise WeftError(f"SPICE wrote no scores that can be read ({error!r}): is {_JAR} of version 1.0?") from error
    if len(found) != num_images:
        raise WeftError(f"SPICE judged {len(found)} of {num_images} images: unset {_FOLDER} to go on without it")
    return [0.0 if math.isnan(score) else score for score in found]
