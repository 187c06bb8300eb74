"""An output that an earlier release wrote, under its names, is read: stats, funnel, why, verify, card, trainer.

The asset is a run over 24 pages of the sample web by the release before the names changed. What must be found is
counted here from its own files, by the names that they have.
"""

import json
import tarfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from runs import weft

from jobs.assemble import STEP as ASSEMBLE
from jobs.fetch import parse_classes
from jobs.recipes import load
from pipeline.inspect.facts import gather
from pipeline.io.store import Store
from pipeline.io.tables import Lookup
from schemas.errors import RecipeError
from schemas.renames import REASONS
from schemas.tables import NEAR_DUPLICATE_IMAGES
from trainer.data.shards import open_shards

FORMER = {"CUT_LINES", "ENDLESS_WORDS", "HASHES", "LANGUAGE_UNSURE"}
ASSET = Path(__file__).parents[1] / "assets" / "output-2026-11.tar.gz"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old") / "out"
    with tarfile.open(ASSET) as tar:
        tar.extractall(folder, filter="data")
    return folder


def written(old: Path, folder: str) -> list[dict[str, object]]:
    files = sorted((old / folder).rglob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_a_recipe_key_added_since_has_its_default(tmp_path: Path) -> None:
    store, recipe = Store(str(tmp_path)), load("kosmos1", ["assemble.single_image_keep_fraction=1"])
    config = ASSEMBLE.config(recipe)
    del config["assemble"]["single_image_keep_fraction"]
    store.write_json(store.at("_config", "assemble.json"), config)
    ASSEMBLE.check(store, recipe)
    assert ASSEMBLE.stored_config(config) == ASSEMBLE.config(recipe)
    with pytest.raises(RecipeError, match=r"was made with assemble\.single_image_keep_fraction=1\.0, not 0\.5"):
        ASSEMBLE.check(store, load("kosmos1"))


def test_the_output_has_former_names(old: Path) -> None:
    rules = {row["rule"] for row in written(old, "rejections")}
    assert rules & REASONS.keys() == FORMER
    assert (old / "lookalikes").is_dir()


def test_stats_count_by_present_names(old: Path) -> None:
    done = weft("stats", str(old), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    rules = Counter(REASONS.get(str(row["rule"]), str(row["rule"])) for row in written(old, "rejections/filter"))
    found = next(step for step in told["funnel"] if step["step"] == "filter")
    assert found["rejected"] == dict(rules)


def test_the_funnel_names_present_reasons(old: Path) -> None:
    done = weft("stats", str(old), "--funnel")
    assert done.returncode == 0, done.stderr
    for former, present in REASONS.items():
        assert former not in done.stdout.split()
        assert (present in done.stdout.split()) == (
            former in ("CUT_LINES", "ENDLESS_WORDS", "HASHES", "LANGUAGE_UNSURE")
        )


def test_why_tells_the_present_reason(old: Path) -> None:
    url = next(str(row["url"]) for row in written(old, "rejections/filter") if row["rule"] == "CUT_LINES")
    done = weft("why", str(old), url)
    assert done.returncode == 0, done.stderr
    assert "result dropped: ELLIPSIS_LINES" in " ".join(done.stdout.split())


def test_verify_finds_it_whole(old: Path) -> None:
    done = weft("verify", str(old))
    assert done.returncode == 0 and done.stdout.rstrip().endswith("no defects"), done.stdout + done.stderr


def test_clusters_of_near_duplicates_are_found(old: Path) -> None:
    clusters = {row["image_id"]: row["cluster"] for row in written(old, "lookalikes")}
    run = Lookup(str(old))
    assert {r["image_id"]: r["cluster"] for r in run.find(NEAR_DUPLICATE_IMAGES, None)} == clusters  # type: ignore[arg-type]


def test_a_card_reads_its_recipe(old: Path) -> None:
    recipe = gather(str(old), None, None).recipe
    assert recipe.dedup.minhash.enabled and recipe.dedup.phash_distance == 4
    assert (recipe.decode.max_aspect_ratio, recipe.drop_limits.min_items) == (4, 50)


@pytest.mark.parametrize("corpus", ["interleaved", "caption", "text"])
def test_the_trainer_reads_every_sample(old: Path, corpus: str) -> None:
    shards = json.loads((old / "shards" / "shards.json").read_text())["shards"]
    expected = sum(s["num_samples"] for s in shards if s["corpus"] == corpus and s["split"] == "train")
    read = list(open_shards(str(old)).corpora[corpus].read_all())
    assert len(read) == expected > 0 and all(body for _, body in read)


def test_the_manifest_itself_is_left_as_it_was(old: Path) -> None:
    manifest = Store(str(old)).manifest("measures")
    assert manifest is not None and "CUT_LINES" in manifest.rejected


def test_a_former_class_of_failure_is_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_classes("refused_address,dns") == ("dns", "private_address")
    assert "refused_address is now private_address" in capsys.readouterr().err
