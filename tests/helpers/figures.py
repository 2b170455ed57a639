"""What a figure shows, as data."""

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from zeroinit.report.figures import (
    png,
)


def line_with_label(axes: Axes, label: str) -> Any:
    return next(line for line in axes.lines if line.get_label() == label)


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def visible(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def check_drawn(figure: Figure) -> None:
    assert imread(io.BytesIO(png(figure))).std() > 0.05


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def join_lines(text: Any) -> str:
    return " ".join(text.get_text().split())
