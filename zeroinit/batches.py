"""From whole splits to what a step is given: batches by index, augmented where asked, on the data's device."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit.dataset.split import Data, Split


@dataclass(frozen=True)
class Augment:
    """Random changes of training images: shifts by up to `crop` pixels each way, over black; a `flip` left to right."""

    crop: int
    flip: bool

    def __bool__(self) -> bool:
        return self.crop > 0 or self.flip

    def draw(self, examples: int, generator: torch.Generator) -> Tensor:
        """(examples, 3): the row and column of the padded image where each crop starts, and whether it is flipped."""
        starts = torch.randint(2 * self.crop + 1, (examples, 2), generator=generator)
        flips = torch.randint(2, (examples, 1), generator=generator)
        return torch.cat([starts, flips * self.flip], dim=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Images (N, channels, height, width), each changed by its own draw."""
        height, width = images.shape[-2:]
        padded = F.pad(images, [self.crop] * 4)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view, (N, channels, rows, columns, height, width)
        row, column, flipped = draws.T
        cropped = windows[torch.arange(len(images), device=images.device), :, row, column]
        return torch.where(flipped.bool()[:, None, None, None], cropped.flip(-1), cropped)


def batches(
    data: Data, size: int, shuffle: bool, order: torch.Generator, augment: Augment, draws: torch.Generator
) -> Iterator[Split]:
    """One batch of (inputs, labels) after another, for ever; an epoch's last one is smaller where `size` leaves a rest.

    An epoch's order and its draws are made before its first batch, so that no step waits for them. Where one batch
    holds all, it is the split as it lies.
    """
    stored, labels = data.train
    examples = len(labels)
    if size >= examples and not augment:
        whole = data.prepare(stored)
        while True:
            yield whole, labels
    while True:
        shuffled = shuffle and size < examples
        indices = torch.randperm(examples, generator=order) if shuffled else torch.arange(examples)
        changes = augment.draw(examples, draws).to(labels.device) if augment else None
        for batch in torch.split(indices.to(labels.device), size):
            inputs = stored.index_select(0, batch)
            if changes is not None:
                inputs = augment.apply(inputs, changes.index_select(0, batch))
            yield data.prepare(inputs), labels.index_select(0, batch)
