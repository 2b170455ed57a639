"""Runs that no report can use: they are counted in one line, and prevent neither a table nor a page."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from helpers.reports import unpack
from mlflow import MlflowClient

from zeroinit.report import cli

SWEEP = (
    "# Does it learn?\ndefaults: [config, _self_]\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {seed: range(2)}\n"
)
QUICK = ("-cd", ".", "-cn", "mine", "dataset=xor", "arch.hidden=[2]", "steps=2")
LINE = "3 runs are left out, as they lack parameters or tags that every run has ("


@pytest.fixture
def _runs_without_parameters(zeroinit: Callable[..., Ended], database: Path) -> None:
    """A sweep of two runs, to which are added: a run by hand, one whose process was killed, a finished copy."""
    Path("mine.yaml").write_text(SWEEP)
    assert zeroinit(*QUICK).code == 0
    client = MlflowClient(f"sqlite:///{database}")
    experiment = client.get_experiment_by_name("mine")
    assert experiment
    whole = client.search_runs([experiment.experiment_id], "tags.kind = 'run'")[0]
    client.create_run(experiment.experiment_id, tags={"kind": "run"})
    client.create_run(experiment.experiment_id, tags=whole.data.tags)
    copied = client.create_run(experiment.experiment_id, tags=whole.data.tags)
    client.set_terminated(copied.info.run_id, "FINISHED")


@pytest.mark.usefixtures("_runs_without_parameters")
def test_a_run_without_parameters_does_not_prevent_the_table_or_the_plan(zeroinit: Callable[..., Ended]) -> None:
    again = zeroinit(*QUICK)
    assert again.code == 0, again.err
    assert again.out.startswith("2 of 2 runs were trained before")
    assert again.out.count(LINE) == 1
    [row] = [line.split() for line in again.out.splitlines() if line.startswith("fnn ")]
    assert row[3] == "2"
    planned = zeroinit(*QUICK, "mode=plan")
    assert (planned.code, planned.out.count(LINE)) == (0, 1)
    assert "All 2 runs are done" in planned.out
    assert zeroinit(*QUICK, "seed=2").code == 0  # trains another one


@pytest.mark.usefixtures("_runs_without_parameters")
def test_a_run_without_parameters_does_not_prevent_the_report(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["zeroinit-report", "mine", "--to", "made"])
    cli.main()
    captured = capfd.readouterr()
    assert captured.out == "made\n"
    assert [line.startswith(LINE) for line in captured.err.splitlines()] == [True]
    content = unpack(Path("made/report.html").read_bytes())
    assert [cell["n"] for cell in content["cells"]] == [2]
    assert [note.startswith(LINE) for note in content["notes"]] == [True]

    monkeypatch.setattr(sys, "argv", ["zeroinit-results", "mine", "--files", "."])
    cli.results()
    captured = capfd.readouterr()
    assert captured.out.startswith("2 runs in docs/results.csv")
    assert captured.err.startswith(LINE)
