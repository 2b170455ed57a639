"""The paper's sweeps: each size arrives in their runs, their claims speak of cells that there are, and runs repeat."""

import re
import shutil
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Ended
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode
from PIL import Image

from zeroinit import CONF, SWEEPS, cli
from zeroinit.config import Job
from zeroinit.config.compose import job_of as compose_job
from zeroinit.config.schema import Duration
from zeroinit.sweep import runner

Command = Callable[..., Ended]
PAPER = sorted(path.stem for path in SWEEPS.glob("*.yaml") if "- size: small" in path.read_text())
SIZES = ("smoke", "small", "paper")
STANDS_FOR = {  # (dataset, limit) of each size
    "mnist": {"smoke": ("digits", None), "small": ("mnist5k", None), "paper": ("mnist", None)},
    "cifar10": {"smoke": ("digits", 128), "small": ("cifar10", 2000), "paper": ("cifar10", None)},
}
PUBLISHED = {  # epochs
    "mnist": {"logistic": 10, "fnn": 10, "mnist_cnn": 15, "cifar_fnn": 10},
    "cifar10": {"logistic": 15, "cifar_fnn": 15, "cifar_cnn": 20, "resnet50": 30},
}
SEEDS = {"smoke": 2, "small": 3, "paper": 5}
RUNS = re.compile(r"(?:# |: )(\d+) runs on")
JUDGED = {  # what a claim may ask for: the keys that it needs
    "superior": {"reference", "margin"},
    "non_inferior": {"reference", "margin"},
    "predicts_one_class": set(),
    "does_not_learn": set(),
    "wakes_in_order": {"order"},
}


def text_of(name: str) -> str:
    return (SWEEPS / f"{name}.yaml").read_text()


@cache
def grid(name: str, size: str) -> tuple[list[dict[str, str]], Callable[[int], Job]]:
    """What the command types for each of the sweep's runs, and the job of one."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        words = [f"size={size}"]
        master = loader.load_configuration(name, words, run_mode=RunMode.MULTIRUN)
        sweeper: Any = Plugins.instance().instantiate_sweeper(
            hydra_context=HydraContext(config_loader=loader, callbacks=None), task_function=cli.task, config=master
        )
    typed = sweeper.expand(words)

    def job(index: int) -> Job:
        cfg = sweeper.composer.job(index, typed[index])
        HydraConfig.instance().set_config(cfg)
        return compose_job(cfg)

    return [dict(word.split("=", 1) for word in words) for words in typed], job


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAPER)
def test_each_size_arrives_in_every_run(name: str, size: str) -> None:
    """Data set and seeds are axes; of what else decides a run's epochs, the arch, one run each is composed."""
    typed, job = grid(name, size)
    [data] = re.findall(r"dataset: \$\{size\.(\w+)\}", text_of(name))
    dataset, limit = STANDS_FOR[data][size]
    assert {words["dataset"] for words in typed} == {dataset}
    for key in {key for key in typed[0] if key.startswith("seed")}:
        assert {words[key] for words in typed} == set(map(str, range(SEEDS[size])))
    of_arch = {words.get("arch"): index for index, words in enumerate(typed)}
    for job_of_arch in (job(index) for index in of_arch.values()):
        config, params = job_of_arch.config, job_of_arch.params
        epochs = {"smoke": 2, "small": 8, "paper": PUBLISHED[data][params["arch"]]}[size]
        assert config.duration == (Duration(None, 5) if name == "figure12" else Duration(epochs, None))
        assert (params["dataset"], config.dataset.max_examples) == (dataset, limit)
        assert not {"size", "published", "claims"} & {key.partition(".")[0] for key in params}
    counts = list(map(int, RUNS.findall(text_of(name))))
    assert counts[("small", "smoke", "paper").index(size)] == len(typed)


@pytest.mark.parametrize("name", PAPER)
def test_each_opens_with_its_question_and_what_it_takes(name: str) -> None:
    first, second, third, *_ = text_of(name).splitlines()
    assert re.fullmatch(r"# [A-Z].*\?", first)
    assert re.fullmatch(r"# \d+ runs on .*; .*\.", second)
    assert re.fullmatch(r"# size=smoke: \d+ runs on .*; size=paper: \d+ runs on .*\.", third)


@pytest.mark.parametrize("name", PAPER)
def test_its_claims_speak_of_cells_that_there_are(name: str) -> None:
    typed, job = grid(name, "paper")
    params = job(0).params
    claims = yaml.safe_load(text_of(name))["claims"]
    assert claims
    for claim in claims:
        judged = claim["test"]
        needed = {"statement", "source", "cells", "test"} | JUDGED[judged]
        assert needed <= set(claim) <= needed | {"size"}
        numeric = isinstance(claim.get("reference"), float | int)
        assert not numeric or claim["size"] == "paper"  # what is published is of the whole data sets
        for selector in [claim["cells"], *([claim["reference"]] if isinstance(claim.get("reference"), dict) else [])]:
            cells = [[select_value(words, params, key) for key in selector] for words in typed]
            for key, values in selector.items():
                for value in values if isinstance(values, list) else [values]:
                    assert any(as_typed(value) in cell for cell in cells), f"{key}={value}"
            assert any(
                all(
                    cell_value in [as_typed(option) for option in (wanted if isinstance(wanted, list) else [wanted])]
                    for cell_value, wanted in zip(cell, selector.values(), strict=True)
                )
                for cell in cells
            ), selector


def select_value(words: dict[str, str], params: dict[str, str], key: str) -> str:
    """What a run has under the key of a param: as typed for it, or as all have it."""
    typed = next((value for word, value in words.items() if word.partition("@")[2] == key), words.get(key))
    return as_typed(typed if typed is not None else params[key])


def as_typed(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) or value in ("True", "False") else str(value)


@pytest.mark.parametrize(
    ("sweep", "words", "tag"),
    [
        ("figure9", ["size=paper"], "paper"),
        ("figure9", ["size=small", "dataset=image_folder", "dataset.folder=pictures"], "small"),
        ("figure9", ["size=paper", "dataset=digits", "steps=20"], "paper, dataset=digits, steps=20"),
        ("figure9", ["size=paper", "dataset.max_examples=600", "epochs=4"], "paper, limit=600, epochs=4"),
        ("figure9", ["size=small", "dataset.resize=8"], "small, resize=8"),
        ("figure12", ["size=paper"], "paper"),
    ],
)
def test_what_is_typed_in_the_place_of_a_size_is_no_longer_that_size(
    sweep: str, words: list[str], tag: str, job_of: Callable[..., Job]
) -> None:
    """So that no claim of the paper's scale is judged by it."""
    if "dataset=image_folder" in words:
        for name in ("train/a", "test/a"):
            Path("pictures", name).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(Path("pictures", name, "0.png"))
    typed = words if any(word.startswith("dataset=") for word in words) else [*words, "dataset=cifar10"]
    assert runner.size_of(job_of(*typed, "hydra.mode=RUN", config_name=sweep)) == tag


def test_an_axis_on_the_command_line_takes_the_place_of_the_sizes(zeroinit: Command) -> None:
    words = ["-cn", "figure7", "size=paper", "dataset=digits", "seed=7", "arch=fnn", "steps=2", "tracker=off"]
    ended = zeroinit(*words)
    assert ended.code == 0, ended.err
    assert re.search(r"^fnn +1 +zero +1 ", ended.out, re.M)
    assert "dataset=digits dataset.batch_size=128 steps=2" in ended.out


def test_a_size_that_there_is_not_is_told_with_those_that_there_are(zeroinit: Command) -> None:
    ended = zeroinit("-cn", "figure3", "size=large")
    said = f"size=large: there is no such option; give one of {', '.join(sorted(SIZES))}"
    assert (ended.code, ended.err) == (2, f"zeroinit: {said}\n")


def test_two_sizes_are_no_axis(zeroinit: Command) -> None:
    ended = zeroinit("-cn", "figure3", "size=smoke,small")
    said = "size=smoke,small: the axes are made of it, so that it cannot be one; give one size"
    assert (ended.code, ended.err) == (2, f"zeroinit: {said}\n")


@pytest.mark.parametrize("name", PAPER)
def test_a_second_run_in_a_new_store_gives_the_same_numbers_to_the_last_digit(
    name: str,
    zeroinit: Command,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if name not in ("figure3", "figure12") and not request.config.getoption("--all-sweeps"):
        pytest.skip("takes minutes; --all-sweeps")
    measured = []
    for base in (tmp_path / "first", tmp_path / "second"):
        store = base / "mlruns" / "mlflow.db"
        store.parent.mkdir(parents=True)
        shutil.copy(empty_database, store)
        monkeypatch.chdir(base)
        ended = zeroinit("-cn", name, "size=smoke")
        assert ended.code == 0, ended.err
        measured.append(numbers(store))
    assert measured[0]
    assert measured[0] == measured[1]


def numbers(store: Path) -> set[tuple[object, ...]]:
    """Every metric that every run of a store has."""
    of_runs = (
        "SELECT tags.value, metrics.key, step, metrics.value, is_nan FROM metrics JOIN tags USING (run_uuid) "
        "WHERE tags.key = 'config_hash'"
    )
    with sqlite3.connect(store) as database:
        metrics = set(database.execute(of_runs))
    database.close()
    return metrics
