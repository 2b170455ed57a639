"""Published data sets. torchvision reads the files as they were published, and downloads missing ones."""

import importlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zeroinit.dataset.data import Data, Split, hold_out
from zeroinit.errors import BadInput
from zeroinit.regular_files import irregular_kind

MAX_FILE_BYTES = 2**26  # the largest file of these data sets has 47 MB
MAX_ARCHIVE_BYTES = 2**28  # the largest archive has 170 MB
VAL_EXAMPLES = 7000  # training images held out for validation (Schicho 2023)


def mnist(generator: torch.Generator, root: str) -> Data:
    """The whole of MNIST, (1, 28, 28): 53,000 train, 7,000 validation, and its own 10,000 test images."""
    return _load_idx_files(generator, root, "mnist", "MNIST")


def fashion_mnist(generator: torch.Generator, root: str) -> Data:
    """The whole of Fashion-MNIST, in MNIST's own sizes."""
    return _load_idx_files(generator, root, "fashion_mnist", "FashionMNIST")


def _load_idx_files(generator: torch.Generator, root: str, option: str, name: str) -> Data:
    """Return a data set in MNIST's file format."""
    source = _import_datasets(option, root, f"{name}/raw").__dict__[name]
    folder = Path(root).expanduser() / name / "raw"
    archives = [folder / file for file, _ in source.resources]
    train, test = _read_splits(option, source, root, folder, [archive.stem for archive in archives], archives)
    for part, split, examples in (("train", train, 60_000), ("t10k", test, 10_000)):
        if not _is_complete(split, examples):
            raise BadInput(
                f"dataset={option}: the {part} files in {folder.absolute()} do not hold "
                f"{examples} images of 28x28 with labels 0 to 9; remove them to have them downloaded again"
            )
    return _make_data((train.data.unsqueeze(1), train.targets), (test.data.unsqueeze(1), test.targets), generator)


def _is_complete(split: Any, examples: int) -> bool:
    """Return whether a split has this number of images and labels; torchvision reads other files than IDX as well."""
    images, labels = split.data, split.targets
    if not (isinstance(images, Tensor) and images.dtype == torch.uint8 and images.shape == (examples, 28, 28)):
        return False
    is_label = isinstance(labels, Tensor) and labels.dtype == torch.int64 and labels.shape == (examples,)
    return is_label and labels.min().item() >= 0 and labels.max().item() == 9


def cifar10(generator: torch.Generator, root: str) -> Data:
    """CIFAR-10, (3, 32, 32): 43,000 train, 7,000 validation, and its own 10,000 test images."""
    source = _import_datasets("cifar10", root, "cifar-10-batches-py").CIFAR10
    folder = Path(root).expanduser() / source.base_folder
    files = [file for file, _ in (*source.train_list, *source.test_list)]

    def to_tensors(split: Any) -> Split:
        return torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(split.targets)

    files.append(source.meta["filename"])
    # torchvision compares the checksum of each file with the published one before it unpickles any
    train, test = _read_splits("cifar10", source, root, folder, files, [folder.parent / source.filename])
    return _make_data(to_tensors(train), to_tensors(test), generator)


def _import_datasets(option: str, root: str, folder: str) -> Any:
    """Return the module torchvision.datasets. Raise BadInput if the root is no text."""
    if not isinstance(root, str):
        raise BadInput(
            f"dataset.root={json.dumps(root)}: give the folder under which {folder} lies, for dataset={option}"
        )
    return importlib.import_module("torchvision.datasets")  # only here: the import takes a second


def _make_data(train: tuple[Tensor, Tensor], test: Split, generator: torch.Generator) -> Data:
    """Return the data, with VAL_EXAMPLES of the training images held out."""
    rest, val = hold_out(*train, VAL_EXAMPLES, generator)
    return Data(rest, val, test, num_classes=10)


def _read_splits(
    option: str, source: Any, root: str, folder: Path, files: Sequence[str], archives: Sequence[Path]
) -> tuple[Any, Any]:
    """Return (train, test) of torchvision's `source`.

    Args:
        option: the option of `dataset`, for messages.
        source: the class of torchvision.
        root: the folder that `source` gets.
        folder: the folder below it that has the files.
        files: the names of the files.
        archives: the files that a download writes and unpacks.

    Raises:
        BadInput: A file is missing and cannot be downloaded, is truncated or corrupt, or is no regular file.
    """
    paths = {folder / file: MAX_FILE_BYTES for file in files} | dict.fromkeys(archives, MAX_ARCHIVE_BYTES)
    for path, most in paths.items():
        if kind := irregular_kind(path):
            raise BadInput(f"dataset={option}: {path.absolute()} is {kind}, not a file; remove it")
        if path.is_file() and path.stat().st_size > most:  # reading it could take hours
            raise BadInput(
                f"dataset={option}: {path.absolute()} is larger than {most >> 20} MiB, which no file of the data set "
                "is; remove it to have it downloaded again"
            )
    missing = [file for file in files if not (folder / file).is_file()]
    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with warnings.catch_warnings(action="ignore"):  # of torch, on files that are no tensors
            folder_of_source, download = Path(root).expanduser(), bool(missing)
            train, test = (source(folder_of_source, train=part, download=download) for part in (True, False))
    except Exception as error:  # torchvision asserts, unpacks and opens URLs; any exception means unusable files
        for path in new_folders:  # the download made them before it failed
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        if missing:
            file, fault = "a file", f"is missing ({', '.join(missing)}): put the unpacked files there"
        else:
            file, fault = _find_damaged(source, folder), "is truncated or corrupt: replace it"
        raise BadInput(
            f"dataset={option}: {file} in {folder.absolute()} {fault}, or give another folder than "
            f"dataset.root={root}, which should hold {folder.relative_to(Path(root).expanduser())} "
            f"({str(error) or type(error).__name__})"
        ) from error
    return train, test


def _find_damaged(source: Any, folder: Path) -> str:
    """Return the first file whose checksum is not the published one; `a file` if torchvision has no checksums."""
    from torchvision.datasets.utils import check_integrity  # only here: the import takes a second

    checksums = [*getattr(source, "train_list", []), *getattr(source, "test_list", [])]
    if checksums:
        checksums.append((source.meta["filename"], source.meta["md5"]))
    return next((name for name, md5 in checksums if not check_integrity(str(folder / name), md5)), "a file")
