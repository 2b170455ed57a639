"""Config keys that had another name before 0.2.0."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from zeroinit.report.archive import read_table
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.renamed import (
    RENAMED_KEYS,
    RENAMED_METRICS,
    RENAMED_TAGS,
    translate_claims,
    translate_command,
    translate_config,
    translate_params,
    translate_row,
    translate_tags,
)

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


@pytest.mark.parametrize(
    ("old", "mode"), [("check=start", "train"), ("check=only", "lint"), ("check=audit", "audit"), ("plan=true", "plan")]
)
@pytest.mark.parametrize("prefix", ["", "+"])
def test_an_old_mode_is_refused_with_its_new_key_and_value(prefix: str, old: str, mode: str, zeroinit: Command) -> None:
    ended = zeroinit(*QUICK, f"{prefix}{old}")
    assert ended.code == 2
    assert ended.err.strip().endswith(f"its name is now mode={mode}")


def test_params_are_translated() -> None:
    old = {"dataset.limit": "20", "dataset.augment.crop": "2", "probe.dense": "5", "check": "start", "plan": "false"}
    assert translate_params(old | {"probe.measure": '["gradient", "arrival"]'}) == {
        "dataset.max_examples": "20",
        "dataset.augment.padding": "2",
        "probe.first_steps": "5",
        "mode": "train",
        "probe.measure": '["gradient", "first_gradient"]',
    }
    new = translate_params(old)
    assert translate_params(new) == new


def test_a_ramp_is_an_option_of_the_schedule() -> None:
    assert translate_params({"ramp.steps": "0"}) == {"schedule": "constant"}
    assert "schedule" not in translate_params({"ramp.steps": ""})
    ramp = {"schedule": "ramp", "schedule.steps": "5", "schedule.factor": "3"}
    assert translate_params({"ramp.steps": "5", "ramp.factor": "3"}) == ramp == translate_params(ramp)
    [claim] = translate_claims([{"cells": {"ramp.steps": 5}}])
    assert claim == {"cells": {"schedule.steps": 5}}
    assert translate_command("zeroinit ramp.steps=5 seed=1") == "zeroinit schedule.steps=5 seed=1 schedule=ramp"
    assert translate_config({"ramp": {"steps": 5, "factor": 3}}) == {
        "schedule": {"_target_": "zeroinit.schedule.ramp", "steps": 5, "factor": 3}
    }
    assert translate_config({"ramp": {"steps": 0, "factor": 3}}) == {
        "schedule": {"_target_": "zeroinit.schedule.constant"}
    }


def test_commands_are_translated() -> None:
    typed = "zeroinit -m dataset=image_folder dataset.limit=20 +dataset.held_out=0.1 my.dataset.limit=1"
    assert translate_command(f"{typed} probe.measure=[gradient,arrival] my=arrival") == (
        "zeroinit -m dataset=image_folder dataset.max_examples=20 +dataset.val_fraction=0.1 my.dataset.limit=1 "
        "'probe.measure=[gradient,first_gradient]' my=arrival"
    )


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("zeroinit check=start seed=1", "zeroinit mode=train seed=1"),
        ("zeroinit check=only", "zeroinit mode=lint"),
        ("zeroinit -m plan=false seed=0,1", "zeroinit -m seed=0,1"),
        ("zeroinit plan=true", "zeroinit mode=plan"),
        ("zeroinit '~dataset.limit'", "zeroinit '~dataset.max_examples'"),
        ("zeroinit 'dataset.augment={crop:4,flip:true}'", "zeroinit 'dataset.augment={padding:4,flip:true}'"),
        ("zeroinit 'probe.measure=[gradient, arrival]'", "zeroinit 'probe.measure=[gradient, first_gradient]'"),
        ("zeroinit 'epochs=${dataset.limit}'", "zeroinit 'epochs=${dataset.max_examples}'"),
        ("zeroinit arch=plan my.check=only", "zeroinit arch=plan my.check=only"),
        ("zeroinit 'cut off", "zeroinit 'cut off"),
    ],
)
def test_each_form_of_an_override_is_translated(before: str, now: str) -> None:
    assert translate_command(before) == now
    assert translate_command(now) == now


def test_selectors_of_claims_are_translated() -> None:
    [claim] = translate_claims([{"says": "s", "is": "better_than", "cell": {"dataset.limit": 200}, "other": 97.5}])
    cells = {"dataset.max_examples": 200}
    assert claim == {"statement": "s", "test": "superior", "cells": cells, "reference": 97.5}
    [claim] = translate_claims([{"cell": {"dataset.held_out": 3}, "other": {"probe.dense": 1, "init": "zero"}}])
    assert claim == {"cells": {"dataset.held_out": 3}, "reference": {"probe.first_steps": 1, "init": "zero"}}


def test_references_of_a_saved_config_are_translated() -> None:
    saved = {"dataset": {"limit": 20}, "steps": "${dataset.limit}", "my": ["${probe.dense} of ${dataset.limit}"]}
    assert translate_config(saved) == {
        "dataset": {"max_examples": 20},
        "steps": "${dataset.max_examples}",
        "my": ["${probe.first_steps} of ${dataset.max_examples}"],
    }


def test_a_tag_of_an_old_table_is_no_key() -> None:
    row = {"plan": "2 together, of 256 at most", "dataset.limit": "3"}
    assert translate_row(row) == {"stack_reason": "2 together, of 256 at most", "dataset.max_examples": "3"}


def test_tags_are_translated_unless_today_s_tag_is_there() -> None:
    old = {name: f"value of {name}" for name in RENAMED_TAGS}
    assert translate_tags(old | {"device": "cpu"}) == {
        **{new: f"value of {name}" for name, new in RENAMED_TAGS.items()},
        "device": "cpu",
    }
    assert translate_tags({"outcome": "learned", "verdict": "mine"}) == {"outcome": "learned"}


def test_an_argument_of_a_users_function_keeps_its_name() -> None:
    assert translate_params({"dataset": "mine.data", "dataset.held_out": "3"})["dataset.held_out"] == "3"
    assert translate_params({"dataset": "image_folder", "dataset.held_out": "0.1"})["dataset.val_fraction"] == "0.1"
    mine = {"dataset": {"_target_": "mine.data", "held_out": 3, "limit": 5}}
    assert translate_config(mine)["dataset"] == {"_target_": "mine.data", "held_out": 3, "max_examples": 5}
    typed = "zeroinit dataset._target_=mine.data +dataset.held_out=3"
    assert translate_command(typed) == typed


def make_store_old() -> None:
    """Give the params, tags and metrics of the store of this folder the names that they had before 0.2.0."""
    with sqlite3.connect("mlruns/mlflow.db") as database:
        for old, new in RENAMED_KEYS.items():
            database.execute("update params set key = ? where key = ?", (old, new)) if "." in old else None
        database.execute("update params set key = 'ramp.steps', value = '0' where key = 'schedule'")
        database.execute("update params set key = 'check', value = 'start' where key = 'mode'")
        database.execute(
            "update params set value = replace(value, 'first_gradient', 'arrival') where key = 'probe.measure'"
        )
        for old, new in RENAMED_TAGS.items():
            database.execute("update tags set key = ? where key = ?", (old, new))
        for table in ("metrics", "latest_metrics"):
            for old, new in RENAMED_METRICS.items():
                database.execute(
                    f"update {table} set key = replace(key, ?, ?) where key like ?",
                    (f"{new}/", f"{old}/", f"{new}/%"),
                )


def test_a_run_of_an_old_store_is_known(zeroinit: Command) -> None:
    """It has the hash of today's keys, and is not trained again."""
    words = ("dataset=digits", "arch.hidden=[8]", "init=zero_normal", "steps=5", "dataset.max_examples=200")
    assert zeroinit(*words, "dataset.batch_size=20").code == 0
    tracker = Mlflow(None)
    tracker.open("zeroinit")
    [before] = tracker.records()
    names = ["first_gradient/hidden1", "first_gradient_predicted/hidden1", "test/loss"]
    tracker.load_histories([before], names)
    make_store_old()
    [run] = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db").search_runs(["1"], "tags.kind = 'run'")
    assert {"verdict", "reason", "seconds", "stack", "plan", "test_counts"} <= run.data.tags.keys()
    assert {"arrival/hidden1", "predicted_arrival/hidden1"} <= run.data.metrics.keys()
    [record] = tracker.records()
    tracker.load_histories([record], names)
    assert (record.params, record.tags) == (before.params, before.tags)
    assert sorted(record.metrics) == sorted(before.metrics)
    assert record.history("first_gradient/hidden1") == {2: 2}
    tracker.is_database = False  # as if a server kept it
    [via_client] = tracker.records()
    tracker.load_histories([via_client], names)
    assert (via_client.params, via_client.tags) == (before.params, before.tags)
    assert sorted(via_client.metrics) == sorted(before.metrics)
    assert "It was trained before" in zeroinit(*words, "dataset.batch_size=20").out


def test_an_old_table_has_today_s_columns(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(
        "sweep,size,identity,cell_hash,status,dataset.limit,verdict,seconds,stack,test_counts,watched\n"
        'a,,i,c,FINISHED,20,learned,1.5,2,"[1,2]","[[""arrival/hidden1"", 2.0, 2]]"\n'
        "a,,j,c,not run,20,,,,,\n"
    )
    first, second = read_table(path)
    assert first == {
        **{"sweep": "a", "size": "", "identity": "i", "cell_hash": "c", "status": "FINISHED"},
        **{"dataset.max_examples": "20", "outcome": "learned", "train_seconds": "1.5", "stack_size": "2"},
        **{"test_class_counts": "[1,2]", "metric_points": '[["first_gradient/hidden1", 2.0, 2]]'},
    }
    assert "metric_points" not in second


def test_a_saved_config_of_before_runs_again(zeroinit: Command) -> None:
    words = "dataset.max_examples=200", "dataset.batch_size=20", "probe.measure=[first_gradient]"
    assert zeroinit(*QUICK, *words, "hydra.run.dir=old").code == 0
    path = Path("old/.hydra/config.yaml")
    values = yaml.safe_load(path.read_text())
    values["dataset"]["limit"] = values["dataset"].pop("max_examples")
    values["dataset"]["augment"]["crop"] = values["dataset"]["augment"].pop("padding")
    values["probe"]["dense"] = values["probe"].pop("first_steps")
    values["probe"]["measure"] = ["arrival"]
    del values["mode"], values["reference"]  # the second is of a later version
    values["ramp"] = {"steps": 0, "factor": 10}
    del values["schedule"], values["clip"]
    values |= {"check": "start", "plan": False}
    path.write_text(yaml.dump(values))
    assert translate_config(values)["mode"] == "train"
    assert translate_config(values)["probe"]["measure"] == ["first_gradient"]
    ended = zeroinit("-cp", str(Path("old/.hydra").resolve()), "-cn", "config")
    assert ended.code == 0, ended.err
    assert "It was trained before" in ended.out


@pytest.mark.parametrize(("mode", "code"), [("lint", 0), ("plan", 0)])
def test_a_mode_that_does_not_train_stores_nothing(mode: str, code: int, zeroinit: Command) -> None:
    assert zeroinit(*QUICK, f"mode={mode}").code == code
    assert not Path("mlruns/mlflow.db").exists() or not MlflowClient(
        f"sqlite:///{Path.cwd()}/mlruns/mlflow.db"
    ).search_runs(["0", "1"])
