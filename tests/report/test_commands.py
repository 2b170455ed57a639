"""The commands on a page train every run that it shows."""

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ended
from helpers.reports import plan_of, record, unpack
from mlflow import MlflowClient

from zeroinit.cli import typed_command
from zeroinit.report import cli
from zeroinit.report.cells import group_cells
from zeroinit.report.manifest import Manifest, manifest_of, training_commands
from zeroinit.tracker import provenance
from zeroinit.tracker.mlflow import Mlflow

Command = Callable[..., Ended]
XOR = ("-m", "dataset=xor", "arch.hidden=[2]", "steps=2", "probe=none")


def records(uri: str | None = None) -> list[Any]:
    tracker = Mlflow(uri)
    tracker.find("grown")
    return tracker.records()


def page(tracker: Mlflow) -> dict[str, Any]:
    content = tracker.read_summary("report.html")
    assert content
    return unpack(content)


def test_after_seeds_were_added_the_commands_train_all_runs(
    zeroinit: Command, database: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*XOR, "init=zero,default", "sweep=grown")
    assert zeroinit(*words, "seed=0,1").code == 0
    assert zeroinit(*words, "seed=2,3").code == 0
    assert zeroinit(*XOR[1:], "init=default", "sweep=grown", "seed=4").code == 0  # a single run, kept in the sweep
    assert zeroinit(*words, "seed=2,3").code == 0  # trains nothing, and makes the page again
    tracker = Mlflow(None)
    tracker.find("grown")
    shown = page(tracker)
    assert sorted(cell["n"] for cell in shown["cells"]) == [4, 5]
    commands = shown["commands"]
    assert len(commands) == 3
    assert not any("command" in note for note in shown["notes"])
    note = tracker.client.get_experiment(tracker.experiment_id).tags["mlflow.note.content"]
    assert note.split("\n\n")[-3:] == [f"`{command}`" for command in commands]

    Path("again").mkdir()
    shutil.copy(empty_database, "again/mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///again/mlflow.db")
    for command in commands:
        name, *rest = shlex.split(command)
        assert (name, zeroinit(*(word for word in rest if "workers" not in word)).code) == ("zeroinit", 0)
    again = {run.identity for run in records("sqlite:///again/mlflow.db")}
    assert again == {run.identity for run in tracker.records()}
    assert len(again) == 9


def test_a_report_without_a_summary_has_the_commands_of_its_runs(
    zeroinit: Command, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert zeroinit(*XOR[1:], "sweep=grown", "seed=4").code == 0
    monkeypatch.setattr(sys, "argv", ["zeroinit-report", "grown", "--to", "made"])
    cli.main()
    [command] = unpack(Path("made/report.html").read_bytes())["commands"]
    assert command == "zeroinit dataset=xor 'arch.hidden=[2]' steps=2 probe=none sweep=grown seed=4"
    client = MlflowClient(f"sqlite:///{database}")
    client.delete_tag(records()[0].run_id, "command")
    cli.main()
    content = unpack(Path("made/report.html").read_bytes())
    assert content["commands"] == []
    assert content["notes"] == ["1 run was trained by an earlier command that was not recorded."]


def test_a_run_of_an_earlier_command_has_the_command_of_either_record() -> None:
    failed, finished = record("zero", 0, 0, "FAILED"), record("zero", 0, 0.5, command="zeroinit first")
    cells = group_cells(plan_of(finished), [failed, finished])
    assert training_commands(manifest_of([finished]), cells) == (["zeroinit first"], 0)
    assert training_commands(Manifest("", "zeroinit all", plan_of(finished)), cells) == (["zeroinit all"], 0)


def test_a_search_without_a_seed_says_that_its_command_draws_other_trials(zeroinit: Command, database: Path) -> None:
    search = (*XOR, "hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=1")
    notes = []
    for seed in ("null", "0"):
        words = (f"hydra.sweeper.sampler.seed={seed}", "optimizer.lr=interval(0.01,0.1)", "sweep=grown")
        assert zeroinit(*search, *words).code == 0
        tracker = Mlflow(None)
        tracker.find("grown")
        notes.append([note for note in page(tracker)["notes"] if "sampler.seed" in note])
    assert notes == [
        ["hydra.sweeper.sampler.seed=null: the command draws other trials; give a seed to repeat them."],
        [],
    ]


def test_a_password_or_a_part_of_a_command_is_no_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["zeroinit", "tracker.uri=postgresql://me:secret@there/db"])
    assert typed_command() == "zeroinit tracker.uri=postgresql://***@there/db"
    for command_typed, tag in (("", {}), ("a" * 5000, {"command": "a" * 5000}), ("a" * 5001, {})):
        monkeypatch.setenv(provenance.COMMAND, command_typed)
        assert provenance.command_tag() == tag
