"""hydra.job.env_set: the variables of a job, wherever what it needs is built, checked and trained."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.stored_runs import TWO, runs
from mlflow import MlflowClient

from zeroinit import build
from zeroinit.config import Job
from zeroinit.diagnostics import lint
from zeroinit.environment import environment

Command = Callable[..., object]
READS_X = """
import os, pathlib
import torch
from zeroinit.arch import Logistic
from zeroinit.dataset import Data

def write(part):
    with open("read.txt", "a") as file:
        file.write(f"{part} {os.environ['X']} {os.getpid()}\\n")

def gain():
    write("argument")
    return 1

def fill(tensor, gain=1):
    write("rule")
    tensor.fill_(float(os.environ["X"]))

class Net(Logistic):
    def __init__(self, *shape):
        write("arch")
        super().__init__(*shape)

    def forward(self, inputs):
        if self.training:
            write("forward")
        return super().forward(inputs)

def points(generator):
    write("data")
    inputs = torch.arange(8.0).reshape(4, 2) * float(os.environ["X"])
    return Data(*[(inputs, torch.tensor([0, 1, 0, 1]))] * 3, num_classes=2)
"""
QUICK = ("dataset=xor", "arch=logistic", "steps=2", "probe=none")
MINE = ("dataset._target_=reads_x.points", "arch._target_=reads_x.Net", "init.weight._target_=reads_x.fill")


@pytest.fixture(autouse=True)
def _mine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.delenv("X", raising=False)
    Path("reads_x.py").write_text(READS_X)


def read_calls() -> set[tuple[str, str]]:
    """(part, value of X) of each call."""
    return {tuple(line.split()[:2]) for line in Path("read.txt").read_text().splitlines()}


def init_of(run: object) -> str:
    return (Path(run.info.artifact_uri.removeprefix("file://")) / "init.csv").read_text()


@pytest.mark.usefixtures("database")
def test_a_sweep_sets_the_variables_as_a_single_run_does(zeroinit: Command) -> None:
    words = (*QUICK, *MINE, "+hydra.job.env_set.X=3", "sweep=both")
    ended = zeroinit("-m", *words, "seed=0,1")
    assert ended.code == 0
    assert read_calls() == {(part, "3") for part in ("rule", "arch", "data", "forward")}
    assert "X" not in os.environ
    for run in runs("both"):
        assert run.info.status == "FINISHED"
        assert run.data.params["hydra.job.env_set.X"] == "3"
        assert run.data.tags["stack_size"] == "1"  # Net has a forward of its own
    single = zeroinit(*words, "seed=1")
    assert "It was trained before" in single.out
    other = zeroinit(*QUICK, *MINE, "+hydra.job.env_set.X=4", "sweep=both", "seed=1")
    assert "It was trained before" not in other.out
    assert len(runs("both")) == 3
    assert "X" not in os.environ


@pytest.mark.usefixtures("database")
def test_workers_set_them_too_and_each_job_its_own(zeroinit: Command) -> None:
    """X is 1 and the seed. The runs have zeroinit's own net, so that they would share a stack if X were the same."""
    words = (*QUICK, "init.weight._target_=reads_x.fill", "+hydra.job.env_set.X=1${seed}", "seed=0,1")
    ended = zeroinit("-m", *words, TWO)
    assert ended.code == 0
    by_seed = {run.data.params["seeds.init"]: run for run in runs()}
    for seed, run in by_seed.items():
        assert run.data.params["hydra.job.env_set.X"] == f"1{seed}"
        assert run.data.tags["stack_size"] == "1"
        assert f",1{seed}.0," in init_of(run) or f",1{seed}," in init_of(run)
    assert len({run.data.tags["cell_hash"] for run in by_seed.values()}) == 2
    parent = str(os.getpid())
    processes = {line.split()[2] for line in Path("read.txt").read_text().splitlines()}
    assert parent in processes  # the check
    assert len(processes) > 1
    assert read_calls() == {("rule", "10"), ("rule", "11")}


@pytest.mark.usefixtures("database")
def test_jobs_with_the_same_variables_share_a_stack(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "init.weight._target_=reads_x.fill", "+hydra.job.env_set.X=1", "seed=0,1")
    assert ended.code == 0
    assert {run.data.tags["stack_size"] for run in runs()} == {"2"}


def test_the_variables_are_part_of_the_identity(job_of: Callable[..., Job]) -> None:
    plain, first, other = (
        job_of(*QUICK, *words)
        for words in ((), ("+hydra.job.env_set.X=1",), ("+hydra.job.env_set={X: 2, MLFLOW_TRACKING_URI: any}",))
    )
    assert len({job.config_hash for job in (plain, first, other)}) == 3
    assert len({job.cell_hash for job in (plain, first, other)}) == 3
    assert other.config_hash == job_of(*QUICK, "+hydra.job.env_set.X=2").config_hash  # a store changes no number
    assert "hydra.job.env_set.MLFLOW_TRACKING_URI" not in other.params
    assert other.config_hash == job_of(*QUICK, "seed=0", "+hydra.job.env_set.X=2").config_hash


def test_env_copy_is_a_variable_too(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "1")
    assert job_of(*QUICK, "hydra.job.env_copy=[X]").config_hash == job_of(*QUICK, "+hydra.job.env_set.X=1").config_hash


@pytest.mark.usefixtures("database")
def test_a_variable_may_refer_to_keys_in_a_single_run_too(zeroinit: Command) -> None:
    words = (*QUICK, "init.weight._target_=reads_x.fill", "+hydra.job.env_set.X=1${seed}")
    assert zeroinit(*words, "seed=2").code == 0
    [run] = runs("zeroinit")
    assert run.data.params["hydra.job.env_set.X"] == "12"
    assert read_calls() == {("rule", "12")}


def test_a_value_that_refers_to_a_variable_of_its_job(job_of: Callable[..., Job]) -> None:
    job = job_of("arch.activation=${oc.env:X}", "+hydra.job.env_set.X=tanh")
    assert job.config.arch.arguments["activation"] == "tanh"


def test_caches_tell_jobs_apart(job_of: Callable[..., Job]) -> None:
    """The same config in one process, with two values of a variable that data, rule and arch read."""
    words = (*QUICK, *MINE, "+init.weight.gain._target_=reads_x.gain")
    jobs = [job_of(*words, f"+hydra.job.env_set.X={value}") for value in (1, 2)]
    build.check(jobs)
    assert read_calls() == {(part, value) for part in ("argument", "rule", "arch", "data", "forward") for value in "12"}
    assert len({build.identity_of(job).split("-")[1] for job in jobs}) == 2
    lint.known.clear()
    for job in jobs:
        with environment(job.variables):
            data = build.load(job.config, build.set_up_torch(job.config))
            assert data.train[0].max() == 7 * int(job.variables["X"])
            lint.findings(job.config, data, *build.build(job.config, data)[::2])
    assert len(lint.known) == 2


def test_secrets_are_not_kept(job_of: Callable[..., Job]) -> None:
    words = ("+hydra.job.env_set={MY_TOKEN: abc, API_KEY: abc, DB: 'http://me:abc@host'}",)
    assert "abc" not in json.dumps(job_of(*QUICK, *words).params)


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "before")
    monkeypatch.delenv("Y", raising=False)

    def read_and_raise() -> None:
        with environment({"X": "1", "Y": "2"}):
            raise KeyError(os.environ["X"] + os.environ["Y"])

    with pytest.raises(KeyError, match="12"):
        read_and_raise()
    assert os.environ["X"] == "before"
    assert "Y" not in os.environ


@pytest.mark.parametrize("multirun", [(), ("-m", "hydra.launcher.workers=1")])
@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "hydra.job.env_copy=[NOWHERE]",
            "hydra.job.env_copy=[NOWHERE]: there is no environment variable NOWHERE; set it",
        ),
        ("+hydra.job.env_set={a-b: 1}", "hydra.job.env_set.a-b: give a name of letters, digits and _"),
        ("+hydra.job.env_set.X=${nothing}", "hydra.job.env_set.X: Interpolation key 'nothing' not found"),
        ("+hydra.job.env_set.OMP_NUM_THREADS=2", "hydra.job.env_set.OMP_NUM_THREADS=2: torch reads it before any"),
        (
            "+hydra.job.env_set.ZEROINIT_KERNELS=native",
            "hydra.job.env_set.ZEROINIT_KERNELS=native: torch reads it before",
        ),
    ],
)
def test_bad_input_is_one_line(word: str, said: str, multirun: tuple[str, ...], zeroinit: Command) -> None:
    ended = zeroinit(*multirun, *QUICK, word)
    assert ended.code == 2
    [line] = ended.err.splitlines()
    assert line.startswith(f"zeroinit: {said}")
    assert not Path("mlruns/mlflow.db").exists()


def test_the_store_of_a_sweep_is_the_one_that_its_jobs_set(empty_database: Path, zeroinit: Command) -> None:
    Path("elsewhere").mkdir()
    Path("elsewhere/mlflow.db").write_bytes(empty_database.read_bytes())
    store = "+hydra.job.env_set.MLFLOW_TRACKING_URI=sqlite:///elsewhere/mlflow.db"
    ended = zeroinit("-m", *QUICK, store, "seed=0,1")
    assert ended.code == 0
    assert not Path("mlruns/mlflow.db").exists()
    client = MlflowClient(f"sqlite:///{Path.cwd()}/elsewhere/mlflow.db")
    experiment = client.get_experiment_by_name("sweep")
    assert len(client.search_runs([experiment.experiment_id])) == 3  # with the summary
    ended = zeroinit("-m", *QUICK, "+hydra.job.env_set.MLFLOW_TRACKING_URI='sqlite:///${seed}.db'", "seed=0,1")
    assert ended.code == 2
    assert "MLFLOW_TRACKING_URI: all runs of a sweep are stored in one store" in ended.err
