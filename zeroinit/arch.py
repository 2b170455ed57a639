"""Plain torch modules, each built from the shapes of the data; how they are initialised is not their business."""

import math
from collections.abc import Iterator, Sequence

from torch import nn

from zeroinit.errors import BadInput

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "selu": nn.SELU,
    "gelu": nn.GELU,
}


class Logistic(nn.Sequential):
    """Multinomial logistic regression: (N, *input_shape) -> logits (N, num_classes)."""

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.add_module("flatten", nn.Flatten())
        self.add_module("output", nn.Linear(math.prod(input_shape), num_classes))


class FNN(nn.Sequential):
    """Fully connected network: (N, *input_shape) -> logits (N, num_classes).

    `hidden` holds the widths from input to output; each hidden layer is followed by the activation.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        if not isinstance(hidden, list | tuple) or not all(isinstance(width, int) and width > 0 for width in hidden):
            raise BadInput(f"arch.hidden={hidden}: give the widths as a list of positive whole numbers, such as [500]")
        self.add_module("flatten", nn.Flatten())
        fan_in = math.prod(input_shape)
        for depth, width in enumerate(hidden, start=1):
            self.add_module(f"hidden{depth}", nn.Linear(fan_in, width))
            self.add_module(f"{activation}{depth}", activation_module(activation))
            fan_in = width
        self.add_module("output", nn.Linear(fan_in, num_classes))


class MnistCNN(nn.Sequential):
    """Two 5x5 convolutions with 16 and 32 channels and padding 2, then one linear layer.

    Images (N, channels, height, width) -> logits (N, num_classes). Schicho 2023, MNIST CNN.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, activation: str) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise BadInput(f"arch=mnist_cnn needs images (channels, height, width); the data have shape {input_shape}")
        channels, height, width = input_shape
        self.add_module("conv1", nn.Conv2d(channels, 16, kernel_size=5, padding=2))
        self.add_module(f"{activation}1", activation_module(activation))
        self.add_module("conv2", nn.Conv2d(16, 32, kernel_size=5, padding=2))
        self.add_module(f"{activation}2", activation_module(activation))
        self.add_module("flatten", nn.Flatten())
        self.add_module("output", nn.Linear(32 * height * width, num_classes))


def activation_module(name: str) -> nn.Module:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise BadInput(f"arch.activation={name}: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def weight_layers(model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.modules.conv._ConvNd]]:
    """The layers whose weights an init fills and a probe watches, with their names, in the order of the modules."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            yield name or type(module).__name__.lower(), module  # the model itself has no name
