"""From whole splits to the batch of a step: by index, with augmentation, on the data's device."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit.dataset.data import Data, Split
from zeroinit.state import State, narrow

Streams = tuple[torch.Generator, torch.Generator]
Draws = tuple[Tensor, Tensor | None]  # of an epoch: its order (S, examples), and the changes of images (S, examples, 3)
EVAL_BATCH_SIZE = 1000  # examples in a forward pass of an evaluation; fewer if they are larger than MNIST's


def evaluation_chunk(stored: Tensor) -> int:
    """Return the number of these inputs (N, *input_shape) in a forward pass of an evaluation, but for the last."""
    return max(1, min(EVAL_BATCH_SIZE, EVAL_BATCH_SIZE * 28 * 28 // stored[0].numel()))


@dataclass(frozen=True)
class Augment:
    """Random changes of training images.

    Attributes:
        padding: the maximum shift in pixels in each direction; the border is black.
        flip: whether half of the images are mirrored left to right.
    """

    padding: int
    flip: bool

    def __bool__(self) -> bool:
        return self.padding > 0 or self.flip

    def draw(self, examples: int, generator: torch.Generator) -> Tensor:
        """Return (examples, 3): row and column in the padded image where the crop starts, and whether it is flipped."""
        starts = torch.randint(2 * self.padding + 1, (examples, 2), generator=generator)
        flips = torch.randint(2, (examples, 1), generator=generator)
        return torch.cat([starts, flips * self.flip], dim=1)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return the images (N, channels, height, width), each changed by its row of the draws."""
        height, width = images.shape[-2:]
        padded = F.pad(images, [self.padding] * 4)
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view, (N, channels, rows, columns, height, width)
        row, column, flipped = draws.T
        cropped = windows[torch.arange(len(images), device=images.device), :, row, column]
        return torch.where(flipped.bool()[:, None, None, None], cropped.flip(-1), cropped)


class Batches:
    """An endless iterator over batches of S streams: inputs (S, N, *input_shape) and targets (S, N) or (S, N, targets).

    A stream is a generator for the order and one for the augmentation. Members with equal batches share a stream. The
    last batch of an epoch may be smaller. A batch of all examples is the split in its stored order.
    """

    def __init__(self, data: Data, size: int, shuffle: bool, augment: Augment, streams: Sequence[Streams]) -> None:
        self.data, self.size, self.augment, self.streams = data, size, augment, list(streams)
        self.examples = len(data.train[1])
        self.shuffle = shuffle and size < self.examples
        self.start = self.examples  # index of the next batch in its epoch
        self.draws_ahead = data.train[1].is_cuda
        self.drawer = ThreadPoolExecutor(1)  # it has no thread before its first task
        self.ahead: Future[Draws] | None = None
        whole = size >= self.examples and not augment
        self.whole = (data.to_inputs(data.train[0]).unsqueeze(0), data.train[1].unsqueeze(0)) if whole else None

    def __next__(self) -> Split:
        if self.whole:
            return self.whole
        if self.start >= self.examples:
            self.begin_epoch()
        stored, targets = self.data.train
        span = slice(self.start, self.start + self.size)
        batch = self.indices[:, span]
        flat = batch.flatten()
        inputs = stored.index_select(0, flat)
        if self.changes is not None:
            draws = self.changes.gather(1, batch.unsqueeze(2).expand(-1, -1, self.changes.shape[2]))
            inputs = self.augment.apply(inputs, draws.flatten(0, 1))
        self.start += self.size
        inputs = self.data.to_inputs(inputs)
        return (
            inputs.view(*batch.shape, *inputs.shape[1:]),
            targets.index_select(0, flat).view(*batch.shape, *targets.shape[1:]),
        )

    def begin_epoch(self) -> None:
        """Send the order and the draws of a whole epoch to the device, so that no step waits for them.

        While a CUDA device trains on them, a thread draws those of the next epoch, which takes a quarter of a second
        for hundreds of streams. Each generator still draws its epochs one after another, so that no number changes.
        """
        device = self.data.train[1].device
        orders, changes = self.ahead.result() if self.ahead else self.draw()
        self.ahead = self.drawer.submit(self.draw) if self.draws_ahead else None
        self.indices = orders.to(device, non_blocking=True)
        self.changes = None if changes is None else changes.to(device, non_blocking=True)
        self.start = 0

    def draw(self) -> Draws:
        """Return an epoch's order (S, examples) and, where images are changed, their draws (S, examples, 3)."""
        orders = [
            torch.randperm(self.examples, generator=order) if self.shuffle else torch.arange(self.examples)
            for order, _ in self.streams
        ]
        changes = [self.augment.draw(self.examples, draws) for _, draws in self.streams] if self.augment else None
        return self._pin(torch.stack(orders)), None if changes is None else self._pin(torch.stack(changes))

    def state(self) -> State:
        """Return the position in the epoch, its order and its draws, what is drawn ahead, and the generators."""
        if self.whole:
            return {}
        ahead = self.ahead.result() if self.ahead else None  # before the generators, which a thread draws from
        return {
            "streams": [[generator.get_state() for generator in stream] for stream in self.streams],
            "start": self.start,
            "epoch": _narrow_draws((self.indices, self.changes)) if self.start < self.examples else None,
            "ahead": _narrow_draws(ahead) if ahead else None,
        }

    def load_state(self, state: State, slots: Sequence[int]) -> None:
        """Continue from such a state. The members were in these slots."""
        if self.whole:
            return
        slots = slots if len(state["streams"]) > 1 else [0]
        first, second = ([_generator_in(state["streams"][slot][part]) for slot in slots] for part in (0, 1))
        self.streams = list(zip(first, second, strict=True))
        self.start = state["start"]
        if state["epoch"]:
            device = self.data.train[1].device
            indices, changes = _widen_draws(state["epoch"], slots)
            self.indices, self.changes = indices.to(device), None if changes is None else changes.to(device)
        if state["ahead"]:
            orders, changes = _widen_draws(state["ahead"], slots)
            self.ahead = Future()
            self.ahead.set_result((self._pin(orders), None if changes is None else self._pin(changes)))

    def _pin(self, drawn: Tensor) -> Tensor:
        """Return the tensor in memory from which a CUDA device copies without waiting."""
        return drawn.pin_memory() if self.data.train[1].is_cuda else drawn

    def retain(self, slots: Sequence[int]) -> None:
        """Continue with only the streams in these slots. A stream that all members share stays."""
        if len(self.streams) == 1:
            return
        if self.ahead:
            orders, changes = self.ahead.result()
            self.ahead = Future()
            self.ahead.set_result((orders[slots], None if changes is None else changes[slots]))
        self.streams = [self.streams[slot] for slot in slots]
        if self.start < self.examples:
            self.indices = self.indices[slots]
            self.changes = None if self.changes is None else self.changes[slots]


def _narrow_draws(draws: Draws) -> Draws:
    """Return draws in few bytes, on the CPU."""
    orders, changes = draws
    return narrow(orders.cpu()), None if changes is None else narrow(changes.cpu())


def _widen_draws(draws: Draws, slots: Sequence[int]) -> Draws:
    """Return the draws of the streams in these slots, as they were drawn."""
    orders, changes = draws
    return orders[slots].long(), None if changes is None else changes[slots].long()


def _generator_in(state: Tensor) -> torch.Generator:
    """Return a generator in this state."""
    generator = torch.Generator()
    generator.set_state(state)
    return generator
