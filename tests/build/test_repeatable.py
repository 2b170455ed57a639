"""Data that are others each time that they are loaded are refused before any training, or told at a sweep's end."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zeroinit import build
from zeroinit.build import repeatable
from zeroinit.config.identity import Identity
from zeroinit.dataset import Data
from zeroinit.report.cli import main
from zeroinit.report.manifest import Manifest, read_manifest, replace_strays
from zeroinit.tracker import Record
from zeroinit.tracker.mlflow import Mlflow

WORDS = ("dataset.batch_size=all", "arch.hidden=[2]", "steps=3", "probe=none")


def data_of(noise: Any) -> Data:
    points = torch.as_tensor(noise).float().reshape(40, 2)
    split = points, torch.arange(40) % 2
    return Data(split, split, split, num_classes=2)


def from_numpy(generator: torch.Generator) -> Data:
    return data_of(np.random.randn(80))


def from_python(generator: torch.Generator) -> Data:
    return data_of([random.random() for _ in range(80)])


def from_torch(generator: torch.Generator) -> Data:
    return data_of(torch.randn(80))


def from_the_system(generator: torch.Generator) -> Data:
    return data_of(np.random.default_rng().normal(size=80))


def from_a_seed(generator: torch.Generator) -> Data:
    """From a global generator, but always from the same seed."""
    np.random.seed(0)
    return data_of(np.random.randn(80))


@pytest.fixture(autouse=True)
def _nothing_is_loaded() -> None:
    build.data.load_cached.cache_clear()


@pytest.mark.parametrize("name", ["from_numpy", "from_python", "from_torch"])
def test_data_from_a_global_generator_are_refused(name: str, zeroinit: Callable[..., Any], database: Path) -> None:
    for mode in ([], ["-m", "seed=0,1"]):
        ended = zeroinit(*mode, f"dataset._target_=test_repeatable.{name}", *WORDS)
        assert ended.code == 2
        [line] = ended.err.splitlines()
        assert line.startswith(f"zeroinit: dataset._target_=test_repeatable.{name}: two calls with the same seed gave")
        assert line.endswith("): it draws from a global generator; draw from the generator that it is given")
    tracker = Mlflow(None)
    tracker.open("zeroinit")
    assert tracker.all_records() == []


def test_data_from_any_other_source_are_refused(
    zeroinit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, database: Path
) -> None:
    ended = zeroinit("dataset._target_=test_repeatable.from_the_system", *WORDS, "tracker=off")
    assert (ended.code, "): it depends on more than its arguments; draw" in ended.err) == (2, True)
    monkeypatch.setattr(repeatable, "SLOW_SECONDS", -1)  # what is slow is not loaded twice, unless the state has moved
    assert zeroinit("dataset._target_=test_repeatable.from_the_system", *WORDS, "tracker=off").code == 0
    assert zeroinit("dataset._target_=test_repeatable.from_numpy", *WORDS, "tracker=off").code == 2


def test_a_function_that_seeds_the_global_generator_gives_the_same_data(zeroinit: Callable[..., Any]) -> None:
    ended = zeroinit("dataset._target_=test_repeatable.from_a_seed", *WORDS, "tracker=off")
    assert (ended.code, ended.err) == (0, "")


def test_only_a_users_own_functions_are_called_twice(
    zeroinit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError

    monkeypatch.setattr(repeatable, "GlobalStates", refuse)
    assert zeroinit("dataset=xor", *WORDS, "tracker=off").code == 0


def test_workers_that_load_other_data_are_told(
    zeroinit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    database: Path,
) -> None:
    """Each worker has data of its own; the runs are in the table, which says so, and the sweep has failed."""
    Path("entropy.py").write_text(Path(__file__).read_text())
    monkeypatch.setattr(repeatable, "SLOW_SECONDS", -1)
    words = ["dataset._target_=entropy.from_the_system", *WORDS, "init=zero,default", "sweep=entropy"]
    ended = zeroinit("-m", *words, "hydra.launcher.workers=2")
    assert ended.code == 1
    warnings = [line for line in ended.out.splitlines() if "other data than the sweep planned" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("2 of 2 runs trained on other data than the sweep planned (hash ")
    assert "not run" not in ended.out
    rows = [line.split() for line in ended.out.splitlines() if line.startswith("fnn ")]
    assert [(row[2], row[3]) for row in rows] == [("zero", "1"), ("default", "1")]  # n
    tracker = Mlflow(None)
    tracker.open("entropy")
    records = tracker.records()
    assert [record.status for record in records] == ["FINISHED", "FINISHED"]
    manifest = read_manifest(tracker.read_summary("sweep.json") or b"")
    assert {identity for identity, *_ in manifest.planned} == {record.identity for record in records}
    assert list(manifest.notes) == warnings
    monkeypatch.setattr("sys.argv", ["zeroinit-report", "entropy", "--to", "again"])
    main()
    assert ",not run" not in Path("again/summary.csv").read_text()


def record(identity: str, started: float) -> Record:
    config_hash = Identity.parse(identity).config_hash
    return Record("", {"dataset": "mine"}, {"identity": identity, "config_hash": config_hash}, started=started)


PLANNED = [("a-data-1-code", "cell", {}), ("b-data-1-code", "cell", {})]


@pytest.mark.parametrize(
    ("trained", "identities", "said"),
    [
        (["b-data-1-code", "a-data-1-code"], ["a-data-1-code", "b-data-1-code"], None),
        (["b-data-1-code"], ["a-data-1-code", "b-data-1-code"], None),
        (
            ["b-new-1-code", "a-data-1-code"],
            ["a-data-1-code", "b-new-1-code"],
            "1 of 2 runs trained on other data than the sweep planned (hash new instead of data): ",
        ),
        (
            ["b-data-1-new", "a-data-1-new"],
            ["a-data-1-new", "b-data-1-new"],
            "2 of 2 runs trained with other code than the sweep planned (1-new instead of 1-code): ",
        ),
    ],
)
def test_the_two_identities_are_compared(trained: list[str], identities: list[str], said: str | None) -> None:
    records = [record(identity, 10) for identity in trained]
    earlier = [record("a-earlier-1-code", 1), record("b-earlier-1-code", 1)]
    manifest, notes = replace_strays(Manifest("", "", PLANNED), [*records, *earlier], since=5)
    assert [identity for identity, *_ in manifest.planned] == identities
    assert [note.startswith(str(said)) for note in notes] == [True] * bool(said)
    assert list(manifest.notes) == notes
