"""Convolutions for small images."""

from collections.abc import Sequence

import torch
from torch import nn

from zeroinit.arch.parts import activation_module, image_shape


class MnistCNN(nn.Sequential):
    """Two 5x5 convolutions with 16 and 32 channels and padding 2, then one linear layer.

    Images (N, channels, height, width) -> logits (N, num_classes). Schicho 2023, MNIST CNN.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, activation: str) -> None:
        super().__init__()
        channels, height, width = image_shape("mnist_cnn", input_shape)
        self.add_module("conv1", nn.Conv2d(channels, 16, kernel_size=5, padding=2))
        self.add_module(f"{activation}1", activation_module(activation))
        self.add_module("conv2", nn.Conv2d(16, 32, kernel_size=5, padding=2))
        self.add_module(f"{activation}2", activation_module(activation))
        self.add_module("flatten", nn.Flatten())
        self.add_module("output", nn.Linear(32 * height * width, num_classes))


class CifarCNN(nn.Sequential):
    """Three blocks of two 3x3 convolutions, a 2x2 max-pooling and a BatchNorm, then linear layers of 1024 and 512.

    The blocks have 32 and 64, 128 and 128, 256 and 256 channels; the activation follows each convolution and each
    hidden linear layer. Images (N, channels, height, width) -> logits (N, num_classes). Schicho 2023, CIFAR-10 CNN.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, activation: str) -> None:
        super().__init__()
        channels, height, width = image_shape("cifar_cnn", input_shape, least=8)
        for block, widths in enumerate([(32, 64), (128, 128), (256, 256)], start=1):
            for depth, out_channels in enumerate(widths, start=2 * block - 1):
                self.add_module(f"conv{depth}", nn.Conv2d(channels, out_channels, kernel_size=3, padding=1))
                self.add_module(f"{activation}{depth}", activation_module(activation))
                channels = out_channels
            self.add_module(f"pool{block}", nn.MaxPool2d(2))
            self.add_module(f"norm{block}", nn.BatchNorm2d(channels))
        self.add_module("flatten", nn.Flatten())
        fan_in = channels * (height // 8) * (width // 8)
        for depth, width in enumerate([1024, 512], start=1):
            self.add_module(f"hidden{depth}", nn.Linear(fan_in, width))
            self.add_module(f"{activation}{depth + 6}", activation_module(activation))
            fan_in = width
        self.add_module("output", nn.Linear(fan_in, num_classes))


def resnet50(input_shape: Sequence[int], num_classes: int, activation: str) -> nn.Module:
    """The ResNet-50 of torchvision for small images (N, channels, height, width) -> logits (N, num_classes).

    A 3x3 stem of stride 1 without pooling, the activation in place of ReLU, a bias on every convolution, and no
    BatchNorm after the first convolution of a block. He et al. 2015, as altered in Schicho 2023.
    """
    from torchvision.models.resnet import Bottleneck, ResNet  # only here: the import takes a second

    channels, _, _ = image_shape("resnet50", input_shape)
    model: nn.Module = ResNet(Bottleneck, [3, 4, 6, 3], num_classes)
    model.conv1 = nn.Conv2d(channels, 64, kernel_size=3, padding=1)
    model.maxpool = nn.Identity()
    model.relu = activation_module(activation)
    for module in list(model.modules()):
        if isinstance(module, Bottleneck):
            module.bn1 = nn.Identity()
            module.relu = activation_module(activation)
        elif isinstance(module, nn.Conv2d) and module.bias is None:
            module.bias = nn.Parameter(torch.zeros(module.out_channels))
    return model
