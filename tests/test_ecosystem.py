"""Hydra's own launchers, sweepers and commands on our entrypoint."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

Command = Callable[..., object]
QUICK = ("dataset=digits", "arch=logistic", "steps=20")


def losses() -> dict[tuple[str, str], float]:
    """{(init, seed): test loss} of the finished runs of the experiment `sweep`."""
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("sweep").experiment_id], "tags.kind = 'run'")
    assert {run.info.status for run in found} == {"FINISHED"}
    return {(run.data.params["init"], run.data.params["seeds.init"]): run.data.metrics["test/loss"] for run in found}


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
    ours = zeroinit(*grid, "rerun=true")
    assert losses() == there
    assert len(there) == len(inits)
    tables = [[line.split() for line in one.out.splitlines() if line.startswith("elsewhere")] for one in (theirs, ours)]
    assert tables[0] == tables[1]
    assert len(tables[0]) == len(inits)
    folders = [path for path in Path("mlruns/hydra").glob("*/*/*") if path.name.isdigit()]
    assert len([path for path in folders if (path / ".hydra" / "config.yaml").is_file()]) == 2 * len(inits)


@pytest.mark.usefixtures("database")
def test_runs_under_another_launcher_are_told_one_by_one(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "seed=0,1", "hydra/launcher=basic")
    told = [line for line in ended.err.splitlines() if "test accuracy" in line]
    assert [line.split(":")[0] for line in told] == [
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
    found = yaml.safe_load(path.read_text())
    assert found["best_value"] == max(best.values())
    [chosen, *_] = [run for run in runs if best[run.info.run_id] == found["best_value"]]
    assert {
        key: pytest.approx(float(chosen.data.params[key])) for key in ("bias_scale.value", "optimizer.lr")
    } == found["best_params"]
    assert len([line for line in ended.out.splitlines() if line.startswith("logistic")]) == 5
    assert "Page (report.html), figures, table: " in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra/sweeper=optuna"], "hydra.sweeper.direction=minimize: the value of a run is its best validation"),
        (
            ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "bias_scale.value=interval(-2,-1)"],
            "bias_scale.value=-",
        ),
        (["hydra/sweeper=optuna", "hydra.sweeper.direction=up"], "hydra.sweeper.direction=up: the value of a run"),
        (["hydra/launcher=joblib", "tracker=off", "seed=0,1"], "tracker=off: its runs are known in the process that"),
        (["hydra/launcher=joblib", "optimizer.lr=-1", "seed=0,1"], "optimizer.lr=-1: give a finite number"),
    ],
)
def test_bad_input_is_one_line(words: list[str], said: str, zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, *words)
    assert ended.code == 2
    lines = [line for line in ended.err.splitlines() if "A new study" not in line]
    assert [line.startswith(f"zeroinit: {said}") for line in lines] == [True], ended.err
    assert not Path("mlruns/mlflow.db").exists()


@pytest.mark.usefixtures("database")
def test_a_trial_that_diverges_is_told_and_the_search_goes_on(zeroinit: Command) -> None:
    words = ("hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=4")
    sampled = "hydra/sweeper/sampler=grid"
    ended = zeroinit("-m", *words, sampled, *QUICK, "init=zero_normal", "bias_scale.value=choice(1,3e38)")
    assert ended.code == 1
    assert "failed: bias_scale.value=3e+38 " in ended.err
    assert "Traceback" not in ended.err
    assert len([line for line in ended.out.splitlines() if line.startswith("logistic")]) == 2
    assert re.search(r"Best validation accuracy: [\d.]+%, with bias_scale\.value=1(\.0)? \(", ended.out)


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
    one = zeroinit("--cfg", "job", "--package", "bias_scale")
    assert yaml.safe_load(one.out)["value"] == 1


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
