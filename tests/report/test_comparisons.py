"""Each init compared with the baseline: pairs and intervals."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from helpers.reports import plan_of, record
from scipy import stats

from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.comparisons import (
    ABOVE,
    BELOW,
    TOO_FEW,
    compare_with_baseline,
    describe_widening,
)
from zeroinit.tracker import Record

DEFAULT = [0.90, 0.92, 0.91, 0.93]
CLOSE = [0.91, 0.90, 0.92, 0.92]
WORSE = [0.80, 0.83, 0.81, 0.82]


def make_runs(init: str, accuracies: Sequence[float], scale: str = "1", **tags: str) -> list[Record]:
    runs = [record(init, seed, accuracy, outcome="learned", **tags) for seed, accuracy in enumerate(accuracies)]
    for seed, run in enumerate(runs):
        run.params |= {"bias_scale.value": scale}
        run.tags |= {"cell_hash": f"{init} {scale}", "config_hash": f"{init} {scale} {seed}"}
    return runs


def make_cells(*groups: list[Record]) -> list[Cell]:
    runs = [run for group in groups for run in group]
    return group_cells(plan_of(*runs), runs)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_the_interval_is_that_of_a_paired_t_test_with_bonferronis_level(number: int) -> None:
    inits = [make_runs(f"init{index}", WORSE) for index in range(number)]
    comparisons = compare_with_baseline(make_cells(make_runs("default", DEFAULT), *inits))
    expected = stats.ttest_rel(WORSE, DEFAULT).confidence_interval(1 - 0.05 / number)
    for comparison in comparisons[1:]:
        difference = comparison.difference
        assert difference
        assert difference.comparisons == number
        assert (difference.low, difference.high) == pytest.approx((100 * expected.low, 100 * expected.high))
        assert difference.mean == pytest.approx(100 * (np.mean(WORSE) - np.mean(DEFAULT)))


def test_a_cell_is_compared_with_the_baseline_of_its_scale_alone() -> None:
    cells = make_cells(
        make_runs("default", DEFAULT), make_runs("mine", WORSE), make_runs("default", WORSE, "9"),
        make_runs("mine", CLOSE, "9"), make_runs("mine", CLOSE, "100"),
    )  # fmt: skip
    by_label = {c.cell.label(["init", "bias_scale.value"]): c for c in compare_with_baseline(cells)}
    directions = {label: c.difference and c.difference.direction for label, c in by_label.items()}
    assert directions == {
        "init=default, bias_scale.value=1": None,
        "init=mine, bias_scale.value=1": BELOW,
        "init=default, bias_scale.value=9": None,
        "init=mine, bias_scale.value=9": ABOVE,
        "init=mine, bias_scale.value=100": None,
    }


def test_only_runs_with_equal_seeds_are_pairs() -> None:
    mine = make_runs("mine", [0.5, 0.6, 0.7, 0.8])
    for run in mine[2:]:
        run.params["seeds.init"] = f"1{run.params['seeds.init']}"
    [_, comparison] = compare_with_baseline(make_cells(make_runs("default", DEFAULT), mine))
    assert comparison.difference
    assert comparison.difference.n == 2
    assert comparison.difference.values == pytest.approx([-40, -32])
    assert comparison.difference.format() == "-40.00, -32.00"
    assert comparison.difference.direction == TOO_FEW


def test_a_cell_without_a_pair_does_not_widen_the_others() -> None:
    unpaired = make_runs("unpaired", [0.5])
    unpaired[0].params["seeds.init"] = "77"
    cells = make_cells(make_runs("default", DEFAULT), make_runs("mine", WORSE), unpaired)
    [_, mine, other] = compare_with_baseline(cells)
    assert mine.difference
    assert mine.difference.comparisons == 1
    assert other.difference
    assert (other.difference.n, other.difference.format()) == (0, "-")
    assert math.isnan(other.difference.mean)


def test_n_counts_draws_of_the_init_not_runs() -> None:
    def with_orders(init: str, values: Sequence[float]) -> list[Record]:
        runs = make_runs(init, values)
        for index, run in enumerate(runs):
            run.params |= {"seeds.init": str(index // 2), "seeds.order": str(index % 2)}
            run.tags["init_hash"] = f"{init}{index // 2}"
        return runs

    [_, comparison] = compare_with_baseline(make_cells(with_orders("default", DEFAULT), with_orders("mine", WORSE)))
    assert comparison.difference
    assert comparison.difference.n == 2
    assert comparison.difference.values == pytest.approx([-9.5, -10.5])


def test_cells_of_the_baseline_that_differ_in_keys_of_the_init_are_compared_key_by_key() -> None:
    runs = [make_runs(*words) for words in (("default", DEFAULT), ("mine", WORSE), ("default", WORSE), ("mine", CLOSE))]
    for index, group in enumerate(runs):
        for run in group:
            run.params["init.layers"] = f"layer{index // 2}"
            run.tags["cell_hash"] += str(index // 2)
            run.tags["config_hash"] += str(index // 2)
    directions = [c.difference.direction for c in compare_with_baseline(make_cells(*runs)) if c.difference]
    assert directions == [BELOW, ABOVE]


def test_another_baseline() -> None:
    cells = make_cells(make_runs("default", DEFAULT), make_runs("mine", WORSE))
    [default, mine] = compare_with_baseline(cells, "mine")
    assert mine.difference is None
    assert default.difference
    assert default.difference.direction == ABOVE


@pytest.mark.parametrize(
    ("inits", "text"),
    [
        (0, ""),
        (1, "Student's 95% interval"),
        (3, "Student's interval, widened for 3 comparisons within one arch and scale (Bonferroni, 95% together)"),
    ],
)
def test_the_caption_says_how_intervals_are_widened(inits: int, text: str) -> None:
    groups = [make_runs(f"init{index}", WORSE) for index in range(inits)]
    assert describe_widening(compare_with_baseline(make_cells(make_runs("default", DEFAULT), *groups))) == text
