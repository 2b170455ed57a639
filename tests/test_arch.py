"""Archs take their shapes from the data, and their layers are found in order."""

import pytest
import torch
from torch import nn

from zeroinit.arch import ACTIVATIONS, FNN, Logistic, MnistCNN, weight_layers
from zeroinit.errors import BadInput


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(layer.weight.shape) for name, layer in weight_layers(model)}


def test_logistic() -> None:
    assert shapes(Logistic((1, 28, 28), 10)) == {"output": (10, 784)}


def test_fnn_of_the_paper() -> None:
    model = FNN((1, 28, 28), 10, [500], "elu")
    assert shapes(model) == {"hidden1": (500, 784), "output": (10, 500)}
    assert [type(module) for module in model] == [nn.Flatten, nn.Linear, nn.ELU, nn.Linear]


def test_mnist_cnn_of_the_paper() -> None:
    model = MnistCNN((1, 28, 28), 10, "elu")
    assert shapes(model) == {"conv1": (16, 1, 5, 5), "conv2": (32, 16, 5, 5), "output": (10, 25088)}
    assert [type(module) for module in model] == [nn.Conv2d, nn.ELU, nn.Conv2d, nn.ELU, nn.Flatten, nn.Linear]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28)])
def test_shapes_come_from_the_data(shape: tuple[int, ...]) -> None:
    for model in (Logistic(shape, 7), FNN(shape, 7, [5, 4], "relu"), MnistCNN(shape, 7, "tanh")):
        assert model(torch.zeros(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_torchs(name: str) -> None:
    inputs = torch.linspace(-3, 3, 13)
    model = FNN((2,), 2, [3], name)
    assert torch.equal(model.get_submodule(f"{name}1")(inputs), getattr(torch.nn.functional, name)(inputs))


def test_errors() -> None:
    with pytest.raises(BadInput, match=r"arch.activation=swish: choose one of elu, relu"):
        FNN((2,), 2, [3], "swish")
    with pytest.raises(BadInput, match=r"arch.hidden=\[3, -1\]: give the widths"):
        FNN((2,), 2, [3, -1], "elu")
    with pytest.raises(BadInput, match=r"arch=mnist_cnn needs images .*; the data have shape \(2,\)"):
        MnistCNN((2,), 2, "elu")
