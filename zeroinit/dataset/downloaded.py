"""Published data sets, read by torchvision from the files that they were published as, downloaded where missing."""

import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zeroinit.dataset.data import Data, Split, split_off
from zeroinit.errors import BadInput

HELD_OUT = 7000  # training images held out for validation (Schicho 2023)


def mnist(generator: torch.Generator, root: str) -> Data:
    """The whole of MNIST, (1, 28, 28): 53,000 train, 7,000 validation, and its own 10,000 test images."""
    return idx_files(generator, root, "mnist", "MNIST")


def fashion_mnist(generator: torch.Generator, root: str) -> Data:
    """The whole of Fashion-MNIST, in MNIST's own sizes."""
    return idx_files(generator, root, "fashion_mnist", "FashionMNIST")


def idx_files(generator: torch.Generator, root: str, option: str, name: str) -> Data:
    """A data set in MNIST's file format."""
    source = torchvision_datasets(option, root, f"{name}/raw").__dict__[name]
    folder = Path(root).expanduser() / name / "raw"
    train, test = read(option, source, root, folder, [Path(file).stem for file, _ in source.resources])
    for part, of_it, examples in (("train", train, 60_000), ("t10k", test, 10_000)):
        if of_it.data.shape != (examples, 28, 28) or len(of_it.targets) != examples or of_it.targets.max() != 9:
            raise BadInput(
                f"dataset={option}: the {part} files in {folder.absolute()} do not hold "
                f"{examples} images of 28x28 with labels 0 to 9; remove them to have them downloaded again"
            )
    return held_out((train.data.unsqueeze(1), train.targets), (test.data.unsqueeze(1), test.targets), generator)


def cifar10(generator: torch.Generator, root: str) -> Data:
    """CIFAR-10, (3, 32, 32): 43,000 train, 7,000 validation, and its own 10,000 test images."""
    source = torchvision_datasets("cifar10", root, "cifar-10-batches-py").CIFAR10
    folder = Path(root).expanduser() / source.base_folder
    files = [file for file, _ in (*source.train_list, *source.test_list)]

    def tensors(of_it: Any) -> Split:
        return torch.from_numpy(of_it.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(of_it.targets)

    train, test = read("cifar10", source, root, folder, [*files, source.meta["filename"]])
    return held_out(tensors(train), tensors(test), generator)


def torchvision_datasets(option: str, root: str, folder: str) -> Any:
    if not isinstance(root, str):
        raise BadInput(
            f"dataset.root={json.dumps(root)}: give the folder under which {folder} lies, for dataset={option}"
        )
    return importlib.import_module("torchvision.datasets")  # only here: the import takes a second


def held_out(train: tuple[Tensor, Tensor], test: Split, generator: torch.Generator) -> Data:
    rest, val = split_off(*train, HELD_OUT, generator)
    return Data(rest, val, test, num_classes=10)


def read(option: str, source: Any, root: str, folder: Path, files: Sequence[str]) -> tuple[Any, Any]:
    """The (train, test) of torchvision's `source`, whose `files` lie in `folder`. Raises BadInput for unusable ones."""
    missing = [file for file in files if not (folder / file).is_file()]
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        train, test = (source(Path(root).expanduser(), train=part, download=bool(missing)) for part in (True, False))
    except Exception as error:  # torchvision asserts, unpacks, and opens URLs: any of them means unusable files
        for path in made:  # which the download made before it failed
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if missing:
            which, what = "a file", f"is missing ({', '.join(missing)}): put the unpacked files there"
        else:
            which, what = damaged(source, folder), "is truncated or corrupt: put it there anew"
        raise BadInput(
            f"dataset={option}: {which} in {folder.absolute()} {what}, or name another folder than "
            f"dataset.root={root}, under which {folder.relative_to(Path(root).expanduser())} is looked for "
            f"({str(error) or type(error).__name__})"
        ) from error
    return train, test


def damaged(source: Any, folder: Path) -> str:
    """The first file whose checksum is not the published one; `a file` where torchvision has none to compare."""
    from torchvision.datasets.utils import check_integrity

    listed = [*getattr(source, "train_list", []), *getattr(source, "test_list", [])]
    if listed:
        listed.append((source.meta["filename"], source.meta["md5"]))
    return next((name for name, md5 in listed if not check_integrity(str(folder / name), md5)), "a file")
