"""The curves of all inits, as data."""

import json
from collections.abc import Callable, Mapping, Sequence

import pytest
from helpers.reports import make_cells, plan_of, record

from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.views import (
    Facet,
    View,
    make_curves,
)
from zeroinit.report.views.colours import (
    measure_luminance,
)
from zeroinit.tracker import TEST_LOSS


def with_courses(cells: list[Cell], courses: Callable[[Mapping[str, str]], Sequence[float]]) -> list[Cell]:
    """Give each cell its test accuracies after each epoch of 10 steps."""
    for cell in cells:
        for run in cell.finished:
            run.metrics[:] = [("test/accuracy", value, 10 * i) for i, value in enumerate(courses(cell.params))]
    return cells


def lines_of(view: View, **panel: str) -> dict[str, list[float]]:
    """{line: its means} in a panel."""
    frame = view.frame[view.frame["is_mean"]]
    for column, value in panel.items():
        frame = frame[frame[column] == value]
    return {name: part["mean"].tolist() for name, part in frame.groupby("line", sort=False)}


def test_the_comparison_has_every_cell_over_epochs() -> None:
    runs = [record(init, seed, 0.5 + 0.1 * seed) for init in ("zero", "default") for seed in (0, 1, 2)]
    view = make_curves(group_cells(plan_of(*runs), runs))
    assert view.frame["epoch"].tolist() == [0, 2, 0, 2]
    assert view.frame["mean"].tolist() == pytest.approx([0.1, 0.6] * 2)
    assert view.frame["low"].tolist() == pytest.approx([0.1, 0.6 - 0.24841] * 2, abs=1e-4)  # 4.303 * 0.1 / sqrt(3)
    assert view.colour
    assert view.colour.labels == ["zero: 60.00% ± 24.84", "default: 60.00% ± 24.84"]
    assert list(view.colour.colours) == ["#D55E00", "#2B2F33"]
    assert "mean over n = 3 draws of the init; band: Student's 95% interval, within 0 to 100%" in view.caption
    assert view.title == "Test accuracy ends at 60.0% everywhere"
    loss = make_curves(group_cells(plan_of(*runs), runs), TEST_LOSS).caption
    assert "band: Student's 95% interval;" in loss  # which is no share
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
    assert make_curves(cells, points=3).frame["epoch"].tolist() == [0, 24, 49]


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


@pytest.mark.parametrize(
    ("course", "limit"), [([0.1, 0.12, 0.23], 0.25), ([0.1, 0.11, 0.11], 1.02), ([0.1, 0.2, 0.6], 1.02)]
)
def test_the_axis_ends_above_curves_that_rise_and_stay_low(course: list[float], limit: float) -> None:
    cells = with_courses(make_cells({"init": ["zero", "default"]}), lambda of: course)
    view = make_curves(cells)
    assert view.y.domain == (0, limit)
    assert ("the axis ends at 25%" in view.caption) == (limit < 1)
    assert make_curves(cells, along="step").y.domain == (0, 1.02)


def test_a_title_has_the_panels_of_ends_with_one_name() -> None:
    cells = make_cells({"init": ["zero", "default"], "arch": ["a", "b"]})
    ends = {("zero", "a"): 0.3, ("zero", "b"): 0.9, ("default", "a"): 0.5, ("default", "b"): 0.6}
    view = make_curves(with_courses(cells, lambda of: [0.1, ends[of["init"], of["arch"]]]))
    assert view.title == "Test accuracy ends between 30.0% (zero, arch=a) and 90.0% (zero, arch=b)"
    keys = {key: ["1", "2"] for key in ("optimizer.lr", "bias_scale.value", "dataset.batch_size")}
    of_lr = {("zero", "1"): 0.2, ("zero", "2"): 0.9}
    cells = make_cells({"init": ["zero", "default"], **keys})
    title = make_curves(with_courses(cells, lambda of: [0.1, of_lr.get((of["init"], of["optimizer.lr"]), 0.5)])).title
    assert all(part in title for part in ("20.0% (zero, ", "optimizer.lr=1", "bias_scale.value=", "optimizer.lr=2"))


def test_a_name_too_long_for_the_legend_leaves_the_number_where_the_curve_ends() -> None:
    view = make_curves(make_cells({"init": ["zero" * 20]}))
    assert view.colour
    [label] = view.colour.labels
    assert label.endswith("zero: 50.00%, 50.00%")
    assert len(label) <= 40
