"""Images (N, channels, height, width), as bytes or float32, brought to another size or another number of channels."""

import math
import os
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from zeroinit.dataset.data import Data, Split
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
    if channels == 1 and shape[0] == 3:
        data = each(data, grey)
    if resize is not None and shape[1:] != sides(resize):
        size = list(sides(resize))
        examples = sum(len(split[0]) for split in (data.train, data.val, data.test))
        check_memory(f"dataset.resize={resize}", (examples, channels or shape[0], *size), data.train[0].element_size())
        data = each(data, lambda images: resized(images, size))
    if channels == 3 and shape[0] == 1:
        data = each(data, rgb)
    return data


def physical_memory() -> int:
    """The bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(key: str, shape: tuple[int, ...], size: int = 1) -> None:
    """Raise BadInput where an array of this shape, with entries of `size` bytes, is more than the machine's memory."""
    needed, there = math.prod(shape) * size, physical_memory()
    if needed > there:
        raise BadInput(
            f"{key}: {shape[0]} images of {'x'.join(str(side) for side in shape[1:])} are {needed / 2**30:.0f} GiB, "
            f"and this machine has {there / 2**30:.0f}; give a smaller dataset.resize"
        )


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
