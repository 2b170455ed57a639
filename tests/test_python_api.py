"""`zeroinit.run_sweep`: a sweep from Python is the sweep of the command line."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Ended
from helpers.runs_table import rows_of_runs

import zeroinit as package
from zeroinit import load, run_sweep
from zeroinit.errors import BadInput
from zeroinit.python_api import _format_value

CONFIG = {
    "dataset": "digits",
    "arch.hidden": [[4], [3, 3]],
    "steps": 5,
    "seed": range(2),
    "probe": "none",
    "dataset.shuffle": True,
    "sweep": "from_python",
    "hydra.launcher.workers": 1,
}
WORDS = ("dataset=digits", "arch.hidden=[4],[3,3]", "steps=5", "seed=0,1", "probe=none", "dataset.shuffle=true")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        ("range(3)", "range(3)"),
        (range(3), "0,1,2"),
        (["default", "zero"], "default,zero"),
        ([[4], [3, 3]], "[4],[3,3]"),
        ([None, False], "null,false"),
        (np.array([0.5, 2.0]), "0.5,2.0"),
        (np.float64(0.5), "0.5"),
    ],
)
def test_values_become_what_one_types(value: object, text: str) -> None:
    assert _format_value("key", value) == text


@pytest.mark.parametrize(
    ("value", "message"),
    [([], r"^seed=\[\]: an axis needs a value$"), ({1}, r"^seed=\{1\}: give a number, a text, or")],
)
def test_values_that_are_no_axis_are_refused(value: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        run_sweep({"seed": value})


@pytest.mark.usefixtures("database")
def test_a_command_that_stores_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="it stored no sweep; leave out tracker=off, and mode"):
        run_sweep(CONFIG | {"mode": "plan"})


@pytest.mark.usefixtures("database")
def test_the_name_of_a_sweep_file_is_known() -> None:
    """Also if the file names another sweep, or another store."""
    Path("own").mkdir()
    Path("own/mine.yaml").write_text("defaults: [config, _self_]\nsweep: another\nhydra: {mode: MULTIRUN}\n")
    config = {key: value for key, value in CONFIG.items() if key != "sweep"}
    assert run_sweep(config, "mine", "own").name == "another"


@pytest.mark.usefixtures("database")
def test_the_runs_are_those_of_the_command_line(
    zeroinit: Callable[..., Ended], capfd: pytest.CaptureFixture[str]
) -> None:
    sweep = run_sweep(CONFIG)
    assert "4/4 runs" in capfd.readouterr().out
    again = zeroinit("-m", *WORDS, "sweep=from_python")
    assert "4 of 4 runs were trained before" in again.out
    assert sorted(sweep.runs["run_id"]) == sorted(load("from_python").runs["run_id"])


@pytest.mark.usefixtures("database")
def test_bad_input_has_the_sentence_of_the_command() -> None:
    with pytest.raises(BadInput, match=r"^optimzer\.lr=3: there is no such key; use optimizer\.lr$"):
        run_sweep({"optimzer.lr": 3})
    assert not list(Path("mlruns").glob("artifacts/*"))


@pytest.mark.usefixtures("database")
def test_runs_that_fail_are_a_warning_and_rows() -> None:
    diverging = CONFIG | {"optimizer": "sgd", "optimizer.lr": [0.1, 1e30], "arch.hidden": "[4]", "seed": 0}
    with pytest.warns(UserWarning, match=r"some runs did not finish \(1 FAILED\)"):
        sweep = run_sweep(diverging)
    assert sorted(sweep.runs["status"]) == ["FAILED", "FINISHED"]


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="module 'zeroinit' has no attribute 'lod'"):
        package.lod  # noqa: B018


@pytest.mark.usefixtures("database")
def test_an_interruption_in_python_keeps_what_is_done_and_ends_the_sweep() -> None:
    """A notebook interrupts its own process alone, so the command must be interrupted by it."""
    config = {"dataset": "digits", "steps": [5, 10**7], "sweep": "cut", "hydra.launcher.workers": 1}
    lines = f"import zeroinit; zeroinit.run_sweep({config})"
    with subprocess.Popen([sys.executable, "-c", lines], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240  # it takes 10 s on a quiet machine
        while rows_of_runs() < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert "KeyboardInterrupt" in err
    sweep = load("cut")
    assert dict(zip(sweep.runs["steps"], sweep.runs["status"], strict=True)) == {5: "FINISHED", 10**7: "KILLED"}
