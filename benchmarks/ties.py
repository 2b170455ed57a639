"""In how many trainings ties were lost that exact arithmetic keeps, native and tied: over widths, depths, optimizers.

    python benchmarks/ties.py [--long]

Every hidden layer starts as copies of one neuron: by constant weights, by another constant in each layer, or by zero
weights and constant biases. A tie is lost where, after some update, two neurons of a layer differ in a weight, a bias
or a weight of the next layer that is theirs; every update is looked at. With --long, 10,000 updates of a few nets.
"""

import argparse
import os
import platform
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported, as the command does

import torch
from torch import nn

from zeroinit.arch import ACTIVATIONS, FNN
from zeroinit.config.init import Rules
from zeroinit.dataset import Data, digits, mnist5k
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.images import reshape_images
from zeroinit.init import initialize, layer_constant_
from zeroinit.loss import CrossEntropy
from zeroinit.rng import stream
from zeroinit.training import loop
from zeroinit.training.cohort import Member, Recipe
from zeroinit.training.events import Event, Weights

WIDTHS = (1, 2, 3, 4, 5, 12, 20, 48, 77, 129, 333, 496, 500, 504, 511, 512, 513)
ZEROS = partial(nn.init.zeros_)
INITS = {
    "constant": (partial(nn.init.constant_, val=0.01), ZEROS),
    "layer_constant": (partial(layer_constant_, value=0.01), ZEROS),
    "constant biases": (ZEROS, partial(nn.init.constant_, val=0.5)),
}
ADAM = partial(torch.optim.Adam, lr=1e-3, fused=True)
SGD, RMSPROP = torch.optim.SGD, torch.optim.RMSprop
OPTIMIZERS = (
    *(ADAM, partial(ADAM, lr=1e-2), partial(torch.optim.Adam, lr=1e-3, amsgrad=True, weight_decay=0.01)),
    *(partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.01, fused=True), partial(SGD, lr=0.1, fused=True)),
    *(partial(SGD, lr=1.0, fused=True), partial(SGD, lr=0.01), partial(SGD, lr=0.01, momentum=0.9, fused=True)),
    partial(SGD, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.01),
    *(partial(torch.optim.NAdam, lr=1e-3), partial(torch.optim.RAdam, lr=1e-3), partial(torch.optim.Adamax, lr=1e-3)),
    *(partial(RMSPROP, lr=1e-3, foreach=True), partial(RMSPROP, lr=1e-3, momentum=0.9, centered=True)),
)


@dataclass(frozen=True)
class Case:
    """What trains: a net for so many inputs, so many members of it together, each with batches of its own."""

    family: str
    inputs: int
    hidden: Sequence[int]
    members: int
    init: str
    batch: int  # 0: full batch
    steps: int
    activation: str = "elu"
    optimizer: Any = ADAM
    reduction: Literal["mean", "sum"] = "mean"


def short() -> Iterator[Case]:
    drawn = random.Random(0)
    inits, batches = list(INITS), (7, 100, 128, 0)
    for index, width in enumerate(sorted({*WIDTHS, *drawn.sample(range(1, 601), 45)})):
        for members in (1, 3):
            yield Case("widths, 64 inputs", 64, [width], members, inits[index % 3], drawn.choice(batches), 60)
    for index, width in enumerate(WIDTHS):
        for members in (1, 3):
            yield Case("widths, 784 inputs", 784, [width], members, inits[index % 3], drawn.choice(batches[:3]), 40)
    for width in (5, 129, 500, 512):
        yield Case("widths, 3072 inputs", 3072, [width], 1, "constant", 100, 20)
    for activation in ACTIVATIONS:
        for depth in (1, 2, 3, 4):
            for members in (1, 3, 16):
                init, hidden = drawn.choice(inits), [129, 77, 20, 12][:depth]
                batch = drawn.choice(batches[:3])
                yield Case("depths, activations", 64, hidden, members, init, batch, 50, activation)
    for optimizer in OPTIMIZERS:
        for members in (1, 3, 16):
            for reduction in ("mean", "sum"):
                hidden = drawn.choice([[500], [129], [333, 77], [48, 20], [5, 3]])
                init, batch = drawn.choice(inits), drawn.choice(batches)
                yield Case(
                    *("optimizers, reductions", 64, hidden, members, init, batch, 50),
                    optimizer=optimizer,
                    reduction=reduction,
                )


def long() -> Iterator[Case]:
    case = partial(Case, "10,000 updates", steps=10_000)
    yield case(64, [500], 1, "constant", 100)
    yield case(64, [48, 20], 3, "layer_constant", 128)
    yield case(64, [129], 1, "constant", 0, optimizer=partial(SGD, lr=0.1, fused=True))
    yield case(64, [77, 12, 5], 16, "constant", 7, activation="tanh")
    yield case(64, [333, 77], 1, "constant biases", 100, optimizer=partial(RMSPROP, lr=1e-3, foreach=True))
    yield case(784, [500], 1, "constant", 128)
    yield case(64, [513], 3, "layer_constant", 100, optimizer=partial(SGD, lr=0.01, momentum=0.9, weight_decay=1e-4))
    yield case(784, [496, 129], 1, "layer_constant", 100)


def trained(case: Case, data: Data, arithmetic: Literal["native", "tied"]) -> tuple[int, float, float]:
    """(the first update after which a tie was lost, or 0; the first loss of a member, and the mean of its last 20)."""
    members = []
    for seed in range(case.members):
        model = FNN(data.input_shape, data.num_classes, list(case.hidden), case.activation)
        initialize(model, stream("init", 0), Rules(*INITS[case.init]), bias_scale=lambda fan_in: 1.0)
        optimizer = case.optimizer(model.parameters())
        members.append(Member(model, optimizer, stream("order", seed), stream("augment", 0), case.steps))
    lost: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, Weights) and not lost:
            for (weights, biases), (following, _) in pairwise(event.layers.values()):
                assert biases is not None
                parts = (weights, biases, following.transpose(1, 2))
                if not all((part == part[:, :1]).all() for part in parts):
                    lost.append(event.step)

    recipe = Recipe(
        CrossEntropy(10),
        case.batch or len(data.train[0]),
        True,
        Augment(0, False),
        case.reduction,
        arithmetic == "tied",
    )
    [end, *_] = loop.train(members, data, recipe, loop.Hooks(observe=observe))
    assert (members[0].model.hidden1.weight != members[0].model.hidden1.weight[0, 0]).any()  # it trains
    return lost[0] if lost else 0, end.losses[0].item(), end.losses[-20:].mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true")
    cases = long() if parser.parse_args().long else short()
    torch.set_num_threads(1)
    mnist = mnist5k(stream("split", 0))
    data = {
        64: few(digits(stream("split", 0)), 1050),
        784: few(mnist, 1050),
        3072: few(reshape_images(mnist, 32, 3), 300),
    }
    of_family, broken = Counter[tuple[str, int]](), Counter[tuple[str, int, str]]()
    for case in cases:
        key = case.family, case.members
        of_family[key] += 1
        for arithmetic in ("native", "tied"):
            lost, first, last = trained(case, data[case.inputs], arithmetic)
            broken[*key, arithmetic] += lost > 0
            if lost and arithmetic == "tied":
                print(f"tied lost one at {lost}: {case}", flush=True)
            if case.steps == 10_000:
                net = f"{case.inputs}-{'-'.join(map(str, case.hidden))}-10, {case.optimizer.func.__name__}"
                how = f"lost at {lost}" if lost else "kept"
                print(f"{net:30} K={case.members:<3} {case.init:16} {arithmetic:7} {how:13} {first:.2f} -> {last:.2g}")
    print(f"{'':24} {'K':>3} {'trainings':>10} {'native lost':>12} {'tied lost':>10}")
    for (family, members), count in of_family.items():
        lost = [broken[family, members, arithmetic] for arithmetic in ("native", "tied")]
        print(f"{family:24} {members:3d} {count:10d} {lost[0]:12d} {lost[1]:10d}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 thread"
    print(f"{machine}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")


def few(data: Data, examples: int) -> Data:
    """So many to train on, and 50 to evaluate, which is not what is asked here."""
    (inputs, labels), *others = data.train, data.val, data.test
    return Data((inputs[:examples], labels[:examples]), *((x[:50], y[:50]) for x, y in others), data.num_classes)


if __name__ == "__main__":
    main()
