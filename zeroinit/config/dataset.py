"""The typed config of a data set: what loads it, and what all data sets have in common."""

from dataclasses import dataclass
from typing import Any, Self

import torch

from zeroinit.config.arguments import is_finite
from zeroinit.config.read import Values, read, read_bool, read_int
from zeroinit.config.target import Target
from zeroinit.dataset.batches import Augment
from zeroinit.errors import BadInput

SHARED_KEYS = ("batch_size", "shuffle", "max_examples", "resize", "channels", "normalize", "augment")

Constants = float | tuple[float, ...]  # one number, or one for each channel
Resize = int | tuple[int, int] | None  # the side of a square, (height, width), or None


def as_in_yaml(resize: Resize) -> int | list[int] | None:
    """Return the size of images as it is typed, which functions of data sets take."""
    return list(resize) if isinstance(resize, tuple) else resize


@dataclass(frozen=True)
class DatasetConfig:
    """The keys of the group `dataset`.

    Attributes:
        source: the function that loads the data, with its arguments.
        batch_size: None for the whole training set.
        mean: subtracted from the inputs.
        std: divides the inputs.
    """

    source: Target
    batch_size: int | None
    shuffle: bool
    max_examples: int | None
    resize: Resize
    channels: int | None
    mean: Constants
    std: Constants
    augment: Augment

    @classmethod
    def parse(cls, values: Values) -> Self:
        """Return the values of the keys `dataset`. Raises BadInput."""
        source = Target.read(values, "dataset", without=SHARED_KEYS)
        for key in ("val_fraction", "test_fraction"):
            fraction: Any = source.arguments.get(key)
            has_fraction = source.is_shipped and key in source.arguments  # a user's may have another meaning
            if has_fraction and not (is_finite(fraction) and 0 < fraction < 1):
                raise BadInput(f"dataset.{key}={fraction}: give a number between 0 and 1")
        takes_all = read(values, "dataset.batch_size") == "all"
        is_limited = read(values, "dataset.max_examples") is not None
        resize, channels = read(values, "dataset.resize"), read(values, "dataset.channels")
        sides = resize if isinstance(resize, list) and len(resize) == 2 else [resize]
        if resize is not None and not all(type(side) is int and side >= 1 for side in sides):
            raise BadInput(f"dataset.resize={resize}: give the side of a square in pixels, [HEIGHT,WIDTH], or null")
        if not (channels is None or (type(channels) is int and channels in (1, 3))):
            raise BadInput(f"dataset.channels={channels}: give 1 (grey), 3 (colour) or null")
        return cls(
            source,
            None if takes_all else read_int(values, "dataset.batch_size", 1, " or all"),
            read_bool(values, "dataset.shuffle"),
            read_int(values, "dataset.max_examples", 1, ", or null") if is_limited else None,
            (sides[0], sides[1]) if isinstance(resize, list) else resize,
            channels,
            _read_constants(values, "dataset.normalize.mean"),
            _read_constants(values, "dataset.normalize.std", is_divisor=True),
            Augment(read_int(values, "dataset.augment.padding", 0), read_bool(values, "dataset.augment.flip")),
        )


def _read_constants(values: Values, key: str, is_divisor: bool = False) -> float | tuple[float, ...]:
    """Return a number that float32 has, or a tuple of one for each channel; a divisor is above 0."""
    given = read(values, key)
    constants = given if isinstance(given, list) and given else [given]
    for constant in constants:
        if not is_finite(constant):
            above = " greater than 0" if is_divisor else ""
            raise BadInput(f"{key}={given}: give a finite number{above}, or a list of them")
        if not torch.tensor(constant, dtype=torch.float32).isfinite():
            raise BadInput(f"{key}={given}: give numbers that float32 has, up to 3e38")
        if is_divisor and not torch.tensor(constant, dtype=torch.float32) > 0:  # 1e-50 is 0 there
            raise BadInput(f"{key}={given}: give numbers greater than 0, as inputs are divided by them")
    return tuple(constants) if isinstance(given, list) else constants[0]
