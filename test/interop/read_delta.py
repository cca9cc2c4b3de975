"""Reads Delta tables with Spark and with delta-rs, and prints what they see as canonical JSON.

Requests come as lines of JSON on stdin, one answer per line goes to stdout; stderr is for people. Requests:
  {"op": "read", "reader": "spark" | "delta-rs" | "delta-rs-arrow", "path": "...", "version": 3 (or absent)}
  {"op": "changes", "reader": "spark" | "delta-rs", "path": "...", "from": 1}   the change data feed since a version
  {"op": "sql", "sql": "..."}            runs one statement in Spark; answers its rows as lists of text
  {"op": "stream", "name": "...", "path": "...", "options": {...}}   starts a Structured Streaming query on the table
  {"op": "streamed", "name": "..."}      waits until the query has read all there is; answers what it read so far
`delta-rs` is its query engine; `delta-rs-arrow` is `to_pyarrow_table`, which pandas users call and which knows fewer
table features. Answers: {"columns": [[name, type]], "rows": [{name: value}]} or {"error": "..."}.

Values: numbers and decimals as text, floats as the hex of their IEEE bits, binary as hex, dates as days and timestamps as
microseconds since 1970 (UTC), structs as objects, maps as sorted lists of [key, value].
"""

import glob
import json
import os
import struct
import sys

import pyarrow as pa


def spark_session(jars_folder, work_folder):
    from pyspark.sql import SparkSession

    settings = {
        "spark.jars": ",".join(sorted(glob.glob(os.path.join(jars_folder, "*.jar")))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        # VACUUM lists folders in so many tasks, by default ten thousand.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
        "spark.default.parallelism": "2",
        "spark.databricks.delta.retentionDurationCheck.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC",
        "spark.local.dir": os.path.join(work_folder, "spark-local"),
        "spark.sql.warehouse.dir": os.path.join(work_folder, "spark-warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    builder = SparkSession.builder.master("local[2]").appName("sluice-interop")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


PRIMITIVES = [
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_int8, "byte"),
    (pa.types.is_int16, "short"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_int64, "long"),
    (pa.types.is_float32, "float"),
    (pa.types.is_float64, "double"),
    (pa.types.is_string, "string"),
    (pa.types.is_large_string, "string"),
    (pa.types.is_string_view, "string"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
    (pa.types.is_binary_view, "binary"),
    (pa.types.is_date32, "date"),
    (pa.types.is_null, "void"),
]


def is_list(kind):
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind)


def type_name(kind):
    """The Delta type of an Arrow type, nullability left out."""
    for test, name in PRIMITIVES:
        if test(kind):
            return name
    if pa.types.is_timestamp(kind):
        name = "timestamp_ntz" if kind.tz is None else "timestamp"
        return name if kind.unit == "us" else f"{name}[{kind.unit}]"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if is_list(kind):
        return f"array<{type_name(kind.value_type)}>"
    if pa.types.is_map(kind):
        return f"map<{type_name(kind.key_type)},{type_name(kind.item_type)}>"
    if pa.types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return "struct<" + ",".join(f"{field.name}:{type_name(field.type)}" for field in fields) + ">"
    return f"arrow:{kind}"


def bits(value, layout):
    return "NaN" if value != value else struct.pack(layout, value).hex()


def encode(scalar):
    """The canonical JSON value of an Arrow scalar."""
    if not scalar.is_valid:
        return None
    kind = scalar.type
    name = type_name(kind)
    if name in ("boolean", "string"):
        return scalar.as_py()
    if name in ("byte", "short", "integer", "long"):
        return str(scalar.as_py())
    if name in ("float", "double"):
        return bits(scalar.as_py(), ">f" if name == "float" else ">d")
    if name == "binary":
        return scalar.as_py().hex()
    if name == "date" or name.startswith("timestamp"):
        return str(scalar.value)
    if name.startswith("decimal"):
        return format(scalar.as_py(), "f")
    if is_list(kind):
        return [encode(item) for item in scalar.values]
    if pa.types.is_map(kind):
        pairs = [[encode(entry["key"]), encode(entry["value"])] for entry in map_entries(scalar)]
        return sorted(pairs, key=json.dumps)
    if pa.types.is_struct(kind):
        return {kind.field(index).name: encode(scalar[index]) for index in range(kind.num_fields)}
    raise TypeError(f"no canonical form for {kind}")


def map_entries(scalar):
    return [{"key": entry[0], "value": entry[1]} for entry in scalar.values]


def canonical(table):
    columns = [[field.name, type_name(field.type)] for field in table.schema]
    names = [name for name, _ in columns]
    arrays = [table.column(index) for index in range(table.num_columns)]
    rows = [{name: encode(array[row]) for name, array in zip(names, arrays)} for row in range(table.num_rows)]
    return {"columns": columns, "rows": rows}


OPERATIONS = {"read": "read", "changes": "changes", "sql": "sql", "stream": "stream", "streamed": "streamed"}


class Readers:
    def __init__(self, jars_folder, work_folder):
        self.spark = spark_session(jars_folder, work_folder)
        self.queries = {}

    def read(self, request):
        if request["reader"] == "spark":
            reader = self.spark.read.format("delta")
            if "version" in request:
                reader = reader.option("versionAsOf", request["version"])
            return canonical(reader.load(request["path"]).toArrow())
        return canonical(self.delta_rs(request))

    def delta_rs(self, request):
        from deltalake import DeltaTable, QueryBuilder

        table = DeltaTable(request["path"], version=request.get("version"))
        if request["reader"] == "delta-rs-arrow":
            return table.to_pyarrow_table()
        return pa.table(QueryBuilder().register("t", table).execute("select * from t").read_all())

    def changes(self, request):
        if request["reader"] == "spark":
            reader = self.spark.read.format("delta").option("readChangeFeed", "true")
            return canonical(reader.option("startingVersion", request["from"]).load(request["path"]).toArrow())
        from deltalake import DeltaTable

        table = pa.table(DeltaTable(request["path"]).load_cdf(starting_version=request["from"]).read_all())
        # Versions are unsigned to delta-rs.
        versions = table.column("_commit_version").cast(pa.int64())
        return canonical(table.set_column(table.schema.get_field_index("_commit_version"), "_commit_version", versions))

    def sql(self, request):
        frame = self.spark.sql(request["sql"])
        return {"rows": [[None if value is None else str(value) for value in row] for row in frame.collect()]}

    def stream(self, request):
        frame = self.spark.readStream.format("delta").options(**request["options"]).load(request["path"])
        query = frame.writeStream.format("memory").queryName(request["name"]).outputMode("append").start()
        self.queries[request["name"]] = query
        return {"rows": []}

    def streamed(self, request):
        self.queries[request["name"]].processAllAvailable()
        return canonical(self.spark.table(request["name"]).toArrow())

    def answer(self, request):
        try:
            return getattr(self, OPERATIONS[request["op"]])(request)
        except Exception as error:  # every refusal is an answer: the caller decides whether it was expected
            return {"error": f"{type(error).__name__}: {error}"[:2000]}


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Spark prints must not mix with the answers
    readers = Readers(sys.argv[1], sys.argv[2])
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(readers.answer(json.loads(line)), ensure_ascii=True), file=answers, flush=True)


main()
