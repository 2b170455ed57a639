"""Config keys that had another name before 0.2.0."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.renamed import RENAMED_KEYS, translate_command, translate_config, translate_params

Command = Callable[..., Any]
QUICK = ("dataset=digits", "arch=logistic", "steps=5", "probe=none")


@pytest.mark.parametrize("key", RENAMED_KEYS)
@pytest.mark.parametrize("prefix", ["", "+"])
def test_an_old_key_is_refused_with_its_new_name(key: str, prefix: str, zeroinit: Command) -> None:
    value = {"check": "only", "plan": "true"}.get(key, "1")
    ended = zeroinit(*QUICK, f"{prefix}{key}={value}")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {key}=")
    assert f"its name is now {RENAMED_KEYS[key]}" in line


def test_params_are_translated() -> None:
    old = {"dataset.limit": "20", "dataset.augment.crop": "2", "probe.dense": "5", "check": "start", "plan": "false"}
    assert translate_params(old) == {
        "dataset.max_examples": "20",
        "dataset.augment.padding": "2",
        "probe.first_steps": "5",
        "mode": "train",
    }
    new = translate_params(old)
    assert translate_params(new) == new


def test_commands_are_translated() -> None:
    typed = "zeroinit -m dataset=image_folder dataset.limit=20 +dataset.held_out=0.1 my.dataset.limit=1"
    assert translate_command(typed) == (
        "zeroinit -m dataset=image_folder dataset.max_examples=20 +dataset.val_fraction=0.1 my.dataset.limit=1"
    )


def test_an_argument_of_a_users_function_keeps_its_name() -> None:
    assert translate_params({"dataset": "mine.data", "dataset.held_out": "3"})["dataset.held_out"] == "3"
    assert translate_params({"dataset": "image_folder", "dataset.held_out": "0.1"})["dataset.val_fraction"] == "0.1"
    mine = {"dataset": {"_target_": "mine.data", "held_out": 3, "limit": 5}}
    assert translate_config(mine)["dataset"] == {"_target_": "mine.data", "held_out": 3, "max_examples": 5}
    typed = "zeroinit dataset._target_=mine.data +dataset.held_out=3"
    assert translate_command(typed) == typed


def test_a_run_of_an_old_store_is_known(zeroinit: Command) -> None:
    """It has the hash of today's keys, and is not trained again."""
    words = (*QUICK, "dataset.max_examples=200", "dataset.batch_size=20")
    assert zeroinit(*words).code == 0
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    [run] = client.search_runs(["1"], "tags.kind = 'run'")
    with sqlite3.connect("mlruns/mlflow.db") as database:
        for old, new in RENAMED_KEYS.items():
            database.execute("update params set key = ? where key = ?", (old, new)) if "." in old else None
        database.execute("update params set key = 'check', value = 'start' where key = 'mode'")
    tracker = Mlflow(None)
    tracker.open("zeroinit")
    [record] = tracker.records()
    assert record.params == run.data.params
    assert "It was trained before" in zeroinit(*words).out


def test_a_saved_config_of_before_runs_again(zeroinit: Command) -> None:
    assert zeroinit(*QUICK, "dataset.max_examples=200", "dataset.batch_size=20", "hydra.run.dir=old").code == 0
    path = Path("old/.hydra/config.yaml")
    values = yaml.safe_load(path.read_text())
    values["dataset"]["limit"] = values["dataset"].pop("max_examples")
    values["dataset"]["augment"]["crop"] = values["dataset"]["augment"].pop("padding")
    values["probe"]["dense"] = values["probe"].pop("first_steps")
    del values["mode"]
    values |= {"check": "start", "plan": False}
    path.write_text(yaml.dump(values))
    assert translate_config(values)["mode"] == "train"
    ended = zeroinit("-cp", str(Path("old/.hydra").resolve()), "-cn", "config")
    assert ended.code == 0, ended.err
    assert "It was trained before" in ended.out


@pytest.mark.parametrize(("mode", "code"), [("lint", 0), ("plan", 0)])
def test_a_mode_that_does_not_train_stores_nothing(mode: str, code: int, zeroinit: Command) -> None:
    assert zeroinit(*QUICK, f"mode={mode}").code == code
    assert not Path("mlruns/mlflow.db").exists() or not MlflowClient(
        f"sqlite:///{Path.cwd()}/mlruns/mlflow.db"
    ).search_runs(["0", "1"])
