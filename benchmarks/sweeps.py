"""Sweeps from command to table, against Hydra's basic launcher, on one worker and on two, and the memory they take.

    python benchmarks/sweeps.py [quickstart digits xor workers] [--repeats 3]

Every command is a process of its own, start-up included, in a folder whose database is there already. Peak memory is
the largest sum over the processes of a command of what each has to itself and its share of what it shares (PSS).

    quickstart  the README's first command, as it is
    digits      64 runs of 64-128-10 on scikit-learn's digits, 200 epochs: ours, and hydra/launcher=basic, the same loop
    xor         1,000 runs of XOR 2-2-2, 500 steps: ours, and (20 runs - 1 run) / 19 x 1,000 of hydra/launcher=basic;
                and what that launcher spends of a run on Hydra's composition, on the run itself and on the rest
    workers     64 runs of 64-128-10, 600 epochs: 2 workers and 1, with the peak memory of both
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import hydra.core.utils
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl

import zeroinit.garbage  # noqa: F401
from zeroinit import cli

BETWEEN = 2  # seconds between two looks at the memory, of which one takes 0.1 s
BASIC = "hydra/launcher=basic"
INITS = "init=default,zero_normal,zero,kaiming_normal"
DIGITS = ["-m", "dataset=digits", "arch.hidden=[128]", "init=default,zero_normal", "bias_scale.value=0.1,1"]
XOR = ["-m", "dataset=xor", "arch.hidden=[2]", "steps=500"]


def taken(words: list[str]) -> tuple[float, float]:
    """Seconds and peak memory, in GiB, of the command."""
    command = [sys.executable, "-m", "zeroinit", *words]
    started, peak = time.perf_counter(), 0.0
    with open("errors", "w") as errors, subprocess.Popen(command, stdout=errors, stderr=errors) as process:
        looked = 0.0
        while process.poll() is None:
            if time.perf_counter() - looked > BETWEEN:
                peak = max(peak, sum(memory(one) for one in family(process.pid)))
                looked = time.perf_counter()
            time.sleep(0.05)
        seconds = time.perf_counter() - started
    assert process.returncode == 0, Path("errors").read_text()
    return seconds, peak / 2**20


def family(pid: int) -> list[int]:
    """The process and all that it started."""
    found = [pid]
    for one in found:
        try:
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return found


def memory(pid: int) -> int:
    """Its PSS in KiB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def compared(name: str, sides: dict[str, list[str]], repeats: int) -> dict[str, float]:
    """Median seconds of each side; they take turns."""
    measured: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for repeat in range(repeats):
        for side, words in sides.items():
            measured[side].append(taken([*words, f"sweep={name}-{side.replace(' ', '-')}-{repeat}"]))
            seconds, peak = measured[side][-1]
            print(f"  {name}, {side}: {seconds:.1f} s, peak {peak:.2f} GiB", flush=True)
    for side, both in measured.items():
        seconds, peak = (statistics.median(values) for values in zip(*both, strict=True))
        print(f"{name}, {side}: median of {repeats} {seconds:.1f} s, peak memory {peak:.2f} GiB", flush=True)
    return {side: statistics.median(seconds for seconds, _ in both) for side, both in measured.items()}


def in_a_run_of_basic(words: list[str]) -> dict[str, float]:
    """Mean seconds of a run of Hydra's basic launcher: to be composed, to be trained and kept, and all the rest."""
    spent, spans = {"composing": 0.0, "the run itself": 0.0}, []

    def timed(owner: Any, name: str, what: str | None = None) -> None:
        function = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            result = function(*args, **kwargs)
            ended = time.perf_counter()
            if what:
                spent[what] += ended - started
            spans.append((started, ended))
            return result

        setattr(owner, name, call)

    timed(ConfigLoaderImpl, "load_sweep_config", "composing")
    timed(cli, "run_jobs", "the run itself")
    timed(hydra.core.utils, "run_job")
    sys.argv = ["zeroinit", *words, BASIC, "sweep=in-a-run"]
    cli.main()
    runs = len(spans) // 3
    whole = max(ended for _, ended in spans) - min(started for started, _ in spans)
    return {name: seconds / runs for name, seconds in (spent | {"the rest": whole - sum(spent.values())}).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["quickstart", "digits", "xor", "workers"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    taken(["dataset=xor", "steps=1"])  # makes the database
    for what in arguments.what:
        if what == "quickstart":
            compared(what, {"ours": ["-cn", "quickstart"]}, arguments.repeats)
        elif what == "digits":
            grid = [*DIGITS, "seed=range(16)", "epochs=200"]
            median = compared(what, {"ours": grid, "basic launcher": [*grid, BASIC]}, arguments.repeats)
            print(f"digits: {median['basic launcher'] / median['ours']:.2f}x")
        elif what == "xor":
            sides = {
                "ours": [*XOR, INITS, "seed=range(250)"],
                "basic launcher 20": [*XOR, INITS, "seed=range(5)", BASIC],
                "basic launcher 1": [*XOR, "seed=0", BASIC],
            }
            median = compared(what, sides, arguments.repeats)
            each = (median["basic launcher 20"] - median["basic launcher 1"]) / 19
            print(f"xor: {each:.3f} s a run of the basic launcher, {1000 * each / median['ours']:.2f}x")
            parts = in_a_run_of_basic([*XOR, INITS, "seed=range(5)"])
            print(
                "xor: of a run of the basic launcher", ", ".join(f"{name} {one:.3f} s" for name, one in parts.items())
            )
        elif what == "workers":
            grid = [*DIGITS, "seed=range(16)", "epochs=600"]
            sides = {f"{count} workers": [*grid, f"hydra.launcher.workers={count}"] for count in (2, 1)}
            median = compared(what, sides, arguments.repeats)
            print(f"workers: {median['1 workers'] / median['2 workers']:.2f}x")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread a process"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
