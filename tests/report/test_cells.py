"""Cells, their statistics, and their histograms."""

import math

import numpy as np
import pytest
from helpers.reports import fake_histograms, pack, plan_of, record
from scipy import stats

from zeroinit.report.cells import group_cells, independent_keys, naming_keys
from zeroinit.report.histories import parse_histograms
from zeroinit.report.statistics import mean_and_interval
from zeroinit.report.tables import as_csv, summarize_cells


@pytest.mark.parametrize("values", [[0.5, 0.7], [0.1, 0.2, 0.4, 0.35, 0.2]])
def test_the_interval_is_students(values: list[float]) -> None:
    n, mean, half = mean_and_interval({str(seed): [value] for seed, value in enumerate(values)})
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (n, mean) == (len(values), pytest.approx(np.mean(values)))
    assert (mean - half, mean + half) == (pytest.approx(low), pytest.approx(high))


def test_n_counts_draws_of_the_init_and_not_orders_of_the_data() -> None:
    n, mean, _ = mean_and_interval({"0": [0.2, 0.4], "1": [0.6]})
    assert (n, mean) == (2, pytest.approx(0.45))


def test_one_draw_has_no_interval_and_none_no_mean() -> None:
    assert math.isnan(mean_and_interval({"0": [0.5]})[2])
    assert math.isnan(mean_and_interval({})[1])


def test_a_cell_takes_the_newest_finished_run_of_each_hash() -> None:
    newest_first = [
        record("zero", 0, 0.0, "FAILED"),
        record("zero", 0, 0.5),
        record("zero", 0, 0.9),
        record("zero", 1, 0.7),
        record("other", 0, 0.99),
        record("zero", 2, 0.0, "FAILED", outcome="diverged"),
    ]
    [cell] = group_cells(plan_of(newest_first[0], record("zero", 3, 0.0)), newest_first)
    assert sorted(run.last("test/accuracy") for run in cell.finished) == [0.5, 0.7]
    assert cell.outcomes == {"failed": 1, "learns": 1, "diverged": 1, "not run": 1}
    row = summarize_cells([cell])[0].columns()
    assert (row["n"], row["accuracy"], row["loss"]) == (2, pytest.approx(0.6), pytest.approx(0.4))
    assert row["outcomes"] == "1 failed, 1 not run, 1 learns, 1 diverged"


def test_whatever_differs_between_cells_is_a_column() -> None:
    a, b = record("zero", 0, 0.5), record("ones", 0, 0.5)
    a.params |= {"optimizer.lr": "0.1", "arch.hidden": "[3]", "seed": "0", "tracker": "off"}
    b.params |= {"optimizer.lr": "0.2", "seed": "1", "tracker": "mlflow"}
    assert naming_keys(group_cells(plan_of(a, b), [a, b])) == ["arch", "init", "bias_scale.value", "optimizer.lr"]


def test_the_rule_of_a_role_is_a_column_unless_the_init_decides_it() -> None:
    a, b, c = record("keep", 0, 0.5), record("zero", 0, 0.5), record("ones", 0, 0.5)
    a.params |= {"init.other": "keep", "init.other.std": "1"}
    b.params |= {"init.other": "null", "init.other.std": "2"}
    c.params |= {"init.other": "null"}
    usual = ["arch", "init", "bias_scale.value"]
    assert naming_keys(group_cells(plan_of(a, b, c), [a, b, c])) == [*usual, "init.other.std"]
    c.params |= {"init": "zero", "init.other": "keep"}
    assert naming_keys(group_cells(plan_of(a, b, c), [a, b, c])) == [*usual, "init.other", "init.other.std"]


def test_a_key_that_another_determines_distinguishes_nothing() -> None:
    rates = {"sgd": "0.1", "adam": "0.001", "rmsprop": "0.001"}
    params = [
        {"arch": "fnn", "init": init, "optimizer": optimizer, "optimizer.lr": rate}
        for init in ("zero", "ones")
        for optimizer, rate in rates.items()
    ]
    keys = ["arch", "init", "optimizer", "optimizer.lr"]
    assert independent_keys(params, keys) == ["init", "optimizer"]
    assert independent_keys([*params, params[0] | {"optimizer.lr": "1"}], keys) == ["init", "optimizer", "optimizer.lr"]
    assert independent_keys(params[:1], keys) == []


def test_the_csv_reads_back() -> None:
    run = record("zero", 0, 0.5)
    rows = summarize_cells(group_cells(plan_of(run), [run]))
    lines = as_csv([row.columns() for row in rows]).decode().splitlines()
    assert lines[0] == (
        "arch,init,bias_scale.value,n,counted,accuracy,std,interval,low,high,"
        "difference,difference_interval,comparisons,direction,loss,outcomes"
    )
    assert lines[1:] == ["fnn,zero,1,1,draws of the init,0.5,nan,nan,nan,nan,nan,nan,0,,0.5,learns"]


def test_histograms_read_back() -> None:
    assert parse_histograms(pack(fake_histograms(1)))["hidden1/zeros"].tolist() == [10, 0, 0, 0]
