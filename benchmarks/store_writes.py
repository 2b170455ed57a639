"""What it takes to write the runs of a stack into SQLite: by MLflow's client, one after another, and in bulk.

    python benchmarks/store_writes.py [--rounds 5] [--stacks 1 24 64 250]

A run of XOR trains once, and its record is written again and again under new ids, without its files. Both sides begin
with an empty database, in turns; each time is that of the stack, divided by its runs. The claim: in bulk a stack is
written ten times as fast.
"""

import argparse
import os
import platform
import shutil
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported, as the command does

import mlflow
import sqlalchemy
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from zeroinit import CONF
from zeroinit.build import open_tracker
from zeroinit.config.compose import job_of
from zeroinit.sweep.runner import run_jobs
from zeroinit.tracker import Record, bulk
from zeroinit.tracker.transactions import make_engine, transaction

RUN = ("dataset=xor", "arch=fnn", "arch.hidden=[2]", "steps=200")


def train() -> Record:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", list(RUN), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    job = job_of(cfg)
    [record] = run_jobs([job], open_tracker(job, "benchmark"), lambda share, accuracy: None)
    return record


def write_by_client(database: Path, records: Sequence[Record]) -> float:
    client = MlflowClient(f"sqlite:///{database}")
    experiment_id = client.get_experiment_by_name("benchmark").experiment_id
    started = time.perf_counter()
    for record in records:
        run_id = client.create_run(experiment_id, int(record.started * 1000), record.tags, record.name).info.run_id
        client.log_batch(run_id, params=[Param(key, value) for key, value in record.params.items()])
        stamp = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(name, value, stamp, step) for name, value, step in record.metrics])
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in record.tags.items()])
        client.set_terminated(run_id, record.status)
    return time.perf_counter() - started


def write_in_bulk(database: Path, records: Sequence[Record]) -> float:
    engine = make_engine(f"sqlite:///{database}", 5)
    experiment = MlflowClient(f"sqlite:///{database}").get_experiment_by_name("benchmark")
    started = time.perf_counter()
    with transaction(engine) as connection:
        bulk.write_whole(connection, experiment.experiment_id, experiment.artifact_location, records)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stacks", type=int, nargs="+", default=[1, 24, 64, 250])
    arguments = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    record = train()
    print(f"{len(record.metrics)} points, {len(record.params)} params, {len(record.tags)} tags")
    empty = Path("empty.db").absolute()
    MlflowClient(f"sqlite:///{empty}").create_experiment("benchmark", Path("artifacts").absolute().as_uri())
    print("ms a run, medians (least to most)")
    for size in arguments.stacks:
        milliseconds: dict[str, list[float]] = {"client": [], "bulk": []}
        for round_ in range(arguments.rounds):
            records = [replace(record, run_id=uuid.uuid4().hex, ended_at=time.time()) for _ in range(size)]
            for side, write in (("client", write_by_client), ("bulk", write_in_bulk)):
                database = Path(f"{side}-{size}-{round_}.db").absolute()
                shutil.copy(empty, database)
                milliseconds[side].append(1000 * write(database, records) / size)
                with sqlite3.connect(database) as connection:
                    assert connection.execute("select count(*) from runs").fetchone() == (size,)
                connection.close()
        median = {side: statistics.median(values) for side, values in milliseconds.items()}
        shown = (
            f"{side} {median[side]:6.1f} ({min(all_):.1f} to {max(all_):.1f})" for side, all_ in milliseconds.items()
        )
        print(f"stack of {size:3d}:", *shown, f"ratio {median['client'] / median['bulk']:.1f}", flush=True)
    print(f"medians of {arguments.rounds}; {platform.machine()}, {os.cpu_count()} cores")
    versions = f"MLflow {mlflow.__version__}, SQLAlchemy {sqlalchemy.__version__}, SQLite {sqlite3.sqlite_version}"
    print(f"Python {platform.python_version()}, {versions}")


if __name__ == "__main__":
    main()
