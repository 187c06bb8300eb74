"""How large executors are, and how finely a shuffle is cut: by what Weft's Python needs, and by the input."""

import math
from dataclasses import dataclass

CORES = 4  # of an executor, if nobody says
MAX_EXECUTORS = 10  # nobody's whole cluster is taken unasked
HEAP_MB_PER_CORE = 2048  # joins and shuffles; images pass in small Arrow batches
PYTHON_MB_PER_CORE = 1024  # a worker that decodes reaches 322 MB, its child stands beside it; see docs/cluster.md
CLIP_MB_PER_CORE = 1024  # a worker that embeds holds a model of its own
BYTES_PER_PARTITION = 256_000_000  # of archive: a fraction of it comes to the shuffles
MIN_PARTITIONS, MAX_PARTITIONS = 16, 20_000  # Spark merges small ones; of very many it loses sight


@dataclass(frozen=True)
class Sizes:
    """What executors are asked for. num_executors None: as many as the archives keep busy, up to MAX_EXECUTORS."""

    num_archives: int
    archive_bytes: int
    clip: bool
    cores: int = CORES
    num_executors: int | None = None
    gpus: int = 0
    discovery_script: str | None = None

    @property
    def executors(self) -> int:
        """Return how many executors are asked for."""
        return self.num_executors or min(MAX_EXECUTORS, max(1, math.ceil(self.num_archives / self.cores)))

    @property
    def partitions(self) -> int:
        """Return the partitions of a shuffle: three for a core, and more where the input is large."""
        wanted = max(MIN_PARTITIONS, 3 * self.cores * self.executors, self.archive_bytes // BYTES_PER_PARTITION)
        return min(MAX_PARTITIONS, wanted)

    def settings(self, kind: str) -> dict[str, str]:
        """Return Spark's settings for a kind of cluster: standalone, yarn or k8s."""
        python = PYTHON_MB_PER_CORE + CLIP_MB_PER_CORE * self.clip
        found = {
            "spark.executor.cores": str(self.cores),
            "spark.executor.memory": f"{HEAP_MB_PER_CORE * self.cores}m",
            "spark.executor.memoryOverhead": f"{python * self.cores}m",
            "spark.sql.shuffle.partitions": str(self.partitions),
        }
        if kind != "standalone":
            found["spark.executor.instances"] = str(self.executors)
        elif self.num_executors:  # a standalone cluster gives all its cores to who does not say
            found["spark.cores.max"] = str(self.cores * self.num_executors)
        return {**found, **self._gpu_settings(kind)}

    def _gpu_settings(self, kind: str) -> dict[str, str]:
        if not self.gpus:
            return {}
        found = {"spark.executor.resource.gpu.amount": str(self.gpus)}
        if kind == "k8s":
            found["spark.executor.resource.gpu.vendor"] = "nvidia.com"
        if self.discovery_script:
            found["spark.executor.resource.gpu.discoveryScript"] = self.discovery_script
        return found
