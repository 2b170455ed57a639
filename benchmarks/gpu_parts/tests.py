"""Part a: the tests marked cuda; and the images, decoded while these run."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gpu_parts.jobs import Task


def run_tests(root: Path, out: Path, smoke: bool) -> bool:
    """Run tests/cuda without the conftest of the other tests, which needs MLflow; return whether all pass.

    With `smoke` a few of them, on the CPU.
    """
    command = [sys.executable, "-m", "pytest", "-m", "cuda", "tests/cuda", "--confcutdir=tests/cuda", "-o", "addopts="]
    command += ["-o", "filterwarnings=default", "-p", "no:cacheprovider", "-rfE", "--durations=5", "-q"]
    command += ["-k", "logistic or probes_that"] if smoke else ["-n", "6"]
    environment = os.environ | ({"ZEROINIT_TEST_DEVICE": "cpu"} if smoke else {})
    with (out / "tests.txt").open("w") as file:
        ended = subprocess.run(command, cwd=root, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    print((out / "tests.txt").read_text()[-1500:], flush=True)
    return ended.returncode == 0


def load_images(tasks: Sequence[Task]) -> bool:
    """Decode each data set once, so that no worker of a later part has to."""
    import torch

    from zeroinit.build.data import data_source, load

    first = {data_source(task.job.config): task.job for task in reversed(tasks)}
    for job in reversed(first.values()):
        load(job.config, torch.device("cpu"))
    return True
