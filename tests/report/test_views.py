"""The views: charts as data."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence

import pytest
from helpers.reports import make_cells, plan_of, record

from zeroinit import CONF
from zeroinit.report.cells import Cell, group_cells, sort_values
from zeroinit.report.views import (
    Facet,
    View,
    choose_axes,
    make_curves,
    make_differences,
    make_map,
    make_neurons,
)
from zeroinit.report.views.colours import (
    OTHER_COLOURS,
    SHIPPED_INITS,
    interpolate,
    is_dark,
    measure_luminance,
    style_init,
)
from zeroinit.report.views.panels import arrange_panels, limit_rows, split_shared_parts


def with_courses(cells: list[Cell], courses: Callable[[Mapping[str, str]], Sequence[float]]) -> list[Cell]:
    """Give each cell its test accuracies after each epoch of 10 steps."""
    for cell in cells:
        for run in cell.finished:
            run.metrics[:] = [("test/accuracy", value, 10 * i) for i, value in enumerate(courses(cell.params))]
    return cells


def with_ends(cells: list[Cell], ends: Mapping[str, Sequence[float]]) -> list[Cell]:
    """Give each run of each cell the test accuracy of its init and seed."""
    for cell in cells:
        for run in cell.finished:
            value = ends[cell.params["init"]][int(run.params["seeds.init"])]
            run.metrics[:] = [("test/accuracy", 0.1, 0), ("test/accuracy", value, 20)]
    return cells


# ---- colours


def test_each_shipped_init_has_a_style_of_its_own_that_is_visible_on_white() -> None:
    shipped = {path.stem for path in (CONF / "init").glob("*.yaml")}
    assert set(SHIPPED_INITS) == shipped
    assert len(set(SHIPPED_INITS.values())) == len(shipped)
    assert len({style.colour for style in SHIPPED_INITS.values()}) == len(shipped)
    for style in (*SHIPPED_INITS.values(), *map(style_init, ("mine", "yours"))):
        assert 1.05 / (measure_luminance(style.colour) + 0.05) >= 3, style
    assert style_init("default").colour == "#2B2F33"


def test_an_init_of_a_user_has_the_same_dashed_line_in_every_sweep() -> None:
    style = style_init("mine")
    assert style == style_init("mine")
    assert style.colour in OTHER_COLOURS
    assert style.dash


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


# ---- curves


def lines_of(view: View, **panel: str) -> dict[str, list[float]]:
    """{line: its means} in a panel."""
    frame = view.frame[view.frame["is_mean"]]
    for column, value in panel.items():
        frame = frame[frame[column] == value]
    return {name: part["mean"].tolist() for name, part in frame.groupby("line", sort=False)}


def test_the_comparison_has_every_cell_over_epochs() -> None:
    runs = [record(init, seed, 0.5 + 0.1 * seed) for init in ("zero", "default") for seed in (0, 1, 2)]
    view = make_curves(group_cells(plan_of(*runs), runs))
    assert view.frame["x"].tolist() == [0, 2, 0, 2]
    assert view.frame["mean"].tolist() == pytest.approx([0.1, 0.6] * 2)
    assert view.frame["low"].tolist() == pytest.approx([0.1, 0.6 - 0.24841] * 2, abs=1e-4)  # 4.303 * 0.1 / sqrt(3)
    assert view.colour
    assert view.colour.labels == ["zero: 60.00% ± 24.84", "default: 60.00% ± 24.84"]
    assert list(view.colour.colours) == ["#D55E00", "#2B2F33"]
    assert "mean over n = 3 draws of the init; band: Student's 95% interval, within 0 to 100%" in view.caption
    assert view.title == "Test accuracy ends at 60.0% everywhere"
    json.dumps(view.to_data(), allow_nan=False)


def test_the_runs_may_have_lines_in_place_of_bands_and_steps_a_logarithmic_axis() -> None:
    runs = [record("zero", seed, 0.5 + 0.1 * seed) for seed in (0, 1, 2)]
    view = make_curves(group_cells(plan_of(*runs), runs), along="step", with_runs=True)
    assert [mark.kind for mark in view.marks] == ["line", "line"]
    assert view.frame[view.frame["is_run"]]["mean"].tolist() == pytest.approx([0.1, 0.5, 0.1, 0.6, 0.1, 0.7])
    assert (view.x.label, view.x.kind, list(view.x.ticks)) == ("step (log)", "symlog", [0, 1, 10])
    assert view.x.domain == (0, 20)


def test_curves_may_be_thinned_to_their_ends() -> None:
    cells = with_courses(make_cells({"init": ["zero"]}), lambda of: [i / 100 for i in range(50)])
    assert make_curves(cells, points=3).frame["x"].tolist() == [0, 24, 49]


def test_logistic_regression_of_one_init_is_a_grey_baseline_in_the_panels_of_its_data() -> None:
    """Two data sets; on each, a line an init and its own baseline below it."""
    cells = make_cells({"arch": ["fnn"], "init": ["default", "zero_normal"], "dataset": ["a", "b"]})
    cells += make_cells({"arch": ["logistic"], "init": ["default"], "dataset": ["a", "b"]})
    ends = {("fnn", "a"): 0.9, ("fnn", "b"): 0.8, ("logistic", "a"): 0.7, ("logistic", "b"): 0.6}
    view = make_curves(with_courses(cells, lambda of: [0.1, ends[of["arch"], of["dataset"]]]))
    assert view.columns == Facet("column", ["dataset=a", "dataset=b"], ["dataset=a", "dataset=b"])
    assert view.rows is None
    for data in "ab":
        assert {name: means[-1] for name, means in lines_of(view, column=f"dataset={data}").items()} == {
            "default": ends["fnn", data],
            "zero_normal": ends["fnn", data],
            "logistic (baseline)": ends["logistic", data],
        }
    assert view.colour
    assert view.colour.labels == ["default", "zero_normal", "logistic (baseline)"]
    assert list(view.colour.dashes) == ["", "", "4 2"]
    assert view.colour.colours[-1] == "#7A7F85"


def test_logistic_regression_of_the_same_inits_is_dashed_in_their_colours() -> None:
    cells = make_cells({"arch": ["logistic", "fnn"], "init": ["default", "zero"]})
    view = make_curves(with_courses(cells, lambda of: [0.1, 0.7 if of["arch"] == "logistic" else 0.9]))
    assert view.rows is view.columns is None
    assert view.colour
    assert list(view.colour.colours) == ["#2B2F33", "#D55E00"] * 2
    assert list(view.colour.dashes) == ["", "", "5 2", "5 2"]
    names = ["default: 90.00%, 90.00%", "zero: 90.00%, 90.00%"]
    assert view.colour.labels == [*names, "logistic, default: 70.00%, 70.00%", "logistic, zero: 70.00%, 70.00%"]


@pytest.mark.parametrize(
    ("keys", "more"),
    [
        ({"init": ["default", "zero"], "bias_scale.value": ["1", "100"]}, {}),  # as the quickstart
        ({"init": ["default"]}, {"dataset": ["elsewhere"]}),  # no other arch has its data
    ],
)
def test_logistic_regression_that_is_a_subject_has_panels_of_its_own(
    keys: dict[str, list[str]], more: dict[str, list[str]]
) -> None:
    cells = make_cells({"arch": ["logistic"], **keys, "dataset": ["here"], **more}) + make_cells(
        {"arch": ["fnn"], "init": ["default", "zero"], **keys, "dataset": ["here"]}
    )
    view = make_curves(cells)
    panels = view.frame.groupby(["row", "column"])
    assert len(panels) == 2 * len(keys.get("bias_scale.value", ["1"]))
    assert view.colour
    assert not any(view.colour.dashes)
    assert view.frame["group"].nunique() == len(cells)


@pytest.mark.parametrize("inits", [["zero_normal"], ["zero_normal", "zero_uniform"]])
def test_bias_scales_that_are_more_than_the_inits_are_lines_in_the_order_of_their_numbers(inits: list[str]) -> None:
    cells = make_cells({"init": inits, "bias_scale.value": ["100", "0.01", "1"]})
    ends = {"0.01": 0.3, "1": 0.6, "100": 0.9}
    view = make_curves(with_courses(cells, lambda of: [0.1, ends[of["bias_scale.value"]]]))
    headings = list(view.columns.headings) if view.columns else []
    assert headings == ([f"init={init}" for init in inits] if len(inits) > 1 else [])
    names = [f"bias_scale.value={value}" for value in ends]
    assert view.colour
    assert list(view.colour.domain) == names
    assert [label.split(":")[0] for label in view.colour.labels] == names
    lightness = [measure_luminance(colour) for colour in view.colour.colours]
    assert lightness == sorted(set(lightness))
    for heading in headings or [""]:
        assert [means[-1] for means in lines_of(view, column=heading).values()] == [0.9, 0.3, 0.6]


def test_as_many_scales_as_inits_leave_the_colours_to_the_inits() -> None:
    view = make_curves(make_cells({"init": ["a", "b", "c"], "bias_scale.value": ["1", "2", "3"]}))
    assert view.columns
    assert list(view.columns.headings) == [f"bias_scale.value={value}" for value in (1, 2, 3)]
    assert view.colour
    assert view.colour.labels == ["a", "b", "c"]


def test_two_archs_at_the_prior_are_two_lines_on_the_whole_axis_with_their_number() -> None:
    cells = with_courses(
        make_cells({"arch": ["fnn", "mnist_cnn"], "init": ["zero"]}), lambda of: [0.098, 0.1135, 0.1135]
    )
    view = make_curves(cells)
    assert list(lines_of(view).values()) == [[0.098, 0.1135, 0.1135]] * 2
    assert view.y.domain == (0, 1.02)
    assert view.colour
    assert view.colour.labels == ["arch=fnn: 11.35%, 11.35%", "arch=mnist_cnn: 11.35%, 11.35%"]
    assert "axis begins" not in view.caption


@pytest.mark.parametrize(
    ("courses", "limits"),
    [
        ({"a": [0.1, 0.93, 0.97], "b": [0.1, 0.9, 0.98]}, (0.89, 0.9832)),  # a margin of 4% of 8 points, whole percents
        ({"a": [0.1, 0.30, 0.52], "b": [0.1, 0.25, 0.5]}, (0.23, 0.5308)),  # 15 of 42 points: more than a third
        ({"a": [0.1, 0.30, 0.52], "b": [0.1, 0.23, 0.5]}, (0, 1.02)),  # 13 of 42
        ({"a": [0.1, 0.93, 0.97], "b": [0.1, 0.11, 0.1]}, (0, 1.02)),
    ],
)
def test_the_axis_is_cut_below_curves_that_the_first_epoch_has_lifted(
    courses: dict[str, list[float]], limits: tuple[float, float]
) -> None:
    view = make_curves(with_courses(make_cells({"init": list(courses)}), lambda of: courses[of["init"]]))
    assert view.y.domain == pytest.approx(limits)
    assert (f"the axis begins at {limits[0]:.0%}" in view.caption) == (limits[0] > 0)


def test_a_name_too_long_for_the_legend_leaves_the_number_where_the_curve_ends() -> None:
    view = make_curves(make_cells({"init": ["zero" * 20]}))
    assert view.colour
    [label] = view.colour.labels
    assert label.endswith("zero: 50.00%, 50.00%")
    assert len(label) <= 40


# ---- differences


def test_differences_are_paired_and_cells_far_off_do_not_squash_the_others() -> None:
    cells = make_cells({"init": ["default", "zero", "zero_normal"]}, seeds=3)
    ends = {"default": [0.90, 0.91, 0.92], "zero": [0.1] * 3, "zero_normal": [0.88, 0.90, 0.89]}
    cells[1].outcomes.clear()
    cells[1].outcomes["stuck-at-prior"] = 3
    view = make_differences(with_ends(cells, ends))
    assert view
    means = view.frame[view.frame["is_mean"]]
    assert means["line"].tolist() == ["zero_normal"]
    assert means["value"].tolist() == pytest.approx([-2.0])
    assert view.frame[view.frame["is_seed"]]["value"].tolist() == pytest.approx([-2, -1, -3])
    [far] = view.frame[view.frame["is_low"]].to_dict("records")
    assert (far["line"], far["text"]) == ("zero", "\N{BLACK LEFT-POINTING SMALL TRIANGLE} −81.00 ± 3.58")
    low, high = view.x.domain
    assert far["value"] == low
    assert -7 < low < means["low"].item() < means["high"].item() < high < 3
    assert list(view.y.domain) == ["zero", "zero_normal"]
    assert view.colour
    assert list(view.colour.colours) == ["#D55E00", "#0072B2"]
    assert "n = 3 independent pairs" in view.caption
    assert "widened for 2 comparisons" in view.caption
    json.dumps(view.to_data(), allow_nan=False)


def test_the_title_of_the_differences_says_how_far_an_init_is_from_the_baseline() -> None:
    cells = make_cells({"init": ["default", "zero_uniform"], "bias_scale.value": ["1", "2"]}, seeds=3)
    noise = [0.001, 0, -0.001]
    for cell in cells:
        for run, offset in zip(cell.finished, noise, strict=True):
            less = {"1": 0.008, "2": 0.011}[cell.params["bias_scale.value"]] if cell.params["init"] != "default" else 0
            run.metrics[:] = [("test/accuracy", 0.9 - less + offset * (less > 0), 20)]
    view = make_differences(cells)
    assert view
    assert view.title == "zero_uniform ends 0.8 to 1.1 points below default"
    assert view.columns
    assert list(view.columns.values) == ["bias_scale.value=1", "bias_scale.value=2"]


def test_cells_without_a_baseline_have_no_differences() -> None:
    assert make_differences(make_cells({"init": ["zero", "ones"]})) is None


def test_an_init_with_two_values_of_its_argument_has_two_lines() -> None:
    cells = make_cells({"init": ["default"], "init.std": [""]}, seeds=3)
    cells += make_cells({"init": ["small_normal"], "init.std": ["1", "0.1"]}, seeds=3)
    view = make_differences(cells)
    assert view
    assert list(view.y.domain) == ["small_normal, std=1", "small_normal, std=0.1"]
    assert view.colour
    assert len(set(view.colour.colours)) == 1


def test_data_of_a_view_have_the_columns_that_marks_use_alone() -> None:
    view = make_curves(make_cells({"init": ["zero", "default"]}))
    data = view.to_data()
    used = set(itertools.chain.from_iterable(mark.channels.values() for mark in view.marks))
    assert used <= set(data["frame"]) <= used | {"is_mean", "is_run", "has_band", "row", "column"}
    assert data["colour"]["domain"] == ["zero", "default"]


# ---- map


def test_the_map_has_a_tile_for_each_cell() -> None:
    cells = make_cells(
        {"init": ["zero", "default"], "optimizer.lr": ["10", "0.5", "9"], "bias_scale.value": ["1", "100", "10"]}
    )
    cells[0].outcomes.clear()
    cells[0].outcomes.update({"learns": 2, "diverged": 1})
    cells[1].finished.clear()
    cells[1].outcomes.clear()
    cells[1].outcomes.update({"not run": 2})
    assert choose_axes(cells) == ("bias_scale.value", "optimizer.lr")
    view = make_map(cells)
    assert view.columns == Facet("column", ["init=zero", "init=default"], ["init=zero", "init=default"])
    assert list(view.x.domain) == ["1", "10", "100"]
    assert list(view.y.domain) == ["0.5", "9", "10"]
    assert not view.y.reverse  # numbers grow upwards
    assert len(view.frame) == len(cells) == 18
    assert view.frame["accuracy"].tolist() == pytest.approx([0.5, *[float("nan")], *[0.5] * 16], nan_ok=True)
    assert view.frame["text"].tolist() == ["50.0, 50.0\nO 2/3", "\N{EN DASH}", *["50.0, 50.0\nO"] * 16]
    [empty] = view.frame[view.frame["is_empty"]].to_dict("records")
    assert (empty["x"], empty["y"], empty["column"]) == ("100", "10", "init=zero")
    assert "with n = 2 both values; letters: O learns" in view.caption
    assert "n = 0" not in view.caption
    assert "grey: no finished run" in view.caption
    assert view.title == "Of 18 cells, 17 learn and 1 has not run"
    json.dumps(view.to_data(), allow_nan=False)


def test_the_title_of_a_map_counts_every_cell() -> None:
    cells = make_cells({"init": ["zero"], "optimizer.lr": [str(lr) for lr in range(7)]})
    outcomes = ["learned", "learned", "dead-layer", "dead-layer", "symmetric", "saturated", "new-one"]
    for cell, outcome in zip(cells, outcomes, strict=True):
        cell.outcomes.clear()
        cell.outcomes[outcome] = 2
    assert make_map(cells).title == "Of 7 cells, 2 learn, 2 have a dead layer, 1 is symmetric and 2 have other outcomes"
    assert make_map(cells[-2:]).title == "Of 2 cells, 1 is saturated and 1 is of another outcome"
    assert make_map(cells[:2]).title == "All 2 cells learn"


def test_the_axes_of_a_map_may_be_named() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": ["1", "2"]})
    view = make_map(cells, x="init", y="optimizer.lr")
    assert (view.x.label, view.y.label) == ("init", "optimizer.lr")
    assert list(view.x.domain) == ["zero", "default"]
    assert make_map(cells, y="init").x.label == "optimizer.lr"
    assert len(make_map(cells[:1]).frame) == 1


def test_numbers_are_ordered_by_size_and_names_as_they_come() -> None:
    assert sort_values(["10", "9", "1e-3", "9"]) == ["1e-3", "9", "10"]
    assert sort_values(["b", "10", "a"]) == ["b", "10", "a"]


# ---- neurons


def test_neurons_are_counted_for_each_layer_from_the_output_on_with_its_units() -> None:
    cells = make_cells({"init": ["constant", "default"]}, seeds=3)
    for cell in cells:
        for seed, run in enumerate(cell.finished):
            for layer, units in (("hidden10", 4), ("hidden9", 8)):  # as a store has them: by name
                most = 1 + seed if cell.params["init"] == "constant" else units
                run.metrics += [(f"symmetry/{layer}/distinct", value, step) for step, value in ((0, 1), (7, most))]
    view = make_neurons(cells, [{"hidden9": 8, "hidden10": 4}] * 2)
    assert view
    assert view.columns
    assert list(view.columns.values) == ["layer=hidden10", "layer=hidden9"]
    assert view.frame[view.frame["has_text"]]["text"].tolist() == ["4 units", "8 units"]
    tied = view.frame[(view.frame["init"] == "constant") & (view.frame["column"] == "layer=hidden10")]
    assert tied[["step", "mean", "low", "high"]].values.tolist() == [
        [0, 1, 1, 1],
        [7, 2, 1, 3],
    ]  # the range of the runs
    assert view.title == "constant ends with 2 of 8 neurons distinct in hidden9"
    assert view.colour
    assert list(view.colour.colours) == [style_init(init).colour for init in ("constant", "default")]
    json.dumps(view.to_data(), allow_nan=False)


def test_an_init_has_one_colour_in_all_views_and_sweeps() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": ["1", "0.1"]})
    for cell in cells:
        for run in cell.finished:
            run.metrics += [("symmetry/hidden1/distinct", 3.0, 0), ("symmetry/hidden1/distinct", 2.0, 5)]
    for some in (cells, cells[::-1], cells[:1]):
        for view in (make_curves(some), make_neurons(some), make_differences(some)):
            if view and view.colour and "zero" in view.colour.domain:
                assert view.colour.colours[list(view.colour.domain).index("zero")] == "#D55E00"


def test_no_counts_of_neurons_are_no_view() -> None:
    assert make_neurons(make_cells({"init": ["zero"]})) is None
