"""Images of a user's own, `train/<class>/...` and `test/<class>/...`, decoded once and kept as one array of bytes."""

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

from zeroinit.dataset.data import Data, Note, Split, split_off
from zeroinit.dataset.images import Resize, check_memory, sides
from zeroinit.dataset.listing import Part, Samples, describe_skipped, list_parts
from zeroinit.errors import BadInput
from zeroinit.progress import counted

# what a file's mode is decoded to; of the others, more than 8 bits a channel would be cut off
DECODED = {"1": "L", "L": "L", "LA": "L"} | dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"), "RGB")
CHANNELS = {"L": 1, "RGB": 3}
UPRIGHT = {  # by EXIF's orientation; ImageOps.exif_transpose, which does the same, fails where other tags are broken
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def image_folder(
    generator: torch.Generator, folder: str, cache: str, held_out: float, resize: Resize, channels: int | None
) -> Data:
    """Any folder in the layout of torchvision's ImageFolder, (1 or 3, height, width), as bytes.

    val/ is the validation set; without it, the share `held_out` of train/ is. Images are turned as EXIF says. They
    are kept decoded in the folder `cache`, and decoded anew when a file changes, comes or goes.

    Raises:
        BadInput: The folder has another layout, an image cannot be read, or images are not alike where `resize` or
            `channels` do not make them so.
    """
    root = root_of(folder)
    if not isinstance(cache, str):
        raise BadInput(f"dataset.cache={json.dumps(cache)}: give the folder in which decoded images are kept")
    parts = list_parts(root)
    check_classes(folder, parts)
    train = len(parts["train"].samples)
    held_out_images = 0 if "val" in parts else round(held_out * train)
    if "val" not in parts and not 1 <= held_out_images < train:
        raise BadInput(
            f"dataset.held_out={held_out}: that is {held_out_images} of the {train} images in train/; "
            "give the share that is for validation, at least one image and not all"
        )
    samples = samples_of(parts)
    pixels = torch.from_numpy(decoded(root, Path(cache).expanduser(), samples, resize, channels))
    labels = torch.tensor([label for _, label in samples])
    sizes = [len(part.samples) for part in parts.values()]
    splits = dict(zip(parts, zip(torch.split(pixels, sizes), torch.split(labels, sizes), strict=True), strict=True))
    if "val" in parts:
        rest, val = copied(splits["train"]), copied(splits["val"])
    else:
        rest, val = split_off(*splits["train"], held_out_images, generator)
    return Data(rest, val, copied(splits["test"]), len(parts["train"].classes), notes=notes_on(folder, parts))


def copied(split: Split) -> Split:
    """The split in memory of its own: a view would keep all the other images in memory, too."""
    return split[0].clone(), split[1]


def check_classes(folder: str, parts: dict[str, Part]) -> None:
    """Raise BadInput if there is only one class, or another part than train/ has other classes."""
    classes = parts["train"].classes
    for name, part in parts.items():
        if part.classes != classes:
            odd = ", ".join(sorted(set(classes) ^ set(part.classes)))
            raise BadInput(
                f"dataset.folder={folder}: train/ and {name}/ differ in their classes ({odd}); give both the same"
            )
    if len(classes) < 2:
        raise BadInput(f"dataset.folder={folder}: there is one class ({classes[0]}); give at least two")


def notes_on(folder: str, parts: dict[str, Part]) -> tuple[Note, ...]:
    """What a person should know of the folder: files that are skipped, and that val/ makes held_out useless."""
    notes = []
    if skipped := describe_skipped(folder, parts):
        notes.append(Note(skipped))
    if "val" in parts:
        val = Path(folder, "val")
        notes.append(Note(f"dataset.held_out has no effect: {val} is the validation set", key="held_out"))
    return tuple(notes)


def samples_of(parts: dict[str, Part]) -> Samples:
    return [sample for part in parts.values() for sample in part.samples]


def root_of(folder: str) -> Path:
    try:
        root = Path(folder).expanduser().absolute()
        root.is_dir()
        return root
    except (TypeError, RuntimeError, OSError) as error:  # no text, the home of nobody, or a name that is too long
        raise BadInput(
            f"dataset.folder={json.dumps(folder)}: give the folder that holds train/<class>/ and test/<class>/"
        ) from error


@functools.cache
def state(folder: str) -> str:
    """Tells the data in a folder from others: by its place, and the name, size and times of each file."""
    root = root_of(folder)
    return f"{root} {fingerprint(root, samples_of(list_parts(root)))}"


def decoded(root: Path, kept: Path, samples: Samples, resize: Resize, channels: int | None) -> NDArray[np.uint8]:
    """The pixels (N, channels, height, width) of all samples: from the cache where no file has changed since."""
    name = digest(f"{root}\n{resize}\n{channels}\n{PIL.__version__}\n{DECODED}")
    files = fingerprint(root, samples)
    path = kept / f"{name}-{files}.upright.npy"
    partial = path.with_suffix(".partial")
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with FileLock(kept / f"{name}.lock"):  # of several processes, one decodes
            found = in_cache(path, len(samples))
            if found is None and is_upright(kept / f"{name}-{files}.npy", samples):
                (kept / f"{name}-{files}.npy").rename(path)
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


def is_upright(path: Path, samples: Samples) -> bool:
    """Whether a cache from before EXIF's orientation was applied is there, and holds what it would hold now."""
    if in_cache(path, len(samples)) is None:
        return False
    return not any(is_turned(name) for name, _ in counted(samples, f"looking for turned images in {path}"))


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
    first, _ = samples[0]
    with opened(first) as image:
        width, height = upright(image).size
        height, width = (height, width) if resize is None else sides(resize)
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", "(Possibly c|C)orrupt EXIF")  # the pixels are sound
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


def upright(image: Image.Image) -> Image.Image:
    """The image, turned and mirrored as EXIF's orientation says; as it is stored where EXIF cannot be read."""
    image.load()  # which turns a TIFF
    method = UPRIGHT.get(orientation_of(image) or 1)
    return image if method is None else image.transpose(method)


def orientation_of(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises whatever broken EXIF leads it to, and the pixels are sound
        return None


def is_turned(path: str) -> bool:
    """Whether the image is to be seen in another orientation than that of its stored pixels."""
    with opened(path) as image:
        return orientation_of(image) in UPRIGHT


def pixels_of(path: str, mode: str | None, resize: Resize) -> NDArray[np.uint8]:
    """One image, upright, as (channels, height, width), bilinear with antialiasing where it is resized."""
    with opened(path) as stored:
        image = upright(stored)
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
