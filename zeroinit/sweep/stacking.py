"""Which jobs of a sweep train together: a pure function of their configs, the workers and the constants below.

Nothing is timed at run time, so the same sweep has the same plan; on CUDA its free memory has a say. The constants
were read from the tables that benchmarks/stacking.py and benchmarks/gpu.py printed (benchmarks/README.md).
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from zeroinit.build import batch_size_of, build, load, set_up_torch, steps_of, steps_per_epoch_of
from zeroinit.config import Job
from zeroinit.config.check import Values
from zeroinit.environment import environment
from zeroinit.layers import leaves
from zeroinit.training.stackable import unstackable_reason

LARGEST = 1_000_000  # parameters of a model of which a stack still gains a fifth on a CPU
CACHE = 16 << 20  # bytes of a stack on a CPU, beyond which more members gain nothing
FEWEST = 8  # members that a stack on a CPU may have whatever they take: such a model alone leaves the cache, too
# members; on an H100, 256 dense nets (784-500-10) gain 178 times the speed of one, and 512 gain 183 times
MOST = 256
# members of a stack with convolutions on CUDA: the most that were timed; 7 and 15 of `mnist_cnn` gain 1.8 times
CUDA_MOST_CONVOLUTIONAL = 15
# multiplications of a step's convolutions, forward, up to which members are faster together on CUDA. On an H100 a
# member of a stack takes 1.1 ms (`mnist_cnn`, 1.3e9) or 7.3 ms (`cifar_cnn`, 17e9); alone they take 2.0 and 6.0 ms.
# The line through 1.1 and 7.3 ms meets 2 ms, which the smallest nets take alone, too, at 3.6e9
CUDA_MOST_CONVOLUTION_WORK = 3_000_000_000
# of CUDA's free memory for one stack by the estimate below. On an H100 a member took 1.0 to 1.5 times the estimate
SHARE = 0.5
FIXED = 500_000  # multiplications that take as long as the fixed costs of a step; for the order of the work alone


@dataclass(frozen=True)
class Net:
    """What the plan asks of a model, its optimizer and its data."""

    alone: str | None  # why it trains alone
    most: int  # members of a stack, each with batches of its own
    most_alike: int  # members that share their batches
    full_batch: bool  # all share them, whatever their seeds
    multiplications: int  # of a step, forward
    steps_per_epoch: int


@dataclass(frozen=True)
class Training:
    """Jobs, by their places in the sweep, that train together, or one that trains alone; and why so."""

    jobs: list[int]
    why: str


def net_of(job: Job, workers: int) -> Net:
    """Build what the job trains, and look at it; nothing of that depends on its seeds."""
    with environment(job.variables):
        return measure(job.values, workers)


def measure(values: Values, workers: int) -> Net:
    device = set_up_torch(values)
    data = load(values, device)
    model, _, optimizer = build(values, data)
    batch, parameters = batch_size_of(values, data), sum(one.numel() for one in model.parameters())
    alone = unstackable_reason(model, optimizer, data.input_shape)
    if values["arithmetic"] == "quotient":
        alone = "a quotient network has the shape that its own init gives it"
    inputs = data.to_inputs(data.train[0][:1])
    if not alone:
        alone = why_slower_together(device.type, model, inputs, batch)
    most = most_alike = 1
    if not alone:
        size = inputs.element_size()
        # parameters, gradients and two moments; activations and their gradients
        alike = size * (4 * parameters + 2 * batch * activations(model, inputs))
        own = alike + size * batch * inputs.numel()
        if device.type == "cuda":
            memory = int(SHARE * torch.cuda.mem_get_info(device)[0]) // workers
            most, most_alike = memory // own, memory // alike
        else:
            most, most_alike = (max(FEWEST, CACHE // member) for member in (own, alike))
    # only CUDA stacks convolutions
    at_most = CUDA_MOST_CONVOLUTIONAL if has_convolutions(model) else MOST
    most, most_alike = (max(1, min(limit, at_most)) for limit in (most, most_alike))
    full_batch = batch == len(data.train[0])
    return Net(alone, most, most_alike, full_batch, batch * parameters, steps_per_epoch_of(values, data))


def why_slower_together(device_type: str, model: nn.Module, inputs: torch.Tensor, batch: int) -> str | None:
    """Return why a model that can be stacked is not faster so, or None if it is; `inputs` is a batch of one example."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if device_type == "cpu":
        if has_convolutions(model):
            return "convolutions gain nothing together on a CPU"
        if parameters > LARGEST:
            return f"its {parameters} parameters gain less than a fifth together on a CPU"
    elif has_convolutions(model) and batch * convolution_work(model, inputs) > CUDA_MOST_CONVOLUTION_WORK:
        return "convolutions of this size lose time together on CUDA"
    return None


def has_convolutions(model: nn.Module) -> bool:
    return any(isinstance(layer, nn.Conv2d) for layer in model.modules())


@torch.no_grad()
def convolution_work(model: nn.Module, inputs: torch.Tensor) -> int:
    """Return the multiplications that the convolutions of a stackable model make of `inputs`, forward."""
    work = 0
    for _, layer in leaves(model.eval()):
        inputs = layer(inputs)
        work += inputs.numel() * layer.weight[0].numel() if isinstance(layer, nn.Conv2d) else 0
    return work


@torch.no_grad()
def activations(model: nn.Module, inputs: torch.Tensor) -> int:
    """Numbers that the layers of a stackable model make of `inputs`."""
    numbers = 0
    for _, layer in leaves(model.eval()):
        inputs = layer(inputs)
        numbers += 0 if isinstance(layer, nn.Flatten) else inputs.numel()  # which is a view
    return numbers


def in_common(job: Job) -> str:
    """What the members of a stack share; all else may differ: init, bias scale, seeds, learning rate, length."""
    values = job.values
    keys = (
        "dataset",
        "arch",
        "loss",
        "arithmetic",
        "dtype",
        "device",
        "deterministic",
        "threads",
        "tracker",
        "probe",
        "sweep",
    )
    shared = [values[key] for key in keys]
    of_optimizer = values["optimizer"]["_target_"]
    return json.dumps([*shared, values["seeds"]["split"], of_optimizer, job.variables], sort_keys=True)


def batches(job: Job, net: Net) -> str:
    """The seeds from which the job's batches are drawn: jobs that have them in common see the same."""
    values = job.values
    shuffled = values["dataset"]["shuffle"] and not net.full_batch
    changed = any(values["dataset"]["augment"].values())
    names = ["order"] * shuffled + ["augment"] * changed
    return json.dumps([values["seeds"][name] for name in names])


def plan(jobs: Sequence[Job], workers: int, net_of: Callable[[Job, int], Net] = net_of) -> list[Training]:
    """The trainings of a sweep, those with the most work first, so that the workers end at the same time.

    Jobs that have enough in common are spread over as few stacks as memory allows, and so many that every worker has
    as much to do. A stack is of jobs with the same batches, which it has in memory once, unless fewer stacks do where
    each member has its own; jobs with the same optimizer stand together in it.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for place, job in enumerate(jobs):
        alike[in_common(job)].append(place)
    found: list[tuple[float, Training]] = []

    def optimizer(place: int) -> str:
        return json.dumps([jobs[place].values["optimizer"], jobs[place].values["ramp"]], sort_keys=True)

    for places in alike.values():
        net = net_of(jobs[places[0]], workers)
        work = [steps(jobs[place], net) * (FIXED + net.multiplications) for place in places]
        by_place = dict(zip(places, work, strict=True))
        by_batches: dict[str, list[int]] = defaultdict(list)
        for place in sorted(places, key=optimizer):
            by_batches[batches(jobs[place], net)].append(place)
        groups, most = list(by_batches.values()), net.most_alike
        fewest = sum(math.ceil(len(group) / most) for group in groups)
        of_own = math.ceil(len(places) / net.most)
        if fewest > of_own:
            groups, most, fewest = [[place for group in groups for place in group]], net.most, of_own
        if net.alone or most == 1 or len(places) == 1:
            no_other = "no other run of the sweep has its data, arch and optimizer"
            why = f"alone: {net.alone or (no_other if len(places) == 1 else 'memory holds one')}"
            found += [(by_place[place], Training([place], why)) for place in places]
            continue
        for group in groups:
            # as many as the workers can share alike, but none of one member, which gains nothing, if that can be
            wanted = math.ceil(fewest / workers) * workers * len(group) // len(places)
            stacks = max(math.ceil(len(group) / most), min(wanted, len(group) // 2))
            for first, last in pairwise(cuts(len(group), stacks)):
                members = sorted(group[first:last], key=optimizer)
                together = f"{len(members)} together" if len(members) > 1 else "alone: left over from stacks"
                why = f"{together}, of {most} at most"
                found.append((sum(by_place[place] for place in members), Training(members, why)))
    return [training for _, training in sorted(found, key=lambda one: -one[0])]


def cuts(length: int, parts: int) -> list[int]:
    """Where to cut `length` things into `parts` as equal as can be."""
    return [length * part // parts for part in range(parts + 1)]


def steps(job: Job, net: Net) -> int:
    return steps_of(job.values, net.steps_per_epoch)
