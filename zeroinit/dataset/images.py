"""Images (N, channels, height, width), as bytes or float32, brought to another size or another number of channels."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from zeroinit.dataset.split import Data, Split
from zeroinit.errors import BadInput

Resize = int | list[int] | None


def sides(resize: int | list[int]) -> tuple[int, int]:
    """(height, width): of a square where one number is given."""
    height, width = [resize, resize] if isinstance(resize, int) else resize
    return height, width


def reshaped(data: Data, resize: Resize, channels: int | None) -> Data:
    """The data with images of `resize` and `channels` (1: luminance; 3: colour); None leaves them as they are.

    Bilinear with antialiasing. Raises BadInput where the inputs are no images, or their channels cannot be changed.
    """
    shape = data.input_shape
    asked = {"resize": resize, "channels": channels}
    for key, value in asked.items():
        if value is not None and len(shape) != 3:
            raise BadInput(f"dataset.{key}={value}: the data have shape {shape}; give null, as they are no images")
    if channels is not None and shape[0] != channels and {shape[0], channels} != {1, 3}:
        raise BadInput(f"dataset.channels={channels}: the images have {shape[0]} channels, not 1 or 3; give null")
    if channels is not None and shape[0] != channels:
        data = each(data, rgb if channels == 3 else grey)
    if resize is not None and shape[1:] != sides(resize):
        size = list(sides(resize))
        data = each(data, lambda images: resized(images, size))
    return data


def each(data: Data, change: Callable[[Tensor], Tensor]) -> Data:
    def changed(split: Split) -> Split:
        return change(split[0]), split[1]

    return replace(data, train=changed(data.train), val=changed(data.val), test=changed(data.test))


def rgb(images: Tensor) -> Tensor:
    return images.repeat(1, 3, 1, 1)


def grey(images: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import rgb_to_grayscale  # only here: the import takes a second

    grey_images: Tensor = rgb_to_grayscale(images)
    return grey_images


def resized(images: Tensor, size: list[int]) -> Tensor:
    from torchvision.transforms.v2.functional import resize

    # in parts, as bytes pass through float32 on the way
    return torch.cat([resize(part, size, antialias=True) for part in torch.split(images, 1000)])
