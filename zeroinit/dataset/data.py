"""A loaded data set: three splits as whole tensors, and how a split is held out, subsampled and normalised."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from zeroinit.errors import BadInput

Split = tuple[Tensor, Tensor]
SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Note:
    """A line for the user of a data set. A note about a key of `dataset` is shown only if the key was typed."""

    text: str
    key: str | None = None


@dataclass(frozen=True)
class Data:
    """Three splits of (inputs (N, *input_shape), targets) on one device.

    Inputs are stored as real numbers, bytes or tokens (int64). `to_inputs` makes bytes float32 in [0, 1], and leaves
    tokens as they are. Targets are the labels (N,) of classes, or real numbers (N, targets).

    Attributes:
        num_classes: None for real targets.
        normalize: (mean, standard deviation) of each channel, in shapes that broadcast over input_shape.
        dtype: of the inputs that a network gets; None for the dtype that they have.
        notes: lines for the user of the data set.
    """

    train: Split
    val: Split
    test: Split
    num_classes: int | None
    normalize: tuple[Tensor, Tensor] | None = None
    dtype: torch.dtype | None = None
    notes: tuple[Note, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, without the batch axis."""
        return tuple(self.train[0].shape[1:])

    def notes_for(self, overrides: Sequence[str]) -> list[str]:
        """Return the notes for a user who typed these overrides."""
        typed = {override.lstrip("+").partition("=")[0] for override in overrides}
        return [note.text for note in self.notes if note.key is None or f"dataset.{note.key}" in typed]

    def to_inputs(self, stored: Tensor) -> Tensor:
        """Return the inputs that a network gets for stored inputs: normalised, and in `dtype`."""
        inputs = stored.float().div_(255) if stored.dtype == torch.uint8 else stored
        if self.normalize is not None:
            mean, std = self.normalize
            inputs = (inputs - mean) / std
        return inputs.to(self.dtype) if inputs.is_floating_point() and self.dtype else inputs

    def to(self, device: torch.device) -> "Data":
        """Return the data with all splits on the device."""

        def move(pair: Split) -> Split:
            return pair[0].to(device), pair[1].to(device)

        return replace(
            self,
            train=move(self.train),
            val=move(self.val),
            test=move(self.test),
            normalize=self.normalize and move(self.normalize),
        )


def evenly_spaced(split: Split, max_examples: int) -> Split:
    """Return at most `max_examples` examples at even distances, because examples may be sorted by class."""
    inputs, labels = split
    count = min(max_examples, len(labels))
    indices = torch.linspace(0, len(labels) - 1, count, dtype=torch.float64).round().long().to(labels.device)
    return inputs[indices], labels[indices]


def subsample(data: Data, max_examples: int) -> Data:
    """Return the data with at most `max_examples` examples of each split."""
    train, val, test = (evenly_spaced(split, max_examples) for split in (data.train, data.val, data.test))
    return replace(data, train=train, val=val, test=test)


def stratify(labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the indices of (the rest, `count` held-out examples), each class in proportion, to within one example.

    Examples with real targets have no classes, and are held out at random.
    """
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled if labels.is_floating_point() else shuffled[torch.argsort(labels[shuffled], stable=True)]
    quota = torch.arange(len(labels) + 1) * count // len(labels)
    chosen = quota.diff() == 1
    return by_class[~chosen].sort().values, by_class[chosen].sort().values


def hold_out(inputs: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Split, Split]:
    """Return (the rest, `count` held-out examples), each class in proportion."""
    rest, chosen = stratify(labels, count, generator)
    return (inputs[rest], labels[rest]), (inputs[chosen], labels[chosen])


@lru_cache(maxsize=4)
def mean_deviation(data: Data, split: SplitName) -> float:
    """Return the mean squared error, averaged over the targets, of predicting the training set's mean on a split."""
    targets: Tensor = getattr(data, split)[1]
    return (targets.double() - data.train[1].double().mean(0)).square().mean().item()


Constants = float | Sequence[float]


def set_normalization(data: Data, mean: Constants, std: Constants) -> Data:
    """Return the data with the constants that `to_inputs` subtracts and divides by; 0 and 1 change nothing.

    Args:
        data: the data, whose first axis of an input is the channel.
        mean: one number, or one for each channel.
        std: the same.

    Raises:
        BadInput: There are not as many numbers as channels, or the inputs are tokens.
    """
    if mean == 0 and std == 1:
        return data
    if data.train[0].dtype == torch.int64:
        raise BadInput(
            "dataset.normalize: the inputs are tokens (torch.int64), not real numbers; give mean 0 and std 1"
        )
    channels = data.input_shape[0]

    def broadcast(key: str, constants: Constants) -> Tensor:
        if isinstance(constants, Sequence) and len(constants) != channels:
            raise BadInput(
                f"dataset.normalize.{key}={list(constants)}: the data have {channels} channel(s); give one number, "
                f"or a list of {channels}"
            )
        by_channel = torch.tensor(constants, dtype=torch.float32, device=data.train[0].device)
        return by_channel.reshape(-1, *[1] * (len(data.input_shape) - 1))

    return replace(data, normalize=(broadcast("mean", mean), broadcast("std", std)))
