"""The data that the parts train on: MNIST, and CIFAR-10 as JPEG files, unpacked where that is still to be done."""

import gzip
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

MNIST = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR, PACKED = "cifar10-jpeg", "cifar10-jpeg.tar.gz"


def find_data(folder: Path) -> Path:
    """Return the folder that holds MNIST/raw/* and cifar10-jpeg/{train,test}/; unpack them to a temporary one first.

    Ends the process with one sentence where they are not there.
    """
    raw = folder / "MNIST" / "raw"
    has_mnist = all((raw / name).is_file() or (raw / f"{name}.gz").is_file() for name in MNIST)
    has_cifar = (folder / CIFAR / "train").is_dir() or (folder / PACKED).is_file()
    if not (has_mnist and has_cifar):
        sys.exit(
            f"gpu.py: --data={folder}: put MNIST/raw/ with its four idx files (unpacked or .gz) and {CIFAR}/"
            f"{{train,test}}/<class>/*.jpg (or {PACKED}) there, 31 MB together, or name another folder"
        )
    if all((raw / name).is_file() for name in MNIST) and (folder / CIFAR / "train").is_dir():
        return folder.resolve()
    return unpack(folder, Path(tempfile.gettempdir()) / "zeroinit-gpu-data")


def unpack(folder: Path, target: Path) -> Path:
    """Lay both data sets out under `target`, each at once or not at all; what is there already stays."""
    (target / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
    for name in MNIST:
        packed, file = folder / "MNIST" / "raw" / f"{name}.gz", target / "MNIST" / "raw" / name
        if not file.exists():
            partial = file.with_suffix(".partial")
            if packed.is_file():
                with gzip.open(packed) as source, partial.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
            else:
                shutil.copyfile(folder / "MNIST" / "raw" / name, partial)
            partial.rename(file)
    if (folder / CIFAR / "train").is_dir() and not (target / CIFAR).exists():
        (target / CIFAR).symlink_to((folder / CIFAR).resolve())
    elif not (target / CIFAR).exists():
        partial = target / f"{CIFAR}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(folder / PACKED) as archive:
            archive.extractall(partial, filter="data")
        partial.rename(target / CIFAR)
    return target
