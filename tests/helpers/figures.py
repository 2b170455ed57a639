"""What a figure shows, as data."""

import io
import itertools
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from zeroinit.report.figures import draw_view, save_figure
from zeroinit.report.views import View


def visible(figure: Figure) -> list[Axes]:
    """The panels, without colour bars."""
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_subplotspec()]


def check_drawn(view: View) -> Figure:
    """Draw the view: no text overlaps another or is cut."""
    figure = draw_view(view)
    assert imread(io.BytesIO(save_figure(figure))).std() > 0.05
    canvas: Any = figure.canvas
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in outer_texts(figure)]
    boxes = [(text, without_blank_lines(text, box)) for text, box in boxes]
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y1 <= height + 1, text
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        across = min(box.x1, other_box.x1) - max(box.x0, other_box.x0)
        down = min(box.y1, other_box.y1) - max(box.y0, other_box.y0)
        assert across < 2 or down < 2, (text, other)  # pixels
    return figure


def without_blank_lines(text: str, box: Bbox) -> Bbox:
    """The box of a text without the blank lines at its end."""
    share = (text.rstrip("\n").count("\n") + 1) / (text.count("\n") + 1)
    return Bbox.from_extents(box.x0, box.y1 - share * box.height, box.x1, box.y1)


def outer_texts(figure: Figure) -> list[Text]:
    """All texts that are visible, except those inside of panels."""
    inside = {id(text) for axes in figure.axes for text in axes.texts if text.get_clip_on()}
    hidden = [axes for axes in figure.axes if not axes.get_visible()]
    of_hidden = {id(text) for axes in hidden for text in axes.findobj(Text)}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [
        text for text in texts if text.get_text().strip() and text.get_visible() and id(text) not in inside | of_hidden
    ]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]
