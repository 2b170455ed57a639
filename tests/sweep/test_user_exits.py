"""Code of a user's own that calls sys.exit(0), or raises what is no Exception, is never a success."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ended
from mlflow import MlflowClient
from mlflow.entities import Run

Command = Callable[..., Ended]
QUICK = ("dataset=digits", "arch.hidden=[4]", "steps=20")
QUITS = r"""
import sys

import torch
from zeroinit.arch import FNN


class Early(FNN):
    def __init__(self, *shape, **keys):
        sys.exit(0)


class Stop(BaseException):
    pass


class Late(FNN):
    '''Leaves in its sixth step of training.'''
    steps = 0

    def __init__(self, *shape, how, **keys):
        super().__init__(*shape, **keys)
        self.how = how

    def forward(self, inputs):
        if self.training and torch.is_grad_enabled():
            Late.steps += 1
            if Late.steps > 5:
                sys.exit(0) if self.how == "exit" else self.stop()
        return super().forward(inputs)

    def stop(self):
        if self.how == "unreadable":
            raise ValueError("not \udcff text\0")
        raise KeyboardInterrupt if self.how == "interrupt" else Stop("now")


def rule(tensor):
    sys.exit(0)


def data(generator):
    sys.exit(0)
"""


@pytest.fixture(autouse=True)
def _quits(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("quits.py").write_text(QUITS)
    monkeypatch.delitem(__import__("sys").modules, "quits", raising=False)


def runs(sweep: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    return list(client.search_runs([client.get_experiment_by_name(sweep).experiment_id], "tags.kind = 'run'"))


@pytest.mark.parametrize(
    "key", ["arch._target_=quits.Early", "init.weight._target_=quits.rule", "dataset._target_=quits.data"]
)
@pytest.mark.parametrize("mode", [(), ("-m", "seed=0,1")])
def test_an_exit_before_training_is_bad_input(mode: tuple[str, ...], key: str, zeroinit: Command) -> None:
    ended = zeroinit(*mode, *QUICK, key)
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {key}")
    assert "SystemExit: sys.exit(0) was called (quits.py, line " in line
    assert not Path("mlruns/mlflow.db").exists()


def test_a_module_that_exits_when_it_is_imported(zeroinit: Command) -> None:
    Path("script_of_mine.py").write_text("import sys\n\nsys.exit(0)\n")
    ended = zeroinit(*QUICK, "arch._target_=script_of_mine.Net")
    assert (ended.code, ended.err) == (
        2,
        "zeroinit: arch._target_=script_of_mine.Net: SystemExit: sys.exit(0) was called (script_of_mine.py, line 3)\n",
    )


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("how", "said"), [("exit", "SystemExit: sys.exit(0) was called"), ("stop", "Stop: now")])
@pytest.mark.parametrize("mode", [(), ("-m", "seed=0,1"), ("-m", "seed=0,1", "hydra/launcher=basic")])
def test_an_exit_while_it_trains_is_a_failed_run(mode: tuple[str, ...], how: str, said: str, zeroinit: Command) -> None:
    ended = zeroinit(*mode, *QUICK, "arch._target_=quits.Late", f"+arch.how={how}")
    assert ended.code == 1
    assert f"{said} (quits.py, line " in (ended.err if mode else ended.out)
    ended_runs = runs("sweep" if mode else "zeroinit")
    assert [run.info.status for run in ended_runs] == ["FAILED"] * (2 if mode else 1)
    assert all(run.data.tags["error"].startswith(f"{said} (quits.py, line ") for run in ended_runs)


@pytest.mark.usefixtures("database")
def test_an_error_whose_message_is_no_text_is_kept_all_the_same(zeroinit: Command) -> None:
    ended = zeroinit(*QUICK, "arch._target_=quits.Late", "+arch.how=unreadable")
    assert ended.code == 1
    [run] = runs("zeroinit")
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].startswith(r"ValueError: not \udcff text\0 (quits.py, line ")
    assert r"ValueError: not \udcff text" in ended.err


@pytest.mark.usefixtures("database")
def test_an_exit_in_a_worker_is_a_failed_run(zeroinit: Command) -> None:
    words = ("arch._target_=quits.Late", "+arch.how=exit", "hydra.launcher.workers=2")
    ended = zeroinit("-m", *QUICK, "seed=0,1", *words)
    assert ended.code == 1
    assert len([line for line in ended.err.splitlines() if line.startswith("failed: ")]) == 2
    assert "its worker died" not in ended.err
    assert [run.info.status for run in runs("sweep")] == ["FAILED"] * 2


@pytest.mark.usefixtures("database")
def test_an_interruption_by_the_model_is_an_interruption(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "seed=0,1", "arch._target_=quits.Late", "+arch.how=interrupt")
    assert (ended.code, "interrupted" in ended.err) == (130, True)
    assert [run.info.status for run in runs("sweep")] == ["KILLED"]


def test_an_exit_during_an_audit_is_no_success(zeroinit: Command) -> None:
    ended = zeroinit(*QUICK, "mode=audit", "probe.first_steps=9", "arch._target_=quits.Late", "+arch.how=exit")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith(
        "zeroinit: mode=audit: SystemExit: sys.exit(0) was called (quits.py, line "
    )
