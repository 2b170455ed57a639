"""Part b: how fast single nets and stacks train, and how fast their matrix products alone would be.

A step is timed in blocks between two waits for the device, without evaluation and observation. Of the blocks the median
counts. The products are those of a step's forward and backward pass: one after another, on random data, in float32 and
in TF32.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gpu_parts.device import Net, card, reset_memory, set_tf32, timed, wait
from gpu_parts.files import Row, add_row, read_rows
from gpu_parts.jobs import Task
from gpu_parts.products import measure_products
from zeroinit.build import batch_size_of, build, load, make_optimizer, recipe_of, set_up_torch, steps_per_epoch_of
from zeroinit.config import Job
from zeroinit.dataset.batches import Batches
from zeroinit.layers import weight_layers
from zeroinit.loss import CrossEntropy
from zeroinit.rng import stream
from zeroinit.training import loop
from zeroinit.training.cohort import Member
from zeroinit.training.evaluation import evaluate_members
from zeroinit.training.events import Event, Step
from zeroinit.training.single import SingleModel
from zeroinit.training.stack import ModelStack
from zeroinit.training.stackable import unstackable_reason

MEMBERS = {"fnn": (1, 16, 64, 256, 512), "mnist_cnn": (1, 3, 7, 15), "cifar_cnn": (1, 3, 7), "resnet50": (1,)}
MEMBERS_SMOKE = {"fnn": (1, 2), "mnist_cnn": (1,)}
# how a step is computed: (kernels, arithmetic); the first is what zeroinit does, the others are what it leaves
MODES = (("deterministic", "float32"), ("any", "float32"), ("deterministic", "TF32"))


def measure_speed(tasks: Sequence[Task], out: Path, deadline: float, smoke: bool) -> bool:
    """Write a row for each measurement that speed.jsonl lacks; return whether all were made before `deadline`."""
    path = out / "speed.jsonl"
    there = {row["key"] for row in read_rows(path)}
    nets = [built(task.job, smoke) for task in tasks if task.part == "speed"]
    for stages in zip(*(measurements(net, smoke) for net in nets), strict=True):
        for net, stage in zip(nets, stages, strict=True):
            for key, measure in stage:
                if key in there:
                    continue
                if time.monotonic() > deadline:
                    return False
                started = time.perf_counter()
                try:
                    row = measure()
                except torch.cuda.OutOfMemoryError as error:
                    row = {"error": str(error)[:200]}
                taken = round(time.perf_counter() - started, 2)
                add_row(path, {"key": key, "net": net.name, "card": card(net.device), "seconds": taken, **row})
    return True


def built(job: Job, smoke: bool) -> Net:
    data = load(job.config, set_up_torch(job.config))
    model, _, _ = build(job.config, data)
    blocks, block = (2, 2) if smoke else (5, 10 if job.params["arch"] == "resnet50" else 20)
    return Net(job.params["arch"], job, data, model, blocks, block)


def measurements(net: Net, smoke: bool) -> list[list[tuple[str, Callable[[], Row]]]]:
    """Return what is to be measured of the net, by name, in stages: what is wanted most comes first."""
    sizes = (MEMBERS_SMOKE if smoke else MEMBERS)[net.name]
    stages: list[list[tuple[str, Callable[[], Row]]]] = [[], [], [], []]

    def add(stage: int, key: str, measure: Callable[..., Row], *arguments: Any) -> None:
        stages[stage].append((f"{net.name} {key}", lambda: measure(net, *arguments)))

    for members in sizes:
        for batches in ("same", "own") if members > 1 else ("same",):
            add(0, f"steps K={members} {batches}", measure_steps, members, batches, *MODES[0])
    for tf32 in (False, True):
        for members in sizes if net.name == "fnn" else (1,):
            add(1, f"products K={members} {'TF32' if tf32 else 'float32'}", measure_products, members, tf32)
    for members in sorted({1, sizes[-2 if len(sizes) > 2 else -1]}):
        add(2, f"profile K={members}", measure_profile, members)
        add(2, f"between epochs K={members}", measure_between, members)
    for mode in MODES[1:]:
        for members in (1, *sizes[3:4]) if net.name == "fnn" else (1,):
            add(3, f"steps K={members} {' '.join(mode)}", measure_steps, members, "same", *mode)
    return stages


def members_of(net: Net, members: int, shared: bool, steps: int) -> list[Member]:
    """Return copies of the net with other weights, each with batches of its own unless `shared`."""
    found = []
    for index in range(members):
        model = deepcopy(net.model)
        with torch.no_grad():
            for _, layer in weight_layers(model):
                nn.init.kaiming_normal_(layer.weight)
        order = stream("order", 0 if shared else index)
        changes = stream("augment", 0 if shared else index)
        found.append(Member(model, make_optimizer(net.job.config, model), order, changes, steps))
    return found


def measure_nothing(*state: Any) -> tuple[dict[str, list[float]], list[int | None]]:
    """Stand in for an evaluation."""
    return {}, [None] * state[2].shape[1]


def train(net: Net, members: int, shared: bool, steps: int, observe: Callable[[Event], None]) -> None:
    """Take so many steps with the members together."""
    loop.train(
        members_of(net, members, shared, steps),
        net.data,
        replace(recipe_of(net.job.config, net.data), tied=False),
        loop.Hooks(observe=observe, is_observed=lambda step: False, evaluate=measure_nothing),
    )


def measure_steps(net: Net, members: int, batches: str, kernels: str, arithmetic: str) -> Row:
    """Time steps of K members together."""
    if members > 1 and unstackable_reason(net.model, make_optimizer(net.job.config, net.model), net.data.input_shape):
        return {"error": "it cannot be stacked"}
    marks: list[float] = []
    warm_up = 2 if net.blocks == 2 else 15

    def observe(event: Event) -> None:
        if isinstance(event, Step) and event.step >= warm_up and (event.step - warm_up) % net.block == 0:
            wait(net.device)
            marks.append(time.perf_counter())

    torch.use_deterministic_algorithms(kernels == "deterministic")
    torch.backends.cudnn.benchmark = kernels == "any"
    set_tf32(arithmetic == "TF32")
    reset_memory(net.device)
    try:
        train(net, members, batches == "same", warm_up + net.blocks * net.block, observe)
    finally:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        set_tf32(False)
    seconds = [(end - start) / net.block for start, end in pairwise(marks)]
    per_step, batch = statistics.median(seconds), batch_size_of(net.job.config, net.data)
    return {
        "kind": "steps",
        "members": members,
        "batches": batches,
        "kernels": kernels,
        "arithmetic": arithmetic,
        "step_ms": 1e3 * per_step,
        "spread_ms": 1e3 * (max(seconds) - min(seconds)),
        "epoch_s": per_step * steps_per_epoch_of(net.job.config, net.data),
        "samples_per_second": members * batch / per_step,
        "memory_gib": torch.cuda.max_memory_allocated() / 2**30 if net.device.type == "cuda" else 0.0,
    }


def measure_between(net: Net, members: int) -> Row:
    """Time what comes between two epochs: evaluation, and the order of the next epoch of K members' own batches."""
    streams = [(stream("order", index), stream("augment", index)) for index in range(members)]
    batch = batch_size_of(net.job.config, net.data)
    batches = Batches(net.data, batch, True, net.job.config.dataset.augment, streams)
    models = [deepcopy(net.model) for _ in range(members)]
    pairs = [(model, make_optimizer(net.job.config, model)) for model in models]
    together = SingleModel(*pairs[0], CrossEntropy(10)) if members == 1 else ModelStack(pairs, CrossEntropy(10))
    losses = torch.zeros(1, members, device=net.device)
    order = timed(net.device, batches.draw)
    evaluation = timed(
        net.device, lambda: evaluate_members(together.predict, net.data, losses, losses, batch, CrossEntropy(10)), 1
    )
    return {"kind": "between", "members": members, "order_ms": 1e3 * order, "evaluation_ms": 1e3 * evaluation}


def measure_profile(net: Net, members: int) -> Row:
    """Say what the device does in a step: the kernels that take longest, and how much of the time it is busy."""
    steps, warm_up = 12, 3
    activities = [torch.profiler.ProfilerActivity.CPU]
    if net.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    profiler = torch.profiler.profile(activities=activities)
    marks: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, Step) and event.step in (warm_up, steps):
            wait(net.device)
            marks.append(time.perf_counter())
            (profiler.start if event.step == warm_up else profiler.stop)()

    train(net, members, True, steps, observe)
    rows = [row for row in profiler.key_averages() if row.self_device_time_total > 0 and row.device_type.name == "CUDA"]
    rows = [row for row in rows if not row.key.startswith("Optimizer.")]  # a range around kernels that are listed, too
    rows.sort(key=lambda row: -row.self_device_time_total)
    taken = steps - warm_up
    return {
        "kind": "profile",
        "members": members,
        "wall_ms": 1e3 * (marks[1] - marks[0]) / taken,
        "busy_ms": sum(row.self_device_time_total for row in rows) / 1e3 / taken,
        "kernels": sum(row.count for row in rows) / taken,
        "top": [[row.key[:90], row.count / taken, row.self_device_time_total / 1e3 / taken] for row in rows[:12]],
    }
