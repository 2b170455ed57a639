"""How the runs of a sweep judge its claims."""

import numpy as np
import pytest
from helpers.claims import BETTER, NOTHING, PRIOR, THREE, WAVE, WORSE, Claim, judge_all, judge_claim, of, run, runs
from scipy import stats

from zeroinit.config.claims import parse_claims
from zeroinit.report.judgements import describe_side, metrics_of_claims
from zeroinit.report.statistics import seeds_needed
from zeroinit.tracker import Record


@pytest.mark.parametrize(
    ("claim", "verdict", "decides"),
    [
        (WORSE | {"margin": 0.5}, "supported", ""),  # -0.2 - 0.248 > -0.5
        (WORSE | {"margin": 0.4}, "undetermined", "4 seeds"),  # 3.182 * 0.1 / 2 = 0.159 < 0.2
        (WORSE | {"margin": 0}, "undetermined", "4 seeds"),
        (BETTER | {"margin": 0}, "undetermined", "4 seeds"),
        (BETTER | {"margin": 0.1}, "refuted", ""),  # -0.2 + 0.248 <= 0.1
        (WORSE | {"reference": 98, "margin": 4}, "supported", ""),  # 96.8 in the mean, deviation 0.954, half width 2.37
        (
            WORSE | {"reference": 97.1, "margin": 1},
            "undetermined",
            "10 seeds",
        ),  # 2.262 * 0.954 / sqrt(10) = 0.682 < 0.7
        (BETTER | {"reference": 93, "margin": 1}, "supported", ""),
        (WORSE | {"reference": 99.9, "margin": 0.5}, "refuted", ""),
    ],
)
def test_a_comparison_is_judged_by_its_interval(claim: Claim, verdict: str, decides: str) -> None:
    row = judge_claim(claim, THREE)
    assert (row["verdict"], row["n"], row["needed"]) == (verdict, 3, decides)
    if isinstance(claim["reference"], dict):
        assert row["difference"] == pytest.approx(-0.2)
        assert row["interval"] == pytest.approx(0.2484, abs=1e-4)
        assert row["finding"].startswith("0.20 ± 0.25 points behind init=default, claimed: ")


def test_runs_that_are_all_alike_have_an_interval_of_no_width() -> None:
    same = [*runs("default", 0.5, 0.5), *runs("zero_normal", 0.495, 0.495)]
    assert judge_claim(WORSE | {"margin": 0.6}, same)["verdict"] == "supported"
    assert judge_claim(WORSE | {"margin": 0.4}, same)["verdict"] == "refuted"
    row = judge_claim(WORSE | {"margin": 0.5}, same)  # worse by the very points that are allowed
    assert (row["verdict"], row["interval"], row["needed"]) == ("supported", 0, "")
    turned = BETTER | {"cells": {"init": "default"}, "reference": {"init": "zero_normal"}}
    assert judge_claim(turned | {"margin": 0.5}, same)["verdict"] == "refuted"
    assert judge_claim(turned | {"margin": 0.49}, same)["verdict"] == "supported"


def test_one_seed_decides_nothing_and_none_less() -> None:
    single = [*runs("default", 0.5), *runs("zero_normal", 0.9)]
    row = judge_claim(BETTER | {"margin": 0}, single)
    assert (row["verdict"], row["n"], row["needed"]) == ("undetermined", 1, "2 seeds at least")
    assert row["finding"] == "40.00 points ahead of init=default, claimed: ahead"
    apart = [run("default", 0, 0.5), run("zero_normal", 1, 0.9)]
    row = judge_claim(BETTER | {"margin": 0}, apart)
    assert (row["verdict"], row["n"]) == ("undetermined", 0)
    assert row["needed"] == "finished runs of both with the same seeds"


def test_the_seeds_that_are_needed_are_the_fewest() -> None:
    """Compare with a search over all numbers of seeds, by scipy's own quantiles."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = generator.normal(size=generator.integers(2, 8))
        n, spread, distance = len(values), values.std(ddof=1), 10 ** generator.uniform(-1, 1)
        half = stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n)
        fewest = 2
        while stats.t.ppf(0.975, fewest - 1) * spread / np.sqrt(fewest) >= distance:
            fewest += 1
        said = f"{fewest} seeds" if fewest <= 1000 else "more than 1,000 seeds"
        assert seeds_needed(n, float(half), float(distance)) == said
    assert seeds_needed(5, 1.0, 0.01) == "more than 1,000 seeds"


def test_runs_are_paired_by_all_their_seeds_and_counted_by_that_of_the_init() -> None:
    """The order of the data moves both runs of a pair alike: paired, what differs has no spread."""
    orders = [(0, 0, 0.1), (0, 1, 0.3), (1, 0, 0.5), (1, 1, 0.7)]
    records = [run("default", init, share, order) for init, order, share in orders]
    records += [run("zero_normal", init, share + 0.01, order) for init, order, share in orders]
    row = judge_claim(BETTER | {"margin": 0.9}, records)
    assert (row["verdict"], row["n"], row["interval"]) == ("supported", 2, 0)
    assert row["finding"] == "1.00 ± 0.00 points ahead of init=default, claimed: more than 0.9 ahead"
    other = [run("zero_normal", 2, 0.9, 7), run("default", 2, 0.1, 8)]  # the same draw, and another order
    row = judge_claim(BETTER | {"margin": 0.9}, records + other)
    assert (row["n"], row["interval"]) == (2, 0)
    assert row["finding"].endswith("claimed: more than 0.9 ahead (2 runs without a pair)")


@pytest.mark.parametrize("claim", [WORSE | {"margin": 0.5}, BETTER | {"margin": 0}])
def test_runs_that_diverge_leave_no_verdict_to_the_rest(claim: Claim) -> None:
    there = [*runs("default", *[0.5] * 5), *runs("zero_normal", 0.75, 0.76)]
    gone = [run("zero_normal", seed, 0.1) for seed in (2, 3, 4)]
    for record in gone:
        record.status, record.tags["outcome"] = "FAILED", "diverged"
    assert judge_claim(claim, there)["verdict"] == "supported"
    row = judge_claim(claim, there + gone)
    assert (row["verdict"], row["n"]) == ("undetermined", 2)
    assert row["needed"] == "runs that do not diverge, as 3 of 10 did"


def test_each_of_the_listed_cells_has_a_judgement() -> None:
    there = [*runs("default", 0.5, 0.6), *runs("zero_normal", 0.5, 0.6)]
    claim = WORSE | {"margin": 0.5, "cells": {"init": ["zero_normal", "zero"], "arch.hidden": [500]}}
    for record in there:
        record.params["arch.hidden"] = "[500]"
    first, second = judge_all([claim], of(there))
    assert (first["compared"].split(",")[0], first["verdict"]) == ("init=zero_normal", "supported")
    assert (second["compared"].split(",")[0], second["needed"]) == ("init=zero", "no such cell in this sweep")


def test_a_run_that_has_not_finished_is_counted() -> None:
    planned = [run("zero_normal", 3, 0.9)]
    assert judge_claim(WORSE | {"margin": 0.5}, THREE, planned)["finding"].endswith(" (1 run without a pair)")
    assert judge_claim(BETTER | {"margin": 1, "reference": 90}, THREE, planned)["finding"].endswith(
        " (1 run not finished)"
    )


# ---- what is exact


def test_the_prior_is_a_share_of_a_class_to_the_last_digit() -> None:
    row = judge_claim(PRIOR, runs("zero", 0.7, 0.1, 0.1))
    assert (row["verdict"], row["n"], row["finding"]) == ("supported", 3, "in 3 of 3 runs: 10.00%; 70.00%")
    row = judge_claim(PRIOR, runs("zero", 0.7, np.nextafter(0.7, 1)))
    assert (row["verdict"], row["finding"]) == ("refuted", "in 1 of 2 runs: 70.00%")
    row = judge_claim(PRIOR, runs("zero", 0.7), [run("zero", 1, 0)])
    assert row["verdict"] == "undetermined"
    assert row["needed"] == "1 of 2 runs, which have not finished, or kept no counts of the classes"
    old = runs("zero", 0.7)
    del old[0].tags["test_class_counts"]
    assert judge_claim(PRIOR, old)["verdict"] == "undetermined"


def test_no_learning_is_judged_by_the_outcomes() -> None:
    words = ["stuck-at-prior", "symmetric", "dead-layer", "saturated"]
    records = runs("zero", 0.1, 0.1, 0.1, 0.1)
    for record, word in zip(records, words, strict=True):
        record.tags["outcome"] = word
    diverged = run("zero", 4, 0.1)
    diverged.tags["outcome"], diverged.status = "diverged", "FAILED"
    row = judge_claim(NOTHING, [*records, diverged])
    assert (row["verdict"], row["n"], row["needed"]) == ("supported", 5, "")
    assert row["finding"] == "in 5 of 5 runs: dead-layer; diverged; saturated; ..."
    failed = run("zero", 5, 0.1)
    del failed.tags["outcome"]
    failed.status = "FAILED"
    waking = run("zero", 5, 0.1)
    waking.tags["outcome"] = "still-waking"
    unwritten, incomplete = run("zero", 5, 0.1), run("zero", 5, 0.1)
    for record, status in ((unwritten, "FAILED"), (incomplete, "INCOMPLETE")):
        record.tags["outcome"], record.status = "symmetric", status
    for more in (failed, waking, unwritten, incomplete):
        row = judge_claim(NOTHING, [*records, more])
        assert (row["verdict"], row["n"]) == ("undetermined", 4)
        assert row["needed"] == "1 of 5 runs, which are still waking, failed or have not ended"
    for word in ("learned", "partly-learned", "learns"):  # the last of a run stored before it was split
        learned = run("zero", 6, 0.9)
        learned.tags["outcome"] = word
        row = judge_claim(NOTHING, [*records, failed, learned])
        assert (row["verdict"], row["finding"][:14]) == ("refuted", "in 4 of 5 runs"), word


def wave(last: list[float], first: list[float], **first_steps: int) -> Record:
    """A run with these shares of exact zeros in steps 1, 2, ... of two layers; -1 is a step that was not observed."""
    record = run("zero", 0, 0.5)
    for layer, shares in (("output", last), ("hidden1", first)):
        points = [(f"grad/{layer}/zeros", share, step) for step, share in enumerate(shares, 1) if share >= 0]
        record.metrics += points
    record.metrics += [(f"first_gradient/{layer}", float(step), step) for layer, step in first_steps.items()]
    return record


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (wave([0.2, 0], [1, 0], output=1, hidden1=2), "supported"),
        (wave([0.2, 0], [1, 0]), "supported"),  # without float64
        (wave([0.2, 0], [0.999, 0], output=1, hidden1=2), "refuted"),  # one entry too early
        (wave([0.2, 0], [1, 1], output=1), "refuted"),  # none when it is to come
        (wave([1, 0], [1, 0], output=2, hidden1=2), "refuted"),
        (wave([0.2, 0], [1, 0.5], output=1, hidden1=3), "refuted"),  # rounding
        (wave([0.2, 0], [1, 0.5], output=1), "refuted"),
        (wave([0.2], [1], output=1), "undetermined"),  # the step was not observed
        (wave([0.2, -1], [-1, 0], output=1, hidden1=2), "undetermined"),
        (wave([-1, 0], [0.5, 0], output=2, hidden1=2), "refuted"),
        (wave([], []), "undetermined"),
    ],
)
def test_the_order_of_first_gradients_is_exact(record: Record, verdict: str) -> None:
    assert judge_claim(WAVE, [record])["verdict"] == verdict


def test_every_run_has_to_have_the_order() -> None:
    right, wrong = wave([0.2, 0], [1, 0], output=1, hidden1=2), wave([1, 0], [1, 0], output=2, hidden1=2)
    wrong.params["seeds.init"] = wrong.tags["config_hash"] = "1"
    row = judge_claim(WAVE, [right, wrong])
    assert (row["verdict"], row["finding"]) == (
        "refuted",
        "in 1 of 2 runs: output 1, hidden1 2; output 2, hidden1 2",
    )
    row = judge_claim(WAVE, [right], [wrong])
    assert (row["verdict"], row["needed"][:11]) == ("undetermined", "1 of 2 runs")
    assert metrics_of_claims(parse_claims([WAVE, PRIOR])) == ["grad/output/zeros", "grad/hidden1/zeros"]


def test_a_finding_names_the_keys_of_the_reference_that_differ_as_they_are_typed() -> None:
    shuffled, sorted_ = ({"init": "zero", "dataset.shuffle": value} for value in (True, False))
    for reference, text in (
        (sorted_, "ahead of dataset.shuffle=false"),
        (97.5, "ahead of 97.5%"),
        ({"init": ["default", "zero"]}, "ahead of init=default|zero"),
    ):
        [claim] = parse_claims([BETTER | {"cells": shuffled, "reference": reference, "margin": 0}])
        assert describe_side(1.0, claim) == text
    assert describe_side(-1.0, claim) == "behind init=default|zero"
