"""Where a worker computes, told from what Spark assigned and what torch sees."""

from types import SimpleNamespace

import pytest

from jobs.score import assigned_gpus, gpu_profile
from pipeline.score.clip import choose, num_decoders
from schemas.errors import MissingError


@pytest.mark.parametrize(
    ("addresses", "num_gpus", "process", "device"),
    [
        ((), 0, 7, "cpu"),
        ((), 1, 7, "cuda:0"),
        ((), 4, 7, "cuda:3"),
        (["2"], 4, 7, "cuda:2"),
        (["0"], 1, 7, "cuda:0"),
        (["3", "1"], 4, 7, "cuda:3"),  # a task that was given several uses one: one process to a GPU
    ],
)
def test_the_assigned_gpu_goes_before_any_other(addresses: list[str], num_gpus: int, process: int, device: str) -> None:
    assert choose(addresses, num_gpus, process) == device


@pytest.mark.parametrize(("addresses", "num_gpus"), [(["0"], 0), (["2"], 2), (["GPU-5c1d"], 2)])
def test_a_gpu_that_torch_does_not_see_is_said_and_not_replaced(addresses: list[str], num_gpus: int) -> None:
    with pytest.raises(MissingError, match=f"GPU {addresses[0]}, but torch sees {num_gpus} GPUs"):
        choose(addresses, num_gpus, 7)


def test_a_task_is_asked_for_its_gpu_by_sparks_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark import TaskContext
    from pyspark.resource import ResourceInformation

    task = SimpleNamespace(resources=lambda: {"gpu": ResourceInformation("gpu", ["1"])})
    monkeypatch.setattr(TaskContext, "get", lambda: task)
    assert choose(assigned_gpus(), 2, 7) == "cuda:1"
    task.resources = dict
    assert choose(assigned_gpus(), 0, 7) == "cpu"


CLUSTER = {"spark.master": "spark://h:7077"}
OFFERED = {"spark.executor.resource.gpu.amount": "1"}


def test_a_task_that_embeds_has_a_gpu_to_itself_where_executors_have_some() -> None:
    wanted = gpu_profile({**CLUSTER, **OFFERED})
    assert wanted is not None
    assert {name: request.amount for name, request in wanted.taskResources.items()} == {"cpus": 1, "gpu": 1}


@pytest.mark.parametrize(
    "settings",
    [
        CLUSTER,
        {**CLUSTER, "spark.executor.resource.gpu.amount": "0"},
        {"spark.master": "local[2,4]", **OFFERED},
        {**CLUSTER, **OFFERED, "spark.task.resource.gpu.amount": "0.25"},
    ],
)
def test_tasks_stay_as_they_are_without_gpus_and_where_a_person_has_decided(settings: dict[str, str]) -> None:
    assert gpu_profile(settings) is None


def test_a_gpu_gets_its_share_of_the_cores_to_decode_for_it() -> None:
    assert [num_decoders("cpu", 16, 0), num_decoders("cuda:0", 16, 1), num_decoders("cuda:3", 16, 4)] == [1, 16, 4]
    assert num_decoders("cuda:0", 2, 8) == 1
