"""Folders of images: decoded as Pillow does, once; and what is said of those that cannot be used."""

import contextlib
import errno
import io
import os
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.pictures import fill, picture
from PIL import Image

from zeroinit.config import Job
from zeroinit.dataset import Data, folder, image_folder
from zeroinit.errors import BadInput
from zeroinit.rng import stream

Command = Callable[..., object]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Data]:
    def image_data(resize: int | list[int] | None = None, channels: int | None = None, held_out: float = 0.25) -> Data:
        split = stream("split", 0)
        return image_folder(split, str(tmp_path / "data"), str(tmp_path / "cache"), held_out, resize, channels)

    return image_data


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that are decoded."""
    paths: list[str] = []
    real = folder.decode_image
    monkeypatch.setattr(folder, "decode_image", lambda path, *rest: paths.append(path) or real(path, *rest))
    return paths


def test_pixels_and_labels_are_those_of_the_files(tmp_path: Path, load: Callable[..., Data]) -> None:
    root = fill(tmp_path / "data")
    data = load()
    assert [len(split[1]) for split in (data.train, data.val, data.test)] == [6, 2, 8]
    assert (data.input_shape, data.num_classes, data.test[0].dtype) == ((3, 5, 6), 2, torch.uint8)
    assert data.test[1].tolist() == [0] * 4 + [1] * 4
    assert sorted(data.val[1].tolist()) == [0, 1]
    for index, path in enumerate(sorted((root / "test").rglob("*.png"))):
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image).transpose(2, 0, 1), data.test[0][index])


def test_it_is_decoded_once(tmp_path: Path, load: Callable[..., Data], decoding: list[str]) -> None:
    fill(tmp_path / "data")
    first, again = load(), load()
    assert len(decoding) == len(set(decoding)) == 16
    assert torch.equal(first.train[0], again.train[0])
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".lock", ".npy"]


@pytest.mark.parametrize("change", ["content", "time", "new", "gone", "renamed"])
def test_a_changed_file_is_noticed(change: str, tmp_path: Path, load: Callable[..., Data], decoding: list[str]) -> None:
    path = fill(tmp_path / "data") / "test" / "cat" / "0.png"
    before = load()
    decoding.clear()
    if change == "content":
        times = path.stat()
        picture(99).save(path)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif change == "time":
        os.utime(path, (1, 1))
    elif change == "new":
        picture(99).save(path.with_name("9.png"))
    elif change == "gone":
        path.unlink()
    else:
        path.rename(path.with_name("9.png"))
    after = load()
    assert decoding
    assert len(after.test[1]) == 8 + {"new": 1, "gone": -1}.get(change, 0)
    same = len(after.test[1]) == 8 and torch.equal(before.test[0], after.test[0])
    assert same == (change == "time")
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1  # the old one is gone


def test_a_cache_that_is_not_whole_is_made_again(
    tmp_path: Path, load: Callable[..., Data], decoding: list[str]
) -> None:
    fill(tmp_path / "data")
    before = load()
    [cached] = (tmp_path / "cache").glob("*.npy")
    for content in (b"", b"nonsense", cached.read_bytes()[:300]):
        cached.write_bytes(content)
        decoding.clear()
        assert torch.equal(load().train[0], before.train[0])
        assert decoding


def test_a_damaged_or_foreign_cache_is_made_again(
    tmp_path: Path, load: Callable[..., Data], decoding: list[str]
) -> None:
    """With another pixel, shape or dtype, without a checksum, in another format, or no file at all."""
    fill(tmp_path / "data")
    before = load()
    [cached] = (tmp_path / "cache").glob("*.npy")
    content, pixels, zipped = cached.read_bytes(), np.load(cached), io.BytesIO()
    np.savez(zipped, pixels)
    for spoil in (
        lambda: cached.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:]),
        lambda: cached.write_bytes(content[:-1] + bytes([content[-1] ^ 1])),
        lambda: cached.write_bytes(content.replace(b"(16, 3, 5, 6)", b"(16, 3, 6, 5)")),
        lambda: cached.write_bytes(content.replace(b"'|u1'", b"'|i1'")),
        lambda: np.save(cached, pixels),
        lambda: cached.write_bytes(zipped.getvalue()),
        lambda: np.save(cached, np.array([print], dtype=object), allow_pickle=True),
        lambda: (cached.unlink(), os.mkfifo(cached)),
    ):
        spoil()
        decoding.clear()
        assert torch.equal(load().train[0], before.train[0])
        assert decoding
        decoding.clear()
        load()
        assert not decoding
    cached.rename(cached.with_name(cached.name.replace(".upright", "x.upright")))
    path = tmp_path / "data" / "test" / "cat" / "0.png"
    picture(99).save(path)  # its size may be the same, but not its time
    assert not torch.equal(load().test[0], before.test[0])


def test_other_sizes_have_caches_of_their_own(tmp_path: Path, load: Callable[..., Data], decoding: list[str]) -> None:
    fill(tmp_path / "data")
    assert load(resize=4).input_shape == (3, 4, 4)
    assert load(resize=[7, 3], channels=1).input_shape == (1, 7, 3)
    decoding.clear()
    load(resize=4)
    assert not decoding


def test_an_interrupted_decoding_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "data")
    monkeypatch.setattr(folder, "track", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        image_folder(stream("split", 0), str(tmp_path / "data"), str(tmp_path / "cache"), 0.25, None, None)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_images_of_several_sizes_are_resized_as_pillow_does(tmp_path: Path, load: Callable[..., Data]) -> None:
    path = fill(tmp_path / "data") / "test" / "cat" / "0.png"
    large = picture(7, size=(40, 31))
    large.save(path)
    data = load(resize=[8, 9])
    assert data.input_shape == (3, 8, 9)
    expected = np.asarray(large.resize((9, 8), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.array_equal(expected, data.test[0][0])


@pytest.mark.parametrize(
    ("mode", "suffix", "channels"),
    [
        ("1", "png", 1),
        ("L", "png", 1),
        ("LA", "png", 1),
        ("P", "png", 3),
        ("RGBA", "png", 3),
        ("CMYK", "tif", 3),
        ("YCbCr", "tif", 3),
    ],
)
def test_modes(mode: str, suffix: str, channels: int, tmp_path: Path, load: Callable[..., Data]) -> None:
    root = fill(tmp_path / "data", "L" if channels == 1 else "RGB")
    image = picture(5, mode)
    (root / "test" / "cat" / "0.png").unlink()
    image.save(root / "test" / "cat" / f"0.{suffix}")
    data = load()
    assert data.input_shape == (channels, 5, 6)
    expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    assert np.array_equal(expected if channels == 1 else expected.transpose(2, 0, 1), data.test[0][0].squeeze(0))


def test_a_palette_with_transparency_is_its_colours(tmp_path: Path, load: Callable[..., Data]) -> None:
    path = fill(tmp_path / "data") / "test" / "cat" / "0.png"
    image = picture(5, "P")
    image.save(path, transparency=bytes(range(256)))
    assert np.array_equal(np.asarray(image.convert("RGB")).transpose(2, 0, 1), load().test[0][0])


def test_hidden_files_and_folders_are_no_data(tmp_path: Path, load: Callable[..., Data]) -> None:
    root = fill(tmp_path / "data")
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / "cat" / "._0.png").write_bytes(b"of another system")
    data = load()
    assert (data.num_classes, len(data.train[1]) + len(data.val[1])) == (2, 8)


def test_two_at_once_decode_once(tmp_path: Path, load: Callable[..., Data], decoding: list[str]) -> None:
    fill(tmp_path / "data")
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda _: load().train[0], range(4)))
    assert len(decoding) == 16
    assert all(torch.equal(loaded[0], images) for images in loaded)


def test_other_images_are_other_data_to_the_hash(tmp_path: Path, job_of: Callable[..., Job]) -> None:
    """Runs on what a folder held before are not counted with runs on what it holds now; its name does not matter."""
    path = fill(tmp_path / "data") / "test" / "cat" / "0.png"
    words = ("dataset=image_folder", "dataset.val_fraction=0.25")
    first = job_of(*words, "dataset.folder=data")
    assert (
        job_of(*words, f"dataset.folder={tmp_path}/data/", "dataset.cache=elsewhere").config_hash == first.config_hash
    )
    picture(99).save(path)
    folder.folder_fingerprint.cache_clear()
    assert job_of(*words, "dataset.folder=data").cell_hash != first.cell_hash


def test_a_full_disk_is_told(tmp_path: Path, load: Callable[..., Data], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "data")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(BadInput, match=r"dataset.cache=.*: No space left on device; give a folder that can be written"):
        load()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_grey_and_colour_are_made_alike_where_channels_says_so(tmp_path: Path, load: Callable[..., Data]) -> None:
    root = fill(tmp_path / "data")
    picture(1, "L").save(root / "train" / "dog" / "0.png")
    assert load(channels=3).input_shape == (3, 5, 6)
    assert load(channels=1).input_shape == (1, 5, 6)


# What cannot be used, as the command says it


def dangling_link(root: Path) -> None:
    (root / "train" / "cat" / "9.png").symlink_to("nowhere.png")


def fifo(root: Path) -> None:
    os.mkfifo(root / "train" / "cat" / "9.png")


def unix_socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(root / "train" / "cat"):
        server.bind("9.png")


def device(root: Path) -> None:
    (root / "train" / "cat" / "9.png").symlink_to("/dev/zero")


def postscript(root: Path) -> None:
    """Pillow would hand it to Ghostscript."""
    picture(1).save(root / "train" / "dog" / "2.png", format="EPS")


def empty_class(root: Path) -> None:
    (root / "train" / "emu").mkdir()
    (root / "test" / "emu").mkdir()


def keep_one_class(root: Path) -> None:
    for part in ("train", "test"):
        for path in (root / part / "dog").iterdir():
            path.unlink()
        (root / part / "dog").rmdir()


def class_without_test(root: Path) -> None:
    (root / "train" / "emu").mkdir()
    picture(3).save(root / "train" / "emu" / "0.png")


def no_test(root: Path) -> None:
    for path in sorted((root / "test").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (root / "test").rmdir()


def empty_val(root: Path) -> None:
    (root / "val" / ".ipynb_checkpoints").mkdir(parents=True)


def val_without_dog(root: Path) -> None:
    (root / "val" / "cat").mkdir(parents=True)
    picture(3).save(root / "val" / "cat" / "0.png")


def val_without_images(root: Path) -> None:
    val_without_dog(root)
    (root / "val" / "dog").mkdir()


def unreadable(root: Path) -> None:
    path = root / "train" / "dog" / "2.png"
    path.write_bytes(path.read_bytes()[:70])


def no_image(root: Path) -> None:
    (root / "train" / "dog" / "2.png").write_text("a shopping list")


def gigantic(root: Path) -> None:
    Image.new("1", (20_000, 20_000)).save(root / "train" / "dog" / "2.png")


def large(root: Path) -> None:
    """Where Pillow warns and would go on."""
    Image.new("1", (10_000, 10_000)).save(root / "train" / "dog" / "2.png")


def deep(root: Path) -> None:
    Image.fromarray(np.zeros((5, 6), dtype=np.uint16)).save(root / "train" / "dog" / "2.png")


def several_sizes(root: Path) -> None:
    picture(1, size=(9, 5)).save(root / "train" / "dog" / "2.png")


def grey_and_colour(root: Path) -> None:
    picture(1, "L").save(root / "train" / "dog" / "2.png")


def nothing(root: Path) -> None:
    """The folder is fine."""


BAD = [
    (empty_class, [], r"dataset.folder=.*: there is no image in train/emu/; give a folder that holds train/"),
    (keep_one_class, [], r"dataset.folder=.*: there is one class \(cat\); give at least two"),
    (
        class_without_test,
        [],
        r"dataset.folder=.*: train/ and test/ differ in their classes \(emu\); give both the",
    ),
    (no_test, [], r"dataset.folder=.*: No such file or directory: .*/test; give a folder that holds train/"),
    (empty_val, [], r"dataset.folder=.*: there is no class folder in val/; give a folder that holds train/"),
    (val_without_images, [], r"dataset.folder=.*: there is no image in val/dog/; give a folder that holds train/"),
    (val_without_dog, [], r"dataset.folder=data: train/ and val/ differ in their classes \(dog\); give both the same"),
    (unreadable, [], r"dataset.folder: .*/train/dog/2.png cannot be read as an image \(.*\); mend or remove it"),
    (no_image, [], r"dataset.folder: .*/train/dog/2.png cannot be read as an image \(UnidentifiedImageError.*mend or"),
    (
        dangling_link,
        [],
        r"dataset.folder: .*/cat/9.png cannot be read \(No such file or directory\); mend or remove it",
    ),
    (fifo, [], r"dataset.folder: .*/cat/9.png is a FIFO, not a file; remove it"),
    (unix_socket, [], r"dataset.folder: .*/cat/9.png is a socket, not a file; remove it"),
    (device, [], r"dataset.folder: .*/cat/9.png is a device, not a file; remove it"),
    (postscript, [], r"dataset.folder: .*/dog/2.png cannot be read as an image \(UnidentifiedImageError.*mend or"),
    (nothing, ["dataset.cache=null"], r"dataset.cache=null: give the folder for decoded images"),
    (
        nothing,
        ["dataset.folder='~nobody-of-that-name/pics'"],
        r"dataset.folder=\"~nobody.*: give the folder that holds",
    ),
    (gigantic, ["dataset.resize=8"], r"dataset.folder: .*2.png cannot be read as an image \(DecompressionBombError"),
    (large, ["dataset.resize=8"], r"dataset.folder: .*2.png cannot be read as an image \(DecompressionBombWarning"),
    (deep, [], r"dataset.folder: .*/2.png has pixels of mode I;16; save it as grey or RGB, 8 bits each"),
    (several_sizes, [], r"dataset.resize=null: .*/cat/0.png is 5x6 pixels \(height x width\) and .*/2.png 5x9; give"),
    (grey_and_colour, [], r"dataset.channels=null: .*/2.png is grey and .*/cat/0.png in colour; give 1 or 3"),
    (
        nothing,
        ["dataset.val_fraction=0.01"],
        r"dataset.val_fraction=0.01: that is 0 of the 8 images in train/; give the share",
    ),
    (nothing, ["dataset.val_fraction=2"], r"dataset.val_fraction=2: give a number between 0 and 1"),
    (nothing, ["dataset.folder=null"], r"dataset.folder=null: give the folder that holds train/<class>/"),
    (
        nothing,
        ["dataset.resize=0"],
        r"dataset.resize=0: give the side of a square in pixels, \[HEIGHT,WIDTH\], or null",
    ),
    (nothing, ["dataset.resize=[1,2,3]"], r"dataset.resize=\[1, 2, 3\]: give the side of a square"),
    (nothing, ["dataset.resize=200000"], r"dataset.folder: 16 images of 3x200000x200000 are 1788 GiB, and this mach"),
    (nothing, ["dataset.channels=2"], r"dataset.channels=2: give 1 \(grey\), 3 \(colour\) or null"),
    (nothing, ["dataset.cache=README"], r"dataset.cache=README: File exists; give a folder that can be written to"),
    (nothing, ["dataset.normalize.mean=[0.5,0.5]"], r"dataset.normalize.mean=\[0.5, 0.5\]: the data have 3 channel"),
    (nothing, ["dataset.normalize.std=[1,0,1]"], r"dataset.normalize.std=\[1, 0, 1\]: give numbers greater than 0"),
    (nothing, ["dataset.normalize.mean=grey"], r"dataset.normalize.mean=grey: give a finite number, or a list of them"),
    (nothing, ["dataset.augment.padding=-1"], r"dataset.augment.padding=-1: give a whole number from 0"),
    (nothing, ["dataset.augment.flip=1"], r"dataset.augment.flip=1: give true or false"),
]


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")  # as users have it
@pytest.mark.parametrize(("spoil", "words", "said"), BAD)
def test_bad_input_is_one_line(
    spoil: Callable[[Path], None], words: list[str], said: str, tmp_path: Path, zeroinit: Command
) -> None:
    spoil(fill(tmp_path / "data"))
    Path("README").write_text("a file")
    ended = zeroinit("dataset=image_folder", "dataset.folder=data", "dataset.val_fraction=0.25", "steps=2", *words)
    assert ended.code == 2
    *progress, line = ended.err.splitlines()
    assert all(re.fullmatch(r"decoding 16 images(: done in \d+ s)?", shown) for shown in progress)
    assert re.match(f"zeroinit: {said}", line), line
    assert not Path("mlruns/mlflow.db").exists()


def test_a_run(zeroinit: Command, tmp_path: Path) -> None:
    fill(tmp_path / "data")
    words = (
        "dataset=image_folder",
        "dataset.folder=data",
        "dataset.val_fraction=0.25",
        "dataset.batch_size=3",
        "steps=4",
    )
    ended = zeroinit(*words, "dataset.augment.flip=true", "dataset.normalize.std=[0.2,0.3,0.4]", "tracker=off")
    assert ended.code == 0
    assert ended.err.splitlines()[0] == "decoding 16 images"
    again = zeroinit(*words, "tracker=off")
    assert "decoding" not in again.err


@pytest.mark.data
def test_cifar10_as_jpeg() -> None:
    root = Path(os.environ.get("ZEROINIT_DATA", "no folder named")) / "cifar10-jpeg"
    if not root.is_dir():
        pytest.skip("ZEROINIT_DATA names no folder that holds cifar10-jpeg")
    data = image_folder(stream("split", 0), str(root), "cache", 0.14, None, None)
    assert [len(split[1]) for split in (data.train, data.val, data.test)] == [43_000, 7_000, 10_000]
    assert (data.input_shape, data.num_classes, data.train[0].dtype) == ((3, 32, 32), 10, torch.uint8)
    assert torch.bincount(data.test[1]).tolist() == [1000] * 10
    assert torch.bincount(data.val[1]).tolist() == [700] * 10
