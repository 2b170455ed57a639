"""What several archs share: the activations, and the check of the shape of images."""

from collections.abc import Sequence

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


def image_shape(arch: str, input_shape: Sequence[int], least: int = 1) -> tuple[int, int, int]:
    """Return (channels, height, width) of the inputs. Raise BadInput if they are no images, or too small ones."""
    if len(input_shape) != 3:
        raise BadInput(f"arch={arch} needs images (channels, height, width); the data have shape {input_shape}")
    channels, height, width = input_shape
    if min(height, width) < least:
        raise BadInput(
            f"arch={arch} needs images of {least}x{least} pixels or more; these are {height}x{width}: "
            f"set dataset.resize={least} or more"
        )
    return channels, height, width


def activation_module(name: str) -> nn.Module:
    """Return a new activation. Raise BadInput for an unknown name."""
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise BadInput(f"arch.activation={name}: choose one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()
