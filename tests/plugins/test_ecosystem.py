"""Hydra's own launchers, sweepers and commands on our entrypoint."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
import yaml
from conftest import Ended
from mlflow import MlflowClient

from zeroinit.process import current_process, process_of_tags
from zeroinit.tracker.mlflow import Mlflow

Command = Callable[..., Ended]
QUICK = ("dataset=digits", "arch=logistic", "steps=20")
SEARCH = ("hydra/sweeper=optuna", "hydra.sweeper.direction=maximize")


def losses() -> dict[tuple[str, str], float]:
    """{(init, seed): test loss} of the finished runs of the experiment `sweep`."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("sweep").experiment_id], "tags.kind = 'run'")
    assert {run.info.status for run in runs} == {"FINISHED"}
    return {(run.data.params["init"], run.data.params["seeds.init"]): run.data.metrics["test/loss"] for run in runs}


@pytest.fixture(autouse=True)
def _optuna_alone() -> Iterator[None]:
    """Its logger keeps writing to the standard error of the test in which it was imported."""
    yield
    logging.getLogger("optuna").handlers.clear()


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("launcher", "words", "inits"),
    [
        ("joblib", ("hydra.launcher.n_jobs=2",), ["zero_normal", "default"]),
        ("submitit_local", (), ["zero_normal"]),  # a job is a process from nothing
    ],
)
def test_launchers_of_other_processes(
    launcher: str, words: tuple[str, ...], inits: list[str], zeroinit: Command
) -> None:
    """The same runs, in one experiment, with the same table at the end; an arch of one's own is found there too."""
    Path("elsewhere.py").write_text("from zeroinit.arch import Logistic\n\n\nclass Net(Logistic):\n    pass\n")
    grid = ("-m", *QUICK, f"init={','.join(inits)}", "seed=3", "arch._target_=elsewhere.Net")
    theirs = zeroinit(*grid, f"hydra/launcher={launcher}", *words)
    assert theirs.code == 0, theirs.err
    there = losses()
    tracker = Mlflow(None)
    tracker.find("sweep")
    processes = [process_of_tags(record.tags) for record in tracker.records()]
    assert all(processes)
    assert current_process() not in processes  # but the one that trained the run
    ours = zeroinit(*grid, "rerun=true")
    assert losses() == there
    assert len(there) == len(inits)
    tables = [
        [line.split() for line in sweep.out.splitlines() if line.startswith("elsewhere")] for sweep in (theirs, ours)
    ]
    assert tables[0] == tables[1]
    assert len(tables[0]) == len(inits)
    folders = [path for path in Path("mlruns/hydra").glob("*/*/*") if path.name.isdigit()]
    assert len([path for path in folders if (path / ".hydra" / "config.yaml").is_file()]) == 2 * len(inits)


@pytest.mark.usefixtures("database")
def test_runs_under_another_launcher_are_told_one_by_one(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "seed=0,1", "hydra/launcher=basic")
    lines = [line for line in ended.err.splitlines() if "test accuracy" in line]
    assert [line.split(":")[0] for line in lines] == [
        f"logistic default x1 seed {seed} dataset=digits steps=20" for seed in (0, 1)
    ]


@pytest.mark.usefixtures("database")
def test_optuna_searches_scale_and_learning_rate(zeroinit: Command) -> None:
    """It maximises the best validation accuracy; every trial is a run, and the table has a row for each."""
    words = ("hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=5")
    space = ("bias_scale.value=tag(log,interval(0.01,10))", "optimizer.lr=tag(log,interval(0.0001,0.1))")
    ended = zeroinit("-m", *words, "hydra.sweeper.sampler.seed=1", *QUICK, "init=zero_normal", *space)
    assert ended.code == 0, ended.err
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("sweep").experiment_id], "tags.kind = 'run'")
    assert len(runs) == 5
    best = {
        run.info.run_id: max(point.value for point in client.get_metric_history(run.info.run_id, "val/accuracy"))
        for run in runs
    }
    [path] = Path("mlruns/hydra").rglob("optimization_results.yaml")
    results = yaml.safe_load(path.read_text())
    assert results["best_value"] == max(best.values())
    [chosen, *_] = [run for run in runs if best[run.info.run_id] == results["best_value"]]
    assert {
        key: pytest.approx(float(chosen.data.params[key])) for key in ("bias_scale.value", "optimizer.lr")
    } == results["best_params"]
    assert len([line for line in ended.out.splitlines() if line.startswith("logistic")]) == 5
    assert "Report:  file://" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra/sweeper=optuna"], "hydra.sweeper.direction=minimize: the value of a run is its best validation"),
        (
            ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "bias_scale.value=interval(-2,-1)"],
            "bias_scale.value=-",
        ),
        (["hydra/sweeper=optuna", "hydra.sweeper.direction=up"], "hydra.sweeper.direction=up: the value of a run"),
        ([*SEARCH, "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: give a whole number from 1"),
        ([*SEARCH, "hydra.sweeper.n_jobs=0"], "hydra.sweeper.n_jobs=0: give a whole number from 1"),
        ([*SEARCH, "hydra.sweeper.max_failure_rate=2"], "hydra.sweeper.max_failure_rate=2.0: give a number from 0 to"),
        (
            ["hydra/launcher=joblib", "tracker=off", "seed=0,1"],
            "tracker=off: its runs are known only in the process that",
        ),
        (["hydra/launcher=joblib", "optimizer.lr=-1", "seed=0,1"], "optimizer.lr=-1: give a finite number"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, *words)
    assert ended.code == 2
    lines = [line for line in ended.err.splitlines() if "A new study" not in line]
    assert [line.startswith(f"zeroinit: {said}") for line in lines] == [True], ended.err
    assert not Path("mlruns/mlflow.db").exists()


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> list[optuna.Study]:
    """The studies that a test makes."""
    made: list[optuna.Study] = []
    create = optuna.create_study
    monkeypatch.setattr(optuna, "create_study", lambda **keys: made.append(create(**keys)) or made[-1])
    return made


def search(zeroinit: Command, scales: str, *words: str, sampler: str = "grid") -> Ended:
    chosen = f"hydra/sweeper/sampler={sampler}"
    return zeroinit("-m", *SEARCH, chosen, *QUICK, "init=zero_normal", f"bias_scale.value={scales}", *words)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("more", [(), ("hydra/launcher=basic",)])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_trial_that_diverges_is_failed_and_the_search_goes_on(
    batch: int, more: tuple[str, ...], zeroinit: Command, studies: list[optuna.Study]
) -> None:
    ended = search(zeroinit, "choice(1,3e38)", f"hydra.sweeper.n_jobs={batch}", *more)
    assert ended.code == 1
    assert "failed: bias_scale.value=3e+38 " in ended.err
    assert "Traceback" not in ended.err
    assert len([line for line in ended.out.splitlines() if line.startswith("logistic")]) == 2
    assert re.search(r"Best validation accuracy: [\d.]+%, with bias_scale\.value=1(\.0)? \(", ended.out)
    [study] = studies
    states = {trial.params["bias_scale.value"]: (trial.state.name, trial.value is None) for trial in study.trials}
    assert states == {1: ("COMPLETE", False), 3e38: ("FAIL", True)}


@pytest.mark.usefixtures("database")
def test_a_trial_that_diverges_late_is_not_the_best(zeroinit: Command, studies: list[optuna.Study]) -> None:
    """It had the best accuracy of the two before its loss was not finite."""
    Path("late_nets.py").write_text(LATE)
    words = ("arch._target_=late_nets.Late", "optimizer=sgd", "optimizer.lr=0.1", "dataset.batch_size=all")
    ended = search(zeroinit, "choice(0.001,1)", *words)
    assert ended.code == 1
    [study] = studies
    assert {trial.params["bias_scale.value"]: trial.state.name for trial in study.trials} == {
        0.001: "FAIL",
        1: "COMPLETE",
    }
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("sweep").experiment_id], "tags.kind = 'run'")
    best = {
        run.data.params["bias_scale.value"]: max(
            point.value for point in client.get_metric_history(run.info.run_id, "val/accuracy")
        )
        for run in runs
    }
    assert best["0.001"] > best["1"]
    assert "with bias_scale.value=1 (" in ended.out


LATE = """\
import torch
from zeroinit.arch import Logistic


class Late(Logistic):
    \"\"\"Its small biases make it learn, and then overflow; its large ones leave it alone.\"\"\"

    def forward(self, inputs):
        logits = super().forward(inputs)
        small = self.output.bias.abs().max() < 0.5
        far = self.output.weight.abs().max() > 0.02
        return logits * (float("inf") if small and far else 1.0 if small else 0.0)
"""


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("more", [(), ("hydra/launcher=basic",)])
def test_a_search_of_which_every_trial_failed_has_no_best(
    more: tuple[str, ...], zeroinit: Command, studies: list[optuna.Study]
) -> None:
    ended = search(zeroinit, "choice(3.1e38,3e38)", *more)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "No trial finished, so that there is no best one." in ended.out
    assert len([line for line in ended.out.splitlines() if line.startswith("logistic")]) == 2
    assert [trial.state.name for trial in studies[0].trials] == ["FAIL", "FAIL"]


@pytest.mark.usefixtures("database")
def test_a_search_ends_at_a_failure_where_a_person_says_so(zeroinit: Command, studies: list[optuna.Study]) -> None:
    only = ("hydra.sweeper.max_failure_rate=0", "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=3")
    ended = search(zeroinit, "interval(3e38,3.1e38)", *only, sampler="random")
    assert ended.code == 1
    assert "The search ends: more trials failed than hydra.sweeper.max_failure_rate=0\n" in ended.err
    assert [trial.state.name for trial in studies[0].trials] == ["FAIL"]
    assert len([line for line in ended.out.splitlines() if line.startswith("logistic")]) == 1


@pytest.mark.usefixtures("database")
def test_a_search_over_words_prints_its_best_trial(zeroinit: Command) -> None:
    words = ("hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=2")
    ended = zeroinit("-m", *words, "hydra/sweeper/sampler=grid", *QUICK, "init=choice(zero_normal,zero_uniform)")
    assert ended.code == 0, ended.err
    assert re.search(r"Best validation accuracy: [\d.]+%, with init=zero_(normal|uniform) \(", ended.out)


def test_cfg_job_shows_the_whole_config(zeroinit: Command) -> None:
    ended = zeroinit("--cfg", "job", "init=zero_normal", "bias_scale.value=0.5")
    shown = yaml.safe_load(ended.out)
    assert shown["bias_scale"] == {"_target_": "zeroinit.bias_scale.constant", "value": 0.5}
    assert shown["init"]["bias"] == {"_target_": "torch.nn.init.normal_"}
    assert shown["dataset"]["shuffle"] is True
    assert "hydra" not in shown
    part = zeroinit("--cfg", "job", "--package", "bias_scale")
    assert yaml.safe_load(part.out)["value"] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "zeroinit init=zero_",
            {"init=zero_normal", "init=zero_uniform", "init=zero_uniform_matched", "init=zero_log_uniform"},
        ),
        ("zeroinit arch=res", {"arch=resnet50"}),
        ("zeroinit bias_scale.", {"bias_scale.value=", "bias_scale._target_="}),
        ("zeroinit dataset.aug", {"dataset.augment."}),
        ("zeroinit seed", {"seed=", "seeds."}),
        ("zeroinit epochs", {"epochs="}),
    ],
)
def test_tab_completion(line: str, words: set[str], zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    assert set(zeroinit("-sc", "query=bash").out.split()) == words


def test_tab_completion_does_not_wait_for_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "zeroinit arch=log")
    code = (
        "import sys; from zeroinit.__main__ import main; sys.argv = ['zeroinit', '-sc', 'query=bash']; main()\n"
        "assert 'torch' not in sys.modules and 'mlflow' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["arch=logistic"]), done.stderr


def test_tab_completion_in_bash(tmp_path: Path) -> None:
    """What `eval "$(zeroinit -sc install=bash)"` sets up, asked as bash asks it."""
    command = Path(sys.executable).with_name("zeroinit")
    (tmp_path / "zeroinit").symlink_to(command)
    script = (
        f'PATH="{tmp_path}:$PATH"; eval "$(zeroinit -sc install=bash)"; COMP_LINE="zeroinit arch=cifar"; '
        'COMP_POINT=${#COMP_LINE}; COMP_CWORD=1; hydra_bash_completion; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["arch=cifar_cnn", "arch=cifar_fnn"], done.stderr
