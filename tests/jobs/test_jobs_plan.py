"""`weft plan`: the shipped rates are those of the benchmarks, and a pilot of the whole input predicts itself."""

import json
from pathlib import Path

import pytest
import yaml
from runs import ROOT, weft
from webs import Finished

from benchmarks.rates import from_benchmark
from jobs.submit import shipped_rates


def test_the_shipped_rates_are_those_of_the_benchmarks() -> None:
    listed = yaml.safe_load((ROOT / "jobs" / "rates.yaml").read_text("utf-8"))
    of_benchmarks = {name: rate for name, rate in listed.items() if "benchmark" in rate}
    assert of_benchmarks
    for name, rate in of_benchmarks.items():
        assert rate["known"] == "measured"
        assert rate["value"] == pytest.approx(from_benchmark(rate), rel=1e-3), name


def test_every_shipped_rate_has_a_unit_a_source_and_a_value_if_measured() -> None:
    for name, figure in shipped_rates().items():
        assert figure.unit and all(figure.sources), name
        assert (figure.value is None) == (figure.known == "not measured"), name
        assert figure.value is None or figure.value > 0, name


def test_a_pilot_of_the_whole_input_predicts_itself(finished: Finished) -> None:
    done = weft("plan", "--json", "--from", str(finished.output), "--pilot-cores", "2", "--cores", "2",
                *finished.web.archives)  # fmt: skip
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    documents = [row["corpus"] for row in finished.rows("documents")]
    for corpus in ("interleaved", "caption", "text"):
        assert planned["things"][f"assemble.{corpus}"]["value"] == pytest.approx(documents.count(corpus))
    images = finished.rows("images")
    assert planned["things"]["fetch.asked"]["value"] == pytest.approx(len(images))
    assert planned["things"]["fetch.stored"]["value"] == pytest.approx(sum(i["status"] == "ok" for i in images))
    seconds = sum(json.loads(p.read_text())["seconds"] for p in finished.output.rglob("_manifest.json"))
    assert planned["core-hours"]["all"]["value"] == pytest.approx(2 * seconds / 3600)
    tars = sum(p.stat().st_size for p in (finished.output / "shards").glob("*/*.tar"))
    shards = [planned["disk"][f"shards.{corpus}"]["value"] for corpus in ("interleaved", "caption", "text")]
    assert sum(shards) == pytest.approx(tars, rel=0.25)  # those held out are taken to be as large as the others
    known = {f["known"] for section in ("things", "core-hours") for f in planned[section].values()}
    assert known == {"pilot"}


def test_without_a_pilot_only_measured_values_are_claimed(tmp_path: Path) -> None:
    (tmp_path / "far.paths").write_text("https://host.example/b.warc\n")
    done = weft("plan", str(tmp_path / "far.paths"), "--cores", "100", "--gpus", "8", "--json")
    assert done.returncode == 0, done.stderr
    planned = json.loads(done.stdout)
    assert planned["GPU-hours"]["score"] == {"value": None, "unit": "GPU-hours", "known": "not measured", "sources": []}
    assert planned["input"]["bytes"]["known"] == "published"
    assert any("score on GPUs: not measured" in note for note in planned["notes"])
    notes = "\n".join(planned["notes"])
    assert "core-hours: not measured and in no sum: dedup, assemble, shard" in notes
    assert "fetch may take longer: hours by the busiest host is not measured" in notes
    shown = weft("plan", str(tmp_path / "far.paths"), "--gpus", "8")
    assert shown.returncode == 0
    assert [line.split()[1:3] for line in shown.stdout.splitlines() if line.split()[:1] == ["all"]] == [
        ["at", "least"]
    ] * 3
