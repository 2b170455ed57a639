"""Archs take their shapes from the data, and their layers are found in order."""

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn

from zeroinit.arch import ACTIVATIONS, FNN, RNN, CifarCNN, Logistic, MLPMixer, MnistCNN, ViT, resnet50
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


def test_norm_and_residual_of_fnn() -> None:
    """Each hidden layer, its norm and its activation; where widths are equal, the input is added."""
    model = FNN((4,), 3, [4, 4, 2], "tanh", "layer", True).double()
    names = ["flatten", "residual1", "residual2", "hidden3", "norm3", "tanh3", "output"]
    assert [name for name, _ in model.named_children()] == names
    assert [name for name, _ in weight_layers(model)] == [
        *("residual1.hidden1", "residual2.hidden2", "hidden3", "output"),
    ]
    inputs = states = torch.randn(5, 4, dtype=torch.float64)
    for depth, prefix in ((1, "residual1."), (2, "residual2."), (3, "")):
        layer, norm = model.get_submodule(f"{prefix}hidden{depth}"), model.get_submodule(f"{prefix}norm{depth}")
        states = torch.tanh(norm(layer(states))) + (states if prefix else 0)
    assert torch.allclose(model(inputs), model.output(states), rtol=1e-14)
    batch = FNN((4,), 3, [4], "tanh", "batch")
    assert [type(module) for module in batch] == [nn.Flatten, nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Linear]


def test_attention_is_torchs() -> None:
    """The tokens of the first block of `vit` after its attention, with torch's module of the same weights."""
    model = ViT((2, 8, 12), 7, patch=4, width=12, depth=2, heads=3).double()
    ours = model.blocks[0].attention
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    parts = (ours.query, ours.key, ours.value)
    theirs.in_proj_weight.data = torch.cat([layer.weight for layer in parts])
    theirs.in_proj_bias.data = torch.cat([layer.bias for layer in parts])
    theirs.out_proj.load_state_dict(ours.output.state_dict())
    tokens = torch.randn(5, 6, 12, dtype=torch.float64)
    assert torch.allclose(ours(tokens), theirs(tokens, tokens, tokens)[0], rtol=1e-12)


def test_vit_and_mlp_mixer_act_on_patches() -> None:
    """Without positions, `vit` does not see the order of patches; `mlp_mixer` does."""
    images = torch.randn(5, 1, 8, 8)
    swapped = torch.cat([images[..., 4:], images[..., :4]], dim=-1)
    vit, mixer = ViT((1, 8, 8), 7, 4, 8, 2, 2), MLPMixer((1, 8, 8), 7, 4, 8, 2)
    assert not torch.allclose(vit(images), vit(swapped), atol=1e-3)
    nn.init.zeros_(vit.position.weight)
    assert torch.allclose(vit(images), vit(swapped), atol=1e-5)
    assert not torch.allclose(mixer(images), mixer(swapped), atol=1e-3)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_rnn_reads_rows(cell: str) -> None:
    """The rows of both channels are one step; a sequence and a vector are steps as they are."""
    images = torch.randn(5, 2, 4, 3)
    model = RNN((2, 4, 3), 7, cell, 8, 2)  # type: ignore[arg-type]
    rows = torch.cat([images[:, 0], images[:, 1]], dim=-1)
    assert torch.allclose(model(images), model.head(model.recurrent(rows)[0][:, -1]))
    assert model.recurrent.num_layers == 2
    assert RNN((4, 3), 7, cell, 8, 1)(rows[..., :3]).shape == (5, 7)  # type: ignore[arg-type]
    assert RNN((4,), 7, cell, 8, 1)(rows[..., 0]).shape == (5, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 9, 17)])
def test_shapes_come_from_the_data(shape: tuple[int, ...]) -> None:
    for model in (
        Logistic(shape, 7),
        FNN(shape, 7, [5, 4], "relu"),
        MnistCNN(shape, 7, "tanh"),
        CifarCNN(shape, 7, "relu"),
        resnet50(shape, 7, "elu"),
        ViT(shape, 7, 1, 4, 1, 2),
        MLPMixer(shape, 7, 1, 4, 1),
        RNN(shape, 7, "lstm", 3, 1),
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ViT((2,), 2, 4, 8, 1, 2), r"arch=vit needs images"),
        (lambda: MLPMixer((2,), 2, 4, 8, 1), r"arch=mlp_mixer needs images"),
        (
            lambda: ViT((1, 28, 28), 2, 8, 8, 1, 2),
            r"arch.patch=8: patches must divide images of 28x28 pixels; .*resize=32$",
        ),
        (lambda: ViT((1, 8, 8), 2, 4, 8, 1, 3), r"arch.heads=3: give a divisor of arch.width=8"),
        (lambda: ViT((1, 8, 8), 2, 0, 8, 1, 3), r"arch.patch=0: patches must divide"),
        (lambda: RNN((8,), 2, "gru", 0, 1), r"arch.width=0: give a whole number from 1"),
    ],
)
def test_errors_of_token_and_recurrent_nets(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make()
