"""The figures of weight gradients, tested by the data that they show."""

from collections.abc import Mapping

import numpy as np
import pytest
from helpers.figures import check_drawn, line_with_label, texts
from helpers.reports import fake_histograms, sum_runs
from matplotlib.collections import PolyCollection

from zeroinit.report.figures import (
    boxes_figure,
    difference_figure,
    gradient_figure,
    wave_figure,
)
from zeroinit.report.figures.boxes import symmetric_log
from zeroinit.report.histories import GradientHistograms


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
