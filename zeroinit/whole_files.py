"""Files that are whole or not there, even if the process or the machine dies while they are written."""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"  # ends the name of a file until it is whole
STALE_SECONDS = 600  # after which a partial file is left over from a process that was killed


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Yield a new binary file, which gets its name at the end of the block, and is removed if the block raises.

    It replaces a file of that name. Its content and its name are then on the disk, and outlive a loss of power.

    Raises:
        OSError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}-{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_names(path.parent)


def remove_stale(folder: Path) -> None:
    """Remove the partial files of processes that were killed while they wrote to the folder."""
    for path in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


def _sync_names(folder: Path) -> None:
    """Write the names in a folder to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
