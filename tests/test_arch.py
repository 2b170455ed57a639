"""Archs take their shapes from the data, and their layers are found in order."""

import pytest
import torch
import torchvision
from torch import nn

from zeroinit.arch import ACTIVATIONS, FNN, CifarCNN, Logistic, MnistCNN, resnet50
from zeroinit.errors import BadInput
from zeroinit.layers import weight_layers


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


def test_cifar_cnn_of_the_paper() -> None:
    model = CifarCNN((3, 32, 32), 10, "elu")
    assert shapes(model) == {
        "conv1": (32, 3, 3, 3),
        "conv2": (64, 32, 3, 3),
        "conv3": (128, 64, 3, 3),
        "conv4": (128, 128, 3, 3),
        "conv5": (256, 128, 3, 3),
        "conv6": (256, 256, 3, 3),
        "hidden1": (1024, 4096),
        "hidden2": (512, 1024),
        "output": (10, 512),
    }
    block = [nn.Conv2d, nn.ELU, nn.Conv2d, nn.ELU, nn.MaxPool2d, nn.BatchNorm2d]
    dense = [nn.Flatten, nn.Linear, nn.ELU, nn.Linear, nn.ELU, nn.Linear]
    assert [type(module) for module in model] == [*block * 3, *dense]


def test_resnet50_of_the_paper() -> None:
    """Torchvision's own, but for the stem, the activation, the biases and the norms after a block's first layer."""
    model, theirs = resnet50((3, 32, 32), 10, "elu"), torchvision.models.resnet50(num_classes=10)
    convolutions = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
    assert len(convolutions) == 53
    assert set(shapes(model)) == {*convolutions, "fc"}
    assert all(layer.bias.shape == (layer.out_channels,) for layer in convolutions.values())
    assert model.conv1.weight.shape == (64, 3, 3, 3)
    assert (model.conv1.stride, model.conv1.padding) == ((1, 1), (1, 1))
    assert isinstance(model.maxpool, nn.Identity)
    kinds = {type(module) for module in model.modules()}
    assert nn.ELU in kinds
    assert nn.ReLU not in kinds
    norms = {name for name, module in theirs.named_modules() if isinstance(module, nn.BatchNorm2d)}
    ours = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert norms - ours == {name for name in norms if name.startswith("layer") and name.endswith(".bn1")}
    assert len(norms - ours) == 16
    same = shapes(theirs) | {"conv1": (64, 3, 3, 3)}
    assert shapes(model) == same
    assert list(shapes(model)) == list(same)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 9, 17)])
def test_shapes_come_from_the_data(shape: tuple[int, ...]) -> None:
    for model in (
        Logistic(shape, 7),
        FNN(shape, 7, [5, 4], "relu"),
        MnistCNN(shape, 7, "tanh"),
        CifarCNN(shape, 7, "relu"),
        resnet50(shape, 7, "elu"),
    ):
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
    for name, arch in (("mnist_cnn", MnistCNN), ("cifar_cnn", CifarCNN), ("resnet50", resnet50)):
        with pytest.raises(BadInput, match=rf"arch={name} needs images .*; the data have shape \(2,\)"):
            arch((2,), 2, "elu")
    with pytest.raises(BadInput, match=r"arch=cifar_cnn needs images of 8x8 pixels or more; these are 9x7: set"):
        CifarCNN((1, 9, 7), 2, "elu")
