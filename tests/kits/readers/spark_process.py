"""Spark, in a process of its own: writes files, or tells what it sees in some.

spark_process.py < tasks.json > results.json, as :mod:`readers.spark` has them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructField

#: How a value is shown, the first that its type can do.
SHOWN = ("cast({} as string)", "hex({})", "to_json(struct({}))", "hex(st_asbinary({}))")


def main() -> None:
    from pyspark.sql import SparkSession

    tasks = json.load(sys.stdin)
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else the JVM says
    session = SparkSession.builder.master("local[1]")
    for name, value in tasks["settings"].items():
        session = session.config(name, value)
    spark = session.getOrCreate()
    done = [write(spark, *task) for task in tasks["write"]]
    done += [read(spark, path) for path in tasks["read"]]
    spark.stop()
    json.dump(done, results)
    results.close()


def write(spark: SparkSession, path: str, query: str, settings: dict[str, str]) -> None:
    """Write one file."""
    before = {name: spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    folder = Path(f"{path}.spark")
    spark.sql(query).coalesce(1).write.parquet(str(folder))
    next(folder.glob("*.parquet")).rename(path)
    shutil.rmtree(folder)
    for name, value in before.items():
        spark.conf.set(name, value)


def read(spark: SparkSession, path: str) -> Any:
    """Return the type, the ids and the values of each column but id, or the error."""
    try:
        frame = spark.read.parquet(path)
        fields = [field for field in frame.schema if field.name != "id"]
        shown = [_shown(frame, field) for field in fields]
        ids, *values = zip(*frame.selectExpr("id", *shown).collect(), strict=True)
        kinds = [field.dataType.simpleString() for field in fields]
        return [[kind, ids, of] for kind, of in zip(kinds, values, strict=True)]
    except Exception as error:  # it is a result
        return str(error)


def _shown(frame: DataFrame, field: StructField) -> str:
    """Return how a column is made text, the first way that its type has."""
    ways = SHOWN[1:] if field.dataType.simpleString() == "binary" else SHOWN
    for way in ways:
        how = way.format(field.name)
        try:
            frame.selectExpr(how)
        except Exception:
            continue
        return how
    raise TypeError(field)


if __name__ == "__main__":
    main()
