"""What tests of whole runs share: a cluster."""

from collections.abc import Iterator

import pytest
from clusters import Cluster, standing


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One Master and two Workers of one core each."""
    with standing(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster
