"""Views drawn by matplotlib."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.figures import check_drawn, legend, visible
from helpers.reports import make_cells
from matplotlib.colors import to_hex
from matplotlib.image import imread

from zeroinit.report.figures import draw_view, save_figure
from zeroinit.report.figures.guides import choose_ticks, format_value, wrap_keys
from zeroinit.report.figures.marks import find_colours
from zeroinit.report.views import Facet, Mark, Scale, View, make_curves, make_differences, make_map


def make_view(frame: pd.DataFrame, marks: list[Mark], **parts: object) -> View:
    defaults: dict[str, object] = {
        "x": Scale("steps", "linear", (0, 10), "count"),
        "y": Scale("share", "linear", (0, 1), "percent"),
    }
    return View("test", "A title", "A caption.", frame, marks=marks, **defaults | parts)  # type: ignore[arg-type]


def test_one_panel_has_the_lines_and_bands_of_its_frame() -> None:
    view = make_curves(make_cells({"init": ["zero", "default"]}))
    figure = check_drawn(view)
    [panel] = visible(figure)
    lines = [line for line in panel.lines if len(line.get_xdata()) == 2]
    assert [to_hex(line.get_color()).upper() for line in lines] == ["#D55E00", "#2B2F33"]
    assert [line.get_linewidth() for line in lines] == [2.6, 1.2]
    assert lines[0].get_ydata().tolist() == [0.1, 0.5]
    assert panel.get_ylim() == pytest.approx(view.y.domain)
    assert legend(figure) == ["zero: 50.00%, 50.00%", "default: 50.00%, 50.00%"]
    assert figure.get_supxlabel() == "epoch"


def test_a_caption_is_not_cut_and_n_stays_beside_its_number() -> None:
    """Letters are a little wider on the canvas than in the font."""
    frame = pd.DataFrame({"x": [0.0, 1], "y": [0.0, 1]})
    view = make_view(frame, [Mark("line", {"x": "x", "y": "y"})])
    words = "the first observed steps; pale to the share of exact zeros; mean over n = 3 runs a cell, in 0 to 100%; "
    for start in range(0, 60, 4):
        figure = check_drawn(replace(view, caption=(words * 3)[start:].strip()))
        [caption] = [text for text in figure.texts if "exact zeros" in text.get_text()]
        canvas: Any = figure.canvas
        assert caption.get_window_extent(canvas.get_renderer()).x1 < 8 * 110 - 4  # pixels
        assert "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}3" in caption.get_text()


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_figures_are_saved_as_png_svg_or_pdf(kind: str) -> None:
    content = save_figure(draw_view(make_curves(make_cells({"init": ["zero"]}))), kind)
    assert content.lstrip()[:4] in {"png": [b"\x89PNG"], "svg": [b"<?xm"], "pdf": [b"%PDF"]}[kind]


def test_a_figure_can_be_changed_before_it_is_saved() -> None:
    figure = draw_view(make_curves(make_cells({"init": ["zero"]})))
    before = save_figure(figure)
    figure.axes[0].set_title("mine")
    assert save_figure(figure) != before


def test_24_panels_have_headings_and_no_text_that_overlaps() -> None:
    inits = ["zero", "default", "zero_normal"]
    cells = make_cells({"init": inits, "arch": list("abcdefgh"), "bias_scale.value": ["1", "2", "3"]})
    figure = check_drawn(make_curves(cells))
    panels = visible(figure)
    assert len(panels) == 24
    assert [panel.get_title() for panel in panels[:4]] == [f"bias_scale.value={value}" for value in (1, 2, 3)] + [""]
    assert [panel.get_title(loc="left").strip() for panel in panels[::3]] == [f"arch={letter}" for letter in "abcdefgh"]
    differences = make_differences(cells)
    assert differences
    check_drawn(differences)


def test_more_rows_than_there_is_space_for_are_left_out_with_a_note() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": [str(lr) for lr in range(50)]})
    figure = check_drawn(make_curves(cells))
    assert len(visible(figure)) == 36
    assert "14 more panels are left out." in figure.texts[1].get_text()


@pytest.mark.parametrize("count", [1, 3, 8])
def test_long_names_are_neither_cut_nor_overlap(count: int) -> None:
    names = [f"{'a' * 30}{index}{'b' * 300}" for index in range(count)]
    cells = make_cells({"init": [*names, "default"], "arch.note": [name * 2 for name in names]})
    check_drawn(make_curves(cells))
    check_drawn(make_map(cells, "init", "arch.note"))
    check_drawn(make_map(cells, "arch.note", "init"))
    differences = make_differences(cells)
    assert differences
    check_drawn(differences)


def test_a_map_of_many_cells_leaves_out_texts_that_do_not_fit() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": [str(lr) for lr in range(60)]})
    figure = check_drawn(make_map(cells))
    assert not any(panel.texts for panel in visible(figure))


def test_lines_have_gaps_at_nan_and_bands_have_none() -> None:
    frame = pd.DataFrame({"x": [0.0, 1, 2, 3], "y": [0.1, math.nan, 0.3, 0.4], "low": math.nan, "high": math.nan})
    figure = check_drawn(
        make_view(frame, [Mark("line", {"x": "x", "y": "y"}), Mark("band", {"x": "x", "low": "low", "high": "high"})])
    )
    assert np.isnan(visible(figure)[0].lines[0].get_ydata()).tolist() == [False, True, False, False]


def test_every_mark_is_drawn_on_bands_and_on_numbers() -> None:
    frame = pd.DataFrame({
        "x": ["a", "b"], "y": [0.2, 0.6], "low": [0.1, 0.5], "high": [0.3, 0.7], "text": ["one", "two"],
        "q05": 0.1, "q25": 0.2, "q50": 0.3, "q75": 0.4, "q95": 0.5,
    })  # fmt: skip
    both = {"x": "x", "y": "y"}
    marks = [
        Mark("tile", {"x": "x", "low": "low", "high": "high"}, colour="#123456", label="a tile"),
        Mark("dot", both, colour="#654321", hollow=True, label="a dot"),
        Mark("cross", both),
        Mark("interval", {"x": "x", "low": "low", "high": "high"}),
        Mark("text", both | {"text": "text"}, anchor="start"),
        Mark("rule", {"y": "y"}, dashed=True, label="a rule"),
        Mark("rule", {"y": "y", "low": "low", "high": "high"}),
        Mark("box", {"x": "x"} | {q: q for q in ("q05", "q25", "q50", "q75", "q95")}, colour="#0072B2"),
    ]
    figure = check_drawn(make_view(frame, marks, x=Scale("kind", "band", ["a", "b"], "text")))
    [panel] = visible(figure)
    assert [text.get_text() for text in panel.texts] == ["one", "two"]
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["a", "b"]
    assert [patch.get_y() for patch in panel.patches] == [0.2, 0.2]
    assert legend(figure) == ["a tile", "a dot", "a rule"]


def test_a_tile_has_the_colour_of_its_value() -> None:
    scale = Scale("share", "sequential", [0, 0.5, 1], "percent", colours=["#000000", "#808080", "#FF0000"])
    frame = pd.DataFrame({"x": ["a", "b", "b"], "y": ["c", "c", "d"], "share": [0.0, 0.5, 2.0]})
    bands = {"x": Scale("x", "band", ["a", "b"], "text"), "y": Scale("y", "band", ["c", "d"], "text", reverse=True)}
    figure = check_drawn(
        make_view(frame, [Mark("tile", {"x": "x", "y": "y", "colour": "share"})], colour=scale, **bands)
    )
    panel, bar = figure.axes
    assert [to_hex(colour) for colour in panel.collections[0].get_facecolors()] == [
        "#000000", "#808080", "#000000", "#ff0000"
    ]  # fmt: skip
    assert panel.collections[0].get_facecolors()[2, 3] == 0  # no tile
    assert panel.get_ylim() == (1.5, -0.5)
    assert [tick.get_text() for tick in bar.get_xticklabels()] == ["0%", "50%", "100%"]
    assert find_colours(scale, np.array([0.25, 2.0])).tolist() == [pytest.approx([64 / 255] * 3), [1, 0, 0]]


def test_panels_without_rows_are_hidden_and_rows_go_to_their_panels() -> None:
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": 0.5, "row": ["r", "r", "s"], "column": ["c", "d", "d"]})
    facets = {"rows": Facet("row", ["r", "s"], ["row=r", "row=s"]), "columns": Facet("column", ["c", "d"], ["C", "D"])}
    figure = check_drawn(make_view(frame, [Mark("dot", {"x": "x", "y": "y"})], **facets))
    points = [panel.collections[0].get_offsets().tolist() for panel in visible(figure)]
    assert points == [[[1, 0.5]], [[2, 0.5]], [[3, 0.5]]]
    assert [panel.get_title() for panel in visible(figure)] == ["C", "D", ""]
    assert visible(figure)[0].get_xticklabels()  # the lowest of its column
    assert not visible(figure)[1].get_xticklabels()


def test_values_are_written_by_their_format() -> None:
    assert [format_value(share, "percent") for share in (0, 0.125, 1)] == ["0%", "12.5%", "100%"]
    assert [format_value(points, "points") for points in (-2.5, 0, 3)] == ["−2.5", "0", "+3"]
    assert [format_value(count, "count") for count in (5, 1000, 20_000)] == ["5", "1,000", "20k"]
    assert format_value(-10, "power") == "2⁻¹⁰"
    assert format_value(-0.5, "number") == "−0.5"


def test_ticks_whose_texts_would_touch_are_left_out() -> None:
    scale = Scale("step", "symlog", (0, 150_000), "count", ticks=[0, *(10**power for power in range(6))])
    assert choose_ticks(scale, 6, is_across=True)[1] == ["0", "1", "10", "100", "1,000", "10k", "100k"]
    assert choose_ticks(scale, 1.4, is_across=True)[1] == ["0", "1", "10", "1,000", "100k"]


def test_headings_are_broken_between_keys_and_never_within_a_value() -> None:
    heading = "arch.hidden=[333, 77], dtype=float32"
    assert wrap_keys(heading, 9) == heading
    assert wrap_keys(heading, 2) == "arch.hidden=[333, 77]\ndtype=float32"
    assert wrap_keys(heading, 1.2) == "arch.hidden=\n[333, 77]\ndtype=float32"


def test_a_picture_has_the_size_that_mlflow_shows() -> None:
    content = save_figure(draw_view(make_curves(make_cells({"init": ["zero"]}))))
    assert imread(io.BytesIO(content)).shape[1] == 880
