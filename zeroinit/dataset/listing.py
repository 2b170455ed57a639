"""Which files of an image folder are read, and which are skipped."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from zeroinit.errors import BadInput

Samples = list[tuple[str, int]]  # (path, label)

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
# folders that file systems and archives add; hidden names are also skipped
SYSTEM_FOLDERS = frozenset(
    {"@eaDir", "#recycle", "__MACOSX", "lost+found", "$RECYCLE.BIN", "System Volume Information"}
)


@dataclass
class Part:
    """The classes of train/, val/ or test/, its images in torchvision's order, and what was skipped."""

    classes: list[str] = field(default_factory=list)
    samples: Samples = field(default_factory=list)
    skipped_files: Counter[str] = field(default_factory=Counter)  # by extension; hidden files are not counted
    skipped_links: int = 0  # to folders that contain the link, or are in the same part


def has_validation_folder(root: Path) -> bool:
    """Return whether the folder has val/."""
    return (root / "val").is_dir()


def list_parts(root: Path) -> dict[str, Part]:
    """List train/, val/ if there is one, and test/, in this order.

    Raises:
        BadInput: A part cannot be read, has no class, or a class has no image.
    """
    names = ["train", *(["val"] if has_validation_folder(root) else []), "test"]
    return {name: _list_part(root, name) for name in names}


def describe_skipped(folder: str, parts: dict[str, Part]) -> str:
    """Return one line on the files and links of the folder that are not read; empty if all are read."""
    files: Counter[str] = sum((part.skipped_files for part in parts.values()), Counter())
    links = sum(part.skipped_links for part in parts.values())
    skipped = []
    if files:
        counts = ", ".join(f"{extension or 'no extension'}: {count}" for extension, count in files.most_common())
        skipped.append(f"{files.total()} file{'s' * (files.total() > 1)} ({counts})")
    if links:
        lead = "links that lead" if links > 1 else "link that leads"
        skipped.append(f"{links} {lead} back into the folder")
    if not skipped:
        return ""
    accepted = ", ".join(EXTENSIONS)
    return f"dataset.folder={folder}: skipped {' and '.join(skipped)}; the files in class folders are read ({accepted})"


def _list_part(root: Path, name: str) -> Part:
    part, top = Part(), root / name
    try:
        real = os.path.realpath(top)
        folders, files = _read_folder(str(top), (real,), part)
        part.skipped_files.update(map(_extension, files))
        part.classes = sorted(os.path.basename(folder) for folder in folders)
        if not part.classes:
            raise _unusable(root, f"there is no class folder in {name}/")
        for label, class_name in enumerate(part.classes):
            images = list(_walk(os.path.join(top, class_name), (real,), part))
            if not images:
                raise _unusable(root, f"there is no image in {name}/{class_name}/")
            part.samples += [(path, label) for path in images]
    except OSError as error:
        raise _unusable(root, f"{error.strerror or error}: {error.filename}") from error
    return part


def _walk(folder: str, parents: tuple[str, ...], part: Part) -> Iterator[str]:
    """Yield the images below a class folder in torchvision's order: by the path of their folder, then by name."""
    by_folder: dict[str, list[str]] = {}
    waiting = [(folder, (*parents, os.path.realpath(folder)))]
    while waiting:
        current, chain = waiting.pop()
        folders, by_folder[current] = _read_folder(current, chain, part)
        waiting += [(inner, (*chain, os.path.realpath(inner))) for inner in folders]
    for current in sorted(by_folder):
        for name in sorted(by_folder[current]):
            if name.lower().endswith(EXTENSIONS):
                yield os.path.join(current, name)
            else:
                part.skipped_files[_extension(name)] += 1


def _read_folder(folder: str, chain: tuple[str, ...], part: Part) -> tuple[list[str], list[str]]:
    """Return the (paths of folders, names of files) to read in a folder.

    Args:
        folder: its path.
        chain: the real paths of the part, of the folders below it, and of the folder itself.
        part: counts what is skipped.
    """
    folders, files = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                files.append(entry.name)
            elif entry.is_symlink() and _leads_back(os.path.realpath(entry.path), chain):
                part.skipped_links += 1
            elif entry.name not in SYSTEM_FOLDERS:
                folders.append(entry.path)
    return folders, files


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; reading it as a file gives the message
        return False


def _leads_back(target: str, chain: tuple[str, ...]) -> bool:
    """Return whether a link's target is in the part, or contains a folder that leads to the link."""
    return _holds(chain[0], target) or any(_holds(target, folder) for folder in chain)


def _holds(outer: str, inner: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip(os.sep) + os.sep)


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _unusable(root: Path, reason: str) -> BadInput:
    return BadInput(
        f"dataset.folder={root}: {reason}; give a folder that holds train/<class>/ and test/<class>/, "
        "with images in each"
    )
