"""The figures of a sweep, tested by the data that they show."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from test_report import fake_histograms, pack, plan_of, record, sum_runs

from zeroinit.report import select_figures
from zeroinit.report.cells import Cell, group_cells, sort_values
from zeroinit.report.figures import (
    axes_of,
    boxes_figure,
    colours,
    comparison_figure,
    difference_figure,
    gradient_figure,
    map_figure,
    neurons_figure,
    png,
    wave_figure,
)
from zeroinit.report.figures.boxes import symmetric_log
from zeroinit.report.figures.facets import facets
from zeroinit.report.figures.style import split_shared_parts
from zeroinit.report.histories import GradientHistograms
from zeroinit.report.select_figures import draw, last_to_wake_with_reference, nearest_cells
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off


def count(values: np.ndarray) -> dict[str, np.ndarray]:
    """Counts and zeros of values (T, entries), one number at a time."""
    counts, zeros = np.zeros((len(values), 2, 255), dtype=np.int64), (values == 0).sum(axis=1)
    for step, entries in enumerate(values):
        for value in entries[entries != 0]:
            counts[step, int(value > 0), int(np.floor(np.log2(abs(value)))) + 127] += 1
    return {"counts": counts, "zeros": zeros}


def observe(layers: Mapping[str, np.ndarray]) -> GradientHistograms:
    """Gradients of one run, from values (T, entries) of each layer."""
    parts = {layer: count(values) for layer, values in layers.items()}
    counts, zeros = ({layer: part[kind] for layer, part in parts.items()} for kind in ("counts", "zeros"))
    return GradientHistograms(np.arange(1, 1 + len(next(iter(zeros.values())))), counts, zeros, 1)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 1e-3


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


def with_courses(cells: list[Cell], courses: Callable[[Mapping[str, str]], Sequence[float]]) -> list[Cell]:
    """Give each cell its test accuracies after each epoch of 10 steps."""
    for cell in cells:
        for run in cell.finished:
            run.metrics[:] = [("test/accuracy", value, 10 * i) for i, value in enumerate(courses(cell.params))]
    return cells


def sweep(keys: Mapping[str, Sequence[str]], seeds: int = 2, **more: str) -> list[Cell]:
    """Cells of a product of values, filled with runs."""
    made: list[dict[str, str]] = [{}]
    for key, values in keys.items():
        made = [params | {key: value} for params in made for value in values]
    runs = []
    for params in made:
        for seed in range(seeds):
            run = record(params["init"], seed, 0.5)
            run.params |= params
            run.tags |= {"cell_hash": str(params), "config_hash": f"{params} {seed}"} | more
            runs.append(run)
    return group_cells(plan_of(*runs), runs)


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
    cells = sweep({"arch": ["fnn"], "init": ["default", "zero_normal"], "dataset": ["a", "b"]})
    cells += sweep({"arch": ["logistic"], "init": ["default"], "dataset": ["a", "b"]})
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
    cells = sweep({"arch": ["logistic", "fnn"], "init": ["default", "zero"]})
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
    cells = sweep({"arch": ["logistic"], **keys, "dataset": ["here"], **more}) + sweep(
        {"arch": ["fnn"], "init": ["default", "zero"], **keys, "dataset": ["here"]}
    )
    panels = visible(comparison_figure(cells))
    assert len(panels) == 2 * len(keys.get("bias_scale.value", ["1"]))
    assert not any(line.get_linestyle() == "--" for panel in panels for line in panel.lines)
    assert sum(len(panel.lines) for panel in panels) == len(cells)


@pytest.mark.parametrize("inits", [["zero_normal"], ["zero_normal", "zero_uniform"]])
def test_bias_scales_that_are_more_than_the_inits_are_lines_in_the_order_of_their_numbers(inits: list[str]) -> None:
    cells = sweep({"init": inits, "bias_scale.value": ["100", "0.01", "1"]})
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
    figure = comparison_figure(sweep({"init": ["a", "b", "c"], "bias_scale.value": ["1", "2", "3"]}))
    assert [panel.get_title() for panel in visible(figure)] == [f"bias_scale.value={value}" for value in (1, 2, 3)]
    assert legend(figure) == ["a", "b", "c"]


def test_two_archs_at_the_prior_are_two_lines_on_the_whole_axis_with_their_number() -> None:
    cells = with_courses(sweep({"arch": ["fnn", "mnist_cnn"], "init": ["zero"]}), lambda of: [0.098, 0.1135, 0.1135])
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
    figure = comparison_figure(with_courses(sweep({"init": list(courses)}), lambda of: courses[of["init"]]))
    [panel] = visible(figure)
    assert panel.get_ylim() == pytest.approx(limits)
    ticks = [tick.get_text() for tick in panel.get_yticklabels()]
    assert len(ticks) >= 3
    assert [float(tick.rstrip("%")) for tick in ticks] == pytest.approx([100 * tick for tick in panel.get_yticks()])
    notes = [text for text in figure.texts if f"begins at {limits[0]:.0%}" in join_lines(text)]
    assert len(notes) == (limits[0] > 0)


def test_a_name_too_long_for_the_legend_leaves_the_number_where_the_curve_ends() -> None:
    [label] = legend(comparison_figure(sweep({"init": ["zero" * 20]})))
    assert label.endswith("zero: 50.00%, 50.00%")
    assert len(label) <= 40


def test_an_init_has_one_colour_in_all_figures_of_a_sweep() -> None:
    cells = sweep({"init": ["zero", "default"], "optimizer.lr": ["1", "0.1"]})
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


def test_the_gradient_figure_shows_where_all_is_exactly_zero() -> None:
    panel = gradient_figure("zero", sum_runs(fake_histograms(2), fake_histograms(2))).axes[0]
    [image] = panel.images
    pixels = np.asarray(image.get_array())
    [marks] = panel.lines
    assert marks.get_xdata().tolist() == [0, 1]
    middle = pixels[pixels.shape[0] // 2]
    assert (middle[:2, :3] != 1).any()  # coloured
    assert middle[2, :3].min() > 0.9  # nearly white
    assert panel.get_ylabel() == "hidden1"


def test_the_gradient_figure_adds_up_the_steps_that_all_runs_saw() -> None:
    """One run was observed on another schedule: at step 4 its gradients are no longer zeros."""
    whole, other = fake_histograms(3), fake_histograms(3)
    some = {name: values[[0, 3]] for name, values in other.items()}
    panel = gradient_figure("zero", sum_runs(whole, some)).axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["1", "4"]
    [marks] = panel.lines
    assert marks.get_xdata().tolist() == [0]


def test_the_gradient_figure_of_nothing_but_zeros() -> None:
    check_drawn(gradient_figure("zero", sum_runs(fake_histograms(4))))


def test_a_cell_does_not_differ_from_itself_and_zeros_differ_from_none() -> None:
    some, none = observe({"output": normal(3, 50)}), observe({"output": np.zeros((4, 50))})

    def picture(first: GradientHistograms, second: GradientHistograms) -> np.ndarray:
        return np.asarray(difference_figure(("init=a", first), ("init=b", second)).axes[2].images[0].get_array())

    same = picture(some, some)
    assert same.shape[1] == 3
    assert (same == same[0, 0]).all()
    assert same[0, 0, :3].min() > 0.95
    here, there = picture(some, none), picture(none, some)
    assert here.shape[1] == there.shape[1] == 3  # the steps that both saw
    middle = len(here) // 2
    assert here[middle, 0, 0] > here[middle, 0, 2]  # orange: the second has more zeros
    assert there[middle, 0, 2] > there[middle, 0, 0]  # purple


@pytest.mark.parametrize("zeros", [0, 300, 700])
def test_boxes_are_numpys_quantiles_to_a_factor_of_two(zeros: int) -> None:
    values = normal(6, 1000)
    values[:, :zeros] = 0
    figure = boxes_figure([("init=a", observe({"hidden1": values, "output": values * 8}))])
    assert len(figure.axes) == 5
    assert [axes.get_ylabel() for axes in figure.axes] == [f"step {step}" for step in range(1, 6)]
    [note] = [text.get_text() for text in figure.texts if "Linear below" in text.get_text()]
    low = min(lowest for lowest in range(-40, 0) if _power(lowest) in note.split("Linear below")[1])
    for step, axes in enumerate(figure.axes):
        assert len(axes.patches) == 2
        for box, factor in zip(axes.patches, (1, 8), strict=True):
            ends = box.get_y(), box.get_y() + box.get_height()
            exact = np.quantile(values[step] * factor, [0.25, 0.75], method="inverted_cdf")
            for end, true in zip(ends, symmetric_log(exact, low), strict=True):
                assert end == pytest.approx(true, abs=1.01)  # one power of two is 1 on this axis
        assert texts(axes) == [f"{zeros / 10:.0f}"] * 2
    check_drawn(figure)


def _power(exponent: int) -> str:
    from zeroinit.report.figures.style import power

    return f"{power(exponent)}."


def test_a_layer_of_exact_zeros_has_a_cross_and_no_box() -> None:
    wave = {"hidden1": normal(3, 40), "output": normal(3, 40)}
    wave["hidden1"][:2] = 0
    first, second, third = boxes_figure([("init=a", observe(wave)), ("init=b", observe(wave))], steps=3).axes[1::2]
    for axes, crosses in ((first, [0]), (second, [0]), (third, [])):
        marks = next(line for line in axes.lines if line.get_marker() == "x")
        assert marks.get_xdata().tolist() == crosses
        assert len(axes.patches) == 2 - len(crosses)
        shaded = [part for part in axes.collections if isinstance(part, PolyCollection)]
        spans = [path.get_extents().intervalx.tolist() for part in shaded for path in part.get_paths()]
        assert spans == [[cross - 0.5, cross + 0.5] for cross in crosses]
    assert texts(first) == ["100", "0"]


def chain(first: Mapping[str, int], steps: int = 8) -> GradientHistograms:
    """Gradients of layers that are exactly zero before their first step."""
    layers = {layer: normal(steps, 30, seed=seed) for seed, layer in enumerate(first)}
    for layer, step in first.items():
        layers[layer][: step - 1] = 0
    return observe(layers)


def test_the_wave_marks_first_gradients_and_the_predicted_front() -> None:
    came = {"output": [1, 1], "hidden2": [2, 4], "hidden1": [5]}
    gradients = chain({"hidden1": 5, "hidden2": 2, "output": 1})
    both = GradientHistograms(gradients.steps, gradients.counts, gradients.zeros, 2)
    axes = wave_figure([("init=a", both, came, {"output": 1, "hidden2": 2, "hidden1": 3})]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["output", "hidden2", "hidden1"]
    first = line_with_label(axes, "first")
    assert (list(first.get_xdata()), list(first.get_ydata())) == ([0, 2, 4], [0, 1, 2])
    [ranges] = axes.collections
    assert [segment[:, 0].tolist() for segment in ranges.get_segments()] == [[0, 0], [1, 3], [4, 4]]
    assert list(line_with_label(axes, "predicted").get_xdata()) == [-0.5, -0.5, 0.5, 0.5, 1.5, 1.5]
    assert texts(axes) == ["1 of 2"]
    nothing = line_with_label(axes, "nothing")
    crosses = set(zip(nothing.get_ydata().tolist(), nothing.get_xdata().tolist(), strict=True))
    assert crosses == {(1, 0), (2, 0), (2, 1), (2, 2), (2, 3)}


def test_the_wave_is_pale_to_the_share_of_exact_zeros() -> None:
    values = normal(4, 400)
    values[1, :200] = 0
    values[2] = 0
    image = wave_figure([("init=a", observe({"output": values}), {"output": [1]}, {})]).axes[0].images[0]
    pixels = np.asarray(image.get_array())[:-1]  # the last row parts a layer from the next
    pale = (np.ptp(pixels[..., :3], axis=2) == 0).mean(axis=0)
    assert pale.tolist() == pytest.approx([0, 0.5, 1, 0], abs=0.07)


def test_a_predicted_step_that_was_not_observed_has_no_front() -> None:
    axes = wave_figure([("init=a", chain({"hidden1": 2, "output": 1}), {}, {"output": 1, "hidden1": 40})]).axes[0]
    front = np.array(line_with_label(axes, "predicted").get_xdata())
    assert front[:2].tolist() == [-0.5, -0.5]
    assert np.isnan(front[2:]).all()


def test_waves_of_a_deep_net_and_of_one_that_never_wakes() -> None:
    deep = chain({f"hidden{index}": 60 - index for index in range(1, 55)}, steps=60)
    never = observe({"output": np.zeros((3, 5))})
    figure = wave_figure([("init=a", deep, {}, {}), ("init=b", never, {}, {})])
    assert [len(axes.get_yticks()) for axes in figure.axes[:2]] == [16, 1]
    check_drawn(figure)


def test_neurons_are_drawn_for_each_layer_in_the_nets_order_with_its_units() -> None:
    cells = sweep({"init": ["constant", "default"]}, seeds=3)
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
    cells = sweep(
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
    verdicts, accuracies = figure.axes[:2]
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == ["1", "10", "100"]
    assert [label.get_text() for label in verdicts.get_yticklabels()] == ["0.5", "9", "10"]
    assert texts(verdicts) == ["learns"] * 2 + ["learns\n2 of 3"] + ["learns"] * 5
    assert texts(accuracies) == ["50.0, 50.0"] * 8 + ["init=zero"]
    for axes in (verdicts, accuracies):
        [hatched] = [patch for patch in axes.patches if patch.get_hatch()]
        assert hatched.get_xy() == (1.5, 1.5)  # bias scale 100, lr 10
    [note] = [text.get_text() for text in figure.texts if "both values" in text.get_text()]
    assert "n = 0" not in note
    check_drawn(figure)


def test_the_axes_of_a_map_may_be_named() -> None:
    cells = sweep({"init": ["zero", "default"], "optimizer.lr": ["1", "2"]})
    figure = map_figure(cells, x="init", y="optimizer.lr")
    assert figure.axes[0].get_xlabel() == "init"
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["zero", "default"]
    check_drawn(map_figure(cells[:1]))


def test_names_too_long_for_a_panel_are_shortened() -> None:
    cells = sweep({"init": ["zero", "default"], "arch.note": ["a" * 300, "b" * 300]})
    for figure in (comparison_figure(cells), map_figure(cells)):
        assert all(len(line) < 140 for text in figure.texts for line in text.get_text().split("\n"))
        check_drawn(figure)


def test_numbers_are_ordered_by_size_and_names_as_they_come() -> None:
    assert sort_values(["10", "9", "1e-3", "9"]) == ["1e-3", "9", "10"]
    assert sort_values(["b", "10", "a"]) == ["b", "10", "a"]


def waking(keys: Mapping[str, Sequence[str]], came: Callable[[dict[str, str]], dict[str, int]]) -> list[Cell]:
    cells = sweep(keys)
    for cell in cells:
        for run in cell.finished:
            run.metrics += [(f"grad/{layer}/norm", 1.0, 1) for layer in ("hidden1", "output")]
            run.metrics += [(f"arrival/{layer}", step, step) for layer, step in came(cell.params).items()]
    return cells


KEYS = {"init": ["default", "zero", "zero_normal", "late"], "optimizer.lr": ["1", "0.1"]}
CAME: dict[str, dict[str, int]] = {
    "default": {"hidden1": 1, "output": 1},
    "zero": {},
    "zero_normal": {"hidden1": 2, "output": 1},
    "late": {"output": 9},
}


def test_the_pair_is_the_cell_that_wakes_last_and_its_counterpart_of_the_first_init() -> None:
    cells = waking(KEYS, lambda params: CAME[params["init"]])
    assert last_to_wake_with_reference(cells) == [cells[0], cells[4]]
    slow = waking(KEYS, lambda params: CAME[params["init"]] | {"hidden1": 3} if params["optimizer.lr"] == "0.1" else {})
    assert last_to_wake_with_reference(slow)[1] is slow[1 + 2 * KEYS["init"].index("late")]
    assert last_to_wake_with_reference(cells[6:]) == [cells[6]]  # it is of the first init itself


def test_waves_are_drawn_of_whole_groups_of_inits() -> None:
    cells = sweep({"arch": ["logistic", "fnn"], "init": ["a", "b", "c", "d"], "optimizer.lr": ["1", "2", "3", "4"]})
    chosen = next(cell for cell in cells if cell.params["arch"] == "fnn" and cell.params["optimizer.lr"] == "4")
    groups = nearest_cells(cells, chosen)
    assert [[cell.params["init"] for cell in group] for group in groups] == [["a", "b", "c", "d"]] * 3
    assert [group[0].params["optimizer.lr"] for group in groups] == ["1", "2", "4"]
    assert {cell.params["arch"] for group in groups for cell in group} == {"fnn"}
    assert all(cell.params["init"] for group in groups for cell in group)


class FileTracker(Off):
    """A tracker that has files for every run."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__()
        self.files, self.loaded = files, list[list[str]]()

    def load_histories(self, records: Sequence[Record], metrics: Sequence[str]) -> None:
        self.loaded.append(list(metrics))

    def read_file(self, record: Record, name: str) -> bytes | None:
        return self.files.get(name)


FILES = {
    "histograms.npz": pack(fake_histograms(2)),
    "init.csv": b"parameter,shape,rule,mean,std,zeros\nhidden1.weight,7x3,zeros_(),0,0,1\n",
}


def test_a_sweep_draws_a_handful_of_figures_and_reads_the_store_once() -> None:
    cells = waking(KEYS, lambda params: CAME[params["init"]])
    for cell in cells:
        for run in cell.finished:
            run.metrics.append(("symmetry/hidden1/distinct", 3.0, 0))
    tracker = FileTracker(FILES)
    names = ["boxes.png", "comparison.png", "gradients.png", "map.png", "neurons.png", "wave.png"]
    assert sorted(draw(cells, tracker, starmap, ())) == names
    assert tracker.loaded == [["test/accuracy", "symmetry/hidden1/distinct"]]
    assert sorted(draw(sweep(KEYS), FileTracker({}), starmap, ())) == ["comparison.png", "map.png"]  # probe=none


def test_a_figure_that_cannot_be_drawn_costs_no_other(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(cells: object) -> Figure:
        raise ValueError("no\nmap")

    monkeypatch.setattr("zeroinit.report.figures.map_figure", broken)
    assert set(draw(sweep(KEYS), FileTracker({}), starmap, ())) == {"comparison.png"}
    assert capsys.readouterr().err == "zeroinit: no map.png: ValueError: no map\n"


def test_a_worker_that_dies_costs_the_figures_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def broken_map(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterable[Any]:
        raise RuntimeError("a worker could not do its task: -9")

    assert draw(sweep(KEYS), FileTracker({}), broken_map, ()) == {}
    assert capsys.readouterr().err == "zeroinit: no figures: a worker could not do its task: -9\n"


def test_runs_without_a_common_observed_step_have_no_figures_of_gradients() -> None:
    apart = [pack({name: part[[step]] for name, part in fake_histograms(2).items()}) for step in (0, 1)]
    assert (
        select_figures.draw_figure("wave", [("init=a", apart, {}, {})], None)
        == "its runs were observed at no common step"
    )


@pytest.mark.parametrize("name", ["gradients", "boxes"])
def test_of_a_pair_without_a_common_observed_step_the_last_to_wake_is_drawn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list[tuple[str, ...]]()
    monkeypatch.setattr("zeroinit.report.figures.gradient_figure", lambda *pair: shown.append((pair[0],)) or Figure())
    monkeypatch.setattr("zeroinit.report.figures.boxes_figure", lambda pair: shown.append((pair[0][0],)) or Figure())
    apart = [pack({key: part[[step]] for key, part in fake_histograms(2).items()}) for step in (0, 1)]
    pair = [(f"init={init}", [content], {}, {}) for init, content in zip("ab", apart, strict=True)]
    assert isinstance(select_figures.draw_figure(name, pair), bytes)
    assert shown == [("init=b",)]
