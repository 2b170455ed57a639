"""Any Dataset of torch by its _target_: what is read of it, and what is refused in one sentence."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset
from torchvision.datasets import FakeData
from torchvision.transforms import Compose, PILToTensor, RandomCrop

from zeroinit import build, dataset
from zeroinit.config import Job
from zeroinit.config.identity import hash_data
from zeroinit.dataset import Data
from zeroinit.dataset.check import check_data
from zeroinit.errors import BadInput
from zeroinit.rng import stream


class Items(Dataset[Any]):
    """A list of items."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Stream(IterableDataset[Any]):
    """Items one after the other."""

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


PAIRS = [(torch.tensor([float(index), 1.0]), index % 3) for index in range(60)]


def read(train: Any, val: Any = None, test: Any = None, seed: int = 0, **shares: float) -> Data:
    fractions = {"val_fraction": 0.25, "test_fraction": 0.2} | shares
    return check_data(dataset.torch_dataset(stream("split", seed), train, val, test, **fractions), "torch")


def inputs_of(data: Data) -> list[float]:
    return sorted(float(row[0]) for split in (data.train, data.val, data.test) for row in split[0])


def test_shares_are_held_out_of_the_items_each_class_in_proportion() -> None:
    data = read(Items(PAIRS))
    assert (data.num_classes, data.input_shape) == (3, (2,))
    assert [torch.bincount(labels).tolist() for _, labels in (data.train, data.val, data.test)] == [
        [12] * 3,
        [4] * 3,
        [4] * 3,
    ]
    assert inputs_of(data) == list(range(60))
    assert all((inputs[:, 0] % 3 == labels).all() for inputs, labels in (data.train, data.val, data.test))
    assert hash_data(read(Items(PAIRS))) == hash_data(data) != hash_data(read(Items(PAIRS), seed=1))
    assert hash_data(read(Stream(PAIRS))) == hash_data(data)
    assert hash_data(read(partial(Items, PAIRS))) == hash_data(data)


def test_given_splits_are_kept_and_the_memory_is_a_note() -> None:
    data = read(Items(PAIRS), Items(PAIRS[:9]), Items(PAIRS[9:15]))
    assert [len(labels) for _, labels in (data.train, data.val, data.test)] == [60, 9, 6]
    large = [(torch.zeros(2**15), label) for _, label in PAIRS]  # 128 KiB each
    notes = read(Items(large[:48]), Items(large[:8]), Items(large[:8])).notes_for([])
    assert notes == ["dataset=torch: its examples take 8.0 MiB of memory"]
    assert data.notes[0].text.endswith(f"{75 * (2 * 4 + 8) / 2**10:.1f} KiB of memory")
    assert len(data.notes_for(["dataset.val_fraction=0.5", "dataset.test_fraction=0.5"])) == 3


def test_images_of_pil_become_bytes_and_numbers_become_tensors() -> None:
    fake = read(FakeData(40, (3, 8, 6), num_classes=2))
    assert (fake.input_shape, fake.train[0].dtype, fake.num_classes) == ((3, 8, 6), torch.uint8, 2)
    assert torch.equal(read(FakeData(40, (3, 8, 6), num_classes=2, transform=PILToTensor())).train[0], fake.train[0])
    grey = read(Items([(Image.new("1", (4, 5), index % 2), index % 2) for index in range(40)]))
    assert (grey.input_shape, sorted({*grey.train[0].flatten().tolist()})) == ((1, 5, 4), [0, 255])
    numbers = read(Items([(index, np.int64(index % 2)) for index in range(40)]))
    assert (numbers.input_shape, numbers.train[0].dtype, numbers.num_classes) == ((1,), torch.float32, 2)
    arrays = read(Items([(np.full((2, 3), 0.5 * index), np.float64(index)) for index in range(40)]))
    assert (arrays.input_shape, arrays.train[0].dtype, arrays.num_classes) == ((2, 3), torch.float32, None)
    assert arrays.train[1].shape[1:] == (1,)
    assert torch.equal(arrays.train[0][:, 0, :1] * 2, arrays.train[1])
    several = read(TensorDataset(torch.rand(40, 3), torch.rand(40, 2)))
    assert several.train[1].shape[1:] == (2,)


def test_random_transforms_draw_from_the_split_and_leave_the_global_generators() -> None:
    crop = partial(FakeData, 20, (3, 8, 8), 2, transform=Compose([PILToTensor(), RandomCrop(4)]))
    state = torch.get_rng_state()
    first, again = read(crop), read(crop)
    assert torch.equal(torch.get_rng_state(), state)
    assert hash_data(first) == hash_data(again)


def test_data_beyond_the_memory_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeroinit.dataset.torch_items.physical_memory", lambda: 500)
    taken: list[int] = []

    class Counted(Items):
        def __getitem__(self, index: int) -> Any:
            taken.append(index)
            return super().__getitem__(index)

    with pytest.raises(BadInput, match=r"dataset.train: 60 inputs of 2 \(torch.float32\) need 0.0 GiB with all that"):
        read(Counted(PAIRS))
    assert taken == [0]
    monkeypatch.setattr("zeroinit.dataset.torch_items.CHECKED_EVERY", 40)
    with pytest.raises(BadInput, match=r"dataset.train: at least 41 inputs of 2 "):
        read(Stream(PAIRS))
    assert read(Items(PAIRS[:30])).num_classes == 3


def with_item(index: int, item: object) -> Items:
    return Items([*PAIRS[:index], item, *PAIRS[index + 1 :]])


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "no pair": (lambda: read(Items([(1, 2, 3)])), r"dataset.train: item 0 is 3 parts; give items \(input, label\)"),
    "a dict": (lambda: read(Items([{"x": 1}])), r"dataset.train: item 0 is a dict; give items"),
    "text": (lambda: read(with_item(2, ("a", 1))), r"item 2 has an input of type str; give a tensor"),
    "a label of text": (lambda: read(with_item(2, (PAIRS[0][0], "cat"))), r"item 2 has a label of type str; give the"),
    "one-hot": (
        lambda: read(Items([(torch.zeros(2), torch.tensor([0, 1]))])),
        r"item 0 has a label of shape \(2,\) \(torch.int64\); give the number of its class",
    ),
    "other shape": (
        lambda: read(with_item(5, (torch.zeros(3), 1))),
        r"item 5 has an input of shape \(3,\) \(torch.float32\), and item 0 of \(2,\)",
    ),
    "other shape in a stream": (lambda: read(Stream([PAIRS[0], (torch.zeros(3), 1)])), r"item 1 has an input of shape"),
    "both kinds": (lambda: read(with_item(5, (PAIRS[0][0], 0.5))), r"item 5 has a label of shape \(1,\)"),
    "kinds of splits": (
        lambda: read(Items(PAIRS), Items([(PAIRS[0][0], 0.5)])),
        r"the labels are whole numbers in train, real numbers in val; give classes in all",
    ),
    "labels from one": (
        lambda: read(Items([(value, label + 1) for value, label in PAIRS])),
        r"dataset=torch: the labels are 1, 2, 3; give each class a number, 0 to 2, such as by a target_transform",
    ),
    "shapes of splits": (
        lambda: read(Items(PAIRS), Items([(torch.zeros(3), 1)])),
        r"an input has the shape \(2,\) in train and \(3,\) in val",
    ),
    "short integers": (
        lambda: read(Items([(torch.tensor([1, 2]).short(), index % 2) for index in range(20)])),
        r"inputs of train are torch.int16",
    ),
    "empty": (lambda: read(Items([])), r"dataset.train: it has no items; give at least one"),
    "an empty stream": (lambda: read(Stream([])), r"dataset.train: it has no items"),
    "no dataset": (lambda: read(3), r"dataset.train: it is a int; give a Dataset of torch, by dataset.train._target_="),
    "null": (lambda: read(None), r"dataset.train=null: give a Dataset of torch"),
    "a share": (lambda: read(Items(PAIRS[:3])), r"dataset.val_fraction=0.25: that is 0 of 2 examples; give a share"),
    "a mode": (
        lambda: read(Items([(Image.new("F", (2, 2)), 0)])),
        r"dataset.train: item 0 is an image of mode F; give grey or RGB",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_read_is_refused(name: str) -> None:
    make, said = FAULTS[name]
    with pytest.raises(BadInput, match=said):
        make()


FAKE = ("dataset=torch", "dataset.train._target_=torchvision.datasets.FakeData", "+dataset.train.size=50")


def test_a_job_names_the_dataset_and_its_transform(job_of: Callable[..., Job], tmp_path: Path) -> None:
    words = (*FAKE, "+dataset.train.image_size=[3,8,8]", "+dataset.train.num_classes=2")
    job = job_of(*words, "+dataset.train.transform._target_=torchvision.transforms.PILToTensor")
    data = build.load(job.config, torch.device("cpu"))
    assert (data.input_shape, data.num_classes, len(data.train[1])) == ((3, 8, 8), 2, 34)
    smaller = build.load(job_of(*words, "dataset.max_examples=10", "dataset.channels=1").config, torch.device("cpu"))
    assert (smaller.input_shape, len(smaller.train[1])) == ((1, 8, 8), 10)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("dataset=torch",), r"dataset.train._target_"),
        ((*FAKE, "+dataset.train.sise=1"), r"sise"),
        ((*FAKE, "dataset.test_fraction=2"), r"dataset.test_fraction=2: give a number between 0 and 1"),
        (("dataset=torch", "dataset.train._target_=torchvision.datasets.Nope"), r"Nope"),
    ],
)
def test_a_job_without_a_dataset_is_refused(job_of: Callable[..., Job], words: Sequence[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        build.load(job_of(*words).config, torch.device("cpu"))
