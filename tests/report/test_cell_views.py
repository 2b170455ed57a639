"""The differences, the map and the neurons of cells, as data."""

import json
from collections.abc import Mapping, Sequence

import pytest
from helpers.reports import make_cells

from zeroinit.report.cells import Cell, sort_values
from zeroinit.report.views import (
    Facet,
    choose_axes,
    make_curves,
    make_differences,
    make_map,
    make_neurons,
)
from zeroinit.report.views.colours import (
    style_inits,
)


def with_ends(cells: list[Cell], ends: Mapping[str, Sequence[float]]) -> list[Cell]:
    """Give each run of each cell the test accuracy of its init and seed."""
    for cell in cells:
        for run in cell.finished:
            value = ends[cell.params["init"]][int(run.params["seeds.init"])]
            run.metrics[:] = [("test/accuracy", 0.1, 0), ("test/accuracy", value, 20)]
    return cells


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


def test_the_title_of_the_differences_says_where_seeds_are_too_few() -> None:
    cells = make_cells({"init": ["default", "zero", "zero_normal"]}, seeds=3)
    ends = {"default": [0.90, 0.91, 0.92], "zero": [0.5] * 3, "zero_normal": [0.88, 0.90, 0.89]}
    with_ends(cells, ends)
    del cells[1].finished[2]
    view = make_differences(cells)
    assert view
    unclear = "shows no clear difference from default"
    assert view.title == f"zero {unclear} (too few seeds for an interval); zero_normal {unclear}"
    del cells[0].finished[2]
    view = make_differences(cells)
    assert view
    assert view.title == "Test accuracy minus default: n = 2 is too few for intervals"
    assert "dot: mean; small circles: the pairs; line from one pair to the other with n = 2" in view.caption


def test_an_interval_is_cut_at_the_axis_and_the_title_has_the_words_of_the_answer() -> None:
    cells = make_cells({"init": ["default", "zero", "zero_normal"]}, seeds=3)
    with_ends(cells, {"default": [0.5, 1, 0.75], "zero": [0.5] * 3, "zero_normal": [0.75, 0.9, 0.8]})
    view = make_differences([with_outcome(cell) for cell in cells])
    assert view
    assert view.title == "zero_normal is too uncertain to tell; zero does not learn"
    [wide, fits] = view.frame[view.frame["has_interval"]].to_dict("records")
    low, high = view.x.domain
    assert (wide["line"], wide["low"], wide["is_interval_cut"]) == ("zero", low, True)
    assert low < wide["value"] < wide["high"] < high
    assert (fits["line"], fits["is_interval_cut"]) == ("zero_normal", False)
    assert low < fits["low"] < fits["high"] < high
    assert "a line that ends at the frame goes on beyond it" in view.caption


def with_outcome(cell: Cell) -> Cell:
    """Give the cell of zero the outcome of one that does not learn."""
    if cell.params["init"] == "zero":
        cell.outcomes.clear()
        cell.outcomes["stuck-at-prior"] = len(cell.finished)
    return cell


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
    assert view.frame["value"].tolist() == pytest.approx([0.5, *[float("nan")], *[0.5] * 16], nan_ok=True)
    assert view.frame["text"].tolist() == ["50.0, 50.0\nO 2/3", "\N{EN DASH}", *["50.0, 50.0\nO"] * 16]
    [empty] = view.frame[view.frame["is_empty"]].to_dict("records")
    assert (empty["x"], empty["y"], empty["column"]) == ("100", "10", "init=zero")
    assert "with n = 2 both values; letters: O learns" in view.caption
    assert "n = 0" not in view.caption
    assert "grey: no finished run" in view.caption
    assert view.title == "Of 18 cells, 16 learn, 1 is mixed and 1 has not run"
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


def test_a_cell_whose_runs_have_several_outcomes_counts_as_mixed() -> None:
    cells = make_cells({"init": ["zero", "default", "constant"]})
    for cell, outcomes in zip(
        cells, ({"learned": 2}, {"partly-learned": 2, "learned": 1}, {"not run": 1, "learned": 2}), strict=True
    ):
        cell.outcomes.clear()
        cell.outcomes.update(outcomes)
    view = make_map(cells)
    assert view.title == "Of 3 cells, 2 learn and 1 is mixed"
    assert [text.partition("\n")[2] for text in view.frame["text"]] == ["L", "A 2/3", "L"]
    assert "2/3: two of three runs have this outcome, and the title counts the cell as mixed" in view.caption
    assert "mixed" not in make_map(cells[::2]).caption


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
    assert list(view.colour.colours) == [style.colour for style in style_inits(["constant", "default"]).values()]
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
