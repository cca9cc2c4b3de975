"""Merges a Parquet file of changes into Delta tables with a peer, and prints the seconds of each merge as JSON.

    merge_peers.py <delta-rs | spark> <jars folder> <scratch folder> <changes.parquet> <table folder> ...

Each table is merged into once; the first is the warm-up, so the peers are measured warm.
"""

import glob
import json
import os
import sys
import time


def delta_rs(changes_path, tables):
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    changes = pq.read_table(changes_path)
    for folder in tables:
        started = time.perf_counter()
        merger = DeltaTable(folder).merge(
            changes, predicate="t.id = s.id", source_alias="s", target_alias="t"
        )
        counts = merger.when_matched_update_all("s.seq >= t.seq").when_not_matched_insert_all().execute()
        yield time.perf_counter() - started, counts["num_target_rows_inserted"] + counts["num_target_rows_updated"]


def spark(jars_folder, scratch, changes_path, tables):
    from pyspark.sql import SparkSession

    settings = {
        "spark.jars": ",".join(sorted(glob.glob(os.path.join(jars_folder, "*.jar")))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "6g",
        "spark.local.dir": os.path.join(scratch, "spark-local"),
        "spark.sql.warehouse.dir": os.path.join(scratch, "spark-warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("merge-peers")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    session.read.parquet(changes_path).createOrReplaceTempView("changes")
    for folder in tables:
        started = time.perf_counter()
        rows = session.sql(
            f"merge into delta.`{folder}` t using changes s on t.id = s.id "
            "when matched and s.seq >= t.seq then update set * when not matched then insert *"
        ).collect()
        yield time.perf_counter() - started, rows[0]["num_updated_rows"] + rows[0]["num_inserted_rows"]


def main():
    peer, jars_folder, scratch, changes_path, *tables = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Spark prints must not mix with the answer
    runs = delta_rs(changes_path, tables) if peer == "delta-rs" else spark(jars_folder, scratch, changes_path, tables)
    print(json.dumps([{"seconds": seconds, "rows": rows} for seconds, rows in runs]), file=answers, flush=True)


main()
