"""Batches by index, and augmentation against a naive twin."""

import pytest
import torch
from torch import Tensor

from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.rng import stream
from zeroinit.state import to_plain

NONE = Augment(padding=0, flip=False)


def make_images(examples: int = 10, size: int = 6) -> Data:
    """Images of random bytes, each with its own label."""
    pixels = torch.randint(256, (examples, 3, size, size + 1), generator=stream("split", 0), dtype=torch.uint8)
    split = pixels, torch.arange(examples)
    return Data(split, split, split, num_classes=examples)


def batches_of(data: Data, size: int, shuffle: bool, augment: Augment, seed: int = 0) -> Batches:
    """The batches of one stream, whose augmentation has the seed."""
    return Batches(data, size, shuffle, augment, [(stream("order", 0), stream("augment", seed))])


def naive(image: Tensor, crop: int, row: int, column: int, flipped: int) -> Tensor:
    """Pixel by pixel; black where the window lies beside the image."""
    changed = torch.zeros_like(image)
    channels, height, width = image.shape
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + row - crop, (width - 1 - x if flipped else x) + column - crop
                if 0 <= from_y < height and 0 <= from_x < width:
                    changed[channel, y, x] = image[channel, from_y, from_x]
    return changed


def test_batches_cover_each_epoch_once_in_a_new_order() -> None:
    drawn = batches_of(make_images(), 4, True, NONE)
    epochs = [[next(drawn)[1][0].tolist() for _ in range(3)] for _ in range(2)]
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[4, 4, 2]] * 2
    assert [sorted(label for batch in epoch for label in batch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    unshuffled = batches_of(make_images(), 4, False, NONE)
    assert [next(unshuffled)[1][0].tolist() for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("size", [4, 10])
def test_without_augmentation_a_batch_is_what_is_stored(size: int) -> None:
    data = make_images()
    [inputs], [labels] = next(batches_of(data, size, True, NONE))
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, data.train[0][labels].float() / 255)


@pytest.mark.parametrize(("crop", "flip"), [(0, True), (1, False), (4, True), (9, True)])
def test_augmentation_is_its_naive_twin(crop: int, flip: bool) -> None:
    images = make_images(20).train[0]
    augment = Augment(padding=crop, flip=flip)
    draws = augment.draw(20, stream("augment", 0))
    changed = augment.apply(images, draws)
    for image, result, draw in zip(images, changed, draws.tolist(), strict=True):
        assert torch.equal(result, naive(image, crop, *draw))


def test_every_shift_is_as_likely_and_half_are_flipped() -> None:
    draws = Augment(padding=2, flip=True).draw(5000, stream("augment", 0))
    for column in (0, 1):
        assert torch.allclose(torch.bincount(draws[:, column]) / 5000, torch.full((5,), 0.2), atol=0.03)
    assert abs(draws[:, 2].float().mean() - 0.5) < 0.03
    assert not Augment(padding=2, flip=False).draw(100, stream("augment", 0))[:, 2].any()


def test_augmentation_has_a_stream_of_its_own() -> None:
    """It leaves the order of the batches, and an image's changes do not depend on the size of the batch."""
    augment, data = Augment(padding=2, flip=True), make_images()

    def epoch(size: int, augment: Augment, seed: int) -> dict[int, Tensor]:
        drawn = batches_of(data, size, True, augment, seed)
        result = [next(drawn) for _ in range(10 // size)]
        return {int(label): image for [images], [labels] in result for image, label in zip(images, labels, strict=True)}

    small, whole, other = epoch(2, augment, 0), epoch(10, augment, 0), epoch(2, augment, 1)
    assert list(epoch(2, NONE, 0)) == list(small) == list(other)
    assert all(torch.equal(image, whole[label]) for label, image in small.items())
    assert not all(torch.equal(image, other[label]) for label, image in small.items())


def test_each_epoch_is_changed_anew() -> None:
    drawn = batches_of(make_images(), 10, True, Augment(padding=2, flip=True))
    (first, labels), (second, same) = next(drawn), next(drawn)
    assert torch.equal(labels, same)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("augment", [NONE, Augment(padding=2, flip=True)])
def test_streams_side_by_side_are_each_what_it_is_alone(augment: Augment) -> None:
    """Also after one has left in the midst of an epoch."""

    def streams(*seeds: int) -> list[tuple[torch.Generator, torch.Generator]]:
        return [(stream("order", seed), stream("augment", seed)) for seed in seeds]

    data = make_images()
    together = Batches(data, 4, True, augment, streams(0, 1, 2))
    alone = [Batches(data, 4, True, augment, streams(seed)) for seed in range(3)]
    left = [0, 1, 2]
    for step in range(8):
        inputs, labels = next(together)
        for index, seed in enumerate(left):
            [expected], [expected_labels] = next(alone[seed])
            assert torch.equal(inputs[index], expected)
            assert torch.equal(labels[index], expected_labels)
        if step in (3, 5):  # after the first batch of the second epoch, and at its end
            together.retain([0, -1 + len(left)] if len(left) > 2 else [1])
            left = [left[0], left[-1]] if len(left) > 2 else left[1:]


@pytest.mark.parametrize("augment", [NONE, Augment(padding=1, flip=True)])
def test_epochs_that_a_thread_draws_ahead_are_the_same(augment: Augment) -> None:
    """As on CUDA; members that leave in the middle of an epoch take their drawn one with them."""

    def batches(draws_ahead: bool) -> list[Tensor]:
        streams = [(stream("order", seed), stream("augment", seed)) for seed in range(3)]
        drawn = Batches(make_images(), 4, True, augment, streams)
        drawn.draws_ahead = draws_ahead
        result = [tensor for _ in range(4) for tensor in next(drawn)]
        drawn.retain([0, 2])
        return result + [tensor for _ in range(7) for tensor in next(drawn)]

    assert all(left.equal(right) for left, right in zip(batches(True), batches(False), strict=True))


@pytest.mark.parametrize("draws_ahead", [True, False])
@pytest.mark.parametrize("augment", [NONE, Augment(padding=1, flip=True)])
def test_batches_go_on_from_their_state(augment: Augment, draws_ahead: bool) -> None:
    """After each step of two epochs, with two of three streams."""

    def batches() -> Batches:
        drawn = Batches(
            make_images(), 4, True, augment, [(stream("order", seed), stream("augment", seed)) for seed in range(3)]
        )
        drawn.draws_ahead = draws_ahead
        return drawn

    for steps in range(1, 7):
        whole, resumed = batches(), batches()
        for _ in range(steps):
            next(whole)
        resumed.load_state(to_plain(whole.state()), [0, 2])
        whole.retain([0, 2])
        for _ in range(7):
            assert all(left.equal(right) for left, right in zip(next(whole), next(resumed), strict=True))
