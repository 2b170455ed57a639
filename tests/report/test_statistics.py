"""What n counts, and how intervals are written and drawn."""

import csv
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Ended
from helpers.reports import plan_of, record, unpack

from zeroinit.config.claims import parse_claims
from zeroinit.report import cli
from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.histories import average_history
from zeroinit.report.identical import starts_of, warn_of_identical_cells
from zeroinit.report.judgements import judge
from zeroinit.report.statistics import (
    DRAWS,
    IDENTICAL,
    Estimate,
    count_units,
    estimate,
    explain_intervals,
    init_draws,
    name_units,
)
from zeroinit.report.tables import caption
from zeroinit.report.views import make_curves
from zeroinit.report.views.panels import describe_units
from zeroinit.tracker import Record
from zeroinit.tracker.mlflow import Mlflow

# ---- what n counts


def run_of(seed: int, order: int, start: str | None, accuracy: float = 0.5) -> Record:
    """A run with seeds of the init and of the batch order, and the hash of its weights before it trains."""
    made = record("zero", seed, accuracy, **({"init_hash": start} if start else {}))
    made.params["seeds.order"] = str(order)
    made.tags["config_hash"] = f"{seed} {order}"
    return made


def test_the_same_weights_for_every_seed_are_no_draws() -> None:
    """Three seeds of the init and two orders: three draws, or two orders."""
    several = [(seed, order) for seed in range(3) for order in range(2)]
    drawn = [run_of(seed, order, f"weights {seed}", 0.5 + order / 10) for seed, order in several]
    equal = [run_of(seed, order, "weights", 0.5 + order / 10) for seed, order in several]
    assert (init_draws(drawn), count_units(drawn), name_units(drawn)) == (True, 3, DRAWS)
    assert (init_draws(equal), count_units(equal), name_units(equal)) == (False, 2, "batch orders")
    accuracy = estimate(equal, "test/accuracy")
    assert (accuracy.n, accuracy.low, accuracy.high) == (2, 0.5, pytest.approx(0.6))


def test_runs_of_the_same_weights_and_the_same_end_are_one_run() -> None:
    assert name_units([run_of(seed, seed, "weights") for seed in range(3)]) == IDENTICAL


def test_a_seed_that_is_not_the_orders_is_named() -> None:
    runs = [run_of(seed, 0, "weights", seed / 10) for seed in range(3)]
    for seed, run in enumerate(runs):
        run.params["seeds.forward"] = str(seed)
    assert name_units(runs) == "draws of the forward pass"


def test_runs_from_before_the_hash_count_as_draws() -> None:
    assert name_units([run_of(seed, seed, None) for seed in range(3)]) == DRAWS
    assert name_units([run_of(0, order, "weights", order / 10) for order in range(3)]) == DRAWS  # one draw
    mixed = [run_of(0, 0, None, 0.1), *(run_of(seed, seed, "weights", seed / 10) for seed in (1, 2))]
    assert name_units(mixed) == "batch orders"


def test_n_of_a_judgement_counts_draws_where_one_of_the_two_inits_draws() -> None:
    cell_runs = {
        "zero": [record("zero", seed, 0.1 + seed / 100, init_hash="weights") for seed in range(3)],
        "drawn": [record("drawn", seed, 0.9, init_hash=f"weights {seed}") for seed in range(3)],
        "ones": [record("ones", seed, 0.2, init_hash="others") for seed in range(3)],
    }
    for runs in cell_runs.values():
        for order, run in enumerate(runs):
            run.params["seeds.order"] = str(order)
    every = [run for runs in cell_runs.values() for run in runs]
    all_cells = group_cells(plan_of(*every), every)
    claim: dict[str, Any] = {"statement": "so", "cells": {"init": "zero"}, "test": "superior", "margin": 0}
    counted = [
        judge(parse_claims([claim | {"reference": {"init": init}}]), all_cells)[0].counted for init in ("drawn", "ones")
    ]
    assert counted == [DRAWS, "batch orders"]


# ---- how an interval is written


def of(*values: float) -> Estimate:
    return estimate([record("zero", seed, value) for seed, value in enumerate(values)], "test/accuracy")


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((), "-"),
        ((0.975,), "97.5%"),
        ((0.61, 0.768), "61.0%, 76.8%"),
        ((0.96, 0.97, 0.98), "97.0% ± 2.5"),  # 0.01 x 4.303 / sqrt(3)
        ((0.97, 0.98, 0.99), "98.0% (95.5 to 100)"),
        ((0.60, 0.62, 0.61), "61.0% ± 2.5"),
        ((0.02, 0.01, 0.03), "2.0% (0 to 4.5)"),
        ((0.5, 1.0, 0.75), "75.0% (12.9 to 100)"),
        ((0.25, 0.75, 0.5, 1.0), "62.5% (11.1 to 100)"),
        ((1.0, 1.0, 1.0), "100.0% ± 0.0"),
        ((0.9993, 0.9996, 0.9999), "100.0% (99.9 to 100)"),
    ],
)
def test_no_interval_of_an_accuracy_is_written_beyond_its_scale(values: tuple[float, ...], shown: str) -> None:
    assert of(*values).percent(digits=1) == shown


def test_a_metric_that_is_no_share_is_cut_at_its_limits() -> None:
    made = [record("zero", seed, 1 - loss) for seed, loss in enumerate((0.1, 0.2, 0.6))]
    assert estimate(made, "test/loss").spread() == "0 to 0.957"
    for run, slope in zip(made, (-1.0, 0.0, 1.0), strict=True):
        run.metrics.append(("activation/hidden1/mean", slope, 1))
    assert estimate(made, "activation/hidden1/mean").spread() == "± 2.48"
    assert estimate(made[:2], "activation/hidden1/mean").spread() == "-1, 0"


def test_the_caption_says_what_is_shown() -> None:
    assert explain_intervals([of(0.5)], 1) == ""
    assert explain_intervals([of(0.5, 0.6)], 1) == "with n = 2 both values"
    assert explain_intervals([of(0.5, 0.6, 0.7)], 1).endswith("95% interval")
    assert explain_intervals([of(0.5, 0.6, 0.7), of(0.5, 1.0, 0.9)], 1).endswith(
        "cut where it would leave 0 to 100%, as (low to high)"
    )


def high_runs(seeds: int) -> list[Record]:
    """Runs whose accuracy ends near 100%, with intervals that would go beyond it."""
    return [record("zero", seed, 0.9 + 0.05 * (seed % 2)) for seed in range(seeds)]


@pytest.mark.parametrize(("seeds", "ends"), [(3, (0.845, 0.988)), (4, (0.879, 0.971)), (2, (0.9, 0.95))])
def test_bands_of_accuracies_stay_within_their_scale(seeds: int, ends: tuple[float, float]) -> None:
    runs = high_runs(seeds)
    for run in runs:
        run.metrics.insert(1, ("test/accuracy", 0.98 if run.params["seeds.init"] == "0" else 0.5, 10))
    history = average_history(runs, "test/accuracy")
    assert history
    assert (history.lower[-1], history.upper[-1]) == pytest.approx(ends, abs=1e-3)
    assert np.all((history.lower >= 0) & (history.upper <= 1))
    assert (history.upper[1] == 1) == (seeds > 2)  # 0.66 ± 0.69, or 0.62 ± 0.38, or the two values
    assert max(make_curves(group_cells(plan_of(*runs), runs), points=10).to_data()["frame"]["high"]) <= 1
    frame = make_curves(group_cells(plan_of(*runs), runs)).frame
    assert frame["has_band"].all()
    assert (frame["low"].min() >= 0, frame["high"].max() <= 1) == (True, True)


# ---- cells that are the same


def start(init: str, scale: str, start_of: Callable[[int], str]) -> Cell:
    made = [record(init, seed, 0.5, init_hash=start_of(seed)) for seed in range(2)]
    for run in made:
        run.params |= {"bias_scale.value": scale, "arch": "fnn"}
    return Cell(made[0].params, newest=made)


def test_a_bias_scale_of_zeros_is_warned_of() -> None:
    keys = ["arch", "init", "bias_scale.value"]
    zero = [start("zero", scale, lambda seed: "0") for scale in ("0.01", "1", "100")]
    other = [start("default", scale, lambda seed, scale=scale: f"{scale} {seed}") for scale in ("0.01", "1")]  # type: ignore[misc]
    [said] = warn_of_identical_cells(starts_of([*zero, *other]), keys)
    assert said == (
        "Warning: these cells are identical, as bias_scale multiplies biases that are all zero: "
        "bias_scale.value=0.01; bias_scale.value=1; bias_scale.value=100 (arch=fnn init=zero)."
    )
    [said] = warn_of_identical_cells(starts_of([zero[1], start("constant", "1", lambda seed: "0")]), keys)
    assert "their inits fill in the same weights: init=zero; init=constant (arch=fnn bias_scale.value=1)" in said
    longer = start("zero", "1", lambda seed: "0")
    longer.params["steps"] = "2"
    assert warn_of_identical_cells(starts_of([zero[1], longer]), [*keys, "steps"]) == []
    assert (
        warn_of_identical_cells([(zero[0].params, {}), (zero[1].params, {})], keys) == []
    )  # of old runs it is not known


def test_the_same_cells_for_many_settings_are_one_warning() -> None:
    keys, starts = ["arch", "init", "bias_scale.value", "optimizer.lr"], []
    for rate in range(5):
        for cell in (start("zero", scale, lambda seed: "0") for scale in ("1", "3")):
            starts += starts_of([replace(cell, params=cell.params | {"optimizer.lr": str(rate)})])
    many = warn_of_identical_cells(starts, keys)
    assert many == [
        "Warning: these cells are identical, as bias_scale multiplies biases that are all zero: "
        "bias_scale.value=1; bias_scale.value=3 "
        "(arch=fnn init=zero, with optimizer.lr=0; optimizer.lr=1; optimizer.lr=2; and 2 more settings)."
    ]
    [few] = warn_of_identical_cells(starts[:4], keys)
    assert few.endswith("(arch=fnn init=zero, with optimizer.lr=0; optimizer.lr=1).")


# ---- as a user meets it

RULE = """\
import torch


def ramp_(tensor):
    return tensor.copy_(torch.linspace(-0.3, 0.3, tensor.numel()).reshape(tensor.shape))
"""
SWEEP = """\
# Which of them draw?
defaults: [config, _self_]
dataset: {batch_size: 128}
arch: {hidden: [4]}
steps: 30
hydra:
  mode: MULTIRUN
  sweeper:
    params: {dataset: digits, init: 'default,zero,mine', bias_scale.value: '1,3', seed: range(3)}
claims:
  - {statement: All zero stays, source: theory, cells: {init: zero}, test: does_not_learn}
"""


@pytest.fixture
def draws_sweep(zeroinit: Callable[..., Ended], database: Path) -> Ended:
    """A sweep over an init that draws, one that does not, and a rule of one's own that does not."""
    Path("ramp_rule.py").write_text(RULE)
    Path("init").mkdir()
    Path("init/mine.yaml").write_text("weight: {_target_: ramp_rule.ramp_}\nbias: {_target_: ramp_rule.ramp_}\n")
    Path("draws.yaml").write_text(SWEEP)
    return zeroinit("-cd", ".", "-cn", "draws", "probe=none")


def test_the_tables_say_name_units(
    draws_sweep: Ended, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert draws_sweep.code == 0, draws_sweep.err
    lines = [line.split() for line in draws_sweep.out.splitlines() if line.startswith("fnn ")]
    assert {(line[2], line[3]) for line in lines} == {("default", "3"), ("zero", "3†"), ("mine", "3†")}
    note = "† The init draws nothing: n counts batch orders."
    warning = "Warning: these cells are identical, as bias_scale multiplies biases that are all zero: "
    printed = draws_sweep.out.splitlines()
    assert printed.count(note) == 1
    assert "1 warning, in the report." in printed
    page = unpack(Path("mlruns/reports/draws/report.html").read_bytes())
    assert f"{warning}bias_scale.value=1; bias_scale.value=3 (arch=fnn init=zero)." in page["notes"]
    assert [line.split()[-4] for line in printed if line.startswith("supported")]

    tracker = Mlflow(None)
    tracker.find("draws")
    content = tracker.read_summary("summary.csv")
    assert content
    counted = {(row["init"], row["counted"]) for row in csv.DictReader(io.StringIO(content.decode()))}
    assert counted == {("default", DRAWS), ("zero", "batch orders"), ("mine", "batch orders")}
    made = tracker.read_summary("report.html")
    assert made
    page = unpack(made)
    assert note in page["notes"]
    assert {cell["params"]["init"]: cell["marked_n"] for cell in page["cells"]} == {
        "default": "3",
        "zero": "3†",
        "mine": "3†",
    }
    assert {row["marked_n"] for row in page["claims"]} == {"3†"}

    monkeypatch.setattr(sys, "argv", ["zeroinit-results", "draws", "--files", "."])
    cli.results()
    results = Path("docs/results/draws.md").read_text()
    assert f"\n\n{note}\n\n{warning}" in results
    assert ", n = 3†." in results


def test_check_only_warns_before_anything_trains(zeroinit: Callable[..., Ended]) -> None:
    ended = zeroinit("-m", "dataset=digits", "mode=lint", "init=zero", "bias_scale.value=1,3")
    assert ended.code == 1
    assert "bias_scale multiplies biases that are all zero: bias_scale.value=1; bias_scale.value=3" in ended.out


def test_a_caption_counts_what_the_inits_draw() -> None:
    drawn = [run_of(seed, seed, f"draw {seed}", 0.5 + seed / 10) for seed in (0, 1, 2)]
    fixed = [run_of(seed, seed, "same", 0.5 + seed / 10) for seed in (0, 1, 2)]
    for run in drawn:
        run.params["init"], run.tags["cell_hash"] = "mine", "mine"
        run.tags["config_hash"] += " of mine"
    of_all, of_fixed = (group_cells(plan_of(*runs), runs) for runs in ([*drawn, *fixed], fixed))
    assert describe_units(of_fixed) == "mean over n = 3 batch orders"
    assert describe_units(of_all) == "mean over n = 3 draws of the init, or batch orders where the init draws nothing"
    assert caption(of_fixed).startswith("after the last step, mean over n ")  # these cells share no key that it names
