"""Ties that exact arithmetic keeps: found as a naive twin finds them, and kept whatever rounding does."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from helpers.copies import (
    RANDOM,
    ROWS,
    TIED,
    ZEROS,
    double,
    duplicate_neurons,
    fill,
    fnn,
    member,
    naive,
    rows_and_more,
    train,
)
from torch import Tensor, nn

from zeroinit import dataset
from zeroinit.arch import CifarCNN
from zeroinit.dataset import Data
from zeroinit.layers import weight_layers
from zeroinit.probes.measures import count_distinct
from zeroinit.rng import stream
from zeroinit.training import loop
from zeroinit.training.events import Event, Gradients, Step, Weights
from zeroinit.training.ties import Ties, preserves_column_offsets, tie_representatives, unit_axes


class Rounding(torch.optim.SGD):
    """Rounding at its worst: no two entries are updated alike."""

    def step(self, closure: Any = None) -> None:
        super().step(closure)
        for part in self.param_groups[0]["params"]:
            part.data += 1e-6 * torch.randn_like(part)


def convolutions() -> nn.Module:
    """Of 8x8 images of one channel, with a normalisation of either kind, before and behind the Flatten."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ELU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 2), nn.Tanh()),
        *(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 7), nn.ReLU(), nn.Linear(7, 10)),
    )


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
        mine = [index for index, member in enumerate(event.members) if member in self.members]
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
        counts = self.gradients if isinstance(event, Gradients) else self.weights
        counts.append(max(count_distinct(each).max().item() for each in (*neurons, *columns)))


@pytest.fixture(scope="module")
def digits() -> Data:
    """A few of them, so that an epoch has a smaller last batch."""
    whole = dataset.digits(stream("split", 0))
    return Data(*((inputs[:150], labels[:150]) for inputs, labels in (whole.train, whole.val, whole.test)), 10)


# Which neurons are tied


@pytest.mark.parametrize(
    "model",
    [
        fill(fnn(5, 4), TIED["constant"]),
        fill(fnn(5, 4), TIED["layer_constant"]),
        fill(fnn(5, 4), RANDOM),
        duplicate_neurons(fnn(9, 1, 7), 3),
        duplicate_neurons(fnn(12), 5),
        fill(fnn(), RANDOM),
        fill(fnn(9), ROWS),
        fill(fnn(5, 7), ROWS),
        rows_and_more(6),
        rows_and_more(3, 5),
    ],
)
def test_ties_are_those_that_a_look_at_every_pair_finds(model: nn.Module) -> None:
    assert {layer: firsts.tolist() for layer, firsts in tie_representatives(model).items()} == naive(model)


@pytest.mark.parametrize(
    ("part", "index"), [("hidden1.weight", (1, 3)), ("hidden1.bias", (1,)), ("output.weight", (2, 1))]
)
def test_one_other_entry_is_no_tie_but_the_sign_of_zero_is_none(part: str, index: tuple[int, ...]) -> None:
    model = fill(fnn(3), (ZEROS, ZEROS))
    entry = dict(model.named_parameters())[part].data
    entry[index] = -0.0
    assert tie_representatives(model)["hidden1"].tolist() == [0, 0, 0]
    entry[index] = 1e-30
    assert tie_representatives(model)["hidden1"].tolist() == [0, 1, 0]


def test_a_channel_has_its_columns_behind_the_flatten_and_its_normalisation() -> None:
    model = duplicate_neurons(convolutions())
    alternating = [[0, 1] * 3, [0, 1] * 2, [0, 1] * 3 + [0]]
    assert [firsts.tolist() for firsts in tie_representatives(model).values()] == alternating
    model[1].weight.data[2] = 2
    model[7].bias.data[13] = 1  # of the last of four pixels that the last of four channels has
    assert [firsts.tolist() for firsts in tie_representatives(model).values()] == [
        [0, 1, 2, 1, 0, 1],
        [0, 1, 0, 3],
        alternating[2],
    ]


def test_grouped_convolutions_bound_no_layer() -> None:
    grouped = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(8, 3)
    )
    assert list(unit_axes(grouped)) == ["2"]


@pytest.mark.parametrize(
    ("entries", "tied"),
    [
        ([[1.0, 1.0], [1.5, 1.5]], True),
        ([[1.0, 2.0], [1.5, 2.5]], True),
        ([[1.0, 2.0], [1.5, 2.5000002]], False),
        ([[1.0, 1e-30], [1.0, 2e-30]], False),  # no float64 holds the difference to 1
        ([[1e-30, 1.0], [2e-30, 1.0]], False),
        ([[1e-30, 1.0], [1e-30, 1.0]], True),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_differ_by_a_constant_exactly_or_not_at_all(
    entries: list[list[float]], tied: bool, dtype: torch.dtype
) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2)).to(dtype)
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    model[2].weight.data = torch.tensor(entries, dtype=dtype).T.contiguous()
    assert tie_representatives(model)["0"].tolist() == [0, 0 if tied else 1]
    assert naive(model)["0"] == [0, 0 if tied else 1]
    ties = Ties([(model, torch.optim.SGD(model.parameters(), lr=1))], slopes_sum_to_zero=True)
    held = {name: parameter.detach().clone().unsqueeze(0) for name, parameter in model.named_parameters()}
    ties.enforce(held, values=True)
    assert all(torch.equal(held[name][0], parameter) for name, parameter in model.named_parameters())


def test_they_count_in_front_of_the_logits_alone() -> None:
    """Not before another layer, an activation or a normalisation, and behind a convolution place by place."""
    assert {name: set(firsts.tolist()) for name, firsts in tie_representatives(fill(fnn(5, 7), ROWS)).items()} == {
        "hidden1": set(range(5)),
        "hidden2": {0},
    }
    for behind in (nn.Tanh(), nn.BatchNorm1d(10), nn.Identity()):
        model = fill(nn.Sequential(nn.Linear(8, 5), nn.ELU(), nn.Linear(5, 10), behind), ROWS)
        assert tie_representatives(model)["0"].tolist() == list(range(5))
    model = fill(convolutions(), ROWS)
    assert [len(set(firsts.tolist())) for firsts in tie_representatives(model).values()] == [6, 4, 1]
    model = fill(nn.Sequential(nn.Conv2d(1, 6, 3), nn.ELU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10)), ROWS)
    assert tie_representatives(model)["0"].tolist() == [0] * 6
    model[4].weight.data[3, 53] += 1  # of the last of nine places that the last channel has
    assert tie_representatives(model)["0"].tolist() == [0] * 5 + [5]


# That they are kept


@pytest.mark.parametrize("size", [1, 3, 16])
@pytest.mark.parametrize("rules", TIED)
def test_no_rounding_breaks_them(rules: str, size: int, digits: Data) -> None:
    """Members that are tied, every other one, in whatever company; and each would be broken by such rounding."""
    most = {}
    for arithmetic in ("native", "tied"):
        models = [fill(fnn(9, 5), TIED[rules] if seed % 2 == 0 else RANDOM, seed) for seed in range(size)]
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
    members = [member(fill(fnn(*hidden), TIED["constant"]), optimizer, 12, order=seed) for seed in range(size)]
    watch = Watch(range(size))
    train(members, digits, tied=True, observe=watch)
    assert watch.weights == [1] * 13
    assert watch.gradients == [1] * 12
    assert all((trained.model.hidden1.weight != 0.01).any() for trained in members)


def test_channels_are_kept_too(digits: Data) -> None:
    for arithmetic, is_kept in (("native", False), ("tied", True)):
        for size in (1, 2):
            models = [duplicate_neurons(convolutions()) for _ in range(size)]
            before = {layer: firsts.tolist() for layer, firsts in tie_representatives(models[0]).items()}
            train([member(model, Rounding, 5) for model in models], digits, tied=arithmetic == "tied")
            for model in models:
                after = {layer: firsts.tolist() for layer, firsts in tie_representatives(model).items()}
                assert (after == before) == is_kept


def test_a_tied_run_is_a_plain_one_whose_neurons_are_copied_one_by_one(digits: Data) -> None:
    """To the bit; the naive twin knows of dense layers alone."""
    tied, twin = duplicate_neurons(fnn(9, 6), 3), duplicate_neurons(fnn(9, 6), 3)
    firsts, layers = naive(twin), [layer for layer in twin if isinstance(layer, nn.Linear)]

    @torch.no_grad()
    def copy(event: Event) -> None:
        if isinstance(event, Step):
            for (layer, following), of_each in zip(pairwise(layers), firsts.values(), strict=True):
                for unit, first in enumerate(of_each):
                    layer.weight[unit] = layer.weight[first]
                    layer.bias[unit] = layer.bias[first]
                    following.weight[:, unit] = following.weight[:, first]

    adam = partial(torch.optim.Adam, fused=True)
    [end] = train([member(tied, adam, 50)], digits, tied=True)
    [other] = train([member(twin, adam, 50)], digits, tied=False, observe=copy)
    assert all(torch.equal(tensor, state(twin)[name]) for name, tensor in state(tied).items())
    assert torch.equal(end.losses, other.losses)


@pytest.mark.parametrize("activation", ["elu", "relu", "tanh"])
@pytest.mark.parametrize("size", [1, 2])
def test_it_is_what_exact_arithmetic_does(size: int, activation: str, digits: Data) -> None:
    """In float64, where rounding is 1e-16, a native run and a tied one are the same to 1e-10."""
    ends = {}
    for arithmetic in ("native", "tied"):
        models = [duplicate_neurons(fnn(12, 7, activation=activation), 3).double() for _ in range(size)]
        train(
            [member(model, torch.optim.SGD, 40, lr=0.1) for model in models], double(digits), tied=arithmetic == "tied"
        )
        ends[arithmetic] = models
    for native, tied in zip(*ends.values(), strict=True):
        for name, tensor in state(native).items():
            assert torch.allclose(tensor, state(tied)[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_without_ties_it_changes_no_bit(size: int, digits: Data) -> None:
    ends = []
    for arithmetic in ("native", "tied"):
        models = [fill(fnn(17), RANDOM, seed) for seed in range(size)]
        train([member(model, torch.optim.Adam, 20) for model in models], digits, tied=arithmetic == "tied")
        ends.append([state(model) for model in models])
    assert all(torch.equal(native[name], tied[name]) for native, tied in zip(*ends, strict=True) for name in native)


def test_looking_changes_no_bit(digits: Data) -> None:
    """Gradients are copied where they are shown."""
    ends = []
    for observed in (loop.always, lambda step: False):
        models = [duplicate_neurons(CifarCNN((1, 8, 8), 10, "elu"))]
        train([member(model, torch.optim.SGD, 2) for model in models], digits, tied=True, is_observed=observed)
        ends.append(state(models[0]))
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items() if "running" not in name)


# Constant rows, w_ij = v_j


def columns_apart(model: nn.Module) -> float:
    """How far columns in front of the logits are from differing by constants."""
    weight = [layer for _, layer in weight_layers(model)][-1].weight.detach().double()
    less = weight - weight[0]
    return (less - less[:, :1]).abs().max().item()


class Distinct:
    """After each update, how many neurons of the members' hidden layers differ, the most of any member."""

    def __init__(self) -> None:
        self.counts: dict[str, list[float]] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Weights):
            for name, (weights, biases) in list(event.layers.items())[:-1]:
                neurons = torch.cat([weights, biases.unsqueeze(2)], dim=2)
                self.counts.setdefault(name, []).append(count_distinct(neurons).max().item())


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("width", [500, 129, 333])
@pytest.mark.parametrize(
    ("optimizer", "lr"),
    [(torch.optim.Adam, 0.003), (partial(torch.optim.SGD, momentum=0.9, weight_decay=0.01), 0.1)],
)
def test_with_one_hidden_layer_they_are_tied_for_ever(
    optimizer: Any, lr: float, width: int, size: int, digits: Data
) -> None:
    """And learn; rounding alone would part them."""
    parted = {}
    for arithmetic in ("native", "tied"):
        models = [fill(fnn(width), ROWS, seed) for seed in range(size)]
        watch, start = Distinct(), [state(model) for model in models]
        members = [member(model, optimizer, 300, lr, order) for order, model in enumerate(models)]
        train(members, digits, tied=arithmetic == "tied", observe=watch, is_observed=lambda step: step % 25 == 0)
        parted[arithmetic] = max(watch.counts["hidden1"])
        for model, before in zip(models, start, strict=True):
            assert all((tensor != before[name]).any() for name, tensor in state(model).items())
            scale = model.output.weight.abs().max().item()
            assert arithmetic == "native" or columns_apart(model) <= 2**-22 * scale
    assert parted["tied"] == 1
    assert size > 1 or parted["native"] > 1  # a stack keeps more ties


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("arithmetic", ["native", "tied"])
def test_with_two_the_first_parts_and_the_last_does_not(arithmetic: str, optimizer: Any, digits: Data) -> None:
    """Its deltas are v_j times one number: `even w_ij = v_j would not work` holds for one hidden layer alone.

    The first update has no gradient for them but rounding, as the logits' deltas add up to zero.
    """
    watch = Distinct()
    data = double(digits) if arithmetic == "native" else digits
    model = fill(fnn(50, 20), ROWS).to(data.train[0].dtype)
    train([member(model, optimizer, 3, 0.1)], data, tied=arithmetic == "tied", observe=watch)
    assert watch.counts["hidden1"][2:] == [50, 50]
    assert arithmetic == "native" or watch.counts["hidden2"] == [1] * 4


@pytest.mark.parametrize(
    "optimizer",
    [
        partial(torch.optim.SGD, lr=0.1),
        partial(torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1),
        partial(torch.optim.AdamW, lr=0.001, eps=1e-4, weight_decay=0.5),
        partial(torch.optim.Adam, lr=0.001, eps=1e-4),
        partial(torch.optim.RMSprop, lr=0.001, eps=1e-4, momentum=0.5),
    ],
)
@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("hidden", [(12,), (7, 12)])
def test_constants_are_what_exact_arithmetic_makes_of_them(
    hidden: tuple[int, ...], size: int, optimizer: Any, digits: Data
) -> None:
    """In float64 a native run and a tied one are the same to 1e-10, weight decay included; gradients, too."""
    ends: dict[str, list[nn.Module]] = {}
    shown: dict[str, list[Tensor]] = {"native": [], "tied": []}
    for arithmetic in ("native", "tied"):
        models = [fill(fnn(*hidden), ROWS, seed).double() for seed in range(size)]
        assert all(preserves_column_offsets(optimizer(model.parameters())) for model in models)
        members = [member(model, optimizer, 40, optimizer.keywords["lr"]) for model in models]

        def keep(event: Event, shown: list[Tensor] = shown[arithmetic]) -> None:
            if isinstance(event, Gradients):
                shown += [gradient.clone() for gradient in event.layers.values()]

        train(members, double(digits), tied=arithmetic == "tied", observe=keep)
        ends[arithmetic] = models
    for native, tied in zip(*ends.values(), strict=True):
        for name, tensor in state(native).items():
            assert torch.allclose(tensor, state(tied)[name], rtol=1e-9, atol=1e-11), name
        assert columns_apart(native) < 1e-12
    for tensor, tied_gradient in zip(*shown.values(), strict=True):
        assert torch.allclose(tensor, tied_gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "are_kept"),
    [
        (partial(torch.optim.SGD, weight_decay=0.1), True),
        (partial(torch.optim.Adam, eps=1e-4), True),
        (partial(torch.optim.AdamW, weight_decay=0.1, eps=1e-4), True),
        (partial(torch.optim.NAdam, weight_decay=0.1, decoupled_weight_decay=True, eps=1e-4), True),
        (partial(torch.optim.Adam, weight_decay=0.1, eps=1e-4), False),
        (partial(torch.optim.RMSprop, weight_decay=0.1, eps=1e-4), False),
    ],
)
def test_weight_decay_inside_an_adaptive_step_does_part_them(optimizer: Any, are_kept: bool, digits: Data) -> None:
    """In exact arithmetic, for which float64 stands here: so they are not tied where it is asked for."""
    model = fill(fnn(9), ROWS).double()
    assert preserves_column_offsets(optimizer(model.parameters(), lr=0.01)) == are_kept
    ties = Ties([(model, optimizer(model.parameters(), lr=0.01))], slopes_sum_to_zero=True)
    assert bool(ties) == are_kept
    train([member(model, optimizer, 20)], double(digits), tied=False)
    weight = model.hidden1.weight.detach()
    spread = (weight - weight[0]).abs().max().item()
    assert spread < 1e-9 if are_kept else spread > 1e-4
