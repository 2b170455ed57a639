"""Ties that exact arithmetic keeps: found as a naive twin finds them, and kept whatever rounding does."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zeroinit import dataset, loop
from zeroinit.arch import FNN, CifarCNN
from zeroinit.batches import Augment
from zeroinit.dataset import Data
from zeroinit.init import initialize, layer_constant_
from zeroinit.layers import weight_layers
from zeroinit.loop import Event, Gradients, Member, Weights
from zeroinit.probe import distinct
from zeroinit.rng import stream
from zeroinit.ties import first_equals, held_by

ZEROS = partial(nn.init.zeros_)
TIED = {
    "constant": (partial(nn.init.constant_, val=0.01), ZEROS),
    "layer_constant": (partial(layer_constant_, value=0.01), ZEROS),
    "constant biases": (ZEROS, partial(nn.init.constant_, val=0.5)),
}
RANDOM = (partial(nn.init.normal_, std=0.1), partial(nn.init.normal_))
train = partial(loop.train, shuffle=True, augment=Augment(crop=0, flip=False), reduction="mean", batch_size=32)


class Rounding(torch.optim.SGD):
    """Rounding at its worst: no two entries are updated alike."""

    def step(self, closure: Any = None) -> None:
        super().step(closure)
        for part in self.param_groups[0]["params"]:
            part.data += 1e-6 * torch.randn_like(part)


def fnn(*hidden: int, activation: str = "elu") -> FNN:
    return FNN((1, 8, 8), 10, list(hidden), activation)


def filled(model: nn.Module, rules: tuple[Any, Any], seed: int = 0) -> nn.Module:
    initialize(model, stream("init", seed), *rules, bias_scale=lambda fan_in: 1.0)
    return model


def doubled(model: nn.Module, every: int = 2) -> nn.Module:
    """With random weights in which the neurons of each hidden layer are copies, in `every` classes that alternate."""
    filled(model, RANDOM)
    layers = [layer for _, layer in weight_layers(model)]
    with torch.no_grad():
        for layer, following in pairwise(layers):
            classes = torch.arange(len(layer.weight)) % every
            layer.weight.copy_(layer.weight[classes])
            layer.bias.copy_(layer.bias[classes])
            columns = following.weight.unflatten(1, (len(classes), -1))
            following.weight.copy_(columns[:, classes].flatten(1).view_as(following.weight))
    return model


def convolutions() -> nn.Module:
    """Of 8x8 images of one channel, with a normalisation of either kind, before and behind the Flatten."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ELU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 2), nn.Tanh()),
        *(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 7), nn.ReLU(), nn.Linear(7, 10)),
    )


def member(
    model: nn.Module, optimizer: Callable[..., torch.optim.Optimizer], steps: int, lr: float = 0.01, order: int = 0
) -> Member:
    return Member(model, optimizer(model.parameters(), lr=lr), stream("order", order), stream("augment", 0), steps)


def state(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


class Watch:
    """Of every update and gradient, the most distinct neurons in any hidden layer of these members, in or out."""

    def __init__(self, members: Sequence[int]) -> None:
        self.members = members
        self.weights: list[float] = []
        self.gradients: list[float] = []

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Weights | Gradients):
            return
        mine = [place for place, member in enumerate(event.members) if member in self.members]
        if not mine:
            return
        if isinstance(event, Gradients):
            weights = [gradients[mine].flatten(2) for gradients in event.layers.values()]
            neurons = weights[:-1]
        else:
            weights = [pair[0][mine].flatten(2) for pair in event.layers.values()]
            biases = [pair[1][mine].unsqueeze(2) for pair in event.layers.values()]
            neurons = [torch.cat(both, dim=2) for both in zip(weights[:-1], biases[:-1], strict=True)]
        columns = [weight.transpose(1, 2) for weight in weights[1:]]
        seen = self.gradients if isinstance(event, Gradients) else self.weights
        seen.append(max(distinct(each).max().item() for each in (*neurons, *columns)))


@pytest.fixture(scope="module")
def digits() -> Data:
    """A few of them, so that an epoch has a smaller last batch."""
    whole = dataset.digits(stream("split", 0))
    return Data(*((inputs[:150], labels[:150]) for inputs, labels in (whole.train, whole.val, whole.test)), 10)


def double(data: Data) -> Data:
    return Data(*((inputs.double(), labels) for inputs, labels in (data.train, data.val, data.test)), data.num_classes)


# Which neurons are tied


def naive(model: nn.Module) -> dict[str, list[int]]:
    """Of a chain of dense layers: each neuron against each before it, entry by entry."""
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    found = {}
    for (name, layer), (_, following) in pairwise(layers):
        entries = [
            [*layer.weight[unit].tolist(), layer.bias[unit].item(), *following.weight[:, unit].tolist()]
            for unit in range(len(layer.weight))
        ]
        found[name] = [entries.index(entry) for entry in entries]
    return found


@pytest.mark.parametrize(
    "model",
    [
        filled(fnn(5, 4), TIED["constant"]),
        filled(fnn(5, 4), TIED["layer_constant"]),
        filled(fnn(5, 4), RANDOM),
        doubled(fnn(9, 1, 7), 3),
        doubled(fnn(12), 5),
        filled(fnn(), RANDOM),
    ],
)
def test_ties_are_those_that_a_look_at_every_pair_finds(model: nn.Module) -> None:
    assert {layer: firsts.tolist() for layer, firsts in first_equals(model).items()} == naive(model)


@pytest.mark.parametrize(
    ("part", "place"), [("hidden1.weight", (1, 3)), ("hidden1.bias", (1,)), ("output.weight", (2, 1))]
)
def test_one_other_entry_is_no_tie_but_the_sign_of_zero_is_none(part: str, place: tuple[int, ...]) -> None:
    model = filled(fnn(3), (ZEROS, ZEROS))
    entry = dict(model.named_parameters())[part].data
    entry[place] = -0.0
    assert first_equals(model)["hidden1"].tolist() == [0, 0, 0]
    entry[place] = 1e-30
    assert first_equals(model)["hidden1"].tolist() == [0, 1, 0]


def test_a_channel_has_its_columns_behind_the_flatten_and_its_normalisation() -> None:
    model = doubled(convolutions())
    alternating = [[0, 1] * 3, [0, 1] * 2, [0, 1] * 3 + [0]]
    assert [firsts.tolist() for firsts in first_equals(model).values()] == alternating
    model[1].weight.data[2] = 2
    model[7].bias.data[13] = 1  # of the last of four pixels that the last of four channels has
    assert [firsts.tolist() for firsts in first_equals(model).values()] == [
        [0, 1, 2, 1, 0, 1],
        [0, 1, 0, 3],
        alternating[2],
    ]


def test_grouped_convolutions_bound_no_layer() -> None:
    grouped = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(8, 3)
    )
    assert list(held_by(grouped)) == ["2"]


# That they are kept


@pytest.mark.parametrize("size", [1, 3, 16])
@pytest.mark.parametrize("rules", TIED)
def test_no_rounding_breaks_them(rules: str, size: int, digits: Data) -> None:
    """Members that are tied, every other one, in whatever company; and each would be broken by such rounding."""
    most = {}
    for arithmetic in ("native", "tied"):
        models = [filled(fnn(9, 5), TIED[rules] if seed % 2 == 0 else RANDOM, seed) for seed in range(size)]
        watch = Watch(range(0, size, 2))
        members = [member(model, Rounding, 12 + seed, order=seed) for seed, model in enumerate(models)]
        train(members, digits, tied=arithmetic == "tied", observe=watch)
        most[arithmetic] = watch.weights
        assert (models[0].hidden1.weight != models[0].hidden1.weight[0, 0]).any()  # it trains
    assert most["tied"] == [1] * len(most["native"])
    assert most["native"][1:] == [9] * (len(most["native"]) - 1)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.Adam, fused=True),
        partial(torch.optim.AdamW, amsgrad=True),
        partial(torch.optim.SGD, momentum=0.9, nesterov=True, weight_decay=0.01, fused=True),
        partial(torch.optim.RMSprop, foreach=True),
        partial(torch.optim.NAdam),
        partial(torch.optim.RAdam),
        partial(torch.optim.Adamax),
    ],
)
@pytest.mark.parametrize("hidden", [(77, 20), (3,)])
def test_no_optimizer_breaks_them(hidden: tuple[int, ...], optimizer: Any, size: int, digits: Data) -> None:
    members = [member(filled(fnn(*hidden), TIED["constant"]), optimizer, 12, order=seed) for seed in range(size)]
    watch = Watch(range(size))
    train(members, digits, tied=True, observe=watch)
    assert watch.weights == [1] * 13
    assert watch.gradients == [1] * 12
    assert all((one.model.hidden1.weight != 0.01).any() for one in members)


def test_channels_are_kept_too(digits: Data) -> None:
    for arithmetic, kept in (("native", False), ("tied", True)):
        for size in (1, 2):
            models = [doubled(convolutions()) for _ in range(size)]
            before = {layer: firsts.tolist() for layer, firsts in first_equals(models[0]).items()}
            train([member(model, Rounding, 5) for model in models], digits, tied=arithmetic == "tied")
            for model in models:
                after = {layer: firsts.tolist() for layer, firsts in first_equals(model).items()}
                assert (after == before) == kept


def test_a_tied_run_is_a_plain_one_whose_neurons_are_copied_one_by_one(digits: Data) -> None:
    """To the bit; the naive twin knows of dense layers alone."""
    tied, twin = doubled(fnn(9, 6), 3), doubled(fnn(9, 6), 3)
    firsts, layers = naive(twin), [layer for layer in twin if isinstance(layer, nn.Linear)]

    @torch.no_grad()
    def copy(event: Event) -> None:
        if isinstance(event, loop.Step):
            for (layer, following), of_each in zip(pairwise(layers), firsts.values(), strict=True):
                for unit, first in enumerate(of_each):
                    layer.weight[unit] = layer.weight[first]
                    layer.bias[unit] = layer.bias[first]
                    following.weight[:, unit] = following.weight[:, first]

    adam = partial(torch.optim.Adam, fused=True)
    [end] = train([member(tied, adam, 50)], digits, tied=True)
    [other] = train([member(twin, adam, 50)], digits, tied=False, observe=copy)
    assert all(torch.equal(one, state(twin)[name]) for name, one in state(tied).items())
    assert torch.equal(end.losses, other.losses)


@pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
@pytest.mark.parametrize("size", [1, 2])
def test_it_is_what_exact_arithmetic_does(size: int, activation: str, digits: Data) -> None:
    """In float64, where rounding is 1e-16, a native run and a tied one are the same to 1e-10."""
    ends = {}
    for arithmetic in ("native", "tied"):
        models = [doubled(fnn(12, 7, activation=activation), 3).double() for _ in range(size)]
        train(
            [member(model, torch.optim.SGD, 40, lr=0.1) for model in models], double(digits), tied=arithmetic == "tied"
        )
        ends[arithmetic] = models
    for native, tied in zip(*ends.values(), strict=True):
        for name, one in state(native).items():
            assert torch.allclose(one, state(tied)[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_without_ties_it_changes_no_bit(size: int, digits: Data) -> None:
    ends = []
    for arithmetic in ("native", "tied"):
        models = [filled(fnn(17), RANDOM, seed) for seed in range(size)]
        train([member(model, torch.optim.Adam, 20) for model in models], digits, tied=arithmetic == "tied")
        ends.append([state(model) for model in models])
    assert all(torch.equal(one[name], other[name]) for one, other in zip(*ends, strict=True) for name in one)


def test_looking_changes_no_bit(digits: Data) -> None:
    """Gradients are copied where they are shown."""
    ends = []
    for observed in (loop.always, lambda step: False):
        models = [doubled(CifarCNN((1, 8, 8), 10, "elu"))]
        train([member(model, torch.optim.SGD, 2) for model in models], digits, tied=True, observed=observed)
        ends.append(state(models[0]))
    assert all(torch.equal(one, ends[1][name]) for name, one in ends[0].items() if "running" not in name)
