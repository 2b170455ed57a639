"""Claims: what a sweep file may say, which cells it is about, and how the runs judge it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from test_browser import CHROMIUM, FLAGS, PATIENCE
from test_page import report, unpack

from zeroinit.config import Job
from zeroinit.config.claims import check_claims, check_meant
from zeroinit.errors import BadInput
from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.judgements import judge, metrics_of_claims
from zeroinit.report.manifest import Manifest, read_manifest
from zeroinit.report.page import render_page
from zeroinit.report.statistics import seeds_needed
from zeroinit.tracker import Record

Claim = dict[str, Any]
WORSE: Claim = {"says": "so", "cell": {"init": "zero_normal"}, "is": "as_good_as", "other": {"init": "default"}}
BETTER: Claim = WORSE | {"is": "better_than"}
PRIOR: Claim = {"says": "so", "cell": {"init": "zero"}, "is": "at_the_prior"}
NOTHING: Claim = PRIOR | {"is": "does_not_learn"}
WAVE: Claim = PRIOR | {"is": "arrives_in_order", "order": ["output", "hidden1"]}


def run(init: str, seed: int, accuracy: float, order: int | None = None, **params: str) -> Record:
    """A finished run; `params` by their last words, as `value` for bias_scale.value."""
    order = seed if order is None else order
    keys = {"value": "bias_scale.value", "hidden": "arch.hidden", "activation": "arch.activation", "lr": "optimizer.lr"}
    given = {keys.get(key, key): value for key, value in params.items()}
    named = {"arch": "fnn", "init": init, "bias_scale.value": "1"} | given
    seeds = {"seeds.init": str(seed), "seeds.order": str(order)}
    tags = {"cell_hash": json.dumps(named), "config_hash": json.dumps(named | seeds), "verdict": "learns"}
    tags["test_counts"] = "[100,200,700]"
    return Record("", named | seeds, tags, "FINISHED", [("test/accuracy", accuracy, 20)])


def runs(init: str, *accuracies: float, **params: str) -> list[Record]:
    return [run(init, seed, accuracy, **params) for seed, accuracy in enumerate(accuracies)]


def of(records: list[Record], more: list[Record] | None = None) -> list[Cell]:
    """The cells of the records, with planned runs that do not exist."""
    planned = [(run.tags["config_hash"], run.tags["cell_hash"], run.params) for run in [*records, *(more or [])]]
    return group_cells(planned, records[::-1])


def judge_all(claims: list[Claim], cells: list[Cell]) -> list[dict[str, Any]]:
    """The rows of claims.csv."""
    return [judgement.columns() for judgement in judge(claims, cells)]


def judge_claim(claim: Claim, records: list[Record], more: list[Record] | None = None) -> dict[str, Any]:
    [row] = judge_all([claim], of(records, more))
    return row


# three pairs that differ by -0.1, -0.2 and -0.3 points: mean -0.2, deviation 0.1, t 4.303 with 2 degrees of freedom
THREE = [*runs("default", 0.97, 0.96, 0.98), *runs("zero_normal", 0.969, 0.958, 0.977)]


@pytest.mark.parametrize(
    ("claim", "verdict", "decides"),
    [
        (WORSE | {"points": 0.5}, "supported", ""),  # -0.2 - 0.248 > -0.5
        (WORSE | {"points": 0.4}, "undetermined", "4 seeds"),  # 3.182 * 0.1 / 2 = 0.159 < 0.2
        (WORSE | {"points": 0}, "undetermined", "4 seeds"),
        (BETTER | {"points": 0}, "undetermined", "4 seeds"),
        (BETTER | {"points": 0.1}, "refuted", ""),  # -0.2 + 0.248 <= 0.1
        (WORSE | {"other": 98, "points": 4}, "supported", ""),  # 96.8 in the mean, deviation 0.954, half width 2.37
        (WORSE | {"other": 97.1, "points": 1}, "undetermined", "10 seeds"),  # 2.262 * 0.954 / sqrt(10) = 0.682 < 0.7
        (BETTER | {"other": 93, "points": 1}, "supported", ""),
        (WORSE | {"other": 99.9, "points": 0.5}, "refuted", ""),
    ],
)
def test_a_comparison_is_judged_by_its_interval(claim: Claim, verdict: str, decides: str) -> None:
    row = judge_claim(claim, THREE)
    assert (row["verdict"], row["n"], row["decides"]) == (verdict, 3, decides)
    if isinstance(claim["other"], dict):
        assert row["difference"] == pytest.approx(-0.2)
        assert row["interval"] == pytest.approx(0.2484, abs=1e-4)
        assert row["found"].startswith("-0.20 ± 0.25 points, claimed ")


def test_runs_that_are_all_alike_have_an_interval_of_no_width() -> None:
    same = [*runs("default", 0.5, 0.5), *runs("zero_normal", 0.495, 0.495)]
    assert judge_claim(WORSE | {"points": 0.6}, same)["verdict"] == "supported"
    assert judge_claim(WORSE | {"points": 0.4}, same)["verdict"] == "refuted"
    row = judge_claim(WORSE | {"points": 0.5}, same)  # worse by the very points that are allowed
    assert (row["verdict"], row["interval"], row["decides"]) == ("supported", 0, "")
    turned = BETTER | {"cell": {"init": "default"}, "other": {"init": "zero_normal"}}
    assert judge_claim(turned | {"points": 0.5}, same)["verdict"] == "refuted"
    assert judge_claim(turned | {"points": 0.49}, same)["verdict"] == "supported"


def test_one_seed_decides_nothing_and_none_less() -> None:
    single = [*runs("default", 0.5), *runs("zero_normal", 0.9)]
    row = judge_claim(BETTER | {"points": 0}, single)
    assert (row["verdict"], row["n"], row["decides"]) == ("undetermined", 1, "2 seeds at least")
    assert row["found"] == "+40.00 points, claimed more than 0"
    apart = [run("default", 0, 0.5), run("zero_normal", 1, 0.9)]
    row = judge_claim(BETTER | {"points": 0}, apart)
    assert (row["verdict"], row["n"]) == ("undetermined", 0)
    assert row["decides"] == "finished runs of both with the same seeds"


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
    row = judge_claim(BETTER | {"points": 0.9}, records)
    assert (row["verdict"], row["n"], row["interval"]) == ("supported", 2, 0)
    assert row["found"] == "+1.00 ± 0.00 points, claimed more than 0.9"
    other = [run("zero_normal", 2, 0.9, 7), run("default", 2, 0.1, 8)]  # the same draw, and another order
    row = judge_claim(BETTER | {"points": 0.9}, records + other)
    assert (row["n"], row["interval"]) == (2, 0)
    assert row["found"].endswith("claimed more than 0.9 (2 runs without a pair)")


@pytest.mark.parametrize("claim", [WORSE | {"points": 0.5}, BETTER | {"points": 0}])
def test_runs_that_diverge_leave_no_verdict_to_the_rest(claim: Claim) -> None:
    there = [*runs("default", *[0.5] * 5), *runs("zero_normal", 0.75, 0.76)]
    gone = [run("zero_normal", seed, 0.1) for seed in (2, 3, 4)]
    for record in gone:
        record.status, record.tags["verdict"] = "FAILED", "diverged"
    assert judge_claim(claim, there)["verdict"] == "supported"
    row = judge_claim(claim, there + gone)
    assert (row["verdict"], row["n"]) == ("undetermined", 2)
    assert row["decides"] == "runs that do not diverge, as 3 of 10 did"


def test_each_of_the_listed_cells_has_a_judgement() -> None:
    there = [*runs("default", 0.5, 0.6), *runs("zero_normal", 0.5, 0.6)]
    claim = WORSE | {"points": 0.5, "cell": {"init": ["zero_normal", "zero"], "arch.hidden": [500]}}
    for record in there:
        record.params["arch.hidden"] = "[500]"
    first, second = judge_all([claim], of(there))
    assert (first["compared"].split(",")[0], first["verdict"]) == ("init=zero_normal", "supported")
    assert (second["compared"].split(",")[0], second["decides"]) == ("init=zero", "no such cell in this sweep")


def test_a_run_that_has_not_finished_is_counted() -> None:
    planned = [run("zero_normal", 3, 0.9)]
    assert judge_claim(WORSE | {"points": 0.5}, THREE, planned)["found"].endswith(" (1 run without a pair)")
    assert judge_claim(BETTER | {"points": 1, "other": 90}, THREE, planned)["found"].endswith(" (1 run not finished)")


# ---- which cells


@pytest.mark.parametrize(
    ("selector", "inits"),
    [
        ({"init": "zero"}, ["zero"]),
        ({"init": ["zero", "ones"]}, ["zero", "ones"]),
        ({"bias_scale.value": 100}, ["zero"]),
        ({"bias_scale.value": 0.01}, ["ones"]),
        ({"bias_scale.value": "1e-2"}, ["ones"]),
        ({"bias_scale.value": 100.0}, ["zero"]),
        ({"arch.hidden": [500]}, ["zero"]),
        ({"arch.hidden": [[500], [8, 8]]}, ["zero", "ones"]),
        ({"arch.hidden": "[8,8]"}, ["ones"]),
        ({"init": "zero", "arch.hidden": [[8, 8]]}, []),
        ({"arch.width": 8}, []),
    ],
)
def test_a_selector_is_what_one_types(selector: Claim, inits: list[str]) -> None:
    records = [*runs("zero", 0.5, value="100", hidden="[500]"), *runs("ones", 0.5, value="0.01", hidden="[8, 8]")]
    rows = judge_all([PRIOR | {"cell": selector}], of(records))
    labels = [init for row in rows for init in ("zero", "ones") if f"init={init}" in row["compared"]]
    missing = [row for row in rows if row["decides"] == "no such cell in this sweep"]
    assert len(rows) == max(1, len(inits))
    assert len(missing) == (not inits)
    assert labels == inits or len(inits) < 2


def test_a_pair_is_alike_in_all_that_neither_selects() -> None:
    records = [
        record
        for scale in ("0.01", "1")
        for arch, hidden in (("fnn", "[8]"), ("deep", "[8, 8]"))
        for init in ("default", "zero_normal", "zero_uniform")
        for record in runs(init, 0.5, 0.6, value=scale, arch=arch, hidden=hidden)
    ]
    both = WORSE | {"points": 1, "cell": {"init": ["zero_normal", "zero_uniform"]}}
    compared = [row["compared"] for row in judge_all([both], of(records))]
    assert len(compared) == len(set(compared)) == 8
    assert compared[0] == "init=zero_normal against init=default, arch=fnn, bias_scale.value=0.01"
    # an arch frees its widths, too
    archs = WORSE | {"points": 1, "cell": {"arch": "deep"}, "other": {"arch": "fnn"}}
    rows = judge_all([archs], of(records))
    assert len(rows) == 6
    assert rows[0]["compared"] == "arch=deep against arch=fnn, init=default, bias_scale.value=0.01"
    widths = archs | {"cell": {"arch.hidden": [[8, 8]]}, "other": {"arch.hidden": [[8]]}}  # which frees no arch
    [row] = judge_all([widths], of(records))
    assert (row["verdict"], row["n"]) == ("undetermined", 0)
    assert row["decides"] == "no two such cells that agree in all other keys in this sweep"


def test_no_cell_is_compared_with_itself_and_a_missing_cell_is_reported() -> None:
    records = [*runs("zero", 0.5, 0.5, value="1"), *runs("zero", 0.5, 0.5, value="2")]
    claim = WORSE | {"cell": {"bias_scale.value": 1}, "other": {"bias_scale.value": [1, 2]}, "points": 1}
    row = judge_claim(claim, records)
    assert row["compared"] == "bias_scale.value=1 against bias_scale.value=2"
    row = judge_claim(WORSE | {"points": 1, "source": "a book"}, records)
    assert (row["verdict"], row["decides"]) == ("undetermined", "no such cell in this sweep")
    assert (row["compared"], row["source"]) == ("init=zero_normal against init=default", "a book")
    assert judge_claim(WORSE | {"points": 1, "other": 97.5}, records)["compared"] == "init=zero_normal against 97.5%"


# ---- what is exact


def test_the_prior_is_a_share_of_a_class_to_the_last_digit() -> None:
    row = judge_claim(PRIOR, runs("zero", 0.7, 0.1, 0.1))
    assert (row["verdict"], row["n"], row["found"]) == ("supported", 3, "in 3 of 3 runs: 10.00%; 70.00%")
    row = judge_claim(PRIOR, runs("zero", 0.7, np.nextafter(0.7, 1)))
    assert (row["verdict"], row["found"]) == ("refuted", "in 1 of 2 runs: 70.00%")
    row = judge_claim(PRIOR, runs("zero", 0.7), [run("zero", 1, 0)])
    assert row["verdict"] == "undetermined"
    assert row["decides"] == "1 of 2 runs, which have not finished, or kept no counts of the classes"
    old = runs("zero", 0.7)
    del old[0].tags["test_counts"]
    assert judge_claim(PRIOR, old)["verdict"] == "undetermined"


def test_no_learning_is_judged_by_the_outcomes() -> None:
    words = ["stuck-at-prior", "symmetric", "dead-layer", "saturated"]
    records = runs("zero", 0.1, 0.1, 0.1, 0.1)
    for record, word in zip(records, words, strict=True):
        record.tags["verdict"] = word
    diverged = run("zero", 4, 0.1)
    diverged.tags["verdict"], diverged.status = "diverged", "FAILED"
    row = judge_claim(NOTHING, [*records, diverged])
    assert (row["verdict"], row["n"], row["decides"]) == ("supported", 5, "")
    assert row["found"] == "in 5 of 5 runs: dead-layer; diverged; saturated; ..."
    failed = run("zero", 5, 0.1)
    del failed.tags["verdict"]
    failed.status = "FAILED"
    waking = run("zero", 5, 0.1)
    waking.tags["verdict"] = "still-waking"
    unwritten, incomplete = run("zero", 5, 0.1), run("zero", 5, 0.1)
    for record, status in ((unwritten, "FAILED"), (incomplete, "INCOMPLETE")):
        record.tags["verdict"], record.status = "symmetric", status
    for more in (failed, waking, unwritten, incomplete):
        row = judge_claim(NOTHING, [*records, more])
        assert (row["verdict"], row["n"]) == ("undetermined", 4)
        assert row["decides"] == "1 of 5 runs, which are still waking, failed or have not ended"
    for word in ("learned", "partly-learned", "learns"):  # the last of a run stored before it was split
        learned = run("zero", 6, 0.9)
        learned.tags["verdict"] = word
        row = judge_claim(NOTHING, [*records, failed, learned])
        assert (row["verdict"], row["found"][:14]) == ("refuted", "in 4 of 5 runs"), word


def wave(last: list[float], first: list[float], **arrivals: int) -> Record:
    """A run with these shares of exact zeros in steps 1, 2, ... of two layers; -1 is a step that was not observed."""
    record = run("zero", 0, 0.5)
    for layer, shares in (("output", last), ("hidden1", first)):
        points = [(f"grad/{layer}/zeros", share, step) for step, share in enumerate(shares, 1) if share >= 0]
        record.metrics += points
    record.metrics += [(f"arrival/{layer}", float(step), step) for layer, step in arrivals.items()]
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
    assert (row["verdict"], row["found"]) == (
        "refuted",
        "in 1 of 2 runs: output 1, hidden1 2; output 2, hidden1 2",
    )
    row = judge_claim(WAVE, [right], [wrong])
    assert (row["verdict"], row["decides"][:11]) == ("undetermined", "1 of 2 runs")
    assert metrics_of_claims([WAVE, PRIOR]) == ["grad/output/zeros", "grad/hidden1/zeros"]


# ---- what is accepted

BAD: dict[str, tuple[Any, str]] = {
    "no list": ({"says": "so"}, "claims={'says': 'so'}: give a list of claims, each with the keys says, cell and is"),
    "no claim": (["so"], "claims[0]=so: give the keys says, cell and is"),
    "is": ([PRIOR, PRIOR | {"is": "foo"}], "claims[1].is=foo: give better_than, as_good_as, at_the_prior, does_not_"),
    "no is": ([{"says": "so", "cell": {"init": "zero"}}], "claims[0].is is missing: give better_than, as_good_as"),
    "no says": ([{"is": "at_the_prior", "cell": {"init": "zero"}}], "claims[0].says is missing: give a sentence"),
    "no cell": ([{"is": "at_the_prior", "says": "so"}], "claims[0].cell is missing: give keys that choose cells"),
    "no other": ([PRIOR | {"is": "better_than", "points": 0}], "claims[0].other is missing: give keys that choose"),
    "no points": ([WORSE], "claims[0].points is missing: give percentage points of test accuracy"),
    "no order": ([PRIOR | {"is": "arrives_in_order"}], "claims[0].order is missing: give a list of layers"),
    "negative": ([WORSE | {"points": -1}], "claims[0].points=-1: give percentage points of test accuracy, a finite"),
    "text": ([WORSE | {"points": "half"}], "claims[0].points=half: give percentage points"),
    "truth": ([WORSE | {"points": True}], "claims[0].points=True: give percentage points"),
    "share": ([WORSE | {"points": 1, "other": 0.97}], "claims[0].other=0.97: give keys that choose the cells to"),
    "unknown": ([PRIOR | {"said": "so"}], "claims[0].said: there is no such key; says, source, cell, is, other,"),
    "idle": ([PRIOR | {"points": 1}], "claims[0].points=1: is=at_the_prior takes none; leave it out"),
    "idle other": ([WAVE | {"other": 90}], "claims[0].other=90: is=arrives_in_order takes none; leave it out"),
    "empty": ([PRIOR | {"cell": {}}], "claims[0].cell={}: give keys that choose cells, each with a value or a list"),
    "no values": ([PRIOR | {"cell": {"init": []}}], "claims[0].cell={'init': []}: give keys that choose cells"),
    "nested": ([PRIOR | {"cell": {"arch": {"hidden": 3}}}], "claims[0].cell={'arch': {'hidden': 3}}: give keys"),
    "twice": ([WAVE | {"order": ["a", "a"]}], "claims[0].order=['a', 'a']: give a list of layers, each once"),
    "blank": ([PRIOR | {"says": " "}], "claims[0].says= : give a sentence"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_malformed_claim_is_refused(name: str) -> None:
    claims, said = BAD[name]
    with pytest.raises(BadInput) as error:
        check_claims(claims)
    assert str(error.value).startswith(said)


def test_a_claim_must_be_about_keys_options_and_sizes_that_there_are() -> None:
    params = [{"init": "zero", "bias_scale.value": "1"}, {"init": "mine weight=own.rule", "bias_scale.value": "1"}]
    groups = {"init": ["default", "zero", "zero_normal"], "size": ["small", "paper"]}

    def options(group: str) -> list[str]:
        return groups.get(group, [])

    def said(claim: Claim) -> str:
        with pytest.raises(BadInput) as error:
            check_meant([claim], params, options)
        return str(error.value)

    check_meant([PRIOR, WORSE | {"size": "small"}, WORSE | {"other": 97}], params, options)
    check_meant([PRIOR | {"cell": {"init": ["mine weight=own.rule", "zero"]}}], params, options)
    check_meant([PRIOR | {"cell": {"optimizer.momentum": 0.9}}], params, options)  # of an option that was narrowed away
    assert said(PRIOR | {"cell": {"inti": "zero"}}) == (
        "claims[0].cell.inti: no run has such a key; give one that can be typed, such as init"
    )
    assert said(WORSE | {"other": {"bias_scale.valeu": 1}}).endswith("such as bias_scale.value")
    assert said(PRIOR | {"cell": {"seeds.init": 0}}).startswith("claims[0].cell.seeds.init: it separates no cells")
    assert said(PRIOR | {"cell": {"init": ["zero", "zero_norml"]}}) == (
        "claims[0].cell.init=zero_norml: there is no such option; give one of default, zero, zero_normal"
    )
    assert said(WORSE | {"other": {"init": "defalt"}}).startswith(
        "claims[0].other.init=defalt: there is no such option"
    )
    assert said(PRIOR | {"size": "papr"}) == "claims[0].size=papr: give one of small, paper"
    del groups["size"]
    assert said(PRIOR | {"size": "paper"}).endswith("leave it out, as the sweep chooses no size")


def test_axes_that_a_single_run_would_leave_out_are_refused(zeroinit: Callable[..., Any]) -> None:
    axes = "hydra: {sweeper: {params: {init: 'zero,default', seed: '0,1'}}}"
    Path("mine.yaml").write_text(f"defaults: [config, override dataset: digits, _self_]\n{axes}\n")
    ended = zeroinit("-cd", ".", "-cn", "mine", "steps=1", "tracker=off")
    assert (ended.code, ended.err) == (
        2,
        "zeroinit: hydra.mode=null: mine has axes (init, seed), which a single run leaves out; give -m, or set it to "
        "MULTIRUN there\n",
    )
    assert zeroinit("-cd", ".", "-cn", "mine", "hydra.mode=RUN", "steps=1", "tracker=off").code == 0
    assert "4/4 runs" in zeroinit("-cd", ".", "-cn", "mine", "-m", "steps=1", "tracker=off").err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("stps: 20", "stps=20: there is no such key, and no key refers to ${stps}; use steps"),
        (
            "optimiser: {lr: 0.1}",
            "optimiser.lr=0.1: there is no such key, and no key refers to ${optimiser}; use optimizer.lr",
        ),
        ("claim: []", "claim: there is no such key, and no key refers to ${claim}; use claims"),
    ],
)
def test_a_misspelt_key_of_a_sweeps_file_is_refused(typed: str, said: str, zeroinit: Callable[..., Any]) -> None:
    Path("mine.yaml").write_text(f"defaults: [config, override dataset: digits, _self_]\n{typed}\n")
    ended = zeroinit("-cd", ".", "-cn", "mine", "-m", "seed=0,1", "steps=1", "tracker=off")
    assert (ended.code, ended.err) == (2, f"zeroinit: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["claims=foo"], "claims=foo: give a list of claims"),
        (["-m", "claims=[{says:so,cell:{init:zero},is:foo}]", "seed=0,1"], "claims[0].is=foo: give better_than, as_"),
        (
            ["-m", "claims=[{says:so,cell:{inti:zero},is:does_not_learn}]", "seed=0,1"],
            "claims[0].cell.inti: no run has such a key; give one that can be typed, such as init",
        ),
    ],
)
def test_it_stops_before_any_training(words: list[str], said: str, zeroinit: Callable[..., Any]) -> None:
    ended = zeroinit(*words, "dataset=digits", "steps=5")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said}")
    assert not Path("mlruns/mlflow.db").exists()


def test_a_claim_changes_no_identity(job_of: Callable[..., Job]) -> None:
    bare, claiming = (job_of(f"claims={text}") for text in ("[]", "[{says:so,cell:{init:zero},is:does_not_learn}]"))
    assert claiming.values["claims"]
    assert (bare.config_hash, bare.cell_hash, bare.params) == (
        claiming.config_hash,
        claiming.cell_hash,
        claiming.params,
    )


# ---- the command, the store and the page

FILE = """# mine/claiming.yaml
# What wakes?
defaults: [config, size: tiny, override dataset: digits, _self_]
steps: 4
arch: {hidden: [8, 8]}
claims:
  - says: From all zeros nothing is learnt.
    source: a book
    cell: {init: zero}
    is: at_the_prior
  - says: The layers wake from the output to the input.
    cell: {init: [zero_normal]}
    is: arrives_in_order
    order: [output, hidden2, hidden1]
    size: tiny
  - says: They wake from the input to the output.
    cell: {init: zero_normal}
    is: arrives_in_order
    order: [hidden1, hidden2, output]
  - says: Zero is as good as the default.
    cell: {init: zero}
    is: as_good_as
    other: {init: default}
    points: 0.5
  - says: This is of another size.
    cell: {init: zero}
    is: does_not_learn
    size: large
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      init: default,zero,zero_normal
      seed: range(2)
"""


def read_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.usefixtures("database")
def test_a_sweep_ends_with_its_claims_and_the_store_judges_again(
    zeroinit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine/size").mkdir(parents=True)
    Path("mine/claiming.yaml").write_text(FILE)
    for size in ("tiny", "large"):
        Path(f"mine/size/{size}.yaml").write_text("# @package _global_\nepochs: null\n")
    ended = zeroinit("-cd", "mine", "-cn", "claiming", "init=zero,zero_normal")
    assert ended.code == 0, ended.err
    table = ended.out[ended.out.index("\nverdict ") : ended.out.index("\nPage ")]
    for words in (
        ["supported", "From all zeros nothing is learnt.", "init=zero", "a book"],
        ["supported", "in 2 of 2 runs: output 1, hidden2 2, hidden1 3"],
        ["refuted", "They wake from the input to the output.", "in 0 of 2 runs"],
        ["undetermined", "Zero is as good as the default.", "no such cell in this sweep"],
    ):
        [line] = [line for line in table.splitlines() if all(word in " ".join(line.split()) for word in words[:2])]
        assert all(word in " ".join(table.split()) for word in words), line
    assert "another size" not in table

    [stored] = Path("mlruns/artifacts/claiming").glob("*/artifacts/claims.csv")
    assert [row["verdict"] for row in read_rows(stored.read_bytes())] == [
        "supported",
        "supported",
        "refuted",
        "undetermined",
    ]
    report("claiming", "--to", "there", monkeypatch=monkeypatch)
    assert Path("there/claims.csv").read_bytes() == stored.read_bytes()
    page = unpack(Path("there/report.html").read_bytes())
    assert [row["says"] for row in page["claims"]] == [row["says"] for row in read_rows(stored.read_bytes())]
    assert page["claims"][0]["difference"] is None


def test_a_manifest_from_before_there_were_claims_is_readable() -> None:
    planned = [("a", "b", {"init": "zero", "seed": "0"}), ("c", "b", {"init": "zero", "seed": "1"})]
    manifest = Manifest("Why?", "zeroinit", planned, [PRIOR], "small")
    assert read_manifest(manifest.to_json()) == manifest
    written = json.loads(manifest.to_json())
    old = {key: value for key, value in written.items() if key not in ("claims", "size")}
    again = read_manifest(json.dumps(old | {"runs": [["a", "b"]]}).encode())
    assert (list(again.claims), again.size, again.planned) == ([], "", planned[:1])


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_page_distinguishes_verdicts_without_colour() -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    claims = [WORSE | {"points": points, "source": "a book"} for points in (0.5, 0.4)] + [BETTER | {"points": 0.1}]
    cells = of(THREE)
    for name, of_page in (("claiming", claims), ("bare", [])):
        manifest = Manifest("Why?", "", [], of_page)
        Path(f"{name}.html").write_bytes(render_page(name, manifest, cells, [None] * len(cells), []))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(viewport={"width": 360, "height": 700})
        opened.set_default_timeout(PATIENCE)
        wrong: list[str] = []
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.goto(Path("claiming.html").absolute().as_uri())
        opened.locator("#claims").wait_for()
        words = opened.locator("#judged .judged").all_inner_texts()
        assert words == ["✓ supported", "? undetermined", "✗ refuted"]
        assert "-0.20 ± 0.25 points, claimed at least -0.5" in opened.locator("#judged").inner_text()
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
        opened.goto(Path("bare.html").absolute().as_uri())
        opened.locator(".map button").first.wait_for()
        assert not opened.locator("#claims").is_visible()
        assert wrong == []
        browser.close()
