"""What views share: colours, panels, and their data for the page."""

import itertools

from helpers.reports import make_cells

from zeroinit import CONF
from zeroinit.report.views import (
    Facet,
    make_curves,
)
from zeroinit.report.views.colours import (
    OTHER_COLOURS,
    OTHER_DASHES,
    SHIPPED_INITS,
    interpolate,
    is_dark,
    measure_luminance,
    style_inits,
)
from zeroinit.report.views.panels import arrange_panels, limit_rows, list_decades, split_shared_parts

# ---- colours


def test_each_shipped_init_has_a_style_of_its_own_that_is_visible_on_white() -> None:
    shipped = {path.stem for path in (CONF / "init").glob("*.yaml")}
    assert set(SHIPPED_INITS) == shipped
    assert len(set(SHIPPED_INITS.values())) == len(shipped)
    assert len({style.colour for style in SHIPPED_INITS.values()}) == len(shipped)
    for style in (*SHIPPED_INITS.values(), *style_inits(["mine", "yours"]).values()):
        assert 1.05 / (measure_luminance(style.colour) + 0.05) >= 3, style
    assert style_inits(["default"])["default"].colour == "#2B2F33"


def test_an_init_of_a_user_has_the_same_dashed_line_in_every_sweep() -> None:
    style = style_inits(["mine"])["mine"]
    assert style == style_inits(["default", "zero", "mine", "zero_normal"])["mine"]
    assert style.colour in OTHER_COLOURS
    assert style.dash


def test_inits_of_a_sweep_differ_in_colour_and_when_colours_end_in_dashes() -> None:
    """`a1` and `a18` prefer one colour; whatever the order, the first by name has it."""
    alone = {init: style_inits([init])[init] for init in ("a1", "a18")}
    assert alone["a1"].colour == alone["a18"].colour
    both = style_inits(["a18", "a1"])
    assert both == style_inits(["a1", "a18"])
    assert (both["a1"], both["a18"].colour == alone["a18"].colour) == (alone["a1"], False)
    names = ["default", "zero", *(f"mine{number}" for number in range(len(SHIPPED_INITS) - 2))]
    assert len({style.colour for style in style_inits(names).values()}) == len(names) == len(SHIPPED_INITS)
    many = [f"mine{number}" for number in range(len(SHIPPED_INITS) * len(OTHER_DASHES))]
    assert len({*style_inits(many).values()}) == len(many)
    assert len(style_inits([*many, "another"])) == len(many) + 1


def test_an_init_has_its_colour_of_the_sweep_in_a_chart_of_some_cells() -> None:
    cells = make_cells({"init": ["a1", "a18"]})
    every, some = make_curves(cells), make_curves(cells[1:])
    assert every.colour
    assert some.colour
    assert list(some.colour.colours) == list(every.colour.colours)[1:]


def test_colours_between_stops() -> None:
    assert [interpolate(("#000000", "#FFFFFF"), share) for share in (-1, 0, 0.5, 1, 2)] == [
        "#000000", "#000000", "#808080", "#FFFFFF", "#FFFFFF"
    ]  # fmt: skip
    assert is_dark("#000000")
    assert not is_dark("#FFFFFF")


# ---- panels


def test_panels_stand_in_the_order_of_their_numbers() -> None:
    params = [{"init": "zero", "lr": lr, "arch": arch} for arch in ("b", "a") for lr in ("10", "0.1", "9")]
    panels = arrange_panels(params, ["init", "arch", "lr"])
    assert panels.rows == Facet("row", ["arch=b", "arch=a"], ["arch=b", "arch=a"])
    assert panels.columns == Facet("column", ["lr=0.1", "lr=9", "lr=10"], ["lr=0.1", "lr=9", "lr=10"])
    assert panels.row_of == ["arch=b"] * 3 + ["arch=a"] * 3
    assert panels.column_of == ["lr=10", "lr=0.1", "lr=9"] * 2
    assert panels.shared == "init=zero"


def test_many_values_of_one_key_have_columns_alone() -> None:
    panels = arrange_panels([{"lr": str(lr)} for lr in range(50)], ["lr"])
    assert panels.rows is None
    assert panels.columns
    assert list(panels.columns.values) == [f"lr={lr}" for lr in range(50)]


def test_the_last_key_with_few_values_has_columns() -> None:
    params = [{"arch": arch, "lr": str(lr)} for arch in "ab" for lr in range(6)]
    panels = arrange_panels(params, ["arch", "lr"])
    assert panels.rows
    assert panels.columns
    assert list(panels.rows.values) == [f"lr={lr}" for lr in range(6)]
    assert list(panels.columns.values) == ["arch=a", "arch=b"]
    assert (panels.row_of[7], panels.column_of[7]) == ("lr=1", "arch=b")


def test_labels_are_split_at_their_keys() -> None:
    labels = ["arch.hidden=[64, 32], init=zero", "arch.hidden=[64, 48], init=zero"]
    assert split_shared_parts(labels) == (["arch.hidden=[64, 32]", "arch.hidden=[64, 48]"], "init=zero")


def test_rows_beyond_the_limit_are_left_out_with_a_note() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": [str(lr) for lr in range(50)]})
    view = limit_rows(make_curves(cells), 12, 3)
    assert view.columns
    assert len(view.columns.values) == view.frame["column"].nunique() == 36
    assert view.notes == ["14 more panels are left out."]


def test_data_of_a_view_have_the_columns_that_marks_use_alone() -> None:
    view = make_curves(make_cells({"init": ["zero", "default"]}))
    data = view.to_data()
    used = set(itertools.chain.from_iterable(mark.channels.values() for mark in view.marks))
    assert used <= set(data["frame"]) <= used | {"is_mean", "is_run", "has_band", "row", "column"}
    assert data["colour"]["domain"] == ["zero", "default"]


def test_a_short_logarithmic_axis_has_several_ticks() -> None:
    assert list_decades(8) == [0, 1, 2, 5]
    assert list_decades(1) == [0, 1]
    assert list_decades(312) == [0, 1, 10, 100]
