"""Whether a path is a regular file: opening a FIFO or a device may wait for ever, and a socket cannot be opened."""

import os
import stat
from pathlib import Path

KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def irregular_kind(path: str | Path) -> str:
    """Return what the path is instead of a regular file, such as `a FIFO`; empty for a file, or if nothing is there.

    Links are followed, and nothing is opened.
    """
    try:
        return kind_of(os.stat(path))
    except (OSError, ValueError):  # whoever opens it says why it cannot be read
        return ""


def kind_of(status: os.stat_result) -> str:
    """Return what the path of this status is instead of a regular file; empty for a regular file."""
    return KINDS.get(stat.S_IFMT(status.st_mode), "")
