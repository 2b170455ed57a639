"""The figures of a sweep, tested by the data that they show."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from helpers.figures import check_drawn, join_lines, legend, texts, visible
from helpers.reports import make_cells, plan_of, record
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb

from zeroinit.report.cells import Cell, group_cells, sort_values
from zeroinit.report.figures import (
    axes_of,
    colours,
    comparison_figure,
    map_figure,
    neurons_figure,
)
from zeroinit.report.figures.facets import facets
from zeroinit.report.figures.style import split_shared_parts


def with_courses(cells: list[Cell], courses: Callable[[Mapping[str, str]], Sequence[float]]) -> list[Cell]:
    """Give each cell its test accuracies after each epoch of 10 steps."""
    for cell in cells:
        for run in cell.finished:
            run.metrics[:] = [("test/accuracy", value, 10 * i) for i, value in enumerate(courses(cell.params))]
    return cells


def test_the_comparison_draws_every_cell_over_epochs() -> None:
    runs = [record(init, seed, 0.5 + 0.1 * seed) for init in ("zero", "default") for seed in (0, 1, 2)]
    figure = comparison_figure(group_cells(plan_of(*runs), runs))
    panel = figure.axes[0]
    assert [line.get_xdata().tolist() for line in panel.lines] == [[0, 2], [0, 2]]
    assert panel.lines[0].get_ydata().tolist() == pytest.approx([0.1, 0.6])
    assert sum(isinstance(band, PolyCollection) for band in panel.collections) == 2
    assert legend(figure) == ["zero: 60.00% ± 24.84", "default: 60.00% ± 24.84"]  # 4.303 * 0.1 / sqrt(3)
    said = "mean over n = 3 draws of the init; band: Student's 95% interval, within 0 to 100%"
    assert any(said in join_lines(text) for text in figure.texts)
    check_drawn(figure)


def test_logistic_regression_of_one_init_is_a_grey_baseline_in_the_panels_of_its_data() -> None:
    """Two data sets; on each, a line an init and its own baseline below it."""
    cells = make_cells({"arch": ["fnn"], "init": ["default", "zero_normal"], "dataset": ["a", "b"]})
    cells += make_cells({"arch": ["logistic"], "init": ["default"], "dataset": ["a", "b"]})
    ends = {("fnn", "a"): 0.9, ("fnn", "b"): 0.8, ("logistic", "a"): 0.7, ("logistic", "b"): 0.6}
    figure = comparison_figure(with_courses(cells, lambda of: [0.1, ends[of["arch"], of["dataset"]]]))
    panels = visible(figure)
    assert [panel.get_title() for panel in panels] == ["dataset=a", "dataset=b"]
    for panel, data in zip(panels, "ab", strict=True):
        assert [line.get_ydata()[-1] for line in panel.lines] == [ends["fnn", data]] * 2 + [ends["logistic", data]]
        assert [line.get_linestyle() for line in panel.lines] == ["-", "-", "--"]
        assert panel.lines[-1].get_color() == "0.4"
    assert legend(figure) == ["default", "zero_normal", "logistic (baseline)"]
    check_drawn(figure)


def test_logistic_regression_of_the_same_inits_is_dashed_in_their_colours() -> None:
    cells = make_cells({"arch": ["logistic", "fnn"], "init": ["default", "zero"]})
    figure = comparison_figure(with_courses(cells, lambda of: [0.1, 0.7 if of["arch"] == "logistic" else 0.9]))
    [panel] = visible(figure)
    assert [(line.get_linestyle(), line.get_ydata()[-1]) for line in panel.lines] == [("-", 0.9)] * 2 + [
        ("--", 0.7)
    ] * 2
    colour = [line.get_color() for line in panel.lines]
    assert colour[:2] == colour[2:]
    assert colour[0] != colour[1]
    names = ["default: 90.00%, 90.00%", "zero: 90.00%, 90.00%"]
    assert legend(figure) == [*names, "logistic, default: 70.00%, 70.00%", "logistic, zero: 70.00%, 70.00%"]


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
    panels = visible(comparison_figure(cells))
    assert len(panels) == 2 * len(keys.get("bias_scale.value", ["1"]))
    assert not any(line.get_linestyle() == "--" for panel in panels for line in panel.lines)
    assert sum(len(panel.lines) for panel in panels) == len(cells)


@pytest.mark.parametrize("inits", [["zero_normal"], ["zero_normal", "zero_uniform"]])
def test_bias_scales_that_are_more_than_the_inits_are_lines_in_the_order_of_their_numbers(inits: list[str]) -> None:
    cells = make_cells({"init": inits, "bias_scale.value": ["100", "0.01", "1"]})
    ends = {"0.01": 0.3, "1": 0.6, "100": 0.9}
    figure = comparison_figure(with_courses(cells, lambda of: [0.1, ends[of["bias_scale.value"]]]))
    panels = visible(figure)
    assert [panel.get_title() for panel in panels] == ([f"init={init}" for init in inits] if len(inits) > 1 else [""])
    names = [f"bias_scale.value={value}" for value in ends]
    assert [name.split(":")[0] for name in legend(figure)] == names
    for panel in panels:
        lightness = {
            line.get_ydata()[-1]: float(np.dot(to_rgb(line.get_color()), (0.3, 0.6, 0.1))) for line in panel.lines
        }
        assert [lightness[end] for end in (0.3, 0.6, 0.9)] == sorted(lightness.values())
        assert len(set(lightness.values())) == 3


def test_as_many_scales_as_inits_leave_the_colours_to_the_inits() -> None:
    figure = comparison_figure(make_cells({"init": ["a", "b", "c"], "bias_scale.value": ["1", "2", "3"]}))
    assert [panel.get_title() for panel in visible(figure)] == [f"bias_scale.value={value}" for value in (1, 2, 3)]
    assert legend(figure) == ["a", "b", "c"]


def test_two_archs_at_the_prior_are_two_lines_on_the_whole_axis_with_their_number() -> None:
    cells = with_courses(
        make_cells({"arch": ["fnn", "mnist_cnn"], "init": ["zero"]}), lambda of: [0.098, 0.1135, 0.1135]
    )
    figure = comparison_figure(cells)
    [panel] = visible(figure)
    assert [line.get_ydata().tolist() for line in panel.lines] == [[0.098, 0.1135, 0.1135]] * 2
    assert panel.get_ylim() == (0, 1.02)
    assert legend(figure) == ["arch=fnn: 11.35%, 11.35%", "arch=mnist_cnn: 11.35%, 11.35%"]
    assert not any("axis begins" in join_lines(text) for text in figure.texts)


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
    figure = comparison_figure(with_courses(make_cells({"init": list(courses)}), lambda of: courses[of["init"]]))
    [panel] = visible(figure)
    assert panel.get_ylim() == pytest.approx(limits)
    ticks = [tick.get_text() for tick in panel.get_yticklabels()]
    assert len(ticks) >= 3
    assert [float(tick.rstrip("%")) for tick in ticks] == pytest.approx([100 * tick for tick in panel.get_yticks()])
    notes = [text for text in figure.texts if f"begins at {limits[0]:.0%}" in join_lines(text)]
    assert len(notes) == (limits[0] > 0)


def test_a_name_too_long_for_the_legend_leaves_the_number_where_the_curve_ends() -> None:
    [label] = legend(comparison_figure(make_cells({"init": ["zero" * 20]})))
    assert label.endswith("zero: 50.00%, 50.00%")
    assert len(label) <= 40


def test_an_init_has_one_colour_in_all_figures_of_a_sweep() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": ["1", "0.1"]})
    for cell in cells:
        for run in cell.finished:
            run.metrics += [("symmetry/hidden1/distinct", 3.0, 0), ("symmetry/hidden1/distinct", 2.0, 5)]
    expected = list(colours(["zero", "default"]).values())
    for figure in (comparison_figure(cells), neurons_figure(cells)):
        for axes in visible(figure):
            assert [to_hex(line.get_color()).upper() for line in axes.lines[:2]] == expected


def test_panels_stand_in_the_order_of_their_numbers() -> None:
    params = [{"init": "zero", "lr": lr, "arch": arch} for arch in ("b", "a") for lr in ("10", "0.1", "9")]
    grid = facets(params, ["init", "arch", "lr"])
    assert (grid.down, grid.across, grid.beside, grid.shared) == (2, 3, ["arch=b", "arch=a"], "init=zero")
    assert grid.positions == [(0, 2), (0, 0), (0, 1), (1, 2), (1, 0), (1, 1)]
    assert [grid.above[0, column] for column in range(3)] == ["lr=0.1", "lr=9", "lr=10"]


def test_more_panels_than_there_is_space_for_are_counted() -> None:
    grid = facets([{"lr": str(lr)} for lr in range(50)], ["lr"])
    assert (grid.down, grid.across, grid.left_out) == (12, 3, 14)
    assert grid.positions[36] is None


def test_labels_are_split_at_their_keys() -> None:
    labels = ["arch.hidden=[64, 32], init=zero", "arch.hidden=[64, 48], init=zero"]
    assert split_shared_parts(labels) == (["arch.hidden=[64, 32]", "arch.hidden=[64, 48]"], "init=zero")


def test_neurons_are_drawn_for_each_layer_in_the_nets_order_with_its_units() -> None:
    cells = make_cells({"init": ["constant", "default"]}, seeds=3)
    for cell in cells:
        for seed, run in enumerate(cell.finished):
            for layer, units in (("hidden10", 4), ("hidden9", 8)):  # as a store has them: by name
                most = 1 + seed if cell.params["init"] == "constant" else units
                run.metrics += [(f"symmetry/{layer}/distinct", value, step) for step, value in ((0, 1), (7, most))]
    figure = neurons_figure(cells, [{"hidden9": 8, "hidden10": 4}] * 2)
    first, second = visible(figure)
    assert [axes.get_title() for axes in (first, second)] == ["layer=hidden9", "layer=hidden10"]
    assert (texts(first), texts(second)) == (["8 units"], ["4 units"])
    tied = first.lines[0]
    assert (tied.get_xdata().tolist(), tied.get_ydata().tolist()) == ([0, 7], [1, 2])
    band = next(part for part in first.collections if isinstance(part, PolyCollection)).get_paths()[0].vertices
    assert sorted({y for x, y in band if x == 7}) == [1, 3]  # the range of the runs
    check_drawn(figure)


def test_the_map_has_a_tile_for_each_cell() -> None:
    cells = make_cells(
        {"init": ["zero", "default"], "optimizer.lr": ["10", "0.5", "9"], "bias_scale.value": ["1", "100", "10"]}
    )
    cells[0].outcomes.clear()
    cells[0].outcomes.update({"learns": 2, "diverged": 1})
    cells[1].finished.clear()
    cells[1].outcomes.clear()
    cells[1].outcomes.update({"not run": 2})
    assert axes_of(cells) == ("bias_scale.value", "optimizer.lr")
    figure = map_figure(cells)
    assert len(figure.axes) == 2 * 2 + 1  # a row for each init, and the colours of accuracy
    outcomes, accuracies = figure.axes[:2]
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == ["1", "10", "100"]
    assert [label.get_text() for label in outcomes.get_yticklabels()] == ["0.5", "9", "10"]
    assert texts(outcomes) == ["learns"] * 2 + ["learns\n2 of 3"] + ["learns"] * 5
    assert texts(accuracies) == ["50.0, 50.0"] * 8 + ["init=zero"]
    for axes in (outcomes, accuracies):
        [hatched] = [patch for patch in axes.patches if patch.get_hatch()]
        assert hatched.get_xy() == (1.5, 1.5)  # bias scale 100, lr 10
    [note] = [text.get_text() for text in figure.texts if "both values" in text.get_text()]
    assert "n = 0" not in note
    check_drawn(figure)


def test_the_axes_of_a_map_may_be_named() -> None:
    cells = make_cells({"init": ["zero", "default"], "optimizer.lr": ["1", "2"]})
    figure = map_figure(cells, x="init", y="optimizer.lr")
    assert figure.axes[0].get_xlabel() == "init"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["zero", "default"]
    check_drawn(map_figure(cells[:1]))


def test_names_too_long_for_a_panel_are_shortened() -> None:
    cells = make_cells({"init": ["zero", "default"], "arch.note": ["a" * 300, "b" * 300]})
    for figure in (comparison_figure(cells), map_figure(cells)):
        assert all(len(line) < 140 for text in figure.texts for line in text.get_text().split("\n"))
        check_drawn(figure)


def test_numbers_are_ordered_by_size_and_names_as_they_come() -> None:
    assert sort_values(["10", "9", "1e-3", "9"]) == ["1e-3", "9", "10"]
    assert sort_values(["b", "10", "a"]) == ["b", "10", "a"]
