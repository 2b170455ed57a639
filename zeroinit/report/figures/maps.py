"""Maps of a sweep: what became of each cell, and its accuracy, over any two of its keys."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from zeroinit.report.cells import (
    FATES,
    NOT_RUN,
    Cell,
    columns,
    commonest,
    numeric,
    ordered,
    undecided,
)
from zeroinit.report.figures.accuracy import describe_units
from zeroinit.report.figures.facets import named
from zeroinit.report.figures.style import LETTER, LINE, SMALL, TALLEST, WIDTH, bar, frame, short
from zeroinit.report.statistics import estimate, explain_intervals
from zeroinit.tracker import TEST_ACCURACY

SIZE = colormaps["cividis"]
OTHER = ("?", "#FFFFFF")


def axes_of(cells: Sequence[Cell]) -> tuple[str, str]:
    """The two keys that vary most, a numeric one first: the x and the y axis; where fewer vary, one that does not."""
    telling = undecided([cell.params for cell in cells], columns(cells))
    values = {key: ordered(cell.params.get(key, "") for cell in cells) for key in columns(cells)}
    first, second = sorted(values, key=lambda key: (key not in telling, -len(values[key])))[:2]
    x_first = all(map(numeric, values[first])) or not all(map(numeric, values[second]))
    return (first, second) if x_first else (second, first)


def map_figure(cells: Sequence[Cell], x: str | None = None, y: str | None = None) -> Figure:
    """Verdicts on the left, accuracies on the right, over the keys x and y; a row for each combination of the others.

    A cell without a finished run has no accuracy, and one without any run no verdict either: both are hatched.
    """
    if x is None or y is None:
        x, y = choose(cells, x, y)
    others = [key for key in columns(cells) if key not in (x, y)]
    differing = [key for key in undecided([cell.params for cell in cells], columns(cells)) if key not in (x, y)]
    same = [key for key in others if len({cell.params.get(key) for cell in cells}) == 1 and key in cells[0].params]
    shared = ", ".join(short(f"{key}={cells[0].params[key]}") for key in same)
    rows: dict[tuple[str, ...], dict[tuple[str, str], Cell]] = defaultdict(dict)
    for cell in cells:
        place = cell.params.get(x, ""), cell.params.get(y, "")
        rows[tuple(cell.params.get(key, "") for key in differing)].setdefault(place, cell)
    along, up = (ordered(cell.params.get(key, "") for cell in cells) for key in (x, y))
    left = 0.45 + LETTER * max(len(short(value)) for value in up)
    side = LINE * len(differing)
    width = (WIDTH - left - 0.3 - side) / 2
    each = width / len(along)
    longest = LETTER * max(len(short(value)) for value in along)
    titled = 1.2 * longest < each
    kept = list(rows.items())[:TALLEST]
    lost = f"; {len(rows) - len(kept)} more combinations are left out" if len(rows) > len(kept) else ""
    accuracies = [estimate(cell.finished, TEST_ACCURACY) for cell in cells]
    intervals = explain_intervals(accuracies, digits=1)
    among = [fate for fate in [*FATES, "?"] if any(commonest(cell)[0] == fate for cell in cells)]
    mixed = "; n of m: so many runs have the commonest verdict" if any(is_mixed(cell) for cell in cells) else ""
    full = len(along) * len(up) * len(rows) == len(cells) and all(cell.finished for cell in cells)
    hatched = "" if full else "; hatched: no finished run"
    key = {
        f"{'' if fate == '?' else FATES[fate][0] + ' = '}{fate if fate != '?' else 'another'}": {
            "linestyle": "",
            "marker": "s",
            "markersize": 9,
            "markeredgecolor": "0.4",
            "color": look(fate)[1],
        }
        for fate in among
    }
    height = max(min(0.42 * len(up), 0.42 * 12), 0.7) if each > 0.35 else max(0.25 * len(up), 0.7)
    beside = [named(differing, values) for values, _ in kept]
    height = max(height, *(1.15 * widest(text) for text in beside))
    figure, grid, free = frame(
        len(kept),
        2,
        height,
        f"What became of the cells, over {x} and {y}",
        f"Test accuracy in percent after the last step, {describe_units(cells)}"
        f"{', ' + intervals if intervals else ''}{'; ' + shared if shared else ''}{mixed}{hatched}{lost}.",
        key,
        left=left,
        right=0.15 + side,
        heading=1,
        below=0.98 if titled else 0.98 + longest,
        gap=(0.15, 0.15),
    )
    for row, (_, members) in enumerate(kept):
        for (i, one), (j, other) in ((a, b) for a in enumerate(along) for b in enumerate(up)):
            draw_fate(grid[row, 0], i, j, members.get((one, other)), each)
            draw_accuracy(grid[row, 1], i, j, members.get((one, other)), each)
        for column, axes in enumerate(grid[row]):
            axes.set_xlim(-0.5, len(along) - 0.5)
            axes.set_ylim(-0.5, len(up) - 0.5) if all(map(numeric, up)) else axes.set_ylim(len(up) - 0.5, -0.5)
            last = row == len(kept) - 1
            axes.set_xticks(
                range(len(along)), [short(value) for value in along] if last else [], rotation=0 if titled else 90
            )
            axes.set_yticks(range(len(up)), [] if column else [short(value) for value in up])
            axes.tick_params(length=0, labelsize=SMALL)
            axes.set_xlabel(x if last else "", fontsize=SMALL, labelpad=1)
            axes.set_ylabel("" if column else y, fontsize=SMALL)
        grid[row, 1].text(
            1.02,
            0.5,
            beside[row],
            transform=grid[row, 1].transAxes,
            rotation=-90,
            va="center",
            fontsize=SMALL,
        )
    for axes, title in zip(grid[0], ("verdict", "test accuracy, %"), strict=True):
        axes.set_title(title, fontsize=SMALL, pad=3)
    bar(
        figure,
        (left + width + 0.3, free, width - 0.3),
        (Normalize(0, 1), SIZE),
        ([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"]),
        "test accuracy",
    )
    return figure


def choose(cells: Sequence[Cell], x: str | None, y: str | None) -> tuple[str, str]:
    """The axes that are not given."""
    first, second = axes_of(cells)
    if x is not None:
        return x, second if x != second else first
    if y is not None:
        return first if y != first else second, y
    return first, second


def look(fate: str) -> tuple[str, str]:
    return FATES.get(fate, OTHER)


def is_mixed(cell: Cell) -> bool:
    return commonest(cell)[1] < cell.fates.total() - cell.fates[NOT_RUN]


def widest(text: str) -> float:
    """Inches, of the longest line."""
    return LETTER * max(map(len, text.split("\n")))


def square(axes: Axes, i: int, j: int, colour: Any) -> None:
    how: dict[str, Any] = {"facecolor": "white", "hatch": "////", "edgecolor": "0.7"}
    how = how if colour is None else {"facecolor": colour, "edgecolor": "white"}
    axes.add_patch(Rectangle((i - 0.5, j - 0.5), 1, 1, linewidth=1, **how))


def write(axes: Axes, i: int, j: int, text: str, colour: Any) -> None:
    brightness = float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))
    axes.text(
        i,
        j,
        text,
        ha="center",
        va="center",
        fontsize=SMALL,
        color="black" if brightness > 0.45 else "white",
        linespacing=0.95,
    )


def draw_fate(axes: Axes, i: int, j: int, cell: Cell | None, each: float) -> None:
    fate, count = commonest(cell) if cell else (NOT_RUN, 0)
    if not cell or fate == NOT_RUN:
        square(axes, i, j, None)
        return
    letter, colour = look(fate)
    square(axes, i, j, colour)
    total = cell.fates.total() - cell.fates[NOT_RUN]
    word = fate if fate != "?" else "another"
    words = [word] if count < total else [word, word.replace("-", "-\n", 1), "-\n".join(word.rsplit("-", 1))]
    shown = next((one for one in words if widest(one) < each - 0.05), letter)
    if count < total:
        shown += f"\n{count} of {total}" if each > 0.6 else f"\n{count}/{total}"
    write(axes, i, j, shown, colour)


def draw_accuracy(axes: Axes, i: int, j: int, cell: Cell | None, each: float) -> None:
    found = estimate(cell.finished if cell else [], TEST_ACCURACY)
    if math.isnan(found.mean):
        square(axes, i, j, None)
        return
    colour = SIZE(found.mean)[:3]
    square(axes, i, j, colour)
    digits = 0 if each < 0.8 else 1
    number, text = f"{100 * found.mean:.{digits}f}", found.percent(digits, sign="")
    folded = text.replace(" ± ", "\n±").replace(" (", "\n(").replace(", ", ",\n")
    # digits are wider than letters are on average
    fitting = next((one for one in (text, folded, number) if 1.25 * widest(one) < each), "")
    write(axes, i, j, fitting, colour)
