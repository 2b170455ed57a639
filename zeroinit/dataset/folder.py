"""Images of the user, `train/<class>/...` and `test/<class>/...`, decoded once and cached as one array of bytes."""

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
from PIL import ExifTags, Image

from zeroinit.dataset.data import Data, Note, Split, hold_out
from zeroinit.dataset.images import Resize, check_memory, sides
from zeroinit.dataset.listing import Part, Samples, describe_skipped, list_parts
from zeroinit.errors import BadInput
from zeroinit.progress import track
from zeroinit.regular_files import irregular_kind, kind_of
from zeroinit.whole_files import open_whole, remove_stale

# {mode of a file: decoded mode}; other modes have more than 8 bits a channel, which would be cut off
DECODED = {"1": "L", "L": "L", "LA": "L"} | dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), "RGB")
CHANNELS = {"L": 1, "RGB": 3}
# Pillow opens no other: it judges by the content, and would hand EPS to Ghostscript, whatever the name of the file
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
CHECKSUM_BYTES = hashlib.sha256().digest_size  # at the end of a cache
UPRIGHT = {  # by EXIF's orientation; ImageOps.exif_transpose does the same, but fails if other tags are broken
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def image_folder(
    generator: torch.Generator, folder: str, cache: str, val_fraction: float, resize: Resize, channels: int | None
) -> Data:
    """Any folder in the layout of torchvision's ImageFolder, (1 or 3, height, width), as bytes.

    val/ is the validation set; without it, the share `val_fraction` of train/ is. Images are turned as EXIF says. The
    decoded images are cached in the folder `cache`, and decoded again when a file is changed, added or removed.

    Raises:
        BadInput: The folder has another layout, an image cannot be read, or images differ in size or channels and
            `resize` or `channels` is null.
    """
    root = root_of(folder)
    if not isinstance(cache, str):
        raise BadInput(f"dataset.cache={json.dumps(cache)}: give the folder for decoded images")
    parts = list_parts(root)
    _check_classes(folder, parts)
    train = len(parts["train"].samples)
    held_out_images = 0 if "val" in parts else round(val_fraction * train)
    if "val" not in parts and not 1 <= held_out_images < train:
        raise BadInput(
            f"dataset.val_fraction={val_fraction}: that is {held_out_images} of the {train} images in train/; "
            "give the share that is for validation, at least one image and not all"
        )
    samples = list_images(parts)
    pixels = torch.from_numpy(_load_pixels(root, Path(cache).expanduser(), samples, resize, channels))
    labels = torch.tensor([label for _, label in samples])
    sizes = [len(part.samples) for part in parts.values()]
    splits = dict(zip(parts, zip(torch.split(pixels, sizes), torch.split(labels, sizes), strict=True), strict=True))
    if "val" in parts:
        rest, val = _copy_split(splits["train"]), _copy_split(splits["val"])
    else:
        rest, val = hold_out(*splits["train"], held_out_images, generator)
    return Data(rest, val, _copy_split(splits["test"]), len(parts["train"].classes), notes=_make_notes(folder, parts))


def _copy_split(split: Split) -> Split:
    """Return a copy of the split. A view would hold all the other images in memory."""
    return split[0].clone(), split[1]


def _check_classes(folder: str, parts: dict[str, Part]) -> None:
    """Raise BadInput if there is only one class, or the parts differ in their classes."""
    classes = parts["train"].classes
    for name, part in parts.items():
        if part.classes != classes:
            odd = ", ".join(sorted(set(classes) ^ set(part.classes)))
            raise BadInput(
                f"dataset.folder={folder}: train/ and {name}/ differ in their classes ({odd}); give both the same"
            )
    if len(classes) < 2:
        raise BadInput(f"dataset.folder={folder}: there is one class ({classes[0]}); give at least two")


def _make_notes(folder: str, parts: dict[str, Part]) -> tuple[Note, ...]:
    """Return notes for the user: on skipped files, and on val_fraction, which has no effect if there is val/."""
    notes = []
    if skipped := describe_skipped(folder, parts):
        notes.append(Note(skipped))
    if "val" in parts:
        val = Path(folder, "val")
        notes.append(Note(f"dataset.val_fraction has no effect: {val} is the validation set", key="val_fraction"))
    return tuple(notes)


def list_images(parts: dict[str, Part]) -> Samples:
    """Return (path, label) of each image of all parts."""
    return [sample for part in parts.values() for sample in part.samples]


def root_of(folder: str) -> Path:
    """Return the absolute path of the folder. Raise BadInput if it cannot be a path."""
    try:
        root = Path(folder).expanduser().absolute()
        root.is_dir()
        return root
    except (TypeError, RuntimeError, OSError) as error:  # no text, the home of an unknown user, or too long a name
        raise BadInput(
            f"dataset.folder={json.dumps(folder)}: give the folder that holds train/<class>/ and test/<class>/"
        ) from error


@functools.cache
def folder_fingerprint(folder: str) -> str:
    """Return a text that changes with the data in a folder: with its path, and the name, size or times of a file."""
    root = root_of(folder)
    return f"{root} {_hash_files(root, list_images(list_parts(root)))}"


def _load_pixels(root: Path, cache: Path, samples: Samples, resize: Resize, channels: int | None) -> NDArray[np.uint8]:
    """Return the pixels (N, channels, height, width) of all samples, from the cache unless a file has changed."""
    name = digest(f"{root}\n{resize}\n{channels}\n{PIL.__version__}\n{DECODED}")
    files = _hash_files(root, samples)
    path = cache / f"{name}-{files}.upright.npy"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock"):  # so that only one of several processes decodes
            pixels = _read_cache(path, len(samples), resize, channels)
            if pixels is None:
                for old in cache.glob(f"{name}-*"):
                    old.unlink()
                remove_stale(cache)
                _write_cache(path, _decode(samples, resize, channels))
                pixels = _read_cache(path, len(samples), resize, channels)
                assert pixels is not None
    except OSError as error:
        raise BadInput(
            f"dataset.cache={cache}: {error.strerror or error}; give a folder that can be written to"
        ) from error
    return pixels


def _read_cache(path: Path, examples: int, resize: Resize, channels: int | None) -> NDArray[np.uint8] | None:
    """Return the cached pixels; None if there is no such file, or it is not what `_write_cache` wrote there."""
    if irregular_kind(path):
        return None
    try:
        # copy-on-write pages of the file, so that only the splits that are copied from it take memory
        pixels: NDArray[np.uint8] = np.lib.format.open_memmap(path, mode="c")
        with path.open("rb") as file:
            file.seek(-CHECKSUM_BYTES, os.SEEK_END)
            stored = file.read()
    except Exception:  # numpy raises any type for a damaged header
        return None
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or not pixels.flags.c_contiguous or len(pixels) != examples:
        return None
    known = (channels or pixels.shape[1], *(pixels.shape[2:] if resize is None else sides(resize)))
    if pixels.shape[1:] != known or pixels.shape[1] not in CHANNELS.values():
        return None
    check_memory("dataset.folder", pixels.shape)
    return pixels if _checksum(path.name, pixels) == stored else None


def _write_cache(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write the pixels as numpy does, and after them their checksum, which depends on the name of the file."""
    with open_whole(path) as file:
        np.save(file, pixels)
        file.write(_checksum(path.name, pixels))


def _checksum(name: str, pixels: NDArray[np.uint8]) -> bytes:
    """Return the checksum of the pixels, of their shape, and of the name of the cache, which has the hash of the files.

    Reading takes it at 2 GB/s, as fast as most disks are.
    """
    checksum = hashlib.sha256(f"{name} {pixels.shape}".encode())
    checksum.update(pixels.data)
    return checksum.digest()


def _hash_files(root: Path, samples: Samples) -> str:
    """Return a hash of the name, size and times of each file. Reading all files would take as long as decoding."""
    lines = []
    for path, label in samples:
        try:
            status = os.stat(path)
        except OSError as error:
            raise BadInput(f"dataset.folder: {path} cannot be read ({error.strerror}); mend or remove it") from error
        if kind := kind_of(status):
            raise BadInput(f"dataset.folder: {path} is {kind}, not a file; remove it")
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        lines.append(f"{path.removeprefix(str(root))} {label} {status.st_size} {times}")
    return digest("\n".join(lines))


def digest(text: str) -> str:
    """Return the first 16 hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _decode(samples: Samples, resize: Resize, channels: int | None) -> NDArray[np.uint8]:
    """Return all samples decoded, as one array. None means the size or channels of the first image."""
    mode = {1: "L", 3: "RGB", None: None}[channels]
    first, _ = samples[0]
    with _open_image(first) as image:
        width, height = _turn_upright(image).size
        height, width = (height, width) if resize is None else sides(resize)
        shape = (CHANNELS[mode or DECODED[image.mode]], height, width)
    check_memory("dataset.folder", (len(samples), *shape))
    array = np.empty((len(samples), *shape), dtype=np.uint8)
    for index, (name, _) in enumerate(track(samples, f"decoding {len(samples)} images")):
        pixels = decode_image(name, mode, resize)
        if pixels.shape != shape:
            raise _mismatch_error(first, shape, name, pixels.shape)
        array[index] = pixels
    return array


@contextmanager
def _open_image(path: str) -> Iterator[Image.Image]:
    """Open an image for the block. Raise BadInput if its mode cannot be decoded, or it or the block fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", "(Possibly c|C)orrupt EXIF")  # the pixels are not affected
            with Image.open(path, formats=FORMATS) as image:
                if image.mode not in DECODED:
                    raise BadInput(
                        f"dataset.folder: {path} has pixels of mode {image.mode}; save it as grey or RGB, 8 bits each"
                    )
                yield image
    except BadInput:
        raise
    except Exception as error:  # Pillow's decoders raise any type for a broken file
        raise BadInput(
            f"dataset.folder: {path} cannot be read as an image ({type(error).__name__}: {error}); mend or remove it"
        ) from error


def _turn_upright(image: Image.Image) -> Image.Image:
    """Return the image, turned and mirrored as EXIF's orientation says; as it is stored if EXIF cannot be read."""
    image.load()  # Pillow turns a TIFF here
    method = UPRIGHT.get(_orientation_of(image) or 1)
    return image if method is None else image.transpose(method)


def _orientation_of(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises any type for broken EXIF, and the pixels are not affected
        return None


def decode_image(path: str, mode: str | None, resize: Resize) -> NDArray[np.uint8]:
    """Return one image, upright, as (channels, height, width); resized bilinearly with antialiasing."""
    with _open_image(path) as stored:
        image = _turn_upright(stored)
        # drop a palette's transparency like an alpha channel; Pillow warns if it is converted to RGB directly
        plain = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
        pixels = plain.convert(mode or DECODED[image.mode])
        if resize is not None:
            height, width = sides(resize)
            pixels = pixels.resize((width, height), Image.Resampling.BILINEAR)
        array = np.asarray(pixels)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _mismatch_error(first: str, shape: Sequence[int], second: str, second_shape: Sequence[int]) -> BadInput:
    """Return the error for two images that cannot be in one array."""
    if shape[0] != second_shape[0]:
        grey, colour = (first, second) if shape[0] == 1 else (second, first)
        return BadInput(f"dataset.channels=null: {grey} is grey and {colour} in colour; give 1 or 3 for all of them")
    return BadInput(
        f"dataset.resize=null: {first} is {shape[1]}x{shape[2]} pixels (height x width) and {second} "
        f"{second_shape[1]}x{second_shape[2]}; give the side of a square, or [HEIGHT,WIDTH]"
    )
