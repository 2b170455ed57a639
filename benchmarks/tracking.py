"""What tracking and histograms cost: a 10-epoch FNN run on the whole of MNIST, tracked and not, alternating.

    python benchmarks/tracking.py --root FOLDER [--pairs 5]

Each time is of one run, from its begin in the store to its end there; the imports, the database and the data are
ready before the first. The claim: the median of the tracked runs is at most 5% above the median of the others.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from zeroinit import CONF
from zeroinit.build import check, open_tracker
from zeroinit.train import job_of, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="the folder that holds MNIST/raw")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    root = arguments.root.absolute()
    os.chdir(tempfile.mkdtemp())

    jobs = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for tracker in ("mlflow", "off"):
            overrides = ["dataset=mnist", f"dataset.root={root}", "arch=fnn", "epochs=10", f"tracker={tracker}"]
            cfg = compose("config", overrides, return_hydra_config=True)
            HydraConfig.instance().set_config(cfg)
            jobs[tracker] = job_of(cfg)
    check(list(jobs.values()))
    trackers = {name: open_tracker(job, "benchmark") for name, job in jobs.items()}
    seconds: dict[str, list[float]] = {"mlflow": [], "off": []}
    print("pair   tracked s   untracked s   test accuracy")
    for pair in range(1, arguments.pairs + 1):
        for name in ("mlflow", "off"):
            started = time.perf_counter()
            [record] = run([jobs[name]], trackers[name], lambda share, accuracy: None)
            seconds[name].append(time.perf_counter() - started)
        times = f"{seconds['mlflow'][-1]:9.2f} {seconds['off'][-1]:13.2f}"
        print(f"{pair:4d} {times} {record.last('test/accuracy'):15.2%}", flush=True)
    on, off = (statistics.median(seconds[name]) for name in ("mlflow", "off"))
    print(f"median of {arguments.pairs}: tracked {on:.2f} s, untracked {off:.2f} s: {on / off - 1:+.1%}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
