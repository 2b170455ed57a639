"""The HTML of a page: the template with its scripts, its styles and its data, and as much detail as fits."""

import base64
import gzip
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zeroinit.report.cells import Cell
from zeroinit.report.histories import GradientHistograms, bin_range, limit_layers
from zeroinit.report.manifest import Manifest
from zeroinit.report.page.extras import Extras
from zeroinit.report.page.metrics import DetailLevel

TEMPLATE = Path(__file__).parent.parent / "template"
MAX_PAGE_BYTES = 1_900_000
DETAIL_LEVELS = (  # the first level that fits into MAX_PAGE_BYTES is used
    DetailLevel(40, 50, 1000, None),
    DetailLevel(20, 25, 100, None),
    DetailLevel(10, 25, 20, None),
    DetailLevel(0, 25, 5, None),
    DetailLevel(0, 10, 1, None),
    DetailLevel(0, 0, 1, 20),
)
MAX_HISTOGRAM_NUMBERS = 8_000_000  # in all histograms; more take long to compress, and do not fit
MAX_CURVE_POINTS = 1_000_000  # in all curves; more take long to compress, and do not fit
MAX_LAYERS = 16  # layers that have histograms and curves


NO_EXTRAS = Extras()


def render_page(
    name: str,
    manifest: Manifest,
    cells: Sequence[Cell],
    histograms: Sequence[GradientHistograms | None],
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

    limited = [of_cell and limit_layers(of_cell, MAX_LAYERS) for of_cell in histograms]
    content = Content(name, manifest, cells, limited, notes, extras)
    numbers = sum(_count_numbers(of_cell) for of_cell in limited if of_cell)
    for level in DETAIL_LEVELS:
        is_last = level is DETAIL_LEVELS[-1]
        if not is_last and level.steps * numbers > MAX_HISTOGRAM_NUMBERS:
            continue
        if not is_last and level.points * content.count_curves() > MAX_CURVE_POINTS:
            continue
        page = _fill_template(name, content.at(level, DETAIL_LEVELS[0]))
        if len(page) <= MAX_PAGE_BYTES:
            break
    return page


def _count_numbers(histograms: GradientHistograms) -> int:
    """Return how many numbers the histograms of one step have."""
    first, last = bin_range(histograms)
    return 2 * (last - first) * len(histograms.layers)


def _fill_template(name: str, data: dict[str, Any]) -> bytes:
    """Return the template with the scripts, the styles and the data, which the browser decompresses."""
    page = (TEMPLATE / "page.html").read_text()
    packed = gzip.compress(json.dumps(data, separators=(",", ":"), allow_nan=False).encode(), mtime=0)
    parts = {path.name: path.read_text() for path in TEMPLATE.iterdir() if path.suffix in (".css", ".js")}
    parts |= {"title": html.escape(f"{name} - zeroinit"), "data": base64.b64encode(packed).decode()}
    # in one pass, so that a name such as {{data}} stays as it is
    return re.sub(r"\{\{([\w.]+)\}\}", lambda match: parts[match[1]], page).encode()
