"""Images of one's own, `train/<class>/...` and `test/<class>/...`, decoded once and kept as one array of bytes."""

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL
import torch
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from zeroinit.dataset.images import Resize, check_memory, sides
from zeroinit.dataset.split import Data, split_off
from zeroinit.errors import BadInput
from zeroinit.progress import counted

Samples = list[tuple[str, int]]  # (path, label)

# what a file's mode is decoded to; of the others, more than 8 bits a channel would be cut off
DECODED = {"1": "L", "L": "L", "LA": "L"} | dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), "RGB")
CHANNELS = {"L": 1, "RGB": 3}


def image_folder(
    generator: torch.Generator, folder: str, cache: str, held_out: float, resize: Resize, channels: int | None
) -> Data:
    """Any folder in the layout of torchvision's ImageFolder, (1 or 3, height, width), as bytes.

    The share `held_out` of train/ is for validation. The decoded images are kept in the folder `cache`, and decoded
    anew when a file changes, comes or goes. Raises BadInput for what is no such folder, and for images that cannot be
    read or are not alike where `resize` or `channels` do not make them so.
    """
    root = root_of(folder)
    if not isinstance(cache, str):
        raise BadInput(f"dataset.cache={json.dumps(cache)}: give the folder in which decoded images are kept")
    classes, train = listed(root, "train")
    test_classes, test = listed(root, "test")
    if classes != test_classes:
        odd = ", ".join(sorted(set(classes) ^ set(test_classes)))
        raise BadInput(f"dataset.folder={folder}: train/ and test/ differ in their classes ({odd}); give both the same")
    if len(classes) < 2:
        raise BadInput(f"dataset.folder={folder}: there is one class ({classes[0]}); give at least two")
    kept = round(held_out * len(train))
    if not 1 <= kept < len(train):
        raise BadInput(
            f"dataset.held_out={held_out}: that is {kept} of the {len(train)} images in train/; "
            "give the share that is for validation, at least one image and not all"
        )
    pixels = torch.from_numpy(decoded(root, Path(cache).expanduser(), [*train, *test], resize, channels))
    labels = torch.tensor([label for _, label in (*train, *test)])
    rest, val = split_off(pixels[: len(train)], labels[: len(train)], kept, generator)
    test_split = pixels[len(train) :].clone(), labels[len(train) :]  # a view would keep all the others in memory
    return Data(rest, val, test_split, len(classes))


def root_of(folder: str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except (TypeError, RuntimeError) as error:  # no text, or the home of nobody
        raise BadInput(
            f"dataset.folder={json.dumps(folder)}: give the folder that holds train/<class>/ and test/<class>/"
        ) from error


@functools.cache
def state(folder: str) -> str:
    """Tells the data in a folder from others: by its place, and the name, size and times of each file."""
    root = root_of(folder)
    return f"{root} {fingerprint(root, [*listed(root, 'train')[1], *listed(root, 'test')[1]])}"


def listed(root: Path, part: str) -> tuple[list[str], Samples]:
    """The classes of a part, and its images in torchvision's order, but for hidden ones (a name with a dot in front).

    Raises BadInput for a class without images.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset  # the import takes a second

    def shown(path: str) -> bool:
        name = Path(path).name
        return not name.startswith(".") and name.lower().endswith(IMG_EXTENSIONS)

    try:
        classes = [name for name in find_classes(root / part)[0] if not name.startswith(".")]
        index = {name: label for label, name in enumerate(classes)}
        return classes, make_dataset(root / part, index, is_valid_file=shown)
    except OSError as error:
        said = str(error) if error.errno is None else f"{error.strerror}: {error.filename}"
        raise BadInput(
            f"dataset.folder={root}: {said.rstrip('. ')}; give a folder that holds train/<class>/ and test/<class>/, "
            "with images in each"
        ) from error


def decoded(root: Path, kept: Path, samples: Samples, resize: Resize, channels: int | None) -> NDArray[np.uint8]:
    """The pixels (N, channels, height, width) of all samples: from the cache where no file has changed since."""
    name = digest(f"{root}\n{resize}\n{channels}\n{PIL.__version__}\n{DECODED}")
    path = kept / f"{name}-{fingerprint(root, samples)}.npy"
    partial = path.with_suffix(".partial")
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with FileLock(kept / f"{name}.lock"):  # of several processes, one decodes
            found = in_cache(path, len(samples))
            if found is None:
                for old in kept.glob(f"{name}-*"):
                    old.unlink()
                try:
                    decode(samples, partial, resize, channels)
                    partial.rename(path)
                finally:
                    partial.unlink(missing_ok=True)
                found = in_cache(path, len(samples))
                assert found is not None
    except OSError as error:
        raise BadInput(
            f"dataset.cache={kept}: {error.strerror or error}; give a folder that can be written to"
        ) from error
    return found


def in_cache(path: Path, examples: int) -> NDArray[np.uint8] | None:
    try:
        # copy-on-write pages of the file, so that no more lies in memory than the splits that are copied from it
        found: NDArray[np.uint8] = np.load(path, mmap_mode="c")
    except (OSError, ValueError, EOFError):  # not there, or not whole
        return None
    check_memory("dataset.folder", found.shape)
    return found if len(found) == examples else None


def fingerprint(root: Path, samples: Samples) -> str:
    """Changes with the name, the size or the times of any file; reading them all would take as long as decoding."""
    lines = []
    for path, label in samples:
        try:
            state = os.stat(path)
        except OSError as error:
            raise BadInput(f"dataset.folder: {path} cannot be read ({error.strerror}); mend or remove it") from error
        lines.append(f"{path.removeprefix(str(root))} {label} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}")
    return digest("\n".join(lines))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def decode(samples: Samples, path: Path, resize: Resize, channels: int | None) -> None:
    """Decode all samples into a new file, as one array, of the first one's size and channels if none are asked for."""
    mode = {1: "L", 3: "RGB", None: None}[channels]
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        first, _ = samples[0]
        with opened(first) as image:
            height, width = (image.height, image.width) if resize is None else sides(resize)
            shape = (CHANNELS[mode or DECODED[image.mode]], height, width)
        check_memory("dataset.folder", (len(samples), *shape))
        array = np.empty((len(samples), *shape), dtype=np.uint8)
        for index, (name, _) in enumerate(counted(samples, f"decoding {len(samples)} images")):
            pixels = pixels_of(name, mode, resize)
            if pixels.shape != shape:
                raise unlike(first, shape, name, pixels.shape)
            array[index] = pixels
        with path.open("wb") as file:
            np.save(file, array)


@contextmanager
def opened(path: str) -> Iterator[Image.Image]:
    """The image, of a mode that can be decoded. Raises BadInput where it, or what is done with it, fails."""
    try:
        with Image.open(path) as image:
            if image.mode not in DECODED:
                raise BadInput(
                    f"dataset.folder: {path} has pixels of mode {image.mode}; save it as grey or RGB, 8 bits each"
                )
            yield image
    except BadInput:
        raise
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise BadInput(
            f"dataset.folder: {path} cannot be read as an image ({type(error).__name__}: {error}); mend or remove it"
        ) from error


def pixels_of(path: str, mode: str | None, resize: Resize) -> NDArray[np.uint8]:
    """One image as (channels, height, width), bilinear with antialiasing where it is resized."""
    with opened(path) as image:
        # a palette's transparency is dropped as an alpha channel is; Pillow would warn of it on its way to RGB
        plain = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
        pixels = plain.convert(mode or DECODED[image.mode])
        if resize is not None:
            height, width = sides(resize)
            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        array = np.asarray(pixels)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def unlike(first: str, shape: Sequence[int], second: str, other: Sequence[int]) -> BadInput:
    """What is said of two images that cannot lie in one array."""
    if shape[0] != other[0]:
        grey, colour = (first, second) if shape[0] == 1 else (second, first)
        return BadInput(f"dataset.channels=null: {grey} is grey and {colour} in colour; give 1 or 3 for all of them")
    return BadInput(
        f"dataset.resize=null: {first} is {shape[1]}x{shape[2]} pixels (height x width) and {second} "
        f"{other[1]}x{other[2]}; give the side of a square, or [HEIGHT,WIDTH]"
    )
