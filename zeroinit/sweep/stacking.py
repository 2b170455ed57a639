"""Which jobs of a sweep train together: a pure function of their configs, the workers and the constants below.

Nothing is timed at run time, so the same sweep has the same plan; on CUDA it also depends on the free memory. The
constants were read from the tables that benchmarks/stacking.py and benchmarks/gpu.py printed (benchmarks/README.md).
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from zeroinit.build import batch_size_of, build, load, make_loss, set_up_torch, steps_per_epoch_of
from zeroinit.config import Job
from zeroinit.config.identity import SWEEP_ONLY_KEYS
from zeroinit.config.read import Values
from zeroinit.config.schema import RunConfig
from zeroinit.environment import environment
from zeroinit.layers import leaves
from zeroinit.training.stackable import unstackable_reason

# The keys of the config in which members of a stack may differ. They must be equal in all others, new keys included,
# because a stack reads all others from the config of its first member. `optimizer.*` is every key of the node but
# `_target_`.
MAY_DIFFER = (
    "init",
    "bias_scale",
    "optimizer.*",
    "schedule",
    "seed",
    *(f"seeds.{stream}" for stream in ("init", "order", "augment", "forward")),
    *("epochs", "steps", "early_stop"),
    *("mode", "rerun", "resume", "save"),
    *SWEEP_ONLY_KEYS,
)
MAX_CPU_PARAMETERS = 1_000_000  # parameters of the largest model whose stack is a fifth faster on a CPU
CPU_STACK_BYTES = 16 << 20  # of a stack on a CPU; beyond that, more members gain nothing
# members that a stack on a CPU may have whatever their size: a model that is large alone leaves the cache, too
MIN_CPU_LIMIT = 8
# on an H100, a stack of 256 dense nets (784-500-10) has 178 times the speed of one net, a stack of 512 has 183 times
MAX_STACK_MEMBERS = 256
# members of a stack with convolutions on CUDA: the most that were timed; 7 and 15 of `mnist_cnn` gain 1.8 times
CUDA_MAX_CONVOLUTIONAL_MEMBERS = 15
# multiplications of a step's convolutions, forward, up to which members are faster together on CUDA. On an H100 a
# member of a stack takes 1.1 ms (`mnist_cnn`, 1.3e9) or 7.3 ms (`cifar_cnn`, 17e9); alone they take 2.0 and 6.0 ms.
# The line through 1.1 and 7.3 ms meets 2 ms, which the smallest nets also take alone, at 3.6e9
CUDA_MAX_CONVOLUTION_WORK = 3_000_000_000
# of CUDA's free memory for one stack by the estimate below. On an H100 a member took 1.0 to 1.5 times the estimate
CUDA_MEMORY_SHARE = 0.5
# multiplications that take as long as the fixed costs of a step; only the order of the stacks depends on it
FIXED_STEP_WORK = 500_000


@dataclass(frozen=True)
class StackLimits:
    """What a model, its optimizer and its data allow; it does not depend on seeds."""

    alone_reason: str | None  # why the model trains alone; None if it can be stacked
    max_members: int  # of a stack whose members each have their own batches
    max_sharing: int  # of a stack whose members share their batches
    is_full_batch: bool  # all members share their batches, whatever their seeds
    multiplications: int  # of a step, forward
    steps_per_epoch: int


@dataclass(frozen=True)
class StackPlan:
    """Jobs that train together, or one job that trains alone, and the reason."""

    jobs: list[int]  # indices into the jobs of the sweep
    reason: str
    is_stack: bool = False  # also if it has one job, which is left of others


def find_limits(job: Job, workers: int) -> StackLimits:
    """Build what the job trains, and return the limits of its stacks."""
    with environment(job.variables):
        return _measure_limits(job.config, workers)


def _measure_limits(config: RunConfig, workers: int) -> StackLimits:
    device = set_up_torch(config)
    data = load(config, device)
    model, _, optimizer = build(config, data)
    batch = batch_size_of(config, data)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    alone_reason = unstackable_reason(model, optimizer, data.input_shape)
    if not make_loss(config, data).is_stackable:
        alone_reason = "its loss is a function of the user"
    if config.autocast:
        alone_reason = "autocast=bf16 rounds each forward pass"
    if config.arithmetic == "quotient":
        alone_reason = "a quotient network has the shape that its own init gives it"
    inputs = data.to_inputs(data.train[0][:1])
    if not alone_reason:
        alone_reason = _slower_together_reason(device.type, model, inputs, batch)
    limits = [1, 1]
    if not alone_reason:
        size = inputs.element_size()
        # parameters, gradients and two moments; activations and their gradients
        sharing_bytes = size * (4 * parameters + 2 * batch * _count_activations(model, inputs))
        member_bytes = sharing_bytes + size * batch * inputs.numel()
        limits = [_members_that_fit(count, device, workers) for count in (member_bytes, sharing_bytes)]
    # only CUDA stacks convolutions
    at_most = CUDA_MAX_CONVOLUTIONAL_MEMBERS if _has_convolutions(model) else MAX_STACK_MEMBERS
    max_members, max_sharing = (max(1, min(limit, at_most)) for limit in limits)
    is_full_batch = batch == len(data.train[0])
    steps_per_epoch = steps_per_epoch_of(config, data)
    return StackLimits(alone_reason, max_members, max_sharing, is_full_batch, batch * parameters, steps_per_epoch)


def _members_that_fit(member_bytes: int, device: torch.device, workers: int) -> int:
    if device.type == "cuda":
        return int(CUDA_MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]) // workers // member_bytes
    return max(MIN_CPU_LIMIT, CPU_STACK_BYTES // member_bytes)


def _slower_together_reason(device_type: str, model: nn.Module, inputs: torch.Tensor, batch: int) -> str | None:
    """Return why a model that can be stacked is not faster so, or None if it is; `inputs` is a batch of one example."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if device_type == "cpu":
        if _has_convolutions(model):
            return "convolutions gain nothing together on a CPU"
        if parameters > MAX_CPU_PARAMETERS:
            return f"its {parameters} parameters gain less than a fifth together on a CPU"
    elif _has_convolutions(model) and batch * _convolution_work(model, inputs) > CUDA_MAX_CONVOLUTION_WORK:
        return "convolutions of this size lose time together on CUDA"
    return None


def _has_convolutions(model: nn.Module) -> bool:
    return any(isinstance(layer, nn.Conv2d) for layer in model.modules())


@torch.no_grad()
def _convolution_work(model: nn.Module, inputs: torch.Tensor) -> int:
    """Return the multiplications that the convolutions of a stackable model make of `inputs`, forward."""
    work = 0
    for _, layer in leaves(model.eval()):
        inputs = layer(inputs)
        work += inputs.numel() * layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else 0
    return work


@torch.no_grad()
def _count_activations(model: nn.Module, inputs: torch.Tensor) -> int:
    """Return how many numbers the layers of a stackable model make of `inputs`."""
    numbers = 0
    for _, layer in leaves(model.eval()):
        inputs = layer(inputs)
        numbers += 0 if isinstance(layer, nn.Flatten) else inputs.numel()  # Flatten makes a view
    return numbers


def shared_config(job: Job) -> str:
    """Return what the members of a stack must have in common: their variables, and all keys but MAY_DIFFER."""
    return json.dumps([_without_free_keys(job.values, ""), job.variables], sort_keys=True)


def _without_free_keys(node: Values, path: str) -> dict[str, Any]:
    return {
        key: _without_free_keys(value, f"{path}{key}.") if isinstance(value, dict) else value
        for key, value in node.items()
        if f"{path}{key}" not in MAY_DIFFER and (f"{path}*" not in MAY_DIFFER or key == "_target_")
    }


def _batch_seeds(config: RunConfig, limits: StackLimits) -> tuple[int, ...]:
    """Return the seeds from which the batches are drawn; jobs with equal seeds have the same batches."""
    is_shuffled = config.dataset.shuffle and not limits.is_full_batch
    order, augment = config.seeds.order, config.seeds.augment
    return (order,) * is_shuffled + (augment,) * bool(config.dataset.augment)


def plan_stacks(
    jobs: Sequence[Job], workers: int, find_limits: Callable[[Job, int], StackLimits] = find_limits
) -> list[StackPlan]:
    """Return the stacks of a sweep, those with the most work first, so that the workers end at the same time.

    Jobs that have enough in common are spread over as few stacks as memory allows, and over enough stacks that every
    worker has the same work. The members of a stack share their batches, which are in memory once, unless there are
    fewer stacks if each member has its own. Jobs with the same optimizer are neighbours in their stack.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for index, job in enumerate(jobs):
        alike[shared_config(job)].append(index)
    weighted: list[tuple[int, StackPlan]] = []
    for indices in alike.values():
        limits = find_limits(jobs[indices[0]], workers)
        for stack in _stacks_of(jobs, indices, limits, workers):
            steps = sum(_count_steps(jobs[index], limits) for index in stack.jobs)
            weighted.append((steps * (FIXED_STEP_WORK + limits.multiplications), stack))
    return [stack for _, stack in sorted(weighted, key=lambda pair: -pair[0])]


def _stacks_of(jobs: Sequence[Job], indices: list[int], limits: StackLimits, workers: int) -> Iterator[StackPlan]:
    """Yield the stacks of jobs that have enough in common."""
    groups, most = _group_by_batches(jobs, indices, limits)
    if limits.alone_reason or most == 1 or len(indices) == 1:
        no_other = "no other run of the sweep has its data, arch and optimizer"
        reason = f"alone: {limits.alone_reason or (no_other if len(indices) == 1 else 'memory holds one')}"
        yield from (StackPlan([index], reason) for index in indices)
        return
    fewest = sum(math.ceil(len(group) / most) for group in groups)
    for group in groups:
        # as many stacks as give each worker the same work, but no stack of one member, which gains nothing, if possible
        wanted = math.ceil(fewest / workers) * workers * len(group) // len(indices)
        stacks = max(math.ceil(len(group) / most), min(wanted, len(group) // 2))
        for first, last in pairwise(split_evenly(len(group), stacks)):
            members = sorted(group[first:last], key=lambda index: _optimizer_key(jobs[index]))
            together = f"{len(members)} together" if len(members) > 1 else "alone: left over from stacks"
            yield StackPlan(members, f"{together}, of {most} at most")


def _group_by_batches(jobs: Sequence[Job], indices: list[int], limits: StackLimits) -> tuple[list[list[int]], int]:
    """Return groups of jobs from which stacks are cut, and the largest number of members of such a stack."""
    by_batches: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index in sorted(indices, key=lambda index: _optimizer_key(jobs[index])):
        by_batches[_batch_seeds(jobs[index].config, limits)].append(index)
    groups = list(by_batches.values())
    fewest_sharing = sum(math.ceil(len(group) / limits.max_sharing) for group in groups)
    if fewest_sharing > math.ceil(len(indices) / limits.max_members):
        return [[index for group in groups for index in group]], limits.max_members
    return groups, limits.max_sharing


def _optimizer_key(job: Job) -> str:
    duration = job.config.duration  # which may be the length of the schedule
    node = job.values["optimizer"]
    return json.dumps([node, job.config.schedule.node, duration.epochs, duration.steps], sort_keys=True)


def split_evenly(length: int, parts: int) -> list[int]:
    """Return the parts + 1 indices at which to cut `length` things into parts that differ by one at most."""
    return [length * part // parts for part in range(parts + 1)]


def _count_steps(job: Job, limits: StackLimits) -> int:
    return job.config.duration.count_steps(limits.steps_per_epoch)
