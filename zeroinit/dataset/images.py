"""Images (N, channels, height, width), as bytes or float32: change their size or their number of channels."""

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
    """Return (height, width); one number means a square."""
    height, width = [resize, resize] if isinstance(resize, int) else resize
    return height, width


def reshape_images(data: Data, resize: Resize, channels: int | None) -> Data:
    """Return the data with images of another size (bilinear with antialiasing) and number of channels.

    Args:
        data: the data.
        resize: the side of a square, [height, width], or None for no change.
        channels: 1 for luminance, 3 for colour, or None for no change.

    Raises:
        BadInput: The inputs are no images, or their channels cannot be changed.
    """
    shape = data.input_shape
    for key, value in (("resize", resize), ("channels", channels)):
        if value is not None and len(shape) != 3:
            raise BadInput(f"dataset.{key}={value}: the data have shape {shape}; give null, as they are no images")
    if channels is not None and shape[0] != channels and {shape[0], channels} != {1, 3}:
        raise BadInput(f"dataset.channels={channels}: the images have {shape[0]} channels, not 1 or 3; give null")
    if channels == 1 and shape[0] == 3:
        data = _map_images(data, _to_grey)
    if resize is not None and shape[1:] != sides(resize):
        size = list(sides(resize))
        examples = sum(len(split[0]) for split in (data.train, data.val, data.test))
        check_memory(f"dataset.resize={resize}", (examples, channels or shape[0], *size), data.train[0].element_size())
        data = _map_images(data, lambda images: _resize(images, size))
    if channels == 3 and shape[0] == 1:
        data = _map_images(data, _to_rgb)
    return data


def physical_memory() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(key: str, shape: tuple[int, ...], size: int = 1) -> None:
    """Raise BadInput if an array of this shape, with entries of `size` bytes, exceeds the machine's memory."""
    needed, available = math.prod(shape) * size, physical_memory()
    if needed > available:
        raise BadInput(
            f"{key}: {shape[0]} images of {'x'.join(str(side) for side in shape[1:])} are {needed / 2**30:.0f} GiB, "
            f"and this machine has {available / 2**30:.0f}; give a smaller dataset.resize"
        )


def _map_images(data: Data, change: Callable[[Tensor], Tensor]) -> Data:
    def map_split(split: Split) -> Split:
        return change(split[0]), split[1]

    return replace(data, train=map_split(data.train), val=map_split(data.val), test=map_split(data.test))


def _to_rgb(images: Tensor) -> Tensor:
    return images.repeat(1, 3, 1, 1)


def _to_grey(images: Tensor) -> Tensor:
    from torchvision.transforms.v2.functional import rgb_to_grayscale  # only here: the import takes a second

    grey_images: Tensor = rgb_to_grayscale(images)
    return grey_images


def _resize(images: Tensor, size: list[int]) -> Tensor:
    from torchvision.transforms.v2.functional import resize  # only here: the import takes a second

    # in parts, because torchvision converts bytes to float32 and back
    return torch.cat([resize(part, size, antialias=True) for part in torch.split(images, 1000)])
