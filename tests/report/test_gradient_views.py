"""The views of weight gradients, as data."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from helpers.figures import check_drawn
from helpers.reports import fake_histograms, sum_runs

from zeroinit.report.histories import GradientHistograms
from zeroinit.report.views import Observed, View, make_boxes, make_gradients, make_wavefront
from zeroinit.report.views.observed import symmetric_log
from zeroinit.report.views.panels import format_power


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


def cell_of(
    gradients: GradientHistograms,
    first: Mapping[str, Sequence[int]] = {},
    theory: Mapping[str, int] = {},
    init: str = "zero_normal",
) -> Observed:
    return Observed({"init": init}, gradients, first, theory)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape) * 1e-3


def rows(view: View, flag: str) -> pd.DataFrame:
    return view.frame[view.frame[flag]]


def check_data(view: View) -> None:
    """It can be drawn, and written for the page."""
    check_drawn(view)
    json.dumps(view.to_data(), allow_nan=False)


# ---- histograms


def test_the_gradients_show_where_all_is_exactly_zero() -> None:
    gradients = sum_runs(fake_histograms(2), fake_histograms(2))
    view = make_gradients([cell_of(gradients)], ["init=zero_normal"])
    assert list(view.x.domain) == [1, 2, 3, 4]
    assert rows(view, "is_absent")["step"].tolist() == [1, 2]
    assert rows(view, "is_zeros")["share"].tolist() == [1, 1, 0, 0]
    tiles = rows(view, "is_bin")
    assert tiles["step"].tolist() == [3, 3, 4, 4]
    assert tiles["share"].tolist() == [0.5] * 4
    assert tiles[["low", "high"]].values.tolist() == [[-2.5, -1.5], [1.5, 2.5]] * 2  # one bin of each sign
    assert set(view.frame["row"]) == {"hidden1"}
    assert view.columns is None
    assert view.title == "zero_normal: every weight gradient of hidden1 is exactly zero before step 3"
    assert "counts added up over 2 runs a cell" in view.caption
    check_data(view)


def test_the_gradients_are_of_the_steps_that_all_runs_saw() -> None:
    """One run was observed on another schedule: at step 4 its gradients are no longer zeros."""
    whole, other = fake_histograms(3), fake_histograms(3)
    some = {name: values[[0, 3]] for name, values in other.items()}
    view = make_gradients([cell_of(sum_runs(whole, some))], ["init=zero"])
    assert list(view.x.domain) == [1, 4]
    assert rows(view, "is_absent")["step"].tolist() == [1]


def test_gradients_that_are_nothing_but_zeros() -> None:
    view = make_gradients([cell_of(sum_runs(fake_histograms(4)))], ["init=zero"])
    assert not view.frame["is_bin"].any()
    assert view.title.endswith("every weight gradient of hidden1 is exactly zero at all observed steps")
    check_data(view)


def test_a_cell_does_not_differ_from_itself_and_zeros_differ_from_none() -> None:
    some, none = observe({"output": normal(3, 50)}), observe({"output": np.zeros((4, 50))})

    def subtract(first: GradientHistograms, second: GradientHistograms) -> pd.DataFrame:
        view = make_gradients([cell_of(first), cell_of(second)], ["init=a", "init=b"])
        assert view.columns
        assert list(view.columns.values) == ["A: init=a", "B: init=b", "A − B"]
        check_data(view)
        return rows(view, "is_difference")

    same = subtract(some, some)
    assert same["step"].tolist() == [1, 2, 3]
    assert same["share"].tolist() == [0, 0, 0]
    for first, second, sign in ((some, none, -1), (none, some, 1)):
        difference = subtract(first, second)
        zeros = difference[(difference["low"] < 0) & (difference["high"] > 0)]
        assert zeros["step"].tolist() == [1, 2, 3]  # the steps that both saw
        assert zeros["share"].tolist() == [sign] * 3
        others = difference.drop(zeros.index)
        assert others.groupby("step")["share"].sum().tolist() == pytest.approx([-sign] * 3)


def test_the_output_is_the_first_row_of_the_gradients() -> None:
    view = make_gradients([cell_of(observe({"hidden1": normal(2, 9), "output": normal(2, 9)}))], ["init=a"])
    assert view.rows
    assert list(view.rows.values) == ["output", "hidden1"]


# ---- boxes


@pytest.mark.parametrize("zeros", [0, 300, 700])
def test_boxes_are_numpys_quantiles_to_a_factor_of_two(zeros: int) -> None:
    values = normal(6, 1000)
    values[:, :zeros] = 0
    view = make_boxes([cell_of(observe({"hidden1": values, "output": values * 8}))], ["init=zero_normal"])
    assert view.columns
    assert list(view.columns.values) == [f"step {step}" for step in range(1, 6)]
    assert list(view.y.domain) == ["output", "hidden1"]
    low = min(lowest for lowest in range(-40, 0) if f"linear below {format_power(lowest)}." in view.caption)
    assert view.frame["has_box"].all()
    for layer, factor in (("hidden1", 1), ("output", 8)):
        boxes = view.frame[view.frame["layer"] == layer]
        for step, box in enumerate(boxes.to_dict("records")):
            exact = np.quantile(values[step] * factor, [0.25, 0.75], method="inverted_cdf")
            for end, true in zip((box["q25"], box["q75"]), symmetric_log(exact, low), strict=True):
                assert end == pytest.approx(true, abs=1.01)  # one power of two is 1 on this axis
    assert set(view.frame["text"]) == {f"{zeros / 10:.0f}%"}
    check_data(view)


def test_a_layer_of_exact_zeros_has_a_cross_and_no_box() -> None:
    wave = {"hidden1": normal(3, 40), "output": normal(3, 40)}
    wave["hidden1"][:2] = 0
    cells = [cell_of(observe(wave), init="zero"), cell_of(observe(wave), init="ones")]
    view = make_boxes(cells, ["init=zero", "init=ones"], steps=3)
    absent = rows(view, "is_absent")
    assert absent[["row", "column", "layer"]].values.tolist() == [
        [f"init={init}", f"step {step}", "hidden1"] for init in ("zero", "ones") for step in (1, 2)
    ]
    assert view.frame["has_box"].tolist() == (~view.frame["is_absent"]).tolist()
    assert absent["text"].tolist() == ["100%"] * 4
    assert view.colour
    assert list(view.colour.colours) == ["#D55E00", "#60280A"]
    check_data(view)


# ---- the wavefront


def chain(first: Mapping[str, int], steps: int = 8) -> GradientHistograms:
    """Gradients of layers that are exactly zero before their first step."""
    layers = {layer: normal(steps, 30, seed=seed) for seed, layer in enumerate(first)}
    for layer, step in first.items():
        layers[layer][: step - 1] = 0
    return observe(layers)


def test_the_wavefront_marks_first_gradients_and_those_in_theory() -> None:
    came = {"output": [1, 1], "hidden2": [2, 4], "hidden1": [5]}
    gradients = chain({"hidden1": 5, "hidden2": 2, "output": 1})
    both = GradientHistograms(gradients.steps, gradients.counts, gradients.zeros, 2)
    view = make_wavefront([cell_of(both, came, {"output": 1, "hidden2": 2, "hidden1": 3})], ["init"])
    assert list(view.y.domain) == ["output", "hidden2", "hidden1"]
    assert view.y.reverse  # the output is on top
    first = rows(view, "is_first")
    assert first[["layer", "step"]].values.tolist() == [["output", 1], ["hidden2", 3], ["hidden1", 5]]
    assert first["text"].tolist() == ["", "2–4", "1 of 2"]
    theory = rows(view, "is_theory")
    assert theory[["layer", "step"]].values.tolist() == [["output", 1], ["hidden2", 2], ["hidden1", 3]]
    crosses = rows(view, "is_zero")[["layer", "step"]].values.tolist()
    assert crosses == [["hidden2", 1], *(["hidden1", step] for step in (1, 2, 3, 4))]
    assert view.title == "zero_normal wakes layer by layer: output at step 1, hidden2 at step 3 and hidden1 at step 5"
    check_data(view)


def test_the_wavefront_is_pale_to_the_share_of_exact_zeros() -> None:
    values = normal(4, 400)
    values[1, :200] = 0
    values[2] = 0
    view = make_wavefront([cell_of(observe({"output": values}), {"output": [1]})], ["init"])
    tiles = rows(view, "is_tile")
    assert tiles["step"].tolist() == [1, 2, 4]
    assert tiles["opacity"].tolist() == [1, 1 - 0.75 / 2, 1]
    medians = [np.median(np.log2(np.abs(values[step][values[step] != 0]))) for step in (0, 1, 3)]
    assert tiles["median"].tolist() == pytest.approx(medians, abs=1)
    assert rows(view, "is_zero")["step"].tolist() == [3]


def test_a_step_in_theory_that_was_not_observed_has_no_mark() -> None:
    view = make_wavefront([cell_of(chain({"hidden1": 2, "output": 1}), {}, {"output": 1, "hidden1": 40})], ["init"])
    assert rows(view, "is_theory")["layer"].tolist() == ["output"]


def test_wavefronts_of_a_deep_net_and_of_one_that_never_wakes() -> None:
    names = [f"hidden{index}" for index in range(1, 55)]
    deep = chain({name: 60 - index for index, name in enumerate(names, 1)}, steps=60)
    never = observe({name: np.zeros((3, 5)) for name in names})
    view = make_wavefront([cell_of(deep), cell_of(never, init="zero")], ["init"])
    assert len(view.y.domain) == 16
    assert (view.y.domain[0], view.y.domain[-1]) == ("hidden54", "hidden1")
    assert len(rows(view, "is_zero")["step"].unique()) > 3
    check_data(view)


def test_one_that_never_wakes_is_said_to() -> None:
    view = make_wavefront([cell_of(observe({"output": np.zeros((3, 5))}), init="zero")], ["init"])
    assert view.title == "zero has no weight gradient at any observed step"
    check_data(view)
