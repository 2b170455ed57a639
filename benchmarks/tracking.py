"""What tracking and probes cost: a 10-epoch FNN run on the whole of MNIST, untracked and with each choice of probes.

    python benchmarks/tracking.py --root FOLDER [--rounds 5] [--members 1] [--epochs 10] [--sides default ...]

Each time is of one run, or of a stack of so many, from its begin in the store to its end there; the imports, the
database and the data are ready before the first. Beside it, what of that time went to watching and keeping, as the runs
themselves count it. The claims: probe=default costs at most 5% of the untracked runs, and probe=all but curvature at
most 15%.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported, as the command does

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from zeroinit import CONF
from zeroinit.build import check, open_tracker
from zeroinit.config import Job
from zeroinit.config.compose import job_of
from zeroinit.probes.metrics import all_probes
from zeroinit.sweep.runner import run_jobs

SIDES = {
    "untracked": "tracker=off",
    "default": "probe=default",
    "flat": f"probe.measure=[{','.join(probe for probe in all_probes() if probe != 'curvature')}]",
    "all": "probe=all",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="the folder that holds MNIST/raw")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    arguments = parser.parse_args()
    root = arguments.root.absolute()
    os.chdir(tempfile.mkdtemp())

    sides = {side: SIDES[side] for side in arguments.sides}
    words = ["dataset=mnist", f"dataset.root={root}", "arch=fnn", f"epochs={arguments.epochs}"]
    jobs: dict[str, list[Job]] = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for side, word in sides.items():
            jobs[side] = []
            for seed in range(arguments.members):
                cfg = compose("config", [*words, word, f"seeds.init={seed}"], return_hydra_config=True)
                HydraConfig.instance().set_config(cfg)
                jobs[side].append(job_of(cfg))
    check([jobs[side][0] for side in sides])
    trackers = {side: open_tracker(jobs[side][0], "benchmark") for side in sides}
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    watching: dict[str, list[float]] = {side: [] for side in sides}
    print("round", *(f"{side:>12}" for side in sides), "  test accuracy")
    for round_ in range(1, arguments.rounds + 1):
        for side in sides:
            started = time.perf_counter()
            records = run_jobs(jobs[side], trackers[side], lambda share, accuracy: None)
            seconds[side].append(time.perf_counter() - started)
            watching[side].append(sum(record.tracking for record in records))
            assert {record.status for record in records} == {"FINISHED"}
        times = (f"{seconds[side][-1]:10.2f} s" for side in sides)
        print(f"{round_:5d}", *times, f"{records[0].last('test/accuracy'):14.2%}", flush=True)
    median = {side: statistics.median(seconds[side]) for side in sides}
    for side in sides:
        kept = statistics.median(watching[side])
        share = kept / median["untracked"]
        said = f"{median[side]:6.2f} s {median[side] / median['untracked'] - 1:+7.1%}"
        print(f"{side:12} {said}; watching and keeping {kept:5.2f} s, {share:.1%}")
    print(f"medians of {arguments.rounds}; {arguments.members} together")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
