"""Where a worker computes: on the GPU that is assigned to its task, else on one that is there, else on the CPU."""

from collections.abc import Sequence

from schemas.errors import MissingError

CPU = "cpu"


def choose(addresses: Sequence[str], num_gpus: int, process: int) -> str:
    """Return the name of a device as torch takes it.

    Args: addresses are those of the GPUs that Spark assigned to the task, empty when it schedules none; num_gpus is
    how many torch sees here; process is the id of this process, by which workers spread over GPUs that Spark does not
    schedule (a local master cannot) and keep theirs for life.
    Raises: MissingError when torch does not see the assigned GPU: a run must not fall back to a CPU unnoticed.
    """
    if addresses:
        if addresses[0] not in map(str, range(num_gpus)):
            raise MissingError(
                f"Spark assigned GPU {addresses[0]}, and torch sees {num_gpus} here: install a torch for CUDA on every "
                "node, and let the discovery script print torch's numbers (docs/cluster.md)"
            )
        return f"cuda:{addresses[0]}"
    return f"cuda:{process % num_gpus}" if num_gpus else CPU


def num_decoders(device: str, num_cores: int, num_gpus: int) -> int:
    """Return how many threads prepare images beside the forward pass.

    On a CPU one is enough: ViT-B-32 takes its core for forty times as long. A GPU outruns any single
    core, so its process takes its share of them all.
    """
    return 1 if device == CPU else max(1, num_cores // max(1, num_gpus))
