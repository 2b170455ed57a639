"""Part c: the paper's runs at its own scale, the most decisive first, as rows of docs/results.csv."""

import time
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing.pool import AsyncResult
from pathlib import Path

from gpu_parts.files import Row, add_row, read_rows
from gpu_parts.jobs import LATER, Task
from gpu_parts.training import open_pool, train_rows

# processes that share the device: the paper's steps keep it busy, so more would wait for one another. On an H100 a
# stack of 7 `mnist_cnn` took 161 s beside two other processes, and 51 s by itself
WORKERS = 1
GAIN = 1.3  # by which a stack must beat its members alone, as the speed part measured
FIRST_GUESS = {"mnist_cnn": 25.0, "cifar_cnn": 90.0, "resnet50": 420.0}  # seconds of a run, until one has been timed


def train_paper(tasks: Sequence[Task], out: Path, deadline: float, workers: int) -> bool:
    """Train what is not in runs.jsonl yet, until `deadline` (of time.monotonic); return whether all of it is there.

    A group starts only where it is likely to end in time.
    """
    path = out / "runs.jsonl"
    there = {row["run"] for row in read_rows(path) if not row["error"]}
    seconds = {row["arch"]: row["call_seconds"] for row in read_rows(path)}
    missing = [task for task in tasks if task.part == "paper" and task.job.config_hash not in there]
    waiting = grouped(missing, stacked_archs(read_rows(out / "speed.jsonl")))
    left_out = 0
    with open_pool(workers) as pool:
        running: list[AsyncResult[list[Row]]] = []
        while (waiting or running) and time.monotonic() < deadline:
            while waiting and len(running) < max(1, workers):
                group = waiting.pop(0)
                needed = seconds.get(group[0].arch, FIRST_GUESS.get(group[0].arch, 60.0))
                if time.monotonic() + needed > deadline:
                    left_out += len(group)
                else:
                    running.append(pool.apply_async(train_rows, (group,)))
            for result in [result for result in running if result.ready()]:
                running.remove(result)
                for row in result.get():
                    add_row(path, row)
                    seconds[row["arch"]] = row["call_seconds"]
                    left_out += bool(row["error"])
            time.sleep(0.05)
    return not (waiting or running or left_out)


def grouped(tasks: Sequence[Task], stacked: set[str]) -> list[list[Task]]:
    """Return what trains together, in the order of training: by seed, so that early results are of every figure.

    ResNet-50 comes last. The inits of one seed see the same batches, and are a stack where that is faster.
    """
    by_round: dict[tuple[bool, int, str], list[Task]] = defaultdict(list)
    for task in tasks:
        by_round[task.sweeps[0] in LATER, task.seed, task.arch].append(task)
    groups = []
    for (_, _, arch), members in sorted(by_round.items(), key=lambda item: (item[0][0], item[0][1], -len(item[1]))):
        groups += [members] if arch in stacked else [[task] for task in members]
    return groups


def stacked_archs(rows: Sequence[Row]) -> set[str]:
    """Return the nets that the speed part saw gain by GAIN or more as a stack of the size of one round."""
    gains = gains_of(rows)
    return {net for (net, members, batches), gain in gains.items() if 3 <= members <= 8 and gain >= GAIN}


def gains_of(rows: Sequence[Row]) -> dict[tuple[str, int, str], float]:
    """Return, by (net, members, batches), by how much members together are faster than one by one."""
    steps = [row for row in rows if row.get("kind") == "steps" and row["arithmetic"] == "float32"]
    steps = [row for row in steps if row["kernels"] == "deterministic"]
    alone = {row["net"]: row["step_ms"] for row in steps if row["members"] == 1}
    return {
        (row["net"], row["members"], row["batches"]): row["members"] * alone[row["net"]] / row["step_ms"]
        for row in steps
        if row["net"] in alone
    }
