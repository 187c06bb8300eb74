"""Of rows with the same value one stays: the first in an order that is the same everywhere."""

from pyspark.sql import DataFrame


def split(frame: DataFrame, column: str, order: tuple[str, ...], name: str) -> tuple[DataFrame, DataFrame]:
    """Split into the first row of each value of a column, and the others with `survivor`: the first one's `name`.

    Args: order is in SQL. name is any SQL of the first row's columns.
    """
    window = f"over (partition by {column} order by {', '.join(order)})"
    ranked = frame.selectExpr("*", f"row_number() {window} as rank", f"first({name}) {window} as survivor").persist()
    return ranked.where("rank = 1").drop("rank", "survivor"), ranked.where("rank > 1")
