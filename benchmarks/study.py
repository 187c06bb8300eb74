"""Train equal decoders on the corpora that recipes make from one noisy web: `python -m benchmarks.study DIR`.

The web is generated with known noise: wrong alt texts, copies, spam, other languages. Each recipe makes shards from it;
a decoder of the debug configuration trains on each for the same number of tokens, with several seeds and one tokenizer;
all are evaluated on clean held-out scenes (benchmarks/study_scenes.py). A stopped study resumes from DIR. docs/study.md
has the results.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.results import RESULTS
from benchmarks.study_corpus import captions
from benchmarks.study_plot import plot
from benchmarks.study_scenes import Figures, chosen, write_scenes
from pipeline.inspect.replay import replaying
from tests.sampleweb import RECIPE
from tests.sampleweb.web import write_web

NUM_PAGES, NOISE, WEB_SEED = 600, 20, 7
TRAINING = (  # what matters here is captions; and shapes are told apart sooner by an eye of smaller patches
    "steps=400", "data.mixture={text: 0.05, caption: 0.9, interleaved: 0.05}",
    "vision.tower.patch_size=8", "checkpoint.every_steps=200",
)  # fmt: skip
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {  # recipe, and what is set on top
    "kosmos1": (str(RECIPE), ()),
    "everything": ("everything", ()),
    "without languages": (
        str(RECIPE),
        ("filters.language.keep=[]", "extract.prefilter.languages=[]", "extract.prefilter.min_language_score=0"),
    ),
    "without text rules": (
        str(RECIPE),
        ("filters.text.min_words=null", "extract.prefilter.min_words=0", "filters.caption.min_words=1",
         "filters.gibberish.max_emoji_fraction=null",
         "filters.gibberish.max_hashtag_fraction=null", "filters.gibberish.max_url_fraction=null"),
    ),
    "without caption scores": (str(RECIPE), ("score.min_caption_score=null",)),
    "without dedup": (str(RECIPE), ("dedup.url=false", "dedup.text=false", "dedup.image=false")),
}  # fmt: skip
SEEDS = {**dict.fromkeys(VARIANTS, (0, 1)), "kosmos1": (0, 1, 2), "everything": (0, 1, 2)}
VOCABULARY = ("--vocab-size", "2000")
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
WEFT = str(Path(sys.executable).parent / "weft")


def main() -> None:
    """Make the corpora, train, evaluate, and store the figures and their plot."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/study")
    web = folder / "web"
    if not (web / "truth-images.jsonl").exists():
        write_web(web, WEB_SEED, NUM_PAGES, NOISE)
    with replaying([str(web / "images.warc.gz")]) as port:
        for name, (recipe, changes) in VARIANTS.items():
            _make(web, _of(folder, name), recipe, (f"fetch.proxy=http://127.0.0.1:{port}", *changes))
    tokenizer = folder / "tokenizer"
    if not tokenizer.exists():
        _weft("tokenizer", "--data", str(_of(folder, "everything")), "--output", str(tokenizer), *VOCABULARY)
    scenes = write_scenes(folder / "scenes")
    runs = [(name, seed) for name in VARIANTS for seed in SEEDS[name]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each thread waits for a training of its own
        list(pool.map(lambda run: _train(folder, *run), runs))
    found: dict[str, list[Figures]] = {name: [] for name in VARIANTS}
    for name, seed in runs:
        found[name].append(chosen(_model(folder, name, seed), tokenizer, scenes))
        print(f"{name}, seed {seed}: {found[name][-1]}", flush=True)
    told = {name: {**captions(_of(folder, name), web), "seeds": figures} for name, figures in found.items()}
    (RESULTS / "study.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    plot(told, Path("docs/study.svg"))


def _make(web: Path, output: Path, recipe: str, changes: tuple[str, ...]) -> None:
    """Run the pipeline. The proxy's port changes, so finished runs are not started again."""
    if not (output / "shards" / "shards.json").exists():
        archives = sorted(str(path) for path in web.glob("pages-*.warc.gz"))
        settings = _set(*changes, "shard.target_bytes=1000000")
        _weft("run", "--recipe", recipe, "--output", str(output), "--overwrite", *settings, *archives)


def _train(folder: Path, name: str, seed: int) -> None:
    model = _model(folder, name, seed)
    if not (model / "model").exists():
        settings = _set(*TRAINING, f"seed={seed}")
        _weft("train", "--config", "debug", "--data", str(_of(folder, name)), "--tokenizer", str(folder / "tokenizer"),
              "--output", str(model), *settings)  # fmt: skip


def _set(*changes: str) -> list[str]:
    return [part for change in changes for part in ("--set", change)]


def _of(folder: Path, name: str) -> Path:
    return folder / name.replace(" ", "-")


def _model(folder: Path, name: str, seed: int) -> Path:
    return folder / "models" / f"{_of(folder, name).name}-{seed}"


def _weft(*command: str) -> None:
    print("weft", *command[:4], flush=True)
    done = subprocess.run([WEFT, *command], env=ALONE, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"weft {command[0]} failed: {done.stderr[-2_000:]}")


if __name__ == "__main__":
    main()
