"""Folders of images, and files of MNIST and CIFAR-10: truncated, foreign, with huge headers, or no files at all."""

import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from helpers.bad_inputs.examples import Entry, Example

NET = ["arch=logistic", "steps=3", "tracker=off"]
SPECIAL = st.sampled_from(
    [("fifo", ""), ("folder", ""), ("link", "nowhere"), ("link", "/dev/zero"), ("link", "."), b""]
)
FORMATS = [
    "PNG",
    "JPEG",
    "PPM",
    "BMP",
    "TIFF",
    "WEBP",
    "GIF",
    "EPS",
    "PDF",
    "ICO",
    "TGA",
    "DDS",
    "PCX",
    "SGI",
    "IM",
    "ICNS",
]
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "LAB", "HSV"]
SUFFIXES = ["png", "jpg", "jpeg", "ppm", "bmp", "pgm", "tif", "tiff", "webp", "PNG", "gif", "eps"]


def _picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (6, 5)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    return image.convert("L").convert(mode) if mode in ("I;16", "I", "F") else image.convert(mode)


def _encode(seed: int, mode: str = "RGB", name: str = "PNG", size: tuple[int, int] = (6, 5)) -> bytes:
    """Return an image in a format of Pillow; in PNG if it cannot write such a one."""
    content = io.BytesIO()
    try:
        _picture(seed, mode, size).save(content, name)
    except (OSError, ValueError, KeyError):
        content = io.BytesIO()
        _picture(seed, "RGB", size).save(content, "PNG")
    return content.getvalue()


def _folder() -> dict[str, Entry]:
    """Return two classes of three images, in train and in test."""
    names = [f"data/{part}/{label}/{index}.png" for part in ("train", "test") for label in "ab" for index in range(3)]
    return {name: _encode(index) for index, name in enumerate(names)}


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _huge(width: int, height: int) -> Iterator[bytes]:
    """Yield images of any size, of which they have no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"a")) + _chunk(b"IEND", b"")
    yield f"P6\n{width} {height}\n255\n".encode() + b"abc"
    yield f"P3\n{width} {height}\n{2**40}\n1 2 3".encode()
    bmp = struct.pack("<IiiHHIIiiII", 40, min(width, 2**31 - 1), min(height, 2**31 - 1), 1, 24, 0, 0, 0, 0, 0, 0)
    yield b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bmp
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, 4)]
    packed = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    yield b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + packed + b"\0\0\0\0"


CONTENTS: st.SearchStrategy[bytes] = st.builds(
    _encode,
    st.integers(0, 9),
    st.sampled_from(MODES),
    st.sampled_from(FORMATS),
    st.sampled_from([(6, 5), (1, 1), (5, 6), (60, 3)]),
)
SIDES = st.one_of(st.sampled_from([0, 1, 2**16, 2**31 - 1, 2**32 - 1, 20_000]), st.integers(1, 10**5))
SPOILT_IMAGES = st.one_of(
    CONTENTS,
    st.tuples(CONTENTS, st.floats(0, 1)).map(lambda pair: pair[0][: int(len(pair[0]) * pair[1])]),
    st.tuples(CONTENTS, st.floats(0, 1), st.binary(min_size=1, max_size=8)).map(lambda parts: _overwrite(*parts)),
    st.tuples(CONTENTS, st.binary(max_size=30)).map(lambda pair: pair[0][:24] + pair[1]),
    st.binary(max_size=100),
    st.tuples(SIDES, SIDES, st.integers(0, 4)).map(lambda parts: list(_huge(*parts[:2]))[parts[2]]),
    st.just(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 5\n%%EndComments\nshowpage\n"),
    st.just(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
)


def _overwrite(content: bytes, share: float, change: bytes) -> bytes:
    start = int(len(content) * share)
    return content[:start] + change + content[start + len(change) :]


def _images(change: tuple[str, Entry], removed: str, words: list[str]) -> Example:
    files = _folder()
    files.pop(removed, None)
    name, entry = change
    if name in files or name.rpartition("/")[0] not in files:
        files[name] = entry
    words = [
        "dataset=image_folder",
        "dataset.folder=data",
        "dataset.cache=cache",
        "dataset.val_fraction=0.5",
        *NET,
        *words,
    ]
    return Example(words, files, ("dataset", "arch="))


NAMES = st.one_of(
    st.sampled_from([*_folder()]),
    st.tuples(st.sampled_from(["train", "test"]), st.sampled_from("abc"), st.sampled_from(SUFFIXES)).map(
        lambda parts: f"data/{parts[0]}/{parts[1]}/x.{parts[2]}"
    ),
    st.sampled_from(["data/train/a/\udcff.png", "data/train/a/new\nline.png", "data/val/a/x.png", "data/train/x.png"]),
    st.sampled_from(["data/train/a/" + "d/" * 50 + "x.png", "data/train/a/.png", "cache", "data/train/a/\u0308.png"]),
)
RESIZES = st.sampled_from(
    [[], [], [], ["dataset.resize=4"], ["dataset.channels=1"], ["dataset.resize=4", "dataset.channels=3"]]
)
IMAGES = st.builds(
    _images,
    st.tuples(NAMES, st.one_of(SPOILT_IMAGES, SPOILT_IMAGES, SPOILT_IMAGES, SPECIAL)),
    st.sampled_from(["", "", "", *_folder()]),
    RESIZES,
)


# ---- MNIST and CIFAR-10

RAW = "data/MNIST/raw"
PUBLISHED: dict[str, Entry] = {  # headers and lengths as published; all pixels and labels are 0
    f"{RAW}/train-images-idx3-ubyte": ("zeros", str(16 + 60_000 * 784)),
    f"{RAW}/train-labels-idx1-ubyte": struct.pack(">II", 0x801, 60_000) + bytes(60_000),
    f"{RAW}/t10k-images-idx3-ubyte": struct.pack(">IIII", 0x803, 100, 28, 28) + bytes(100 * 784),
    f"{RAW}/t10k-labels-idx1-ubyte": struct.pack(">II", 0x801, 100) + bytes(range(10)) * 10,
}
COUNTS = st.one_of(st.sampled_from([0, 1, 60_000, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))
IDX = st.one_of(
    st.tuples(
        st.sampled_from([0x803, 0x801, 0x802, 0x80C, 0xD03, 0, 0xFFFFFFFF]),
        COUNTS,
        COUNTS,
        COUNTS,
        st.binary(max_size=900),
    ).map(lambda parts: struct.pack(">IIII", *parts[:4]) + parts[4]),
    st.binary(max_size=60),
    st.integers(0, 2**16).map(lambda size: struct.pack(">II", 0x801, 60_000) + bytes(size)),
    st.binary(min_size=10, max_size=10).map(lambda labels: struct.pack(">II", 0x801, 60_000) + labels * 6000),
    st.just(b"\x1f\x8b\x08\0" + bytes(30)),
    st.just(b"<html>404</html>"),
    SPECIAL,
    st.sampled_from([("zeros", "100000000"), ("zeros", str(2**42))]),
)


def _idx(changes: dict[str, Entry], legacy: bytes | None) -> Example:
    files = PUBLISHED | changes
    if legacy is not None:
        files |= {f"data/MNIST/processed/{name}.pt": legacy for name in ("training", "test")}
    return Example(["dataset=mnist", "dataset.root=data", *NET], files, ("dataset=mnist",))


IDX_FILES = st.builds(
    _idx,
    st.dictionaries(st.sampled_from([*PUBLISHED, f"{RAW}/train-images-idx3-ubyte.gz"]), IDX, min_size=1, max_size=3),
    st.one_of(st.none(), st.none(), st.binary(max_size=50)),
)


class _Harmful:
    """Its pickle makes the folder `harmed`."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, ("harmed",)


BATCHES = [f"data_batch_{index}" for index in range(1, 6)] + ["test_batch", "batches.meta"]
BATCH = st.one_of(
    st.just(pickle.dumps(_Harmful())),
    st.just(pickle.dumps({"data": np.zeros((5, 3072), np.uint8), "labels": [0] * 5})),
    st.binary(max_size=60),
    SPECIAL,
    st.sampled_from([("zeros", "31035704"), ("zeros", str(2**42))]),
)


def _cifar(batches: list[Entry], absent: set[str], archive: Entry | None) -> Example:
    pairs = zip(BATCHES, batches, strict=True)
    files: dict[str, Entry] = {f"data/cifar-10-batches-py/{name}": entry for name, entry in pairs if name not in absent}
    if archive is not None:
        files["data/cifar-10-python.tar.gz"] = archive
    return Example(["dataset=cifar10", "dataset.root=data", *NET], files, ("dataset=cifar10",))


CIFAR_FILES = st.builds(
    _cifar,
    st.lists(BATCH, min_size=7, max_size=7),
    st.sets(st.sampled_from(BATCHES), max_size=2),
    st.one_of(st.none(), BATCH),
)
