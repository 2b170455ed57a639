"""The HTML of a page: the template with its scripts, its styles and its data, and as much detail as fits."""

import base64
import gzip
import html
import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zeroinit.report.cells import Cell
from zeroinit.report.histories import CellHistograms, GradientHistograms, space_evenly
from zeroinit.report.manifest import Manifest
from zeroinit.report.page.extras import Extras
from zeroinit.report.page.metrics import DetailLevel

if TYPE_CHECKING:
    from zeroinit.report.page.content import Content

TEMPLATE = Path(__file__).parent.parent / "template"
MAX_PAGE_BYTES = 1_900_000
DETAIL_LEVELS = (  # the first level that fits into MAX_PAGE_BYTES is used
    DetailLevel(40, 50, True, 1000, None),
    DetailLevel(20, 25, True, 100, None),
    DetailLevel(10, 25, False, 20, None),
    DetailLevel(0, 25, False, 5, None),
    DetailLevel(0, 10, False, 1, None),
    DetailLevel(0, 0, False, 1, 20),
)
SAMPLE_CELLS = 40  # of a sweep of more than three times as many, from which the size of the page is predicted

NO_EXTRAS = Extras()


def render_page(
    name: str,
    manifest: Manifest,
    cells: Sequence[Cell],
    histograms: Sequence[GradientHistograms | None] | CellHistograms,
    notes: Sequence[str],
    extras: Extras = NO_EXTRAS,
) -> bytes:
    """Return the HTML of a sweep, smaller than MAX_PAGE_BYTES for a thousand cells at least.

    The records must have the metrics of `curve_metrics`, and those by which claims are judged, at every step.

    Args:
        name: The sweep's name.
        manifest: What it asks and plans.
        cells: Its cells.
        histograms: The weight gradients of each cell.
        notes: What a reader should know before comparing the cells.
        extras: What the page shows if it is known.
    """
    from zeroinit.report.page.content import Content  # only here: pandas takes time to import

    content = Content(name, manifest, cells, histograms, notes, extras)
    for level in _list_levels(content):
        page = _fill_template(content, level)
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _list_levels(content: "Content") -> Sequence[DetailLevel]:
    """Return the levels of detail to try, beginning with the first whose predicted page is small enough."""
    count = len(content.cells)
    if count <= 3 * SAMPLE_CELLS:
        return DETAIL_LEVELS
    sizes = SAMPLE_CELLS // 4, SAMPLE_CELLS // 2, SAMPLE_CELLS
    samples = [content.select(space_evenly(count, size)) for size in sizes]

    def is_small(level: DetailLevel) -> bool:
        few, some, many = (len(_fill_template(sample, level)) for sample in samples)
        of_each = (many - some) / (SAMPLE_CELLS // 2)
        packing = 0.5 * (many - some) / max(1, some - few)  # how much smaller a cell is among twice as many
        return many + min(1, packing) * of_each * (count - SAMPLE_CELLS) <= MAX_PAGE_BYTES

    return DETAIL_LEVELS[bisect_left(DETAIL_LEVELS[:-1], True, key=is_small) :]


def _fill_template(content: "Content", level: DetailLevel) -> bytes:
    """Return the template with the scripts, the styles and the data of a level, which the browser decompresses."""
    data = content.at(level, DETAIL_LEVELS[0])
    page = (TEMPLATE / "page.html").read_text()
    packed = gzip.compress(json.dumps(data, separators=(",", ":"), allow_nan=False).encode(), mtime=0)
    files = {path.name: path.read_text() for path in TEMPLATE.iterdir() if path.suffix in (".css", ".js")}
    parts = {name: text.replace("{{score}}", f"test {content.score}") for name, text in files.items()}
    parts |= {"title": html.escape(f"{content.name} - zeroinit"), "data": base64.b64encode(packed).decode()}
    # in one pass, so that a name such as {{data}} stays as it is
    return re.sub(r"\{\{([\w.]+)\}\}", lambda match: parts[match[1]], page).encode()
