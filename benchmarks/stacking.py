"""What training together gains: K members as one stack against the same members one by one, for every arch.

    python benchmarks/stacking.py [--repeats 5] [--only WORDS]

Training alone, in one process with one thread: no tracking, no observation, evaluation as the loop does it. The two
sides take turns. A ratio is K times the median of one member alone over the median of the stack. From this table the
constants of zeroinit/sweep/stacking.py are read; what they decide stands below each net, beside the best that was
measured.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported, as the command does

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from zeroinit import CONF
from zeroinit.build import batch_size_of, build, load, set_up_torch
from zeroinit.config import Job
from zeroinit.config.compose import job_of
from zeroinit.dataset.batches import Augment
from zeroinit.loss import CrossEntropy
from zeroinit.rng import stream
from zeroinit.sweep.stacking import find_limits
from zeroinit.training import loop
from zeroinit.training.cohort import Member, Recipe

CIFAR = ("dataset=mnist5k", "dataset.resize=32", "dataset.channels=3")  # of the shape of CIFAR-10
WORK: dict[str, tuple[tuple[str, ...], Sequence[int]]] = {  # what trains: overrides, and how many together
    "XOR 2-2-2, 2,000 steps": (("dataset=xor", "arch.hidden=[2]", "steps=2000"), (16, 64, 256)),
    "XOR 2-500-2": (("dataset=xor", "steps=500"), (16, 64, 256)),
    "planar 2-4-2": (("dataset=planar", "arch.hidden=[4]", "steps=500"), (16, 64, 256)),
    "planar 2-500-2": (("dataset=planar", "steps=100"), (4, 16)),
    "digits 64-128-10": (("dataset=digits", "arch.hidden=[128]", "steps=200"), (2, 4, 8, 16, 32, 64)),
    "digits 64-500-10": (("dataset=digits", "steps=100"), (4, 8, 16, 32)),
    "digits logistic": (("dataset=digits", "arch=logistic", "steps=200"), (16, 64, 256)),
    "MNIST logistic": (("dataset=mnist5k", "arch=logistic", "steps=100"), (4, 16, 32, 64, 128)),
    "MNIST 784-128-10": (("dataset=mnist5k", "arch.hidden=[128]", "steps=100"), (2, 4, 8, 16)),
    "MNIST FNN": (("dataset=mnist5k", "steps=56"), (2, 4, 8, 16)),
    "MNIST 784-500-500-10": (("dataset=mnist5k", "arch.hidden=[500,500]", "steps=56"), (2, 4, 8)),
    "MNIST 784-1000-10": (("dataset=mnist5k", "arch.hidden=[1000]", "steps=56"), (2, 4, 8)),
    "MNIST 512-256-128": (("dataset=mnist5k", "arch=cifar_fnn", "steps=56"), (2, 4, 8)),
    "CIFAR logistic": ((*CIFAR, "arch=logistic", "steps=56"), (2, 4, 8, 16, 32)),
    "CIFAR FNN": ((*CIFAR, "arch=cifar_fnn", "steps=28"), (2, 4, 8)),
    "digits mnist_cnn": (("dataset=digits", "arch=mnist_cnn", "steps=28"), (2, 4, 8)),
    "digits cifar_cnn": (("dataset=digits", "arch=cifar_cnn", "steps=10"), (2, 4)),
    "MNIST CNN": (("dataset=mnist5k", "arch=mnist_cnn", "steps=8"), (2, 4)),
    "CIFAR CNN": ((*CIFAR, "arch=cifar_cnn", "steps=2"), (2,)),
}


def jobs_of(overrides: Sequence[str], seeds: int, together: bool) -> list[Job]:
    """The same net with other draws of the init; with `together`, all see the same batches."""
    cfg = compose("config", [*overrides, "init=kaiming_normal"], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    job = job_of(cfg)

    def drawn(seed: int) -> Job:
        seeds = job.values["seeds"] | {"init": seed, "order": 0 if together else seed}
        return replace(job, values=job.values | {"seeds": seeds})

    return [drawn(seed) for seed in range(seeds)]


def seconds(jobs: Sequence[Job]) -> float:
    """To train the jobs together."""
    config = jobs[0].config
    data = load(config, set_up_torch(config))
    members = []
    for job in jobs:
        model, _, optimizer = build(job.config, data)
        order, changes = stream("order", job.config.seeds.order), stream("augment", job.config.seeds.augment)
        members.append(Member(model, optimizer, order, changes, config.duration.count_steps(0)))
    recipe = Recipe(CrossEntropy(10), batch_size_of(config, data), True, Augment(0, False), "mean", False)
    started = time.perf_counter()
    loop.train(members, data, recipe, loop.Hooks(is_observed=lambda step: False))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="the lines whose name holds these words")
    arguments = parser.parse_args()
    print(f"{'':24} {'K':>4} {'alone, s':>9} {'same batches':>13} {'own batches':>12}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name, (overrides, sizes) in WORK.items():
            if arguments.only not in name:
                continue
            shared, own = (jobs_of(overrides, max(sizes), together) for together in (True, False))
            taken: dict[tuple[str, int], list[float]] = {}
            for _ in range(arguments.repeats + 1):  # the first warms up
                taken.setdefault(("alone", 1), []).append(seconds(shared[:1]))
                for size in sizes:
                    taken.setdefault(("same", size), []).append(seconds(shared[:size]))
                    taken.setdefault(("own", size), []).append(seconds(own[:size]))
            median = {key: statistics.median(times[1:]) for key, times in taken.items()}
            alone = median["alone", 1]
            gain = {key: key[1] * alone / value for key, value in median.items()}
            for size in sizes:
                line = f"{name:24} {size:4d} {alone:9.3f} {gain['same', size]:12.2f}x {gain['own', size]:11.2f}x"
                print(line, flush=True)
            limits = find_limits(own[0], workers=1)
            together = f"up to {limits.max_members} together, {limits.max_sharing} of the same batches"
            best = max(gain, key=lambda key: gain[key])
            optimum = "alone" if gain[best] == 1 else f"{best[1]} ({best[0]} batches), {gain[best]:.2f}x"
            print(f"    the plan: {limits.alone_reason or together}; the optimum: {optimum}", flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread"
    print(f"median of {arguments.repeats}; {machine}, Python {platform.python_version()}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
