"""What a data set is once it is loaded: three splits as whole tensors, and how a split is held out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zeroinit.errors import BadInput

Split = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Note:
    """A line on a data set for the person who uses it; if it is about a key of `dataset`, only where that was typed."""

    text: str
    key: str | None = None


@dataclass(frozen=True)
class Data:
    """Three splits of (inputs (N, *input_shape), labels (N,)) on one device.

    Inputs are stored as float32 or as bytes, which become float32 in [0, 1] when a batch needs them. `normalize` is
    the (mean, standard deviation) of each channel of those, in shapes that broadcast over input_shape. Of what that
    gives, a network is given the numbers as `dtype`; None: as they are.
    """

    train: Split
    val: Split
    test: Split
    num_classes: int
    normalize: tuple[Tensor, Tensor] | None = None
    dtype: torch.dtype | None = None
    notes: tuple[Note, ...] = ()

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train[0].shape[1:])

    def notes_for(self, overrides: Sequence[str]) -> list[str]:
        """The notes for a person who typed these overrides."""
        typed = {override.lstrip("+").partition("=")[0] for override in overrides}
        return [note.text for note in self.notes if note.key is None or f"dataset.{note.key}" in typed]

    def prepare(self, stored: Tensor) -> Tensor:
        """What a network is given for stored inputs: normalised where that is asked for, in its dtype at last."""
        inputs = stored.float().div_(255) if stored.dtype == torch.uint8 else stored
        if self.normalize is not None:
            mean, std = self.normalize
            inputs = (inputs - mean) / std
        return inputs.to(self.dtype) if inputs.is_floating_point() and self.dtype else inputs

    def to(self, device: torch.device) -> "Data":
        def move(pair: Split) -> Split:
            return pair[0].to(device), pair[1].to(device)

        return replace(
            self,
            train=move(self.train),
            val=move(self.val),
            test=move(self.test),
            normalize=self.normalize and move(self.normalize),
        )


def spread(split: Split, most: int) -> Split:
    """So many of the examples, or all, at even distances, as they may be sorted by class."""
    inputs, labels = split
    places = torch.linspace(0, len(labels) - 1, min(most, len(labels)), dtype=torch.float64).round().long()
    places = places.to(labels.device)
    return inputs[places], labels[places]


def limited(data: Data, most: int) -> Data:
    """The data with so many examples of each split, or all of one that has fewer."""
    return replace(data, train=spread(data.train, most), val=spread(data.val, most), test=spread(data.test, most))


def stratified(labels: Tensor, held_out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of (the rest, `held_out` examples), each class held out in proportion, to within one example."""
    shuffled = torch.randperm(len(labels), generator=generator)
    by_class = shuffled[torch.argsort(labels[shuffled], stable=True)]
    quota = torch.arange(len(labels) + 1) * held_out // len(labels)
    chosen = quota.diff() == 1
    return by_class[~chosen].sort().values, by_class[chosen].sort().values


def split_off(inputs: Tensor, labels: Tensor, held_out: int, generator: torch.Generator) -> tuple[Split, Split]:
    rest, chosen = stratified(labels, held_out, generator)
    return (inputs[rest], labels[rest]), (inputs[chosen], labels[chosen])


Constants = float | list[float]


def normalized(data: Data, mean: Constants, std: Constants) -> Data:
    """The data with what `prepare` subtracts and divides by: a number, or one a channel. 0 and 1 leave it as it is.

    Raises BadInput where there are not as many numbers as channels.
    """
    if mean == 0 and std == 1:
        return data
    channels = data.input_shape[0]

    def broadcast(key: str, constants: Constants) -> Tensor:
        if isinstance(constants, list) and len(constants) != channels:
            raise BadInput(
                f"dataset.normalize.{key}={constants}: the data have {channels} channel(s); give one number, "
                f"or a list of {channels}"
            )
        one_a_channel = torch.tensor(constants, dtype=torch.float32, device=data.train[0].device)
        return one_a_channel.reshape(-1, *[1] * (len(data.input_shape) - 1))

    return replace(data, normalize=(broadcast("mean", mean), broadcast("std", std)))
