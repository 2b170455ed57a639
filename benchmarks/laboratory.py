"""Print the tables of docs/laboratory.md from the runs in a store.

    python benchmarks/laboratory.py --store URI [--sweeps lab_xor lab_zero ...]

The sweeps must have been trained into the store before (`zeroinit -cn lab_xor`). Nothing is written to it. A cell is
the runs that differ in their seeds alone. Accuracies are in percent, intervals are Student's of 95%.
"""

import argparse
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np

from zeroinit.report.cells import sort_values
from zeroinit.report.statistics import mean_and_interval
from zeroinit.tracker import Record
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.scores import ACCURACY
from zeroinit.tracker.tags import Tag

Number = Callable[[Sequence[Record]], str]  # writes a number of the runs of a cell
SCALE, WIDTH, RATE, ACTIVATION = "bias_scale.value", "arch.hidden", "optimizer.lr", "arch.activation"
DISTINCT = ("symmetry/hidden1/distinct", "symmetry/hidden2/distinct")
SADDLE, LARGEST = "curvature/weights/smallest", "curvature/largest"
SATURATED, MEAN = "activation/hidden1/saturated", "activation/hidden1/mean"
HISTORIES = (ACCURACY.test, *DISTINCT, SADDLE, LARGEST, SATURATED, MEAN)


def last(cell: Sequence[Record], metric: str = ACCURACY.test) -> list[float]:
    return [record.last(metric) * (100 if metric == ACCURACY.test else 1) for record in cell]


def write_interval(values: Iterable[float]) -> str:
    _, mean, half = mean_and_interval({(str(index),): [value] for index, value in enumerate(values)})
    return f"{mean:.2f} ± {half:.2f}"


def write_range(values: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{end + 0.0:.3g}" for end in (min(values), max(values))))


def accuracy(cell: Sequence[Record]) -> str:
    return f"{write_interval(last(cell))} (sd {np.std(last(cell), ddof=1):.1f})"


def each(cell: Sequence[Record]) -> str:
    return ", ".join(f"{value:.1f}" for value in last(cell))


def mean_of(metric: str) -> Number:
    return lambda cell: f"{np.mean(last(cell, metric)):.3f}"


def range_of(metric: str) -> Number:
    return lambda cell: write_range(last(cell, metric))


def mean_at(step: int, metric: str) -> Number:
    return lambda cell: f"{np.mean([record.history(metric)[step] for record in cell]):.3g}"


def first_step(threshold: float, metrics: Sequence[str]) -> Number:
    """Of each run, the first step after which one of the metrics is at least this; a dash where none ever is."""

    def write(cell: Sequence[Record]) -> str:
        points = ([point for name in metrics for point in record.history(name).items()] for record in cell)
        steps = ([step for step, value in of_run if value >= threshold] for of_run in points)
        return ", ".join(str(min(of_run, default="-")) for of_run in steps)

    return write


def falls_below(threshold: float, cell: Sequence[Record]) -> str:
    """The bias scale from which on accuracy is lower, interpolated in its logarithm: geometric mean over seeds."""
    logarithms = []
    for runs in (seeds := group(cell, ["seeds.init"])).values():
        points = sorted((math.log(float(record.params[SCALE])), *last([record])) for record in runs)
        for (x, y), (x_below, y_below) in itertools.pairwise(points):
            if y >= threshold > y_below:
                logarithms.append(x + (y - threshold) / (y - y_below) * (x_below - x))
                break
    _, mean, half = mean_and_interval({(str(index),): [value] for index, value in enumerate(logarithms)})
    low, middle, high = (f"{math.exp(value):.3g}" for value in (mean - half, mean, mean + half))
    return f"below {threshold}% from x{middle} [{low}, {high}] in {len(logarithms)} of {len(seeds)}"


# sweep, keys of the rows, keys of the columns, the numbers of a cell
TABLES: list[tuple[str, list[str], list[str], list[Number]]] = [
    ("lab_symmetry", ["init"], [ACTIVATION], [range_of(DISTINCT[0]), range_of("weight/hidden1/norm")]),
    ("lab_xor", ["init", SCALE], [ACTIVATION], [lambda cell: f"{last(cell).count(100)} of {len(cell)}"]),
    ("lab_xor_sigmoid", ["init", SCALE], [ACTIVATION], [lambda cell: f"{last(cell).count(100)} of {len(cell)}"]),
    ("lab_planar", ["init"], [WIDTH], [accuracy, mean_of("train/loss")]),
    ("lab_planar_sigmoid", ["init"], [WIDTH], [accuracy, mean_of("train/loss")]),
    ("lab_zero", ["dataset"], [ACTIVATION], [each, range_of("weight/output/norm"), mean_at(0, SADDLE)]),
    ("lab_constant", [WIDTH, "init"], ["arithmetic"], [accuracy, *map(range_of, DISTINCT)]),
    ("lab_rounding", [WIDTH], ["optimizer", "dtype"], [each, first_step(2, DISTINCT)]),
    ("lab_logistic", ["init"], ["dataset"], [accuracy, mean_of("test/loss")]),
    ("lab_biases", ["init"], ["dataset"], [accuracy, mean_of("train/loss")]),
    ("lab_reader", [WIDTH, RATE], ["optimizer", SCALE], [lambda cell: f"{np.mean(last(cell)):.0f}"]),
    ("lab_reader_long", [RATE], [SCALE], [each, first_step(0.8, [ACCURACY.test])]),
    ("lab_large_fnn", [SCALE], ["init"], [accuracy, mean_at(0, SATURATED), mean_at(0, MEAN), mean_at(100, LARGEST)]),
    ("lab_large_fnn", [], ["init"], [partial(falls_below, 80), partial(falls_below, 50)]),
    ("lab_large_cnn", ["init"], [SCALE], [each]),
    ("lab_large_why", [WIDTH, RATE], ["steps"], [partial(falls_below, 50)]),
]
# sweep, keys of the columns, an init and that with which it is compared seed by seed
PAIRS = [
    (sweep, WIDTH, "zero_normal", other)
    for sweep in ("lab_planar", "lab_planar_sigmoid")
    for other in ("small_normal", "default")
]
PAIRS += [("lab_biases", "dataset", init, "default") for init in ("zero_normal", "zero_uniform")]
PAIRS += [("lab_logistic", "dataset", "zero", "default")]


def read_runs(uri: str, sweep: str) -> list[Record]:
    """Return the finished runs of a sweep, the newest of each identity, by seed."""
    tracker = Mlflow(uri)
    tracker.find(sweep)
    finished = {record.identity: record for record in reversed(tracker.records()) if record.status == "FINISHED"}
    tracker.load_histories(list(finished.values()), HISTORIES)
    return sorted(finished.values(), key=lambda record: int(record.params["seeds.init"]))


def group(runs: Sequence[Record], keys: Sequence[str]) -> dict[tuple[str, ...], list[Record]]:
    """Return {values of the keys: the runs that have them}, values in order."""
    axes = [sort_values(record.params[key] for record in runs) for key in keys]
    wanted = itertools.product(*axes)
    return {values: [one for one in runs if tuple(map(one.params.get, keys)) == values] for values in wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, metavar="URI", help="such as sqlite:///mlruns/mlflow.db")
    parser.add_argument("--sweeps", nargs="+", choices=list(names := dict.fromkeys(sweep for sweep, *_ in TABLES)))
    arguments = parser.parse_args()
    for sweep in arguments.sweeps or names:
        runs = read_runs(arguments.store, sweep)
        machines = {f"{record.tags[Tag.CPU]}, torch {record.tags[Tag.TORCH_VERSION]}" for record in runs}
        print(f"\n{sweep}: {len(runs)} runs; {'; '.join(sorted(machines))}")
        for _, rows, columns, numbers in (table for table in TABLES if table[0] == sweep):
            print(f"\n| {' '.join(rows)} | {' | '.join(' '.join(values) for values in group(runs, columns))} |")
            for values, row in group(runs, rows).items():
                cells = ("; ".join(write(cell) for write in numbers) for cell in group(row, columns).values())
                print(f"| {' '.join(values)} | {' | '.join(cells)} |")
        for _, key, init, other in (pair for pair in PAIRS if pair[0] == sweep):
            for (value,), cell in group(runs, [key]).items():
                pairs = zip(*(last(group(cell, ["init"])[(name,)]) for name in (init, other)), strict=True)
                print(f"{value}: {init} less {other} {write_interval(a - b for a, b in pairs)} points")


if __name__ == "__main__":
    main()
