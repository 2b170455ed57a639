"""The command, as a user runs it: single runs, sweeps, what fails, what is kept and what is printed."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.runs_table import rows_of_runs
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from zeroinit import cli
from zeroinit.__main__ import import_cli
from zeroinit.config import Job
from zeroinit.probes import observer
from zeroinit.signals import never_lose_interruptions
from zeroinit.sweep import stacking
from zeroinit.sweep.messages import best_val_score
from zeroinit.sweep.runner import run_in_worker, run_jobs
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.scores import ACCURACY, ScoreValue
from zeroinit.tracker.spool import Spool
from zeroinit.training import loop
from zeroinit.training.cohort import Member

pytestmark = pytest.mark.usefixtures("database")

Command = Callable[..., object]
LINES_OF_A_SCREEN = 55  # of a full-screen terminal
QUICK = ("dataset=digits", "arch=logistic", "steps=30")


def runs(sweep: str, kind: str = "run") -> list[Run]:
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name(sweep)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", order_by=["start_time ASC"]))


@pytest.fixture
def _one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is small enough for a stack."""
    monkeypatch.setattr(stacking, "MAX_CPU_PARAMETERS", 0)


def artifact(run: Run, name: str) -> Path:
    return Path(run.info.artifact_uri.removeprefix("file://")) / name


def histories(run: Run) -> dict[str, list[tuple[int, float]]]:
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    return {
        name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


@pytest.fixture(scope="module")
def single_folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A folder with a store, in which one run trains for the tests of a single run."""
    folder = tmp_path_factory.mktemp("single")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns" / "mlflow.db")
    return folder


@pytest.fixture
def single_run(single_folder: Path, zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Run]:
    """What the command of a single run printed, and the run."""
    monkeypatch.chdir(single_folder)
    printed = Path("printed.txt")
    if not printed.exists():
        words = "dataset=digits", "arch.hidden=[16]", "init=zero_normal", "epochs=3", "optimizer.lr=0.01", "save=true"
        ended = zeroinit(*words)
        assert ended.code == 0, ended.err
        printed.write_text(ended.out)
    [run] = runs("zeroinit")
    return printed.read_text(), run


def test_a_single_run_prints_its_result_and_where_to_look(single_run: tuple[str, Run]) -> None:
    out, run = single_run
    assert run.info.status == "FINISHED"
    assert re.search(
        r"fnn zero_normal x1 seed 0 dataset=digits .*: test accuracy [\d.]+%, loss [\d.]+, [a-z-]+ \(.+\)", out
    )
    assert out.splitlines()[-2:] == ["Charts:  zeroinit ui zeroinit", "Python:  zeroinit.load('zeroinit')"]


def test_a_single_run_has_the_metrics_that_later_work_reads(single_run: tuple[str, Run]) -> None:
    _, run = single_run
    splits = {f"{split}/{name}" for split in ("train", "val", "test") for name in ("loss", "accuracy")}
    parts = [f"{layer}/{part}" for layer in ("hidden1", "output") for part in ("norm", "zeros", "p05", "p50", "p95")]
    symmetry = {f"symmetry/hidden1/{part}" for part in ("distinct", "cosine")}
    first_gradients = {
        f"{name}/{layer}" for name in ("first_gradient", "first_gradient_predicted") for layer in ("hidden1", "output")
    }
    assert set(run.data.metrics) == splits | {f"grad/{part}" for part in parts} | symmetry | first_gradients


def test_a_single_run_is_measured_at_the_documented_steps(single_run: tuple[str, Run]) -> None:
    taken = histories(single_run[1])
    assert taken["first_gradient/hidden1"] == [(2, 2)]
    assert taken["first_gradient/output"] == [(1, 1)]
    assert taken["first_gradient_predicted/hidden1"] == [(0, 2)]
    assert [step for step, _ in taken["val/loss"]] == [0, 10, 20, 30]
    assert [step for step, _ in taken["grad/output/norm"]] == [*range(1, 21), 26]
    assert taken["grad/hidden1/zeros"][0] == (1, 1.0)


def test_a_single_run_has_the_tags_and_params_that_later_work_reads(single_run: tuple[str, Run]) -> None:
    _, run = single_run
    hashes = {"sweep", "config_hash", "cell_hash", "outcome", "outcome_reason", "arithmetic", "device"}
    times = {"train_seconds", "samples_per_second", "tracking_seconds"}
    versions = {"version.torch", "version.zeroinit", "git.commit", "git.dirty"}
    assert hashes | times | versions <= set(run.data.tags)
    assert float(run.data.tags["tracking_seconds"]) > 0
    assert run.data.params["init"] == "zero_normal"


def test_a_single_run_keeps_its_init_its_histograms_and_its_weights(single_run: tuple[str, Run]) -> None:
    _, run = single_run
    assert artifact(run, "init.csv").read_text().splitlines()[:2] == [
        "parameter,shape,rule,mean,std,zeros,rule_mean,rule_std,rule_mean_error,rule_std_error,role",
        "hidden1.weight,16x64,zeros_(),0.0,0.0,1.0,0.0,0.0,0.0,0.0,weight",
    ]
    with np.load(artifact(run, "histograms.npz")) as histograms:
        assert histograms["steps"].tolist() == [*range(1, 21), 26]
        assert histograms["hidden1/zeros"][0] == 16 * 64
        rest = sum(histograms[f"output/{part}"] for part in ("zeros", "nan", "inf"))
        whole = histograms["output/counts"].sum(axis=(1, 2)) + rest
        assert (whole == 160).all()
    assert set(torch.load(artifact(run, "weights.pt"))) == {
        f"{layer}.{part}" for layer in ("hidden1", "output") for part in ("weight", "bias")
    }


def test_every_probe(zeroinit: Command) -> None:
    """Of a net whose neurons are copies of one another: an init constant in each layer, of a width that stays tied."""
    words = ("dataset=digits", "arch.hidden=[8,8]", "init=layer_constant", "steps=26", "probe=all")
    assert zeroinit(*words, "probe.first_steps=4", "probe.per_decade=2", "probe.curvature=[0,10]").code == 0
    [run] = runs("zeroinit")
    taken = histories(run)
    layers, steps = ("hidden1", "hidden2", "output"), [0, 1, 2, 3, 4, 10, 13]  # 10 for the curvature
    for layer in layers:
        assert [step for step, _ in taken[f"weight/{layer}/norm"]] == steps
        assert [step for step, _ in taken[f"weight/{layer}/update"]] == steps[1:]
        assert [step for step, _ in taken[f"weight/{layer}/angle"]] == steps[1:]
        assert [step for step, _ in taken[f"grad/{layer}/norm"]] == steps[1:]
    for layer in layers[:2]:
        for name, looked_at in (("distinct", steps), ("cosine", steps), ("clusters", steps[::2]), ("rank", steps[::2])):
            assert [step for step, _ in taken[f"symmetry/{layer}/{name}"]] == looked_at
            assert [value for _, value in taken[f"symmetry/{layer}/{name}"]] == pytest.approx(
                [1] * len(looked_at), abs=1e-4
            )
        for name in ("dead", "saturated", "mean", "variance"):
            assert [step for step, _ in taken[f"activation/{layer}/{name}"]] == steps
    for block in ("curvature", "curvature/weights"):
        for name in ("gradient", "smallest", "largest"):
            assert [step for step, _ in taken[f"{block}/{name}"]] == [0, 10]
    assert not any(name.startswith(("symmetry/output", "activation/output")) for name in taken)


def test_no_probe(zeroinit: Command) -> None:
    assert zeroinit("dataset=digits", "arch.hidden=[8]", "steps=5", "probe=none").code == 0
    [run] = runs("zeroinit")
    assert {name.split("/")[0] for name in run.data.metrics} == {"train", "val", "test"}
    assert not artifact(run, "histograms.npz").exists()
    ended = zeroinit("-m", "dataset=digits", "arch.hidden=[8]", "steps=5", "probe=none", "seed=0,1")
    assert ended.code == 0
    assert "Report:  file://" in ended.out


def test_a_probe_that_does_not_apply_is_told_once(zeroinit: Command) -> None:
    reason = "logistic: symmetry is left out: it is of hidden neurons, and the net has no hidden layer"
    assert zeroinit(*QUICK).err.count(reason) == 1
    assert zeroinit("-m", *QUICK, "seed=0,1", "arch=logistic,fnn").err.count(reason) == 1
    assert [run.data.tags.get("skipped_probes") for run in runs("zeroinit")] == [reason]
    assert {run.data.params["arch"]: run.data.tags.get("skipped_probes") for run in runs("sweep")} == {
        "logistic": reason,
        "fnn": None,
    }
    assert "left out" not in zeroinit(*QUICK, "probe.measure=[gradient]", "rerun=true").err


def test_the_same_command_twice_is_bit_equal(zeroinit: Command) -> None:
    for _ in range(2):
        zeroinit("dataset=digits", "arch.hidden=[20]", "steps=40", "save=true", "seed=3", "rerun=true")
    first, again = runs("zeroinit")
    assert histories(first) == histories(again)
    a, b = (torch.load(artifact(run, "weights.pt")) for run in (first, again))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert first.data.tags["config_hash"] == again.data.tags["config_hash"]


@pytest.mark.usefixtures("_figures")
def test_a_grid(zeroinit: Command) -> None:
    """One experiment, flat runs, one summary with table and figures, a table a cell, files a job."""
    ended = zeroinit("-m", *QUICK, "init=zero,zero_normal", "bias_scale.value=0.1,1", "seed=range(2)", "sweep=mine")
    assert ended.code == 0
    assert len(runs("mine")) == 8
    assert len({run.data.tags["config_hash"] for run in runs("mine")}) == 8
    assert len({run.data.tags["cell_hash"] for run in runs("mine")}) == 4
    assert not any("mlflow.parentRunId" in run.data.tags for run in runs("mine"))
    table = [line.split() for line in ended.out.splitlines() if line.startswith("logistic")]
    assert [row[:4] for row in table] == [
        ["logistic", value, init, n] for value in ("0.1", "1") for init, n in (("zero", "2†"), ("zero_normal", "2"))
    ]
    assert all(re.fullmatch(r"\d+\.\d%, \d+\.\d%", f"{row[4]} {row[5]}") for row in table)
    assert "8/8 runs" in ended.err
    assert "dataset=digits dataset.batch_size=128 steps=30 optimizer=adam optimizer.lr=0.001; after the" in ended.out
    [summary] = runs("mine", "summary")
    assert summary.info.run_name == "summary"
    assert summary.data.metrics == {}
    files = sorted(artifact(summary, "").iterdir())
    assert [path.name for path in files] == [
        "boxes.png",
        "comparison.png",
        "gradients.png",
        "map.png",
        "report.html",
        "summary.csv",
        "sweep.json",
        "wave.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files if path.suffix == ".png")
    lines = artifact(summary, "summary.csv").read_text().splitlines()
    assert lines[0] == (
        "arch,init,bias_scale.value,n,counted,accuracy,std,interval,low,high,"
        "difference,difference_interval,comparisons,direction,loss,outcomes"
    )
    assert len(lines) == 5
    [folder] = Path("mlruns/hydra").glob("*/*")
    for index in range(8):
        assert (folder / str(index) / ".hydra" / "config.yaml").is_file()
    assert yaml.safe_load((folder / "3" / ".hydra" / "overrides.yaml").read_text()) == [
        "seed=0",
        *QUICK,
        "init=zero_normal",
        "bias_scale.value=1",
        "sweep=mine",
    ]


def test_the_next_sweep_replaces_the_summary_and_adds_its_seeds(zeroinit: Command) -> None:
    zeroinit("-m", *QUICK, "seed=0,1")
    again = zeroinit("-m", *QUICK, "seed=1,2,3", "rerun=true")  # seed 1 again: its newest run counts, once
    assert len(runs("sweep")) == 5
    assert len(runs("sweep", "summary")) == 1
    [row] = [line.split() for line in again.out.splitlines() if line.startswith("logistic")]
    assert row[3] == "4"
    other = zeroinit("-m", *QUICK, "seed=0,1", "optimizer.lr=0.01")  # another cell: nothing to add to
    [row] = [line.split() for line in other.out.splitlines() if line.startswith("logistic")]
    assert row[3] == "2"


@pytest.mark.usefixtures("_one_by_one")
def test_the_basic_launcher_gives_the_same_metrics_as_ours_one_by_one(zeroinit: Command) -> None:
    grid = ("-m", *QUICK, "init=zero_normal,default", "seed=0,1")
    ours, theirs = zeroinit(*grid, "sweep=ours"), zeroinit(*grid, "sweep=theirs", "hydra/launcher=basic")
    assert (ours.code, theirs.code) == (0, 0)
    assert [histories(run) for run in runs("ours")] == [histories(run) for run in runs("theirs")]
    assert [line for line in ours.out.splitlines() if "logistic" in line] == [
        line for line in theirs.out.splitlines() if "logistic" in line
    ]


def test_a_run_that_diverges_is_told_and_the_sweep_goes_on(zeroinit: Command) -> None:
    ended = zeroinit("-m", *QUICK, "dataset=digits", "init=ones", "optimizer=sgd", "optimizer.lr=1e38,0.1")
    assert ended.code == 1
    assert re.search(r"failed: .* optimizer.lr=1e\+38: diverged: the loss is not finite at step \d+\n", ended.err)
    good, bad = sorted(runs("sweep"), key=lambda run: float(run.data.params["optimizer.lr"]))
    assert (bad.info.status, bad.data.tags["outcome"]) == ("FAILED", "diverged")
    assert int(bad.data.tags["diverged_at"]) > 0
    assert all(np.isfinite(value) and value < 1e300 for points in histories(bad).values() for _, value in points)
    assert good.info.status == "FINISHED"
    assert re.search(r"logistic +1 +1e\+38 +ones +0 +- +- +diverged", ended.out)


def test_a_single_run_that_diverges_exits_1(zeroinit: Command) -> None:
    ended = zeroinit(*QUICK, "init=ones", "optimizer=sgd", "optimizer.lr=1e38", "tracker=off")
    assert ended.code == 1
    assert "diverged: the loss is not finite at step" in ended.out


@pytest.mark.usefixtures("_one_by_one")
@pytest.mark.parametrize("launcher", ["hydra.launcher.workers=1", "hydra/launcher=basic"])
def test_a_run_that_raises_is_told_in_one_line_and_the_others_go_on(
    launcher: str, zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.train

    def faulty(members: list[Member], *args: object, **kwargs: object) -> object:
        if members[0].model[-1].bias.std() > 1:  # the runs at scale 100
            raise ArithmeticError("a bug of ours")
        return real(members, *args, **kwargs)

    monkeypatch.setattr(loop, "train", faulty)
    ended = zeroinit("-m", *QUICK, "init=zero_normal", "bias_scale.value=100,0.1", launcher)
    assert ended.code == 1
    [line] = [line for line in ended.err.splitlines() if line.startswith("failed:")]
    assert re.search(
        r"bias_scale\.value=100: ArithmeticError: a bug of ours \(test_cli\.py, line \d+\) \(traceback in ", line
    )
    assert "in faulty" in Path(re.search(r"traceback in (.*)\)", line)[1]).read_text()
    assert "Traceback" not in ended.err
    assert [run.info.status for run in runs("sweep")] == ["FAILED", "FINISHED"]
    assert runs("sweep")[0].data.tags["error"].startswith("ArithmeticError: a bug of ours (test_cli.py, line ")


def test_a_bug_in_a_single_run_keeps_its_traceback(zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*args: object, **kwargs: object) -> None:
        raise ArithmeticError("a bug of ours")

    monkeypatch.setattr(loop, "train", faulty)
    ended = zeroinit(*QUICK)
    assert ended.code == 1
    assert "in faulty" in ended.err
    assert runs("zeroinit")[0].info.status == "FAILED"


@pytest.mark.usefixtures("_one_by_one")
@pytest.mark.parametrize("launcher", ["hydra.launcher.workers=1", "hydra/launcher=basic"])
def test_an_interruption_keeps_what_is_done(launcher: str, zeroinit: Command) -> None:
    real, calls = loop.train, []

    def interrupted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train", interrupted)
        ended = zeroinit("-m", *QUICK, "init=zero,zero_normal,ones", launcher)
    assert ended.code == 130
    assert [run.info.status for run in runs("sweep")] == ["FINISHED", "KILLED"]
    assert ended.err.splitlines()[-1] == (
        "zeroinit: interrupted; what is finished is kept, and the same command goes on"
    )
    assert "Traceback" not in ended.err
    again = zeroinit("-m", *QUICK, "init=zero,zero_normal,ones", launcher)
    assert "1 of 3 runs were trained before" in again.out
    assert [run.info.status for run in runs("sweep")] == ["FINISHED", "KILLED", "FINISHED", "FINISHED"]


def test_sigterm_is_an_interruption_as_ctrl_c_is(zeroinit: Command) -> None:
    """So one of them is sent below, and the other to a sweep in test_launcher.py."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    zeroinit("--version")
    assert signal.signal(signal.SIGTERM, before) is signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_marks_the_run_killed() -> None:
    """In a process of its own, by the signal itself."""
    command = [sys.executable, "-m", "zeroinit", "dataset=digits", "arch.hidden=[20]", "steps=10000000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240  # it takes 7 s on a quiet machine
        while not rows_of_runs() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert [run.info.status for run in runs("zeroinit")] == ["KILLED"]


def test_a_store_that_fails_for_a_moment_costs_no_run(zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written while it trained is written with its end."""
    monkeypatch.setattr(observer, "RENEW_SECONDS", 0)
    monkeypatch.setattr(observer, "PAUSE_SECONDS", 0)
    real, calls = Mlflow.write_progress, []

    def write_progress(self: Mlflow, records: list[Record]) -> None:
        calls.append(records)
        if len(calls) == 1:
            raise OSError("the disk is busy")
        real(self, records)

    monkeypatch.setattr(Mlflow, "write_progress", write_progress)
    ended = zeroinit(*QUICK)
    assert ended.code == 0, ended.err
    assert len(calls) > 2
    [run] = runs("zeroinit")
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "val/accuracy")]
    assert (run.info.status, steps[0], steps[-1]) == ("FINISHED", 0, 30)


def test_the_last_accuracy_is_told(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the training ends before it is time to tell again."""
    monkeypatch.setattr("zeroinit.sweep.runner.REPORT_SECONDS", 1e9)
    reports: list[tuple[float, ScoreValue | None]] = []
    tracker = Off()
    tracker.open("sweep")
    [record] = run_in_worker(
        [job_of(*QUICK, "tracker=off")], "alone", False, tracker, Spool.for_tracker(tracker), reports.append
    )
    assert reports[-1] == (1.0, (ACCURACY, record.last("val/accuracy")))


def test_a_closed_pipe_costs_no_summary() -> None:
    words = "-m zeroinit -m dataset=xor steps=2 seed=0,1 hydra.launcher.workers=1"
    done = subprocess.run(f"{sys.executable} {words} | true", shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert len(runs("sweep")) == 2
    [summary] = runs("sweep", "summary")
    assert (Path(summary.info.artifact_uri.removeprefix("file://")) / "summary.csv").is_file()


def test_an_interruption_that_falls_into_a_finaliser_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it was not interrupted")

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back at the end
    never_lose_interruptions()
    Interrupted()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(30)


def test_tracker_off_keeps_nothing_and_does_not_import_mlflow(database: Path, tmp_path: Path) -> None:
    database.unlink()
    code = (
        "import sys; from zeroinit.cli import main\n"
        "sys.argv = ['zeroinit', '-m', 'tracker=off', 'dataset=xor', 'steps=5', 'seed=0,1',"
        " 'hydra.launcher.workers=1']\n"
        "main()\n"
        "assert 'mlflow' not in sys.modules and 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"fnn +1 +default +2 ", done.stdout)
    assert [path.name for path in (tmp_path / "mlruns").iterdir()] == ["hydra"]


def test_a_sweep_file_and_an_arch_and_init_of_ones_own(zeroinit: Command, tmp_path: Path) -> None:
    """By YAML alone: a module and a rule in the current folder, options and a sweep in a folder of one's own."""
    (tmp_path / "mine_own.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Sequential):\n"
        "    def __init__(self, input_shape, num_classes, width):\n"
        "        first = torch.nn.Linear(input_shape[0], width)\n"
        "        super().__init__(first, torch.nn.Dropout(0.1), torch.nn.Linear(width, num_classes))\n"
        "def halves(tensor, fan_in):\n"
        "    return tensor.fill_(0.5 / fan_in)\n"
    )
    for path, text in {
        "arch/net.yaml": "_target_: mine_own.Net\nwidth: 5\n",
        "init/halves.yaml": "weight: {_target_: mine_own.halves}\nbias: {_target_: torch.nn.init.normal_}\n",
        "question.yaml": "defaults: [config, _self_]\nsteps: 20\nhydra:\n  mode: MULTIRUN\n"
        "  sweeper:\n    params: {dataset: planar, arch: net, arch.width: [3, 5], init: 'halves,zero_normal'}\n",
    }.items():
        (tmp_path / "own" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / path).write_text(text)
    ended = zeroinit("-cd", "own", "-cn", "question")
    assert ended.code == 0, ended.err
    assert [line.split()[:4] for line in ended.out.splitlines() if line.startswith("net")] == [
        ["net", "1", width, init] for width in ("3", "5") for init in ("halves", "zero_normal")
    ]
    first = next(
        run for run in runs("question") if run.data.params["init"] == "halves" and run.data.params["arch.width"] == "3"
    )
    assert "0.weight,3x2,halves(),0.25,0.0,0.0" in artifact(first, "init.csv").read_text()

    named = zeroinit("dataset=planar", "arch=logistic", "arch._target_=mine_own.Net", "+arch.width=3", "steps=5")
    assert named.out.startswith("mine_own.Net default x1 seed 0 dataset=planar +arch.width=3 steps=5:")


def test_a_list_is_an_axis_of_a_sweep_file(zeroinit: Command, tmp_path: Path) -> None:
    (tmp_path / "listed.yaml").write_text(
        "defaults: [config, _self_]\nepochs: null\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n"
        "      dataset: digits\n      steps: [2, 3]\n      arch.hidden: [[4], [4, 5]]\n      sweep: ['a, b']\n"
        "      init.weight: [{_target_: torch.nn.init.zeros_}, {_target_: torch.nn.init.ones_}]\n"
    )
    ended = zeroinit("-cd", ".", "-cn", "listed")
    assert ended.code == 0, ended.err
    assert len(runs("a, b")) == 8
    assert {run.data.params["arch.hidden"] for run in runs("a, b")} == {"[4]", "[4, 5]"}
    shown = {f"default weight=torch.nn.init.{rule}_" for rule in ("zeros", "ones")}
    assert {run.data.params["init"] for run in runs("a, b")} == shown


@pytest.mark.usefixtures("_figures")
def test_a_network_that_is_one_layer_and_a_name_too_long_for_a_file(zeroinit: Command, tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(
        "import torch\nclass Bare(torch.nn.Linear):\n"
        "    def __init__(self, input_shape, num_classes, note):\n"
        "        super().__init__(input_shape[0], num_classes)\n"
    )
    notes = ",".join(f"{letter * 300}" for letter in "ab")
    words = ("arch=logistic", "arch._target_=bare.Bare", f"+arch.note={notes}", "dataset=planar", "steps=5")
    ended = zeroinit("-m", *words)
    assert ended.code == 0, ended.err
    assert "grad/bare/norm" in runs("sweep")[0].data.metrics
    [summary] = runs("sweep", "summary")
    assert len(list(artifact(summary, "").glob("*.png"))) == 5


def test_the_constructors_draws_are_the_seeds_too(zeroinit: Command, tmp_path: Path) -> None:
    """A network that draws as it is built is the same alone and in a sweep, whatever trained before it."""
    (tmp_path / "drawn.py").write_text(
        "import torch\nclass Drawn(torch.nn.Sequential):\n"
        "    def __init__(self, input_shape, num_classes):\n"
        "        super().__init__(torch.nn.Linear(input_shape[0], num_classes))\n"
        "        self.register_buffer('features', torch.randn(input_shape[0]))\n"
        "    def forward(self, inputs):\n        return super().forward(inputs * self.features)\n"
    )
    words = ("arch=logistic", "arch._target_=drawn.Drawn", "dataset=planar", "steps=5")
    zeroinit(*words, "seed=1")
    zeroinit("-m", *words, "seed=0,1")
    assert histories(runs("zeroinit")[0]) == histories(runs("sweep")[1])


def test_only_the_sweeps_own_runs_decide_its_exit_code(zeroinit: Command) -> None:
    real = run_jobs

    def with_a_neighbour(*args: object, **named: object) -> object:
        client = MlflowClient(f"sqlite:///{Path.cwd()}/mlruns/mlflow.db")
        tags = {"kind": "run", "config_hash": "another", "cell_hash": "another"}
        failed = client.create_run(client.get_experiment_by_name("sweep").experiment_id, tags=tags)
        client.set_terminated(failed.info.run_id, "FAILED")
        return real(*args, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroinit.sweep.runner.run_jobs", with_a_neighbour)
        assert zeroinit("-m", *QUICK, "seed=0,1").code == 0


def test_a_store_that_is_gone_at_the_end_is_told_in_one_line(
    zeroinit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(uri: str, experiment_id: str, kind: str, *rest: object) -> list[object]:
        if kind == "run":
            raise MlflowException("access refused by http://me:secret@host")
        return []

    monkeypatch.setattr("zeroinit.tracker.mlflow_sql.records", gone)
    ended = zeroinit("-m", *QUICK, "seed=0,1")
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == (
        "zeroinit: tracker.uri=sqlite:///mlruns/mlflow.db: the runs cannot be read back "
        "(access refused by http://***@host)"
    )


def test_an_axis_on_the_command_line_replaces_the_sweeps(zeroinit: Command) -> None:
    ended = zeroinit("-cn", "quickstart", "arch=logistic", "seed=0", "bias_scale.value=1", "epochs=null", "steps=2")
    assert ended.code == 0
    assert len(runs("quickstart")) == 4


def test_the_return_value_is_the_best_validation_accuracy(zeroinit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    values = []
    real = best_val_score
    monkeypatch.setattr(cli, "best_val_score", lambda record: values.append(real(record)) or values[-1])
    zeroinit(*QUICK, "epochs=null", "seed=1")
    [run] = runs("zeroinit")
    assert values == [max(value for _, value in histories(run)["val/accuracy"])]


def test_help_is_for_a_person(zeroinit: Command) -> None:
    ended = zeroinit("--help")
    assert ended.code == 0
    for words in ("zeroinit -cn figure3", "zeroinit list", "init: constant, default", "bias_scale: constant, fan_in"):
        assert words in ended.out
    assert re.search(r"^ +optimizer.lr +0.001 +The learning rate$", ended.out, re.MULTILINE)  # with its default
    assert len(ended.out.splitlines()) <= 2 * LINES_OF_A_SCREEN


def test_a_terminal_is_told_that_it_starts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing of it stays, and nothing of it is in a file."""
    assert import_cli() is cli
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert import_cli() is cli
    assert capsys.readouterr().err == "zeroinit: starting\r\033[K"
