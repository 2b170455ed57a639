"""Tests, timings and the paper's runs at its own scale on a GPU, in one command.

    python benchmarks/gpu.py --write-jobs JOBS --data FOLDER          where Hydra is installed, beforehand
    python benchmarks/gpu.py --minutes 8 --jobs JOBS --data FOLDER --out OUT
    python benchmarks/gpu.py --collect OUT                            adds the runs to docs/results.csv

The second needs torch, torchvision, numpy, scipy, scikit-learn, matplotlib, rich, filelock and pytest, but neither
Hydra nor OmegaConf, MLflow or mlxtend, and no network. FOLDER holds MNIST (MNIST/raw, the idx files) and CIFAR-10 as
JPEG (cifar10-jpeg/{train,test}/<class>/*.jpg, or cifar10-jpeg.tar.gz), 31 MB together. Every result is written as
soon as it is there; a call with the same OUT goes on where the last one ended. `--smoke` runs all parts at their
smallest on a CPU.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from gpu_parts.data import find_data
from gpu_parts.files import read_json, write_json

from zeroinit.kernels import pin_kernels


@dataclass(frozen=True)
class Part:
    """A part: its name, its share of the time at most, and whether the next part waits for its end."""

    name: str
    share: float
    waits: bool


# those that do not wait for one another test and prepare; the device is then left to the speed part, and to the runs
PARTS = (
    Part("kernels", 0.25, False),
    Part("images", 0.25, False),
    Part("tests", 0.3, False),
    Part("outcomes", 0.3, True),
    Part("speed", 0.35, True),
    Part("paper", 1.0, True),
)
UNFINISHED = 3  # exit code of a part that ran out of time
GRACE = 5  # seconds after its limit in which a part may still end by itself


def run_parts(arguments: argparse.Namespace) -> None:
    """Run each part that is not complete in a process of its own, and keep how it ended in state.json."""
    end = time.monotonic() + 60 * arguments.minutes
    state_path = arguments.out / "state.json"
    running: list[tuple[Part, subprocess.Popen[bytes], float, float]] = []
    for part in PARTS:
        is_wanted = part.name in arguments.only.split(",") or not arguments.only
        if is_wanted and read_json(state_path).get(part.name, {}).get("status") != "complete":
            now = time.monotonic()
            limit = min(end - GRACE, now + part.share * 60 * arguments.minutes)
            if limit - now > 5:
                running.append((part, start_part(part.name, arguments, limit - now), now, limit))
        if part.waits:
            for entry in running:
                await_part(*entry, state_path)
            running = []
    subprocess.run([sys.executable, __file__, "--part", "summary", "--out", str(arguments.out)], check=False)


def start_part(name: str, arguments: argparse.Namespace, seconds: float) -> subprocess.Popen[bytes]:
    """Start the part in a process group of its own."""
    command = [sys.executable, __file__, "--part", name, "--seconds", f"{seconds:.1f}", "--out", str(arguments.out)]
    command += ["--jobs", str(arguments.jobs)] + ["--smoke"] * arguments.smoke
    command += ["--data", str(arguments.data)] if arguments.data else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)


def await_part(part: Part, process: subprocess.Popen[bytes], started: float, limit: float, state_path: Path) -> None:
    """Wait for the part until its limit, end it then, and write down how it ended."""
    try:
        code = process.wait(max(0.1, limit + GRACE - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    status = {0: "complete", UNFINISHED: "incomplete", -signal.SIGKILL: "incomplete"}.get(code, "failed")
    seconds = round(time.monotonic() - started, 1)
    write_json(state_path, read_json(state_path) | {part.name: {"status": status, "code": code, "seconds": seconds}})
    print(f"{part.name}: {status} after {seconds} s", flush=True)


def run_part(arguments: argparse.Namespace) -> bool:
    """Do one part; return whether it is complete."""
    from gpu_parts import kernels, outcomes, paper, speed, summary, tests
    from gpu_parts.jobs import read_tasks

    deadline = time.monotonic() + arguments.seconds
    out, smoke = arguments.out, arguments.smoke
    if arguments.part == "kernels":
        return kernels.measure_kernels(out, smoke)
    if arguments.part == "summary":
        return summary.write_summary(out)
    if arguments.part == "tests":
        return tests.run_tests(ROOT, out, smoke)
    tasks = read_tasks(arguments.jobs, arguments.data)
    if arguments.part == "images":
        return tests.load_images(tasks)
    if arguments.part == "outcomes":
        return outcomes.compare_outcomes(tasks, out, deadline, workers=0 if smoke else 8)
    if arguments.part == "speed":
        return speed.measure_speed(tasks, out, deadline, smoke)
    return paper.train_paper(tasks, out, deadline, workers=0 if smoke else paper.WORKERS)


def check_arguments(arguments: argparse.Namespace) -> None:
    """End with one sentence where the script cannot run."""
    if not arguments.smoke:
        import torch

        if not torch.cuda.is_available():
            sys.exit("gpu.py: torch finds no CUDA device here; give --smoke to try all parts on the CPU")
    if not arguments.jobs.is_file():
        sys.exit(f"gpu.py: --jobs={arguments.jobs}: there is no such file; write it with --write-jobs, where Hydra is")
    arguments.data = None if arguments.smoke else find_data(arguments.data)
    arguments.out.mkdir(parents=True, exist_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--jobs", type=Path, default=ROOT / "benchmarks" / "gpu_jobs.json")
    parser.add_argument("--only", default="", help=f"some of {','.join(part.name for part in PARTS)}")
    parser.add_argument("--smoke", action="store_true", help="all parts at their smallest, on the CPU")
    parser.add_argument("--write-jobs", type=Path)
    parser.add_argument("--collect", type=Path)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=60, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    pin_kernels()
    if arguments.write_jobs:
        from gpu_parts.jobs import write_tasks

        data = None if arguments.smoke else find_data(arguments.data or Path("data"))
        write_tasks(arguments.write_jobs, data, "cpu" if arguments.smoke else "cuda", arguments.smoke)
    elif arguments.collect:
        from gpu_parts.collect import collect

        collect(arguments.collect, ROOT / "docs" / "results.csv")
    elif arguments.part:
        sys.exit(0 if run_part(arguments) else UNFINISHED)
    else:
        if not arguments.out:
            parser.error("--out: give the folder of the results")
        arguments.data = arguments.data or Path("data")
        check_arguments(arguments)
        run_parts(arguments)


if __name__ == "__main__":
    main()
