"""Counted words to the commonest and the others."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

MOST = 20
MAX_CHARACTERS = 200  # of a value that is shown
TITLES = {
    "languages": "Languages",
    "hosts": "Hosts",
    "licences": "Licences that pages state",
    "directives": "What pages and servers forbid",
    "image status": "What became of image addresses",
}


def shares(counted: DataFrame) -> list[dict[str, Any]]:
    """Describe each share of each thing. Args: counted are rows as of TALLY, each value once.

    Of values that are equally common the first by code point is listed.
    """
    words = counted.where(F.col("name").isin(*TITLES))
    rank = "row_number() over (partition by name, of order by count desc, value) as rank"
    top = words.selectExpr("*", rank).where(f"rank <= {MOST}").orderBy("name", "of", "rank").collect()
    totals = words.groupBy("name", "of").agg(F.sum("count").alias("total"), F.count("*").alias("num_values")).collect()
    order = list(TITLES)
    told = []
    for row in sorted(totals, key=lambda r: (order.index(r["name"]), r["of"])):
        mine = [t for t in top if (t["name"], t["of"]) == (row["name"], row["of"])]
        told.append(
            {
                "name": row["name"],
                "title": TITLES[row["name"]],
                "of": row["of"],
                "total": row["total"],
                "values": [{"value": t["value"][:MAX_CHARACTERS], "count": t["count"]} for t in mine],
                "others": row["total"] - sum(t["count"] for t in mine),
                "num_values": row["num_values"],
            }
        )
    return told
