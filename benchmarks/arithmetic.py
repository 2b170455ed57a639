"""What arithmetic=tied and quotient cost against native: the same training, side by side.

    python benchmarks/arithmetic.py [--repeats 7]

Training alone, in one process with one thread: no tracking, no observation, evaluation as the loop does it. The three
take turns. A ratio is of CPU seconds to those of native in the same turn, and the median over turns; constant has as
many ties as there can be, default none. A quotient network trains alone, so it has no line of 16 members.
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
from zeroinit.training import loop
from zeroinit.training.cohort import Member, Recipe

WORK = {  # what trains
    "MNIST 784-500-10": ("dataset=mnist5k", "arch.hidden=[500]", "steps=56"),
    "digits 64-128-10": ("dataset=digits", "arch.hidden=[128]", "steps=200"),
}


def seconds(job: Job, members: int) -> float:
    """To train so many members of the job together, each with batches of its own."""
    config = job.config
    data = load(config, set_up_torch(config))
    together = []
    for seed in range(members):
        model, _, optimizer = build(config, data)
        order, changes = stream("order", seed), stream("augment", seed)
        together.append(Member(model, optimizer, order, changes, config.duration.count_steps(0)))
    started = time.process_time()
    is_tied = config.arithmetic == "tied"
    recipe = Recipe(CrossEntropy(10), batch_size_of(config, data), True, Augment(0, False), "mean", is_tied)
    loop.train(together, data, recipe, loop.Hooks(is_observed=lambda step: False))
    return time.process_time() - started


def composed(overrides: Sequence[str]) -> Job:
    cfg = compose("config", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return job_of(cfg)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{'':18} {'init':>9} {'K':>3} {'native, s':>10} {'tied':>7} {'quotient':>9}")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name, overrides in WORK.items():
            for init in ("constant", "default"):
                job = composed([*overrides, f"init={init}"])
                for members, sides in ((1, ("native", "tied", "quotient")), (16, ("native", "tied"))):
                    here = {side: replace(job, values=job.values | {"arithmetic": side}) for side in sides}
                    turns = [
                        {side: seconds(job, members) for side, job in here.items()}
                        for _ in range(arguments.repeats + 1)
                    ][1:]  # the first warms up
                    ratio = {side: statistics.median(one[side] / one["native"] for one in turns) for side in here}
                    alone = statistics.median(one["native"] for one in turns)
                    last = f"{ratio['quotient']:8.2f}x" if members == 1 else f"{'-':>9}"
                    print(f"{name:18} {init:>9} {members:3d} {alone:10.3f} {ratio['tied']:6.2f}x {last}", flush=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread"
    said = f"{machine}, Python {platform.python_version()}, torch {torch.__version__}"
    print(f"medians of {arguments.repeats}; {said}")


if __name__ == "__main__":
    main()
