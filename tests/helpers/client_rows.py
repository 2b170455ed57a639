"""Rows that are written into MLflow's tables in bulk against those that its client writes for the same runs."""

import math
import time
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from sqlalchemy import Engine, MetaData, select, text

from zeroinit.tracker import Record, bulk
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.transactions import make_engine, transaction

Point = tuple[str, float, int]  # (metric, value, step)

STAMPS = ("timestamp", "end_time")
ENDED = 1800000000.5
ODD = [math.nan, math.inf, -math.inf, -0.0, 0.0, 5e-324, 1.7976931348623157e308, -1.5, math.nan, 2.0, 2.0, -3.0]
# each value at a step of its own; all at the same step; in falling steps; NaN and a negative number at the last step
POINTS: list[Point] = [("odd/rising", value, step) for step, value in enumerate(ODD)]
POINTS += [("odd/repeated", value, 3) for value in ODD]
POINTS += [("odd/falling", value, 50 - step) for step, value in enumerate(ODD)]
POINTS += [("odd/end", -1.0, 9), ("odd/end", math.nan, 9), ("odd/negative", math.nan, 9), ("odd/negative", -1.0, 9)]
POINTS += [("odd/zero", math.nan, 4), ("odd/zero", 0.0, 4)]
POINTS += [(f"grad/layer{layer}/norm", layer / (1 + step), step) for step in range(5, 400) for layer in range(3)]
LATER = [("odd/end", -7.0, 12), ("odd/falling", 7.0, 1), ("odd/new", math.nan, 0), ("grad/layer0/norm", 7.0, 2)]
TEXTS = {"empty": "", "unicode": "η = 0.1 · 你好 🎲 e\u0301", "lines": "a\nb\t\"c\" 'd' \\ % :e", "long": "ü" * 7000}


def make_record(seed: int, status: str = "FINISHED") -> Record:
    params = {"seeds.init": str(seed), "init": "zero"} | {name: text[:6000] for name, text in TEXTS.items()}
    tags = {"config_hash": f"hash {seed}", **(TEXTS | {"mlflow.user": "Ada"} if seed else {})}
    return Record(f"zero seed {seed} ü", params, tags, status, started=1700000000.1234 + seed)


class ByClient:
    """Writes runs by MLflow's client, in the calls that need the fewest transactions."""

    def __init__(self, tracker: Mlflow) -> None:
        self.client, self.experiment_id, self.sweep = tracker.client, tracker.experiment_id, tracker.sweep

    def begin(self, record: Record) -> None:
        tags = {**record.tags, "sweep": self.sweep, "kind": "run"}
        start = int(record.started * 1000)
        record.run_id = self.client.create_run(self.experiment_id, start, tags, record.name).info.run_id
        self.client.log_batch(record.run_id, params=[Param(*param) for param in record.params.items()])

    def append(self, record: Record, points: list[Point]) -> None:
        stamp = int(time.time() * 1000)
        for first in range(0, len(points), 1000):
            batch = [Metric(name, value, stamp, step) for name, value, step in points[first : first + 1000]]
            self.client.log_batch(record.run_id, metrics=batch)

    def end(self, record: Record) -> None:
        self.client.log_batch(record.run_id, tags=[RunTag(name, tag[:8000]) for name, tag in record.tags.items()])
        self.client.set_terminated(record.run_id, record.status)


def rows_of(engine: Engine, run_ids: list[str], without: tuple[str, ...] = STAMPS) -> dict[str, list[Any]]:
    """Return the sorted rows of every table, but these columns, with numbers in place of the ids of runs."""

    def as_plain(value: object) -> object:
        for number, run_id in enumerate(run_ids):
            value = value.replace(run_id, f"run {number}") if isinstance(value, str) else value
        return value

    tables: dict[str, list[Any]] = {}
    metadata = MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        for table in metadata.tables.values():
            columns = [column for column in table.columns if column.name not in without]
            rows = [[as_plain(value) for value in row] for row in connection.execute(select(*columns))]
            tables[table.name] = sorted(rows, key=repr)
    return tables


def remove_runs(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in ("metrics", "latest_metrics", "params", "tags", "runs"):
            connection.execute(text(f"delete from {table}"))


def check_rows(tracker: Mlflow, records: list[Record]) -> None:
    """Compare every column of every table but the times: while runs train, after their end, and after a second write.

    Args:
        tracker: An open tracker of a database without runs.
        records: Four runs.
    """
    engine = make_engine(tracker.uri, 5)
    where = tracker.experiment_id, tracker.client.get_experiment(tracker.experiment_id).artifact_location
    batches = [POINTS, LATER]
    by_client = ByClient(tracker)
    for record in records:
        by_client.begin(record)
    for batch in batches:
        for record in records[:3]:  # the last run has no points
            record.metrics += batch
            by_client.append(record, batch)
    ids = [record.run_id for record in records]
    live = rows_of(engine, ids)
    assert len(live["metrics"]) > 3000
    for record in records:
        record.tags["long"] = "ü" * 9000
        record.ended_at = ENDED
        by_client.end(record)
    whole = rows_of(engine, ids)

    remove_runs(engine)
    with transaction(engine) as connection:
        bulk.write_whole(connection, *where, records)
    exact = rows_of(engine, ids, without=())
    assert rows_of(engine, ids) == whole

    remove_runs(engine)
    beginning = [make_record(seed) for seed in range(4)]
    for record, run_id in zip(beginning, ids, strict=True):
        record.run_id = run_id
    with transaction(engine) as connection:
        bulk.lock_experiment(connection, where[0])
        bulk.insert_running(connection, *where, beginning)
    for stamp, batch in enumerate([*batches, POINTS[::7] + LATER]):  # the last was there already
        for record in beginning[:3]:
            with transaction(engine) as connection:
                bulk.append_points(connection, record, batch, stamp)
    assert rows_of(engine, ids) == live
    for _ in range(2):
        with transaction(engine) as connection:
            bulk.set_tags(connection, ids, {"lease": "7"})  # of a run that trains
            bulk.write_whole(connection, *where, [records[0], *records])
        assert rows_of(engine, ids, without=()) == exact
    assert {row[2] for name in ("metrics", "latest_metrics") for row in exact[name]} == {1800000000500}
    assert [1700000001123, 1800000000500] in [row[7:9] for row in exact["runs"]]
