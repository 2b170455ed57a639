"""Which bits and what speed each choice of CPU kernels gives, measured side by side.

    python benchmarks/kernels.py [--rounds 3] [--out FILE.json]

Each choice of kernels trains each case of CASES in a process of its own, in turns. The table gives the median CPU
seconds of a case, and the first digits of the SHA-256 of its final weights: equal digits are equal bits.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from zeroinit.loss import CrossEntropy
from zeroinit.training.cohort import Member, Recipe

CHOICES = {
    "native": {},
    "portable": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "without MKL_CBWR": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "MKL_CBWR=COMPATIBLE": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "AVX2"},
}
NAMES = sorted({name for choice in CHOICES.values() for name in choice})


@dataclass(frozen=True)
class Case:
    """`members` nets of one architecture, trained together for `steps` steps on random images."""

    arch: str
    weight: str  # the rule that fills weights; biases are N(0, 1) where it is zeros_
    members: int
    steps: int
    side: int = 28  # pixels
    channels: int = 1


CASES = {
    "fnn default": Case("FNN", "default_", 1, 40),
    "fnn zero_normal": Case("FNN", "zeros_", 1, 40),
    "fnn zero_normal, 16 stacked": Case("FNN", "zeros_", 16, 10),
    "mnist_cnn zero_normal": Case("MnistCNN", "zeros_", 1, 5),
    "cifar_cnn default": Case("CifarCNN", "default_", 1, 3, 16, 3),
}


def train_case(case: Case) -> tuple[str, float]:
    """Return (SHA-256 of the final weights, CPU seconds of the training) of a case, on one thread."""
    import torch

    from zeroinit import arch, init
    from zeroinit.config.init import Rules
    from zeroinit.dataset.batches import Augment
    from zeroinit.dataset.data import Data
    from zeroinit.rng import stream
    from zeroinit.training import loop

    torch.set_num_threads(1)
    shape = case.channels, case.side, case.side
    examples = torch.rand(1024, *shape, generator=stream("split", 0))
    labels = torch.arange(1024) % 10
    data = Data((examples, labels), (examples[:64], labels[:64]), (examples[:64], labels[:64]), num_classes=10)
    rules = {"default_": init.default_, "zeros_": torch.nn.init.zeros_}
    bias = torch.nn.init.normal_ if case.weight == "zeros_" else init.default_
    members = []
    for seed in range(case.members):
        keys = {"hidden": [500], "activation": "elu"} if case.arch == "FNN" else {"activation": "elu"}
        model = getattr(arch, case.arch)(shape, 10, **keys)
        init.initialize(
            model,
            stream("init", seed),
            Rules(partial(rules[case.weight]), partial(bias)),
            bias_scale=lambda fan_in: 1.0,
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
        members.append(Member(model, optimizer, stream("order", seed), stream("augment", seed), case.steps))
    started = time.process_time()
    loop.train(
        members,
        data,
        Recipe(CrossEntropy(10), 128, True, Augment(0, False), "mean", False),
        loop.Hooks(is_observed=lambda step: False),
    )
    seconds = time.process_time() - started
    digest = hashlib.sha256()
    for member in members:
        for tensor in member.model.state_dict().values():
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest(), seconds


def start_choice(choice: str, cases: Sequence[str]) -> "subprocess.Popen[str]":
    """Start a process that trains the cases with the variables of this choice set, and no other of NAMES.

    It prints {case: what `train_case` returns} as JSON.
    """
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | CHOICES[choice]
    words = [sys.executable, __file__, "--child", *cases]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)


def read_choice(process: "subprocess.Popen[str]") -> dict[str, tuple[str, float]]:
    """Wait for the process and return what it printed. Raises RuntimeError if it failed."""
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a process that trains the cases ended with exit code {process.returncode}")
    return json.loads(printed)


def describe_machine() -> dict[str, str]:
    """The processor and the versions, as tags of a run name them."""
    import platform

    import torch

    from zeroinit.kernels import cpu_name

    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "cpu": cpu_name(),
        "torch's choice": capability,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def print_table(runs: dict[str, list[dict[str, tuple[str, float]]]], choices: Sequence[str]) -> None:
    for case in CASES:
        print(case)
        base = median(run[case][1] for run in runs["native"])
        for choice in choices:
            digests = sorted({run[case][0][:12] for run in runs[choice]})
            seconds = median(run[case][1] for run in runs[choice])
            print(f"  {choice:20} {seconds:8.3f} s  {seconds / base:5.2f}  {' '.join(digests)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write all numbers to this file as well")
    parser.add_argument("--child", nargs="+", choices=CASES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps({name: train_case(CASES[name]) for name in arguments.child}))
        return
    runs: dict[str, list[dict[str, tuple[str, float]]]] = {choice: [] for choice in CHOICES}
    for _ in range(arguments.rounds):
        for choice in CHOICES:
            runs[choice].append(read_choice(start_choice(choice, list(CASES))))
    machine = describe_machine()
    if arguments.out:
        arguments.out.write_text(json.dumps({"machine": machine, "runs": runs}, indent=1) + "\n")
    print_table(runs, list(CHOICES))
    print(", ".join(f"{key}: {value}" for key, value in machine.items()), f"(medians of {arguments.rounds})")


if __name__ == "__main__":
    main()
