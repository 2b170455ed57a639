"""Nets, data and trainings that the tests of a CUDA device share. Nothing here imports Hydra or MLflow."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zeroinit import bias_scale, build, dataset
from zeroinit.arch import FNN, CifarCNN, Logistic, MnistCNN, resnet50
from zeroinit.config.init import Rules
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.data import subsample
from zeroinit.dataset.images import reshape_images
from zeroinit.init import default_, initialize
from zeroinit.loss import CrossEntropy
from zeroinit.rng import stream
from zeroinit.training import loop
from zeroinit.training.cohort import Member, Recipe
from zeroinit.training.events import Event, Finished, TrainingResult

TESTED = os.environ.get("ZEROINIT_TEST_DEVICE", "cuda")  # cpu: to try the tests themselves
ARCHS: dict[str, Callable[..., nn.Module]] = {
    "logistic": Logistic,
    "fnn": partial(FNN, hidden=[100], activation="elu"),
    "cifar_fnn": partial(FNN, hidden=[64, 32, 16], activation="tanh"),
    "mnist_cnn": partial(MnistCNN, activation="elu"),
    "cifar_cnn": partial(CifarCNN, activation="relu"),
    "resnet50": partial(resnet50, activation="elu"),
}
STACKABLE = [name for name in ARCHS if name != "resnet50"]
NONE = Augment(padding=0, flip=False)
EXAMPLES = 200  # of a split: 4 batches of 64 an epoch, the last of 8
SOFTMAX = CrossEntropy(outputs=10)


@dataclass
class Run:
    """What a training is made of; what differs between members is a list."""

    arch: str
    device: torch.device
    dtype: torch.dtype = torch.float32
    steps: Sequence[int] = (6,)  # a number a member
    batch_size: int = 64
    augment: Augment = NONE
    deterministic: bool = True
    tied: bool = False
    weight: Callable[..., Tensor] = default_
    bias: Callable[..., Tensor] = default_
    own_batches: bool = True
    rates: dict[int, float] = field(default_factory=dict)  # learning rates of some members


def data_of(run: Run) -> Data:
    """8x8 digits in three channels, on the run's device."""
    data = reshape_images(subsample(dataset.digits(stream("split", 0)), EXAMPLES), None, 3)
    double = torch.float64 if run.dtype == torch.float64 else None
    return replace(data.to(run.device), dtype=double)


def members_of(run: Run, data: Data) -> list[Member]:
    """Members whose inits, and batches, come from seeds of their own."""
    members = []
    for index, steps in enumerate(run.steps):
        model = ARCHS[run.arch](data.input_shape, data.num_classes)
        scale = partial(bias_scale.constant, value=1.0)
        initialize(model, stream("init", index), Rules(partial(run.weight), partial(run.bias)), bias_scale=scale)
        model.to(run.device, run.dtype)
        optimizer = torch.optim.Adam(model.parameters(), lr=run.rates.get(index, 0.001), fused=True)
        seed = index if run.own_batches else 0
        members.append(Member(model, optimizer, stream("order", seed), stream("augment", seed), steps))
    return members


def train(run: Run, observe: Callable[[Event], None] = loop.ignore, **other: Any) -> list[Member]:
    """Train the run's members together, and return them as they end; `ended` of each is in `outcomes`."""
    settings: Any = SimpleNamespace(threads=1, deterministic=run.deterministic, device=run.device)
    build.set_up_torch(settings)
    data = data_of(run)
    members = members_of(run, data)
    recipe = Recipe(SOFTMAX, run.batch_size, True, run.augment, "mean", run.tied)
    loop.train(members, data, recipe, loop.Hooks(observe=observe, **other))
    return members


def outcome(run: Run, **other: Any) -> list[tuple[dict[str, Tensor], Tensor, list[dict[str, float]]]]:
    """Each member's final state, losses and metrics, on the CPU."""
    ended: dict[int, TrainingResult] = {}

    def observe(event: Event) -> None:
        if isinstance(event, Finished):
            ended[event.member] = event.result

    members = train(run, observe, **other)
    return [
        (
            {name: tensor.detach().cpu().clone() for name, tensor in member.model.state_dict().items()},
            ended[index].losses.cpu(),
            [metrics.values for metrics in ended[index].metrics],
        )
        for index, member in enumerate(members)
    ]


def furthest(run: Run, other: Run) -> float:
    """Return the largest difference between the two, in losses and in float64 in final parameters and statistics.

    It is told as a share of the largest entry. In float32 a parameter may have a gradient of rounding alone, by whose
    sign Adam moves it.
    """
    differences = []
    for (state, losses, _), (state2, losses2, _) in zip(outcome(run), outcome(other), strict=True):
        pairs = [(losses, losses2)]
        if run.dtype == torch.float64:
            pairs += [(state[name].double(), state2[name].double()) for name in state]
        differences += [((a - b).abs().max() / b.abs().max().clamp(min=1e-30)).item() for a, b in pairs]
    return max(differences)


def give_device() -> Iterator[torch.device]:
    """Give the device under test; skip the test where it is not there. For a fixture of each file."""
    if TESTED == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    yield torch.device(TESTED)
    torch.use_deterministic_algorithms(False)
