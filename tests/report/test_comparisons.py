"""Each init compared with the baseline: pairs, intervals, and the answer in sentences."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from helpers.reports import plan_of, record
from scipy import stats

from zeroinit.report.answer import summarize
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


# ---- the answer


def answer(*groups: list[Record]) -> list[str]:
    return summarize(compare_with_baseline(make_cells(*groups)))


def test_the_answer_of_one_group_is_one_sentence() -> None:
    dead = make_runs("zero", [0.1, 0.1, 0.1, 0.1])
    for run in dead:
        run.tags["outcome"] = "stuck-at-prior"
    assert answer(make_runs("default", DEFAULT), make_runs("close", CLOSE), make_runs("worse", WORSE), dead) == [
        "default reaches 91.5% ± 2.1; below it: worse (-10.00 ± 1.98 points); "
        "no clear difference: close (-0.25 ± 3.64 points); does not learn: zero (10.0% ± 0.0)."
    ]


def test_the_answer_of_two_groups_begins_with_their_sum() -> None:
    sentences = answer(
        make_runs("default", DEFAULT), make_runs("mine", WORSE), make_runs("default", WORSE, "9"),
        make_runs("mine", CLOSE, "9"),
    )  # fmt: skip
    counts = "1 is above it, 1 is below it, and 0 show no clear difference."
    assert sentences[0] == f"Of 2 comparisons with default (n = 4), {counts}"
    assert [sentence.partition(":")[0] for sentence in sentences[1:]] == ["bias_scale.value=1", "bias_scale.value=9"]


def test_the_answer_of_two_seeds_says_that_they_are_too_few() -> None:
    few = [make_runs("default", DEFAULT[:2]), make_runs("mine", WORSE[:2])]
    assert answer(*few) == ["default reaches 90.0%, 92.0%; too few seeds for an interval: mine (-10.00, -9.00 points)."]
    assert answer(*few, make_runs("default", DEFAULT[:2], "9"), make_runs("mine", WORSE[:2], "9"))[0] == (
        "All 2 comparisons with default (n = 2) have too few seeds for an interval, which needs 3."
    )


def test_inits_of_one_name_are_distinguished_by_their_keys() -> None:
    groups = [make_runs("default", DEFAULT), make_runs("mine", WORSE), make_runs("mine", CLOSE)]
    for index, group in enumerate(groups[1:]):
        for run in group:
            run.params["init.bias.std"] = str(index)
            run.tags["cell_hash"] += str(index)
            run.tags["config_hash"] += str(index)
    [sentence] = answer(*groups)
    assert "mine, bias.std=0 (" in sentence
    assert "mine, bias.std=1 (" in sentence


def test_the_answer_without_a_baseline_is_the_range() -> None:
    assert answer(make_runs("mine", DEFAULT), make_runs("mine", WORSE, "9")) == [
        "Test accuracy is 91.5% ± 2.1 at best (bias_scale.value=1) and 81.5% ± 2.1 at worst (bias_scale.value=9)."
    ]
    assert answer(make_runs("mine", DEFAULT)) == ["Test accuracy is 91.5% ± 2.1."]


def test_the_answer_without_a_run() -> None:
    failed = make_runs("mine", [0.5])
    failed[0].status = "FAILED"
    assert answer(failed) == ["No run has finished yet."]


def test_a_long_answer_is_cut_and_says_so() -> None:
    groups = [make_runs(init, DEFAULT, str(scale)) for scale in range(1, 12) for init in ("default", "mine")]
    sentences = answer(*groups)
    assert len(sentences) == 10
    assert sentences[-1] == "The table has 3 more comparisons of this kind."
