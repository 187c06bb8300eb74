"""What is held out: whole hosts, the same in every run, more of them for a larger fraction."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.shards.write import shuffle_keys, split_of
from schemas.shards import TRAIN, VALIDATION
from schemas.tables import order


@given(st.text(max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_fraction_holds_out_the_same_hosts_and_more(host: str, one: float, other: float) -> None:
    least, most = sorted((one, other))
    assert split_of(host, 0) == TRAIN
    assert split_of(host, 1) == VALIDATION
    assert split_of(host, least) == TRAIN or split_of(host, most) == VALIDATION


def test_the_fraction_is_met_and_the_order_is_the_seed_s() -> None:
    hosts = [f"host-{n}.example" for n in range(5_000)]
    keys = [str(n) for n in range(5_000)]
    batch = pa.RecordBatch.from_pydict({"key": keys, "corpus": ["text"] * 5_000, "host": hosts})
    (ordered,) = shuffle_keys(7, 0.1)(iter([batch]))
    assert abs(ordered["split"].to_pylist().count(VALIDATION) - 500) < 100
    assert ordered["order"].to_pylist() == [order(7, key) for key in keys]
