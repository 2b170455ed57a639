"""The central claim on every arch: from zero weights and random biases, which layer has its first weight gradient when.

Exact where the bias of a layer reaches the next one: at step t (from 1) the last t layers have a gradient. A
BatchNorm is where it does not: of a constant, which is all that zero weights give, it makes zero, and the wave stops
there. What passes is rounding, and a float64 twin tells it from learning: the one is 1e-9 of what it was, the other
the same. Schicho 2023, Figure 12.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers.observers import make_observer
from helpers.trainings import train_members
from torch import nn

from zeroinit import bias_scale, dataset
from zeroinit.arch import FNN, CifarCNN, Logistic, MnistCNN, resnet50
from zeroinit.config.init import Rules
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.init import initialize
from zeroinit.layers import weight_layers
from zeroinit.probes.confirmed_gradients import is_confirmed
from zeroinit.probes.wavefront import predict_first_gradients
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training.cohort import Member
from zeroinit.training.events import Event, Gradients

ROUNDING = 1e-6  # the largest entry, in float32, of a gradient that is zero in mathematics


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def largest_gradients(
    model: nn.Module, data: Data, steps: int, dtype: torch.dtype = torch.float32
) -> dict[str, list[float]]:
    """{layer: the largest entry of its weight gradient at each step}, from zero weights and N(0, 1) biases, Adam."""
    initialize(
        model,
        stream("init", 0),
        Rules(partial(nn.init.zeros_), partial(nn.init.normal_)),
        bias_scale=partial(bias_scale.constant, value=1.0),
    )
    return largest(model.to(dtype), data, steps)


def train_on_few(model: nn.Module, data: Data, steps: int, observe: Callable[[Event], None]) -> None:
    """Batches of 8 of 32 examples, in the model's own dtype, by Adam."""
    dtype = next(model.parameters()).dtype
    few = tuple((inputs[:32].to(dtype), labels[:32]) for inputs, labels in (data.train, data.val, data.test))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    train_members(
        [Member(model, optimizer, stream("order", 0), stream("augment", 0), steps)],
        Data(*few, data.num_classes),
        batch_size=8,
        shuffle=True,
        augment=Augment(padding=0, flip=False),
        reduction="mean",
        tied=False,
        observe=observe,
    )


def largest(model: nn.Module, data: Data, steps: int) -> dict[str, list[float]]:
    """{layer: the largest entry of its weight gradient at each step} of the model as it stands, by Adam."""
    largest_by_layer: dict[str, list[float]] = {name: [] for name, _ in weight_layers(model)}

    def observe(event: Event) -> None:
        if isinstance(event, Gradients):
            for name, gradient in event.layers.items():
                largest_by_layer[name].append(gradient.abs().max().item())

    train_on_few(model, data, steps, observe)
    return largest_by_layer


@pytest.mark.parametrize(
    "arch",
    [
        Logistic,
        partial(FNN, hidden=[500], activation="elu"),
        partial(FNN, hidden=[512, 256, 128], activation="elu"),
        partial(MnistCNN, activation="elu"),
        partial(MnistCNN, activation="tanh"),
    ],
    ids=["logistic", "fnn", "cifar_fnn", "mnist_cnn", "mnist_cnn-tanh"],
)
def test_exact_without_normalisation(arch: Callable[..., nn.Module], digits: Data) -> None:
    largest_by_layer = largest_gradients(arch(digits.input_shape, digits.num_classes), digits, 6)
    exact = largest_gradients(arch(digits.input_shape, digits.num_classes), digits, 6, torch.float64)
    depth = len(largest_by_layer)
    for step in range(1, 7):
        awake = [index >= depth - step for index in range(depth)]
        assert [bool(sizes[step - 1]) for sizes in largest_by_layer.values()] == awake
        assert [bool(sizes[step - 1]) for sizes in exact.values()] == awake
    for index, name in enumerate(largest_by_layer):
        assert largest_by_layer[name][depth - 1 - index] == pytest.approx(exact[name][depth - 1 - index], rel=1e-2)


def test_cifar_cnn_wakes_down_to_its_last_batchnorm(digits: Data) -> None:
    """Output at 1, hidden2 at 2; hidden1 stands behind a BatchNorm of a constant, whose zeros are its inputs."""
    largest_by_layer = largest_gradients(CifarCNN(digits.input_shape, digits.num_classes, "elu"), digits, 5)
    exact = largest_gradients(CifarCNN(digits.input_shape, digits.num_classes, "elu"), digits, 5, torch.float64)
    layers = list(largest_by_layer)
    for step in range(1, 6):
        asleep = layers[: len(layers) - step]
        assert not any(largest_by_layer[name][step - 1] or exact[name][step - 1] for name in asleep)
    for name, first in (("output", 1), ("hidden2", 2)):
        assert all(largest_by_layer[name][first - 1 :])
        assert largest_by_layer[name] == pytest.approx(exact[name], rel=1e-2)
    for name in layers[:-2]:
        assert max(largest_by_layer[name]) < ROUNDING
        assert max(exact[name][:4]) < 1e-9 * ROUNDING


def test_resnet50_has_no_gradient_but_rounding(digits: Data) -> None:
    """Its last convolution is followed by a BatchNorm, so even the output layer's inputs are zeros but for rounding.

    The skip connections carry zeros too: each projection is a convolution of zero weights before a BatchNorm. Only
    the output's bias learns: the network predicts the shares of the classes.
    """
    steps = 2
    largest_by_layer = largest_gradients(resnet50(digits.input_shape, digits.num_classes, "elu"), digits, steps)
    exact = largest_gradients(resnet50(digits.input_shape, digits.num_classes, "elu"), digits, steps, torch.float64)
    assert len(largest_by_layer) == 54
    convolutions = [name for name in largest_by_layer if name != "fc"]
    assert not any(largest_by_layer[name][0] for name in convolutions)  # at step 1 the output's weights are zero
    assert largest_by_layer["fc"][0] < 100 * ROUNDING
    assert exact["fc"][0] < 1e-6 * ROUNDING
    # residual branches end in a BatchNorm; the block's input passes beside it, through fifteen more of them
    assert all(exact[name][step] < 1e-6 * ROUNDING for name in convolutions for step in range(steps))
    assert all(max(largest_by_layer[name]) < ROUNDING for name in convolutions)


# The prediction


def first_gradients(model: nn.Module, data: Data, steps: int) -> dict[str, int]:
    """{layer: the first step with a weight gradient that is not zero}, of the model as it stands."""
    sizes = largest(model, data, steps)
    return {name: [size > 0 for size in of_all].index(True) + 1 for name, of_all in sizes.items() if any(of_all)}


@pytest.mark.parametrize("activation", ["elu", "relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("zero", ["weight", "bias", "both", "neither"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_prediction_is_what_happens(activation: str, zero: str, depth: int, digits: Data) -> None:
    model = FNN(digits.input_shape, digits.num_classes, [64] * (depth - 1), activation)
    for name, parameter in model.named_parameters():
        if zero in (name.rpartition(".")[2], "both"):
            nn.init.zeros_(parameter)
    expected = predict_first_gradients(model)
    assert first_gradients(model, digits, depth + 2) == expected
    if zero == "weight":
        assert list(expected.values()) == list(range(1, depth + 1))


@pytest.mark.parametrize("chosen", [["hidden1"], ["hidden2"], ["output"], ["hidden2", "output"]])
def test_the_prediction_knows_which_layers_are_zero(chosen: list[str], digits: Data) -> None:
    model = FNN(digits.input_shape, digits.num_classes, [32, 32], "tanh")
    for name in chosen:
        nn.init.zeros_(model.get_submodule(name).weight)
    expected = predict_first_gradients(model)  # before it trains
    assert first_gradients(model, digits, 5) == expected


def test_a_convolution_is_a_link_as_any_other(digits: Data) -> None:
    model = MnistCNN(digits.input_shape, digits.num_classes, "elu")
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            nn.init.zeros_(parameter)
    assert predict_first_gradients(model) == {"output": 1, "conv2": 2, "conv1": 3}
    assert first_gradients(model, digits, 5) == {"output": 1, "conv2": 2, "conv1": 3}


def test_no_prediction_behind_a_normalisation_or_for_a_forward_of_its_own(digits: Data) -> None:
    assert predict_first_gradients(CifarCNN(digits.input_shape, digits.num_classes, "elu")) == {}
    assert predict_first_gradients(nn.ModuleList([nn.Linear(2, 2)])) == {}


# Above rounding


@pytest.mark.parametrize("activation", ["elu", "tanh"])
def test_what_cancels_in_float64_has_not_arrived(activation: str, digits: Data) -> None:
    """From one constant a layer, the hidden layer's deltas are sums of equal weights times softmax less one hot: zero.

    In float32 rounding is left of them, which arrives at once; in truth the layer waits for the output's weights.
    """
    model = FNN(digits.input_shape, digits.num_classes, [500], activation)
    for depth, (_, layer) in enumerate(weight_layers(model), start=1):
        nn.init.constant_(layer.weight, 0.01 * depth)
        nn.init.zeros_(layer.bias)
    assert first_gradients(copy.deepcopy(model), digits, 3) == {"hidden1": 1, "output": 1}
    assert arrived(model, digits, 3) == {"hidden1": 2, "output": 1}


def test_behind_a_normalisation_rounding_has_not_arrived(digits: Data) -> None:
    model = CifarCNN(digits.input_shape, digits.num_classes, "elu")
    for _, layer in weight_layers(model):
        nn.init.zeros_(layer.weight)
        nn.init.normal_(layer.bias, generator=stream("init", 0))
    assert arrived(model, digits, 2) == {"output": 1, "hidden2": 2}


def arrived(model: nn.Module, data: Data, steps: int) -> dict[str, int]:
    """What the probe says of the model as it stands."""
    record = Record("", {}, {})
    observer = make_observer([record], steps, ["first_gradient"], [], data.train, [])
    train_on_few(model, data, steps, observer)
    return {
        name.removeprefix("first_gradient/"): step
        for name, _, step in record.metrics
        if name.startswith("first_gradient/")
    }


# What rounding alone has moved


def observed(
    model: nn.Module,
    data: Data,
    steps: Sequence[int],
    optimizer: type[torch.optim.Optimizer],
    members: int = 1,
    batch_size: int | None = None,
) -> list[Record]:
    """The records of `members` copies, trained together, on full batches by default, and observed at these steps."""
    models = [copy.deepcopy(model) for _ in range(members)]
    records = [Record("", {}, {}) for _ in models]
    probes = ["gradient", "first_gradient"]
    observer = make_observer(records, max(steps), probes, [], data.train, [])
    train_members(
        [
            Member(twin, optimizer(twin.parameters(), lr=0.001), stream("order", 0), stream("augment", 0), max(steps))
            for twin in models
        ],
        data,
        batch_size=batch_size or len(data.train[0]),
        shuffle=batch_size is None,
        augment=Augment(padding=0, flip=False),
        reduction="mean",
        tied=False,
        observe=observer,
        is_observed=lambda step: step in steps,
    )
    return records


def first_gradients_of(record: Record) -> dict[str, int]:
    return {
        name.removeprefix("first_gradient/"): step
        for name, _, step in record.metrics
        if name.startswith("first_gradient/")
    }


def flower(dtype: torch.dtype) -> tuple[nn.Module, Data]:
    """All weights and biases zero, a sigmoid, and as many examples of each class: in exact arithmetic nothing moves."""
    data = replace(dataset.planar(stream("split", 0)), dtype=None if dtype == torch.float32 else dtype)
    model = FNN(data.input_shape, data.num_classes, [3], "sigmoid")
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model.to(dtype), data


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [range(1, 31), [*range(1, 5), 10, 20, 40, 80]], ids=["each", "gaps"])
def test_what_rounding_has_moved_wakes_no_layer(steps: Sequence[int], dtype: torch.dtype, members: int) -> None:
    """The output's gradient cancels but for rounding, of which Adam makes a whole step, and the hidden layer wakes.

    Without the last example the classes differ in size. Then the output has a gradient at once.
    """
    model, data = flower(dtype)
    for record in observed(model, data, steps, torch.optim.Adam, members):
        assert 0 < record.history("grad/output/norm")[1] < 1e-7
        assert record.last("grad/hidden1/norm") > 1e-6
        assert first_gradients_of(record) == {}
    data = replace(data, train=(data.train[0][:-1], data.train[1][:-1]))
    for record in observed(model, data, steps, torch.optim.Adam, members):
        assert first_gradients_of(record) == {"output": 1, "hidden1": 2}


@pytest.mark.parametrize("scale", [1e-3, 1e-9, 1e-18])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tiny_gradient_has_arrived_where_nothing_cancels(scale: float, dtype: torch.dtype) -> None:
    """Inputs of this size: the hidden layer's gradient is as small, and still no rounding."""
    model, data = flower(dtype)
    train = data.train[0][:-1] * scale, data.train[1][:-1]
    for optimizer in (torch.optim.SGD, torch.optim.Adam):
        [record] = observed(model, replace(data, train=train), range(1, 4), optimizer)
        assert 0 < record.history("grad/hidden1/norm")[2] < 1e-2 * scale
        assert first_gradients_of(record) == {"output": 1, "hidden1": 2}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(range(1, 5), {"output": 2, "hidden1": 3}), ([1, 4], {"output": 4, "hidden1": 4})],
    ids=["each", "gap"],
)
def test_a_layer_that_wakes_between_observed_steps(steps: Sequence[int], expected: dict[str, int]) -> None:
    """In the first batch the classes have one size, in the second they have not. Then both layers wake in two steps."""
    model, data = flower(torch.float32)
    inputs, labels = (torch.cat([first, second[:-1]]) for first, second in zip(data.train, data.val, strict=True))
    data = replace(data, train=(inputs, labels))
    [record] = observed(model, data, steps, torch.optim.Adam, batch_size=400)
    assert 0 < record.history("grad/output/norm")[1] < 1e-7
    assert first_gradients_of(record) == expected


@pytest.mark.parametrize(
    ("fine", "coarse", "confirmed"),
    [
        (1.0, 1.0, True),
        (1e-9, 1.0, False),
        (1e-30, 1e-30, True),
        (0.0, 1.0, False),
        (0.0, 0.0, False),
        (1e-17, 0.0, False),  # a sum that cancels in float32 exactly, and in float64 but for rounding
        (1e-50, 0.0, True),  # too small for float32
        (1e50, math.inf, True),  # too large for it
        (math.nan, 1.0, False),
    ],
)
def test_rounding_is_what_shrinks_in_float64(fine: float, coarse: float, confirmed: bool) -> None:
    assert is_confirmed(fine, coarse) == confirmed
