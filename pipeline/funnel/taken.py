"""Rows of the ledger to the things that rules took: a thing has a row for every rule that speaks against it.

Some things are the same by all that the ledger says of them (two images of one address in a page's text, a caption of a
page that was captured twice): the rule with most rows tells how many there are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.fetch.url import host
from pipeline.lookup import Lookup
from schemas.reasons import BY_CODE
from schemas.tables import REJECTIONS

_THING = ("page_id", "image_id", "warc_file", "warc_offset", "block")
_COLUMNS = [*_THING, "rule", "url", "measure", "threshold", "detail"]
Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Taken:
    """Some things that one rule took, of one host.

    of:     what they are: a level, or the rule where it judges something else than the others of its level
    things: how many they are, counted for one of the rules against each: a sum over rules has every thing once
    alone:  those of `dropped` that no other rule speaks against
    """

    rule: str
    of: str
    host: str
    dropped: int
    alone: int
    things: int


def taken(run: Lookup, step: str, judged: Mapping[str, int]) -> Iterator[list[Taken]]:
    """Count what a step's rules took, file by file: what speaks against a thing stands in one file.

    Args: judged is the step's own, as in its manifest.
    """
    for table in ledger(run, step):
        yield _count(table, judged)


def ledger(run: Lookup, step: str) -> Iterator[pa.Table]:
    """Read the rejections of a step, a table for each of its files that has any."""
    for path in run.files(REJECTIONS, step):
        table = run.table(REJECTIONS, path, _COLUMNS)
        if table.num_rows:
            yield table


def hosts_of(urls: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the host of each address; '' where there is none."""
    return pa.array([host(url or "") for url in urls.to_pylist()], pa.string())


def _count(table: pa.Table, judged: Mapping[str, int]) -> list[Taken]:
    rules = table["rule"].combine_chunks().dictionary_encode()
    names = rules.dictionary.to_pylist()
    of = [name if name in judged else BY_CODE[name].level for name in names]
    rule_N = rules.indices.to_numpy()
    thing_N, host_N, hosts = _things(table, np.array(of, object)[rule_N])
    # A pair is a thing and a rule against it.
    pair_P, first_P, rows_P = np.unique(thing_N * len(names) + rule_N, return_index=True, return_counts=True)
    thing_P, rule_P = np.divmod(pair_P, len(names))
    most = np.zeros(thing_P.max() + 1, np.int64)
    np.maximum.at(most, thing_P, rows_P)
    leads_P = np.diff(thing_P, prepend=-1) != 0  # sorted by thing: the first pair of each
    alone_P = rows_P * (np.bincount(thing_P)[thing_P] == 1)
    things_P = most[thing_P] * leads_P
    groups, group_P = np.unique(rule_P * len(hosts) + host_N[first_P], return_inverse=True)
    sums = [np.bincount(group_P, counted).astype(int).tolist() for counted in (rows_P, alone_P, things_P)]
    return [
        Taken(names[group // len(hosts)], of[group // len(hosts)], hosts[group % len(hosts)], *counts)
        for group, *counts in zip(groups.tolist(), *sums, strict=True)
    ]


def _things(table: pa.Table, of: Numbers) -> tuple[Numbers, Numbers, list[str]]:
    """Number the things that rows are about, and their hosts; return the hosts' names too."""
    captions = pa.array(of == "caption")  # told apart by their words, which others have none of
    parts = [*(pc.cast(table[name], pa.string()) for name in _THING), pc.if_else(captions, table["detail"], None)]
    joined = pc.binary_join_element_wise(
        pa.array(of, pa.string()), *parts, "\x1f", null_handling="replace", null_replacement=""
    )
    hosts = hosts_of(table["url"]).dictionary_encode()
    numbers = joined.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return numbers, hosts.indices.to_numpy(), hosts.dictionary.to_pylist()
