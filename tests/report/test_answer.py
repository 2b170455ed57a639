"""The answer of a sweep in sentences: verdicts of claims, and each init compared with the baseline."""

from collections.abc import Sequence

from helpers.reports import plan_of, record

from zeroinit.config.claims import Claim, ClaimTest
from zeroinit.report.answer import summarize
from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.comparisons import compare_with_baseline
from zeroinit.report.judgements import judge
from zeroinit.tracker import Record

DEFAULT = [0.90, 0.92, 0.91, 0.93]
CLOSE = [0.91, 0.90, 0.92, 0.92]
WORSE = [0.80, 0.83, 0.81, 0.82]
DEAD = [0.1, 0.1, 0.1, 0.1]


def make_runs(init: str, accuracies: Sequence[float], **params: str) -> list[Record]:
    """Return a run of each seed; those of accuracy 0.1 have not learned."""
    cell = " ".join([init, *params.values()])
    runs = []
    for seed, accuracy in enumerate(accuracies):
        run = record(init, seed, accuracy, outcome="learned" if accuracy > 0.1 else "stuck-at-prior")
        run.params |= {"bias_scale.value": "1"} | {key.replace("__", "."): value for key, value in params.items()}
        run.tags |= {"cell_hash": cell, "config_hash": f"{cell} {seed}"}
        runs.append(run)
    return runs


def at(scale: str, init: str, accuracies: Sequence[float], **params: str) -> list[Record]:
    return make_runs(init, accuracies, bias_scale__value=scale, **params)


def make_cells(*groups: list[Record]) -> list[Cell]:
    runs = [run for group in groups for run in group]
    return group_cells(plan_of(*runs), runs)


def answer(*groups: list[Record], claims: Sequence[Claim] = ()) -> list[str]:
    cells = make_cells(*groups)
    return summarize(compare_with_baseline(cells), judge(claims, cells))


# ---- inits


def test_each_init_has_a_sentence() -> None:
    sentences = answer(
        make_runs("default", DEFAULT), make_runs("close", CLOSE), make_runs("worse", WORSE), make_runs("zero", DEAD)
    )
    assert sentences == [
        "Of 3 comparisons with default (91.5% ± 2.1, n = 4), 2 are below it and 1 shows no clear difference.",
        "close: no clear difference (-0.25 ± 3.64 points).",
        "worse: 10.00 ± 1.98 points below default.",
        "zero: does not learn (10.0% ± 0.0).",
    ]


def test_one_comparison_names_the_baseline() -> None:
    assert answer(make_runs("default", WORSE), make_runs("mine", DEFAULT)) == [
        "The baseline is default (81.5% ± 2.1, n = 4).",
        "mine: 10.00 ± 1.30 points above default.",
    ]


def test_a_sentence_says_under_which_condition_and_with_which_numbers() -> None:
    scales = [at(scale, "default", DEFAULT) for scale in ("1", "9", "30")]
    sentences = answer(
        *scales, at("1", "mine", CLOSE), at("9", "mine", WORSE), at("30", "mine", [0.7, 0.72, 0.71, 0.7])
    )
    assert sentences[1] == (
        "mine: 10.00 to 20.75 points below default with bias_scale.value=9 or 30 (intervals up to ± 2.39); "
        "no clear difference elsewhere (-0.25 ± 2.39 points)."
    )


def test_an_init_with_one_result_has_it_in_all_cases() -> None:
    sentences = answer(
        *(at(scale, init, values) for scale in "19" for init, values in (("default", DEFAULT), ("zero", DEAD)))
    )
    assert sentences[1] == "zero: does not learn in all 2 cases (10.0%)."


def answer_of_grid(worse_at: set[tuple[str, str]]) -> str:
    """Return the sentence on an init that is worse at some (arch, scale) of a grid of three by three."""
    groups = []
    for arch in ("a", "b", "c"):
        for scale in ("1", "9", "30"):
            groups.append(at(scale, "default", DEFAULT, arch=arch))
            groups.append(at(scale, "mine", WORSE if (arch, scale) in worse_at else CLOSE, arch=arch))
    return answer(*groups)[1]


def test_conditions_on_two_keys() -> None:
    corner = {(arch, scale) for arch in "bc" for scale in ("1", "30")}
    assert " below default with arch=b or c and bias_scale.value=1 or 30 (" in answer_of_grid(corner)
    column = {(arch, "9") for arch in "abc"}
    assert " below default with bias_scale.value=9 (" in answer_of_grid(column)


def test_cells_that_share_no_condition_are_named_or_counted() -> None:
    two = {("a", "1"), ("c", "30")}
    labels = "with arch=a, bias_scale.value=1 and with arch=c, bias_scale.value=30"
    assert f" below default {labels} (" in answer_of_grid(two)
    assert " below default in 3 of 9 cases (" in answer_of_grid(two | {("b", "9")})


def end(runs: list[Record], outcome: str, count: int) -> list[Record]:
    """Return the runs; the last `count` have no result and this outcome."""
    for run in runs[len(runs) - count :]:
        run.status, run.tags["outcome"] = "FAILED", outcome
    return runs


def test_an_init_without_a_result_is_named() -> None:
    groups = [make_runs("default", DEFAULT), make_runs("close", CLOSE), end(make_runs("boom", WORSE), "diverged", 4)]
    assert "boom: no result (4 diverged)." in answer(*groups)
    without = [make_runs("default", DEFAULT), end(make_runs("boom", WORSE), "diverged", 4)]
    assert answer(*without) == ["Test accuracy is 91.5% ± 2.1.", "No result: boom (4 diverged)."]
    baseline = [end(make_runs("default", DEFAULT), "diverged", 4), make_runs("close", CLOSE)]
    assert answer(*baseline) == ["Test accuracy is 91.2% ± 1.5.", "No result: default (4 diverged)."]


def test_runs_that_survive_do_not_stand_for_a_cell_whose_others_diverged() -> None:
    better = end(make_runs("boom", [0.95, 0.97, 0.96, 0.98]), "diverged", 1)
    sentences = answer(make_runs("default", DEFAULT), make_runs("close", CLOSE), better)
    assert sentences[0].endswith(", 1 shows no clear difference and 1 has runs that diverged.")
    assert sentences[2] == "boom: some runs diverged (1; the others: +5.00 ± 0.00 points)."


def test_runs_that_have_not_ended_do_not_change_what_the_others_say() -> None:
    zero = make_runs("zero", DEAD)
    cells = make_cells(make_runs("default", DEFAULT), zero)
    cells[1].outcomes["not run"] = 2
    assert summarize(compare_with_baseline(cells))[1] == "zero: does not learn (10.0% ± 0.0)."


def test_a_cell_without_the_seeds_of_the_baseline() -> None:
    alone = make_runs("mine", CLOSE)
    for run in alone:
        run.params["seeds.init"] = f"1{run.params['seeds.init']}"
    sentences = answer(make_runs("default", DEFAULT), make_runs("worse", WORSE), alone)
    assert sentences[2] == "mine: no run of the baseline with the same seeds (91.2% ± 1.5)."
    few = answer(make_runs("default", DEFAULT), make_runs("worse", WORSE[:3]))
    assert few[0] == "The baseline is default (91.5% ± 2.1, n = 4, 3 in pairs)."


def test_a_wide_interval_says_little() -> None:
    sentences = answer(make_runs("default", DEFAULT), make_runs("noisy", [0.95, 0.3, 0.9, 0.6]))
    assert sentences[1].startswith("noisy: too uncertain to tell (-22.75 ± ")


def test_two_seeds_are_too_few() -> None:
    few = [make_runs("default", DEFAULT[:2]), make_runs("mine", WORSE[:2])]
    assert answer(*few) == [
        "The baseline is default (90.0%, 92.0%, n = 2).",
        "mine: too few seeds for an interval (-10.00, -9.00 points).",
    ]
    assert answer(*few, at("9", "default", DEFAULT[:2]), at("9", "mine", WORSE[:2]))[:2] == [
        "All 2 comparisons with default (91.0%, n = 2) have too few seeds for an interval, which needs 3.",
        "mine: too few seeds for an interval in all 2 cases (-9.50 points).",
    ]


def test_inits_of_one_name_are_distinguished_by_their_keys() -> None:
    groups = [make_runs("mine", values, init__bias__std=std) for std, values in (("0", WORSE), ("1", CLOSE))]
    assert [sentence.partition(":")[0] for sentence in answer(make_runs("default", DEFAULT), *groups)[1:]] == [
        "mine, bias.std=0",
        "mine, bias.std=1",
    ]


def test_the_answer_without_a_baseline_is_the_range() -> None:
    assert answer(at("1", "mine", DEFAULT), at("9", "mine", WORSE)) == [
        "Test accuracy is 91.5% ± 2.1 at best (bias_scale.value=1) and 81.5% ± 2.1 at worst (bias_scale.value=9)."
    ]
    assert answer(make_runs("mine", DEFAULT)) == ["Test accuracy is 91.5% ± 2.1."]


def test_the_answer_without_a_run() -> None:
    failed = make_runs("mine", [0.5])
    failed[0].status = "FAILED"
    assert answer(failed) == ["No run has finished yet."]


def test_a_long_answer_is_cut_and_says_so() -> None:
    groups = [make_runs(f"init{index}", WORSE) for index in range(11)]
    sentences = answer(make_runs("default", DEFAULT), *groups)
    assert len(sentences) == 10
    assert sentences[-1] == "The tables have 3 more inits."


# ---- claims


def make_claim(statement: str = "They are better", **cells: str | list[str]) -> Claim:
    return Claim(statement, ClaimTest.SUPERIOR, cells, {"init": "default"}, margin=0)


def test_verdicts_come_first() -> None:
    groups = [
        make_runs("default", WORSE),
        make_runs("good", DEFAULT),
        make_runs("close", CLOSE),
        make_runs("bad", DEAD),
    ]
    claims = [
        make_claim("Good is better", init="good"),
        make_claim("Both are better.", init=["good", "close"]),
        make_claim("Good and bad are better", init=["good", "bad"]),
        make_claim("Absent is better", init="absent"),
        Claim("Bad does not learn", ClaimTest.DOES_NOT_LEARN, {"init": "bad"}),
    ]
    assert answer(*groups, claims=claims)[:5] == [
        "Supported: Good is better. 10.00 ± 1.30 points ahead of init=default, claimed: ahead, n = 4.",
        "Supported in 2 of 2 cases: Both are better. "
        "9.75 to 10.00 points ahead of init=default, intervals up to ± 3.01, n = 4.",
        "Supported in 1, refuted in 1 of 2 cases: Good and bad are better.",
        "Undetermined: Absent is better. No such cell in this sweep.",
        "Supported: Bad does not learn. In 4 of 4 runs: stuck-at-prior, n = 4.",
    ]


def test_claims_with_one_statement_are_told_apart() -> None:
    groups = [make_runs("default", CLOSE), make_runs("good", DEFAULT), make_runs("bad", WORSE)]
    first, second = answer(*groups, claims=[make_claim(init="good"), make_claim(init="bad")])[:2]
    assert first.startswith("Undetermined: They are better (init=good against init=default). 0.25 ± ")
    assert second.startswith("Refuted: They are better (init=bad against init=default). 9.75 ± ")


def test_differences_on_both_sides_of_the_reference_have_signs() -> None:
    groups = [make_runs("default", DEFAULT), make_runs("close", CLOSE), make_runs("noisy", [0.99, 0.95, 0.8, 0.95])]
    assert answer(*groups, claims=[make_claim(init=["close", "noisy"])])[0] == (
        "Undetermined in 2 of 2 cases: They are better. -0.25 to +0.75 points, intervals up to ± 13.40, n = 4."
    )
