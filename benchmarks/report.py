"""The time to make a report again: the command zeroinit-report on a sweep of XOR, 1,000 runs in 100 cells.

    python benchmarks/report.py [--rounds 3] [--seeds 10] [--large] [--store FOLDER]

With `--large` there are 1,000 cells, which are 10,000 runs.

`report` is the whole command, its imports included, into a folder. `load` is `zeroinit.load` with its frames `runs` and
`cells`, after the imports. For comparison, the runs and the histories of two metrics are read from the store's tables
and by MLflow's own client, in turns. The claims: the report takes less than 10 s, its page less than 2 MB, and `load`
less than 2 s. FOLDER keeps the sweep from one call to the next.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from zeroinit import load
from zeroinit.tracker.mlflow import Mlflow

SHARED = ("dataset=xor", "arch.hidden=[2]", "steps=200", "sweep=big")
AXES = {  # by the number of cells
    100: (
        "init=default,zero,zero_normal,constant",
        "bias_scale.value=0.01,0.1,1,10,100",
        "optimizer.lr=0.001,0.01,0.1,0.3,1",
    ),
    1000: (
        "init=default,zero,zero_normal,constant,small_normal,ones,orthogonal,xavier_normal,kaiming_normal,kaiming_uniform",
        "bias_scale.value=0.01,0.03,0.1,0.3,1,3,10,30,100,300",
        "optimizer.lr=0.001,0.003,0.01,0.03,0.1,0.2,0.3,0.5,1,2",
    ),
}
METRICS = ["test/accuracy", "symmetry/hidden1/distinct"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=10, help="of each cell")
    parser.add_argument("--large", action="store_true", help="1,000 cells in place of 100")
    parser.add_argument("--store", type=Path, default=Path(tempfile.mkdtemp()))
    arguments = parser.parse_args()
    cells = 1000 if arguments.large else 100
    os.chdir(arguments.store)
    if not Path("mlruns").is_dir():
        subprocess.run(
            [sys.executable, "-m", "zeroinit", "-m", *SHARED, *AXES[cells], f"seed=range({arguments.seeds})"],
            check=True,
            capture_output=True,
        )
    tracker = Mlflow(None)
    tracker.find("big")

    def by_tables() -> None:
        tracker.is_database = True
        tracker.load_histories(tracker.records(), METRICS)

    def by_client() -> None:
        tracker.is_database = False
        tracker.load_histories(tracker.records(), METRICS)

    def load_frames() -> None:
        sweep = load("big")
        assert len(sweep.runs) == cells * arguments.seeds
        assert len(sweep.cells) == cells

    def report() -> None:
        command = "from zeroinit.report.cli import main; main()"
        subprocess.run([sys.executable, "-c", command, "big", "--to", "made"], check=True, capture_output=True)

    sides: dict[str, Callable[[], None]] = {
        "report": report,
        "load": load_frames,
        "tables": by_tables,
        "client": by_client,
    }
    times: dict[str, list[float]] = {side: [] for side in sides}
    print(f"round  {'  '.join(f'{side:>8s}' for side in sides)}")
    for round_ in range(1, arguments.rounds + 1):
        for side, work in sides.items():
            began = time.perf_counter()
            work()
            times[side].append(time.perf_counter() - began)
        print(f"{round_:5d}  {'  '.join(f'{times[side][-1]:6.2f} s' for side in sides)}", flush=True)
    medians = {side: statistics.median(taken) for side, taken in times.items()}
    ratio = medians["client"] / medians["tables"]
    print(f"report {medians['report']:.2f} s; load {medians['load']:.2f} s; client / tables {ratio:.1f}")
    size = Path("made", "report.html").stat().st_size
    print(f"{len(tracker.records())} runs, page of {size / 1e6:.2f} MB; medians of {arguments.rounds}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
