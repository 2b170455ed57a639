"""The charts of the page that compare two cells: what they share, and which cell comes first."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from helpers.reports import column_of, fake_histograms, grid, pack, plan_of, record, unpack

from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.comparisons import compare_with_baseline
from zeroinit.report.histories import GradientHistograms, sum_histograms
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import Extras, render_page
from zeroinit.report.page.first_cell import choose_first_cell
from zeroinit.tracker import Record


def tie(run: Record, distinct: float, outcome: str = "symmetric") -> Record:
    run.tags["outcome"] = outcome
    run.metrics += [("symmetry/hidden1/distinct", distinct, step) for step in (1, 10)]
    return run


def cells_of(*runs: Record) -> list[Cell]:
    return group_cells(plan_of(*runs), runs)


def choose(*runs: Record, units: Sequence[Mapping[str, int]], baseline: str = "default") -> int:
    return choose_first_cell(compare_with_baseline(cells_of(*runs), baseline), units)


def test_the_first_cell_learns_nothing_with_most_neurons_tied() -> None:
    runs = [tie(record(init, 0, 0.1), distinct) for init, distinct in (("a", 64), ("b", 2), ("c", 1))]
    runs.append(tie(record("learns", 0, 0.9), 1, "learned"))
    units = [{"hidden1": 64}] * 4
    assert choose(*runs, units=units) == 2
    assert choose(*runs[:2], units=units) == 1


def test_without_ties_the_first_cell_is_the_last_to_wake() -> None:
    runs = [tie(record(init, 0, 0.1), 64) for init in "abc"]
    for run, step in zip(runs, (1, 9, 3), strict=True):
        run.metrics += [("first_gradient/hidden1", step, step), ("grad/hidden1/norm", 1, step)]
    for units in ([{"hidden1": 64}] * 3, [{}] * 3, []):
        assert choose(*runs, units=units) == 1
        assert choose(*runs, units=units, baseline="b") == 2
    assert choose(record("a", 0, 0.1, "FAILED"), units=[]) == 0


def test_where_all_wake_at_once_the_first_cell_is_the_furthest_from_its_baseline() -> None:
    runs = [record(init, 0, accuracy) for init, accuracy in (("a", 0.9), ("b", 0.85), ("c", 0.7), ("d", float("nan")))]
    for run in runs:
        run.metrics += [("first_gradient/hidden1", 1, 1), ("grad/hidden1/norm", 1, 1)]
    assert choose(*runs, units=[], baseline="a") == 2
    assert choose(runs[0], units=[], baseline="a") == 0


def histograms_at(exponent: int, steps: int = 3) -> GradientHistograms:
    """Positive entries in one power of two, and as many exact zeros."""
    counts = np.zeros((steps, 2, 255), dtype=np.int64)
    counts[:, 1, exponent + 127] = 50
    return GradientHistograms(np.arange(1, steps + 1), {"hidden1": counts}, {"hidden1": np.full(steps, 50)}, 1)


def test_the_views_of_the_sweep_hold_what_each_cell_needs() -> None:
    runs = grid(2, 1, 1)
    for run, distinct in zip(runs, (1.0, 500.0), strict=True):
        run.metrics = [part for part in run.metrics if "distinct" not in part[0]]
        run.metrics += [("symmetry/hidden1/distinct", distinct, step) for step in (1, 100)]
    extras = Extras(units=[{"hidden1": 500}] * 2)
    histograms = [histograms_at(-20), histograms_at(-4, steps=12)]
    content = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells_of(*runs), histograms, [], extras))
    kind = "symmetry/{layer}/distinct"
    assert content["layers"][kind]["y"]["domain"] == [0.9, 600]
    assert content["layers"][kind]["y"]["ticks"] == [1, 2, 5, 10, 20, 50, 100, 200, 500]
    parts = [cell["layers"][kind] for cell in content["cells"]]
    assert [part["spans"]["y"] for part in parts] == [[0.9, 9.6], [0.9, 600]]
    low, high = (part["heights"]["hidden1"] for part in parts)
    assert (low, high) == ([pytest.approx(0.016, abs=1e-3)] * 3, [pytest.approx(0.972, abs=1e-3)] * 3)
    wave = content["wavefront"]
    assert (wave["x"]["domain"], wave["y"]["domain"]) == (list(range(1, 13)), ["hidden1"])
    assert (wave["colour"]["domain"][0], wave["colour"]["domain"][-1]) == (-20, -3)
    assert wave["colour"]["ticks"] == list(range(-20, -2))
    assert wave["colour"]["labels"][0] == "2\N{SUPERSCRIPT MINUS}²⁰"
    first, second = (cell["wavefront"] for cell in content["cells"])
    assert (first["spans"]["colour"], second["spans"]["colour"]) == ([-20, -19], [-4, -3])
    assert (first["spans"]["x"], second["spans"]["x"]) == ([1, 3], [1, 12])
    gradients = content["gradients"]
    assert (gradients["low"], gradients["names"][0], len(gradients["edges"])) == (-20, "2\N{SUPERSCRIPT MINUS}²⁰", 17)
    assert [cell["gradients"]["low"] for cell in content["cells"]] == [-20, -4]
    assert gradients["view"]["x"]["domain"] == list(range(1, 13))


def test_entries_below_the_lowest_bin_are_in_it() -> None:
    runs = grid(1, 1, 1)
    histograms = histograms_at(-60)
    histograms.counts["hidden1"][:, 1, 127 - 40] = 150
    content = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells_of(*runs), [histograms], []))
    [cell] = content["cells"]
    assert cell["gradients"]["low"] == content["gradients"]["low"] == -50
    shares = cell["gradients"]["layers"]["hidden1"]["shares"][0]
    assert (len(shares), sum(shares), shares[11], shares[-1]) == (22, 800, 200, 600)


def test_a_cell_without_a_gradient_needs_no_colours() -> None:
    runs = grid(2, 1, 1)
    silent = GradientHistograms(
        np.array([1]), {"hidden1": np.zeros((1, 2, 255), dtype=np.int64)}, {"hidden1": np.array([9])}, 1
    )
    content = unpack(
        render_page("sweep", Manifest("", "", plan_of(*runs)), cells_of(*runs), [silent, histograms_at(-9)], [])
    )
    assert [sorted(cell["wavefront"]["spans"]) for cell in content["cells"]] == [["x"], ["colour", "x"]]
    assert content["wavefront"]["colour"]["domain"][0] == -9
    assert content["cells"][0]["gradients"]["layers"]["hidden1"]["shares"] == [[]]
    assert (content["gradients"]["low"], len(content["gradients"]["edges"])) == (-9, 1)
    alone = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells_of(*runs), [silent, None], []))
    assert (alone["gradients"]["low"], len(alone["gradients"]["edges"]), alone["gradients"]["band"]) == (-25, 26, 2.5)
    assert "every entry is exactly 0" in [mark["label"] for mark in content["wavefront"]["marks"]]
    assert column_of(content, content["cells"][0]["wavefront"]["frame"]["is_zero"]) == [True]


def test_dark_colours_are_those_of_the_views() -> None:
    runs = grid(1, 1, 2)
    histograms = sum_histograms([pack(fake_histograms(2))])
    content = unpack(render_page("sweep", Manifest("", "", plan_of(*runs)), cells_of(*runs), [histograms], []))
    scales = [mark["scale"]["colours"] for mark in content["gradients"]["view"]["marks"] if mark["scale"]]
    dark = [content["dark_scales"].get(",".join(colours)) for colours in scales]
    assert [colours is not None for colours in dark] == [False, True, True]
    assert [len(colours) for colours in dark if colours] == [len(colours) for colours in scales[1:]]
    tiles = [mark["colour"] for mark in content["wavefront"]["marks"] if mark["kind"] == "tile" and mark["colour"]]
    tiles += [mark["colour"] for mark in content["map"]["marks"] if mark["kind"] == "tile" and mark["colour"]]
    assert {*tiles} == {*content["dark_tiles"]}
