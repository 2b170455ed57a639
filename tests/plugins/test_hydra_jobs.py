"""Hydra's own features around a job: callbacks, hydra.job.chdir, and folders that cannot be made."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.pictures import fill
from helpers.stored_runs import TWO, histories, runs
from hydra.core.utils import JobReturn, JobStatus

Command = Callable[..., object]
QUICK = ("dataset=xor", "arch=logistic", "steps=2", "probe=none")
CALLBACKS = """
import os
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback

class Mine(Callback):
    def __init__(self, unpicklable=False):
        self.sweep = "none"
        if unpicklable:
            self.held = lambda: None

    def on_multirun_start(self, config, **kwargs):
        self.sweep = "started"
        self.write("multirun_start")

    def on_multirun_end(self, config, **kwargs):
        self.write("multirun_end")

    def on_run_end(self, config, job_return, **kwargs):
        self.write("run_end")

    def on_job_start(self, config, task_function, **kwargs):
        self.seed = config.seed
        folder = Path(config.hydra.runtime.output_dir)
        assert (folder / ".hydra" / "config.yaml").is_file()
        assert task_function.__name__ == "task"
        assert HydraConfig.get().runtime.output_dir == config.hydra.runtime.output_dir
        self.write(f"start {config.seed} {self.sweep} {os.environ.get('X')}")

    def on_job_end(self, config, job_return, **kwargs):
        assert self.seed == config.seed == job_return.cfg.seed
        value = job_return._return_value
        told = f"{value:.2f}" if isinstance(value, float) else type(value).__name__
        self.write(f"end {config.seed} {job_return.status.name} {told}")

    def write(self, line):
        with open("called.txt", "a") as file:
            file.write(f"{os.getpid()} {line}\\n")

class Broken(Callback):
    def on_job_start(self, config, **kwargs):
        raise ValueError("out of tape")
"""
MINE = "+hydra.callbacks.mine._target_=job_callbacks.Mine"


@pytest.fixture(autouse=True)
def _callbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    Path("job_callbacks.py").write_text(CALLBACKS)


def called() -> list[str]:
    return [line.partition(" ")[2] for line in Path("called.txt").read_text().splitlines()]


def processes(of: str) -> set[str]:
    lines = Path("called.txt").read_text().splitlines()
    return {line.partition(" ")[0] for line in lines if line.split()[1] == of}


@pytest.mark.usefixtures("database")
def test_callbacks_are_called_once_for_each_member_of_a_stack(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, MINE, "+hydra.job.env_set.X=1", "seed=0,1,2")
    assert ended.code == 0
    assert "Callback" not in ended.err  # such as: Mine.on_job_start raised AssertionError
    assert {run.data.tags["stack_size"] for run in runs()} == {"3"}
    best = {run.data.params["seeds.init"]: max(dict(histories(run)["val/accuracy"]).values()) for run in runs()}
    assert called() == [
        "multirun_start",
        *[f"start {seed} started 1" for seed in range(3)],
        *[f"end {seed} COMPLETED {best[str(seed)]:.2f}" for seed in range(3)],
        "multirun_end",
    ]


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("word", [MINE, "+hydra.callbacks.mine={_target_: job_callbacks.Mine, unpicklable: true}"])
def test_callbacks_are_called_in_the_worker(word: str, zeroinit: Command) -> None:
    """One that cannot be sent to a worker is made anew there, without what it was told at the sweep's start."""
    ended = zeroinit("-m", *QUICK, word, "arch=logistic,fnn", "seed=0", TWO)
    assert ended.code == 0
    sweep = "started" if word == MINE else "none"
    lines = called()
    assert (lines[0], lines[-1]) == ("multirun_start", "multirun_end")
    assert sum(line == f"start 0 {sweep} None" for line in lines) == 2
    assert sum(line.startswith("end 0 COMPLETED ") for line in lines) == 2
    assert processes("start") == processes("end")
    assert not processes("start") & processes("multirun_start")


@pytest.mark.usefixtures("database")
def test_a_run_that_fails_ends_its_job_as_failed(zeroinit: Command) -> None:
    words = ("optimizer=sgd", "optimizer.lr=1e30", "dataset=planar", "arch=fnn", "steps=30", "probe=none", MINE)
    assert zeroinit("-m", *words, "seed=0").code == 1
    assert called()[1:3] == ["start 0 started None", "end 0 FAILED RunFailed"]
    Path("called.txt").unlink()
    ended = zeroinit(*words, "seed=0")
    assert ended.code == 1
    assert called() == ["start 0 none None", "end 0 FAILED Ended", "run_end"]
    assert "Traceback" not in ended.err
    assert "Error executing job" not in ended.err


def test_bad_input_of_a_single_run_ends_its_job_too(zeroinit: Command) -> None:
    ended = zeroinit(*QUICK, MINE, "dataset.batch_size=99")
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith("zeroinit: dataset.batch_size=99: ")
    assert called() == ["start 0 none None", "end 0 FAILED Ended", "run_end"]


@pytest.mark.usefixtures("database")
def test_an_exception_of_a_callback_is_a_warning_as_hydras_is(zeroinit: Command) -> None:
    word = "+hydra.callbacks.broken._target_=job_callbacks.Broken"
    with pytest.warns(UserWarning, match=r"Callback Broken.on_job_start raised ValueError: out of tape"):
        assert zeroinit("-m", *QUICK, word, "seed=0,1").code == 0
    assert [run.info.status for run in runs()] == ["FINISHED"] * 2


@pytest.mark.usefixtures("database")
def test_hydras_own_callback_keeps_what_a_job_returned(zeroinit: Command) -> None:
    word = "+hydra.callbacks.save._target_=hydra.experimental.callbacks.PickleJobInfoCallback"
    assert zeroinit("-m", *QUICK, word, "seed=0,1", "hydra.sweep.dir=out").code == 0
    for number in range(2):
        returned: JobReturn = pickle.loads(Path(f"out/{number}/.hydra/job_return.pickle").read_bytes())
        assert returned.status == JobStatus.COMPLETED
        assert returned.return_value in (0.25, 0.5, 0.75, 1.0)
        assert set(returned.overrides) == {*QUICK, f"seed={number}"}
        assert returned.cfg.seed == number
        assert returned.hydra_cfg.hydra.job.num == number


# hydra.job.chdir

WRITES = """
from zeroinit.arch import Logistic

class Net(Logistic):
    def forward(self, inputs):
        open("of_the_job.txt", "a").close()
        return super().forward(inputs)
"""


@pytest.mark.usefixtures("database")
def test_chdir_leaves_the_store_where_the_command_was_typed(zeroinit: Command) -> None:
    Path("writes_here.py").write_text(WRITES)
    words = (*QUICK, "arch._target_=writes_here.Net")
    ended = zeroinit(*words, "hydra.job.chdir=true", "hydra.run.dir=job")
    assert ended.code == 0
    assert "Charts:  zeroinit ui zeroinit\n" in ended.out  # without --uri: it is the store of the folder
    [run] = runs("zeroinit")
    assert run.info.status == "FINISHED"
    assert {path.name for path in Path("job").iterdir()} == {".hydra", "of_the_job.txt"}
    assert "It was trained before" in zeroinit(*words, "hydra.job.chdir=true", "hydra.run.dir=other").out
    assert "It was trained before" in zeroinit(*words).out


def test_chdir_leaves_relative_paths_as_they_were_typed(
    empty_database: Path, tmp_path: Path, zeroinit: Command
) -> None:
    fill(tmp_path / "data")
    Path("mine.db").write_bytes(empty_database.read_bytes())
    ended = zeroinit(
        "dataset=image_folder",
        "dataset.folder=data",
        "dataset.cache=decoded",
        "dataset.val_fraction=0.25",
        "dataset.batch_size=3",
        "arch=logistic",
        "steps=2",
        "tracker.uri=sqlite:///mine.db",
        "hydra.job.chdir=true",
        "hydra.run.dir=job",
    )
    assert ended.code == 0
    assert [path.name for path in Path("job").iterdir()] == [".hydra"]
    assert list(Path("decoded").glob("*.npy"))
    assert [path.name for path in Path("mlruns").iterdir()] == ["spool"]
    assert Path("artifacts/zeroinit").is_dir()


def test_a_sweep_refuses_chdir(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "hydra.job.chdir=true", "seed=0,1")
    assert ended.code == 2
    assert ended.err.startswith("zeroinit: hydra.job.chdir=true: runs of a sweep train together")


# Folders that cannot be made


@pytest.mark.usefixtures("database")
def test_a_job_without_a_folder_fails_alone(zeroinit: Command) -> None:
    """Also where it would train in a stack with the others."""
    Path("out").mkdir()
    Path("out/1").write_text("a file")
    ended = zeroinit("-m", *QUICK, MINE, "seed=0,1,2", "hydra.sweep.dir=out")
    assert ended.code == 1
    [line] = [line for line in ended.err.splitlines() if "failed" in line]
    assert "its folder out/1 cannot be written to (" in line
    assert "seed=1" in line
    assert "Traceback" not in ended.err
    by_seed = {run.data.params["seeds.init"]: run for run in runs()}
    assert {seed: run.info.status for seed, run in by_seed.items()} == {"0": "FINISHED", "1": "FAILED", "2": "FINISHED"}
    assert by_seed["0"].data.tags["stack_size"] == "2"
    assert "its folder out/1 cannot be written to" in by_seed["1"].data.tags["error"]
    assert not [line for line in called() if " 1 " in line]  # Hydra calls no callback of such a job
    assert len([line for line in called() if " 0 " in line or " 2 " in line]) == 4
    Path("out/1").unlink()
    ended = zeroinit("-m", *QUICK, "seed=0,1,2", "hydra.sweep.dir=out")
    assert ended.code == 0
    assert "2 of 3 runs were trained before" in ended.out


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("hydra.run.dir=out",), "hydra.run.dir=out/.hydra"),
        (("hydra.run.dir=out/deep",), "hydra.run.dir=out/deep/.hydra"),
        (("-m", "hydra.sweep.dir=out", "seed=0,1"), "hydra.sweep.dir=out"),
    ],
)
def test_a_command_without_a_folder_is_told_in_one_line(
    words: tuple[str, ...], key: str, database: Path, zeroinit: Command
) -> None:
    Path("out").write_text("a file")
    ended = zeroinit(*words, *QUICK)
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {key}: ")
    assert line.endswith("; give a folder that can be written to")
