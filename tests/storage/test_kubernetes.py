"""The manifests of docs/kubernetes fit the schemas of Kubernetes and of the Spark operator."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubeflow_spark_api.models.spark_v1beta2_spark_application import SparkV1beta2SparkApplication

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "docs" / "kubernetes"
VERSION = "1.37.0"


def manifest(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    return loaded


def test_the_pod_template_is_a_pod() -> None:
    pod = manifest("pod-template.yaml")
    kubernetes_validate.validate(pod, VERSION, strict=True)
    pod["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, VERSION, strict=True)


def test_the_application_is_one_of_the_operator() -> None:
    application = manifest("spark-application.yaml")
    read = SparkV1beta2SparkApplication.from_dict(application)
    assert read is not None
    assert read.to_dict() == application, "the operator knows every field"


def test_the_application_has_the_settings_of_weft_submit() -> None:
    from jobs.submit import NO_SPECULATION, SAFE_PATH, Sizes

    spec = manifest("spark-application.yaml")["spec"]
    sizes = Sizes(90_000, 50 * 12_288_000_000, clip=True, num_executors=50).settings("k8s")
    executor, driver, conf = spec["executor"], spec["driver"], spec["sparkConf"]
    assert (str(executor["cores"]), executor["memory"]) == (
        sizes["spark.executor.cores"],
        sizes["spark.executor.memory"],
    )
    assert executor["memoryOverhead"] == sizes["spark.executor.memoryOverhead"]
    assert str(executor["instances"]) == sizes["spark.executor.instances"]
    assert driver["memory"].endswith("m") and int(driver["memory"][:-1]) >= 4096
    assert conf.items() >= NO_SPECULATION.items()
    assert conf[SAFE_PATH["k8s"]] == "1"
