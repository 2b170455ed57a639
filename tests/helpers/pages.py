"""The pages of the documentation, and the blocks of code on them."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zeroinit.config.target import resolve_cached

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
FENCES = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """A block of code on a page.

    Attributes:
        language: `sh`, `python`, `yaml`, or empty for what a command prints.
        text: its lines.
    """

    language: str
    text: str

    @property
    def path(self) -> str:
        """The file that the block is; empty if it is none."""
        return self.text.splitlines()[0].removeprefix("# ") if self.language and self.text.startswith("# ") else ""


def read_page(page: str) -> str:
    """Return the text of a page, by its path in the repository."""
    return (ROOT / page).read_text()


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for language, text in FENCES.findall(read_page(page)):
        yield Block(language, text)


def write_file(block: Block) -> None:
    """Write the file that a block is, in the current folder; a module that was imported is forgotten."""
    path = Path(block.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)
    sys.modules.pop(path.stem, None)
    importlib.invalidate_caches()
    resolve_cached.cache_clear()
