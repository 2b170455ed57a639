"""Which files of an image folder are data; turned images; a validation folder."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.pictures import fill, picture
from PIL import Image, ImageOps
from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

from zeroinit import build
from zeroinit.config import Job
from zeroinit.dataset import Data, folder, image_folder
from zeroinit.dataset.listing import EXTENSIONS, list_parts
from zeroinit.rng import stream

Command = Callable[..., object]
ORIENTATION = 0x0112
WORDS = (
    "dataset=image_folder",
    "dataset.folder=data",
    "dataset.batch_size=3",
    "arch=logistic",
    "steps=2",
    "tracker=off",
)


def read_data(held_out: float = 0.25, resize: int | None = None) -> Data:
    return image_folder(stream("split", 0), "data", "cache", held_out, resize, None)


def images(part: str) -> list[str]:
    root = Path("data").absolute()
    return [os.path.relpath(path, root / part) for path, _ in list_parts(root)[part].samples]


def save_turned(path: Path, image: Image.Image, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(path, exif=exif, quality=95)


def test_order_and_extensions_are_torchvisions(tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    elsewhere = tmp_path / "elsewhere"
    for name in ("b/c", "b", "B", "a-b", "a"):
        (root / "train" / "cat" / name).mkdir(parents=True, exist_ok=True)
        for file in ("z.PNG", "10.png", "9.jpg"):
            (root / "train" / "cat" / name / file).touch()
    (elsewhere / "inner").mkdir(parents=True)
    (elsewhere / "inner" / "1.png").touch()
    (root / "train" / "cat" / "linked").symlink_to(elsewhere)
    (root / "train" / "cat" / "11.png").symlink_to("10.png")
    classes, labels = find_classes(str(root / "train"))
    part = list_parts(root)["train"]
    assert part.classes == classes
    assert part.samples == make_dataset(str(root / "train"), labels, extensions=IMG_EXTENSIONS)
    assert "cat/linked/inner/1.png" in images("train")
    assert EXTENSIONS == IMG_EXTENSIONS
    assert not part.skipped_files
    assert not part.skipped_links


@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX"])
@pytest.mark.parametrize("parent", ["", "cat", "cat/deep/er"])
def test_folders_of_tools_and_systems_are_ignored_at_every_depth(name: str, parent: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    before = images("train")
    leftover = root / "train" / parent / name / "sub"
    leftover.mkdir(parents=True)
    for path in (leftover / "0.png", leftover.parent / "0.png", root / "train" / "cat" / "._0.png"):
        picture(1).save(path)
    assert images("train") == before
    assert list_parts(root)["train"].classes == ["cat", "dog"]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("cat/up", ".."),
        ("cat/here", "."),
        ("cat/deep/root", "../../.."),
        ("cat/dogs", "../dog"),
        ("up", "."),
        ("kitten", "cat"),
        ("cat/absolute", "{root}/train/cat"),
        ("cat/outside", "{root}/../elsewhere"),
    ],
)
def test_a_link_back_into_its_own_tree_is_not_followed(link: str, target: str, tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    elsewhere = tmp_path / "elsewhere"  # leads back by links of its own
    elsewhere.mkdir()
    (elsewhere / "data").symlink_to(root)
    (elsewhere / "self").symlink_to(elsewhere)
    before = images("train")
    path = root / "train" / link
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target.format(root=root))
    part = list_parts(root)["train"]
    assert images("train") == before
    assert part.classes == ["cat", "dog"]
    assert part.skipped_links == (2 if link == "cat/outside" else 1)


def test_parts_and_classes_may_be_links_to_elsewhere(tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    (root / "train" / "cat").rename(root / "cats")
    (root / "train" / "cat").symlink_to("../cats")
    (root / "test").rename(tmp_path / "held")
    (root / "test").symlink_to(tmp_path / "held")
    assert images("train")[:2] == ["cat/0.png", "cat/1.png"]
    assert len(images("test")) == 8


def test_skipped_files_are_told_in_one_line(zeroinit: Command, tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    for name in ("a.txt", "b.TXT", "c.txt", "d.gif", "README", ".DS_Store"):
        (root / "train" / "cat" / name).touch()
    for path in (root / "test" / "labels.csv", root / "test" / "e.gif"):
        path.touch()
    (root / "test" / "cat" / "up").symlink_to("..")
    said = "skipped 7 files (.txt: 3, .gif: 2, no extension: 1, .csv: 1) and 1 link that leads back into the folder;"
    for words in (("seed=0",), ("-m", "seed=0,1"), ("-m", "seed=0,1", "hydra/launcher=basic")):
        ended = zeroinit(*words, *WORDS, "dataset.val_fraction=0.25")
        assert ended.code == 0
        lines = [line for line in ended.err.splitlines() if ": skipped " in line]
        assert len(lines) == 1, ended.err
        assert lines[0].startswith(f"zeroinit: dataset.folder=data: {said} the files in class folders are read (.jpg, ")


def test_a_folder_of_images_alone_is_not_commented(zeroinit: Command, tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    (root / "train" / ".DS_Store").touch()
    assert read_data().notes == ()
    assert "zeroinit:" not in zeroinit(*WORDS, "dataset.val_fraction=0.25").err


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_an_image_is_seen_as_exif_says(orientation: int, suffix: str, tmp_path: Path) -> None:
    """All images are 6x6, or all are 5 wide and 6 high once they are turned."""
    root = fill(tmp_path / "data")
    for path in root.rglob("*.png"):
        picture(1, size=(5, 6)).save(path)
    (root / "train" / "cat" / "0.png").unlink()
    path = root / "train" / "cat" / f"0.{suffix}"
    save_turned(path, picture(3, size=(6, 5) if orientation > 4 else (5, 6)), orientation)
    data = read_data(held_out=0.125)
    assert data.input_shape == (3, 6, 5)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
    every = torch.cat([data.train[0], data.val[0]])
    assert any(np.array_equal(expected, image) for image in every)


def test_shapes_are_compared_as_seen(zeroinit: Command, tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    save_turned(root / "train" / "cat" / "1.jpg", picture(3), 6)
    ended = zeroinit("dataset=image_folder", "dataset.folder=data", "dataset.val_fraction=0.25", "steps=2")
    assert ended.code == 2
    assert "cat/0.png is 5x6 pixels (height x width) and" in ended.err
    assert "cat/1.jpg 6x5; give" in ended.err


def test_broken_exif_leaves_the_pixels(tmp_path: Path) -> None:
    root = fill(tmp_path / "data")
    before = read_data()
    picture(0).save(root / "train" / "cat" / "0.png", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff")
    assert torch.equal(read_data().train[0], before.train[0])


def test_a_cache_of_sideways_pixels_is_made_again(tmp_path: Path) -> None:
    """It is named as when orientation was not applied, and has no checksum."""
    save_turned(fill(tmp_path / "data") / "train" / "cat" / "0.png", picture(0), 3)
    read_data()
    [path] = Path("cache").glob("*.npy")
    old = path.with_name(path.name.replace(".upright", ""))
    array = np.load(path)
    path.unlink()
    np.save(old, np.full_like(array, 7))
    for _ in range(2):
        assert not (read_data().train[0] == 7).all()
    assert not old.exists()
    assert len(list(Path("cache").glob("*.npy"))) == 1


@pytest.fixture
def val_folder(tmp_path: Path) -> Path:
    root = fill(tmp_path / "data")
    for index, name in enumerate(("cat", "dog", "dog")):
        (root / "val" / name).mkdir(parents=True, exist_ok=True)
        picture(90 + index).save(root / "val" / name / f"{index}.png")
    return root


@pytest.mark.usefixtures("val_folder")
def test_val_is_the_validation_set() -> None:
    data = read_data()
    assert [split[1].tolist() for split in (data.train, data.val, data.test)] == [
        [0] * 4 + [1] * 4,
        [0, 1, 1],
        [0] * 4 + [1] * 4,
    ]
    for index, pixels in enumerate(data.val[0]):
        assert np.array_equal(np.asarray(picture(90 + index)).transpose(2, 0, 1), pixels)
    others = np.asarray([picture(seed) for seed in range(16)]).transpose(0, 3, 1, 2)
    assert np.array_equal(np.concatenate([data.train[0], data.test[0]]), others)


@pytest.mark.usefixtures("val_folder")
def test_held_out_is_told_to_have_no_effect_where_it_was_typed(zeroinit: Command) -> None:
    said = "zeroinit: dataset.val_fraction has no effect: data/val is the validation set"
    assert said in zeroinit(*WORDS, "dataset.val_fraction=0.3").err.splitlines()
    assert "val_fraction" not in zeroinit(*WORDS).err
    ended = zeroinit("-m", *WORDS, "dataset.val_fraction=0.1,0.2")
    assert ended.code == 2
    assert "the two would be one and the same run" in ended.err


def test_val_makes_other_runs_and_held_out_then_does_not(
    tmp_path: Path, job_of: Callable[..., Job], val_folder: Path
) -> None:
    """Runs from before val/ was read, which held out a part of train/, are not taken for runs with it."""
    words = ("dataset=image_folder", "dataset.folder=data", "dataset.resize=8")
    job = job_of(*words)
    other = job_of(*words, "dataset.val_fraction=0.3")
    assert job.config_hash == other.config_hash
    assert build.identity_of(job) == build.identity_of(other)
    (val_folder / "val").rename(tmp_path / "elsewhere")
    folder.folder_fingerprint.cache_clear()
    without = job_of(*words)
    assert without.cell_hash != job.cell_hash
    assert without.config_hash != job_of(*words, "dataset.val_fraction=0.3").config_hash


def test_a_plain_folder_has_the_hash_that_it_had(tmp_path: Path, job_of: Callable[..., Job]) -> None:
    """By the code from before val/, links and hidden folders were told apart."""
    root = fill(tmp_path / "data")
    words = ("dataset=image_folder", "dataset.folder=data", "dataset.resize=8")
    samples = []
    for part in ("train", "test"):
        samples += make_dataset(str(root / part), find_classes(str(root / part))[1], extensions=IMG_EXTENSIONS)
    lines = []
    for path, label in samples:
        state = os.stat(path)
        name = path.removeprefix(str(root))
        lines.append(f"{name} {label} {state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}")
    assert folder.folder_fingerprint("data") == f"{root} {folder.digest(chr(10).join(lines))}"
    job = job_of(*words)
    assert job.config_hash != job_of(*words, "dataset.val_fraction=0.3").config_hash
