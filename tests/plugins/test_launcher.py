"""Sweeps on worker processes: the same runs, whatever dies, fails or is interrupted."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from helpers.runs_table import rows_of_runs
from helpers.stored_runs import TWO, histories, runs
from mlflow.entities import Run

from zeroinit.process import is_alive, process_of_tags

pytestmark = pytest.mark.usefixtures("database")

Command = Callable[..., object]
GRID = ("-m", "dataset=digits", "arch.hidden=[8]", "steps=30", "init=zero_normal,default", "optimizer.lr=0.01,0.1")
DEADLY = """
import os, pathlib, signal
from zeroinit.arch import Logistic

class Net(Logistic):
    def __init__(self, *shape, deaths):
        super().__init__(*shape)
        marks = pathlib.Path("deaths")
        marks.mkdir(exist_ok=True)
        of_a_worker = os.getsid(0) == os.getpid()
        if of_a_worker and len(list(marks.iterdir())) < deaths:
            (marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
"""

# a store whose worker dies once some of the runs with seeds 0 and 1 are in the spool
MORTAL = """
import os, pathlib, signal
from zeroinit.tracker.mlflow import Mlflow
from zeroinit.tracker.spool import Spool

real = Spool.write

class Mortal(Mlflow):
    def __init__(self, uri, ends, deaths):
        super().__init__(uri)
        self.ends, self.deaths = ends, deaths

    def __setstate__(self, state):
        vars(self).update(state)

        def write(spool, ended):
            marks = pathlib.Path("deaths")
            of_few = [record for record in ended if int(record.params["seeds.init"]) < 2]
            if of_few and len(list(marks.iterdir())) < self.deaths:
                real(spool, ended[:self.ends])
                (marks / str(os.getpid())).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            real(spool, ended)

        Spool.write = write  # in a worker
"""


def artifact_paths(run: Run) -> list[Path]:
    return list(Path(run.info.artifact_uri.removeprefix("file://")).iterdir())


def by_config(sweep: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    return {run.data.tags["config_hash"]: histories(run) for run in runs(sweep)}


@pytest.mark.usefixtures("_figures")
def test_workers_give_the_runs_that_one_process_gives(zeroinit: Command) -> None:
    """To the last bit, whatever the number of members of a stack; each an ordinary run with its files."""
    first, second = (zeroinit(*GRID, f"hydra.launcher.workers={count}", f"sweep=of{count}") for count in (1, 2))
    assert (first.code, second.code) == (0, 0), second.err
    assert by_config("of1") == by_config("of2")
    assert len(by_config("of2")) == 4
    assert [run.data.tags["stack_size"] for run in runs("of1")] == ["4"] * 4
    assert [run.data.tags["stack_size"] for run in runs("of2")] == ["2"] * 4
    assert {run.data.tags["stack_reason"] for run in runs("of2")} == {"2 together, of 256 at most"}
    assert "4/4 runs" in second.err
    tables = [[line.split() for line in ended.out.splitlines() if line.startswith("fnn")] for ended in (first, second)]
    assert tables[0] == tables[1]
    for run in runs("of2"):
        assert {path.name for path in artifact_paths(run)} == {"init.csv", "histograms.npz"}
        assert float(run.data.tags["tracking_seconds"]) > 0
    [summary] = runs("of2", "summary")
    figures = [path.read_bytes() for path in artifact_paths(summary) if path.suffix == ".png"]
    assert [content[:4] for content in figures] == [b"\x89PNG"] * 7
    configs = sorted(Path("mlruns/hydra").glob("*/*/*/.hydra/config.yaml"))
    assert len(configs) == 8
    assert yaml.safe_load(configs[-1].read_text())["optimizer"]["lr"] == 0.1
    assert "optimizer.lr=0.1" in yaml.safe_load(configs[-1].with_name("overrides.yaml").read_text())


def test_a_stack_is_what_its_members_are_alone(zeroinit: Command) -> None:
    """Against Hydra's basic launcher, which trains one after the other."""
    zeroinit(*GRID, "sweep=ours", TWO)
    zeroinit(*GRID, "sweep=theirs", "hydra/launcher=basic")
    ours, theirs = by_config("ours"), by_config("theirs")
    assert set(ours) == set(theirs)
    for config_hash, metrics in theirs.items():
        assert set(ours[config_hash]) == set(metrics)
        for name, points in metrics.items():
            assert [step for step, _ in ours[config_hash][name]] == [step for step, _ in points]
            values = [value for _, value in points]
            slack = 0.01 if name.endswith(("accuracy", "zeros")) else 1e-3  # of what counts, one example or entry
            assert [value for _, value in ours[config_hash][name]] == pytest.approx(values, rel=1e-3, abs=slack)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_dies(deaths: int, zeroinit: Command) -> None:
    """Its runs are tried once more; what dies again is FAILED, and told as the first time, in one line."""
    Path("deadly.py").write_text(DEADLY)
    deadly = ("arch._target_=deadly.Net", f"+arch.deaths={deaths}")
    grid = ("-m", "dataset=digits", "arch=logistic", *deadly, "steps=5", "init=zero,default", TWO)
    ended = zeroinit(*grid)
    retries = [line for line in ended.err.splitlines() if line.startswith("tried once more:")]
    assert len(retries) == 1
    assert retries[0].endswith("init=zero and 1 more: its worker died (killed by SIGKILL)")
    states = [run.info.status for run in runs()]
    if deaths == 1:
        assert ended.code == 0, ended.err
        assert sorted(states) == ["FINISHED", "FINISHED", "KILLED", "KILLED"]
        lines = [line for line in ended.out.splitlines() if line.startswith("deadly")]
        assert [
            line.split()[-1] in ("learned", "partly-learned", "still-waking", "stuck-at-prior") for line in lines
        ] == [True, True]
    else:
        assert ended.code == 1
        failed = [line for line in ended.err.splitlines() if line.startswith("failed:")]
        assert [line.endswith("its worker died (killed by SIGKILL)") for line in failed] == [True, True]
        assert sorted(states) == ["FAILED", "FAILED", *["KILLED"] * 4]
        assert [line.split()[-1] for line in ended.out.splitlines() if line.startswith("deadly")] == ["failed"] * 2
    assert "Traceback" not in ended.err


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, dict[str, list[tuple[int, float]]]]:
    """What the grid of the next test gives, once it was trained without a death."""
    return {}


@pytest.mark.parametrize(("ends", "deaths"), [(1, 1), (3, 1), (4, 1), (1, 2)])
def test_runs_that_had_ended_when_their_worker_died_are_kept(
    ends: int, deaths: int, zeroinit: Command, undisturbed: dict[str, dict[str, list[tuple[int, float]]]]
) -> None:
    """Of a stack of 4: the others alone are tried once more, with the bits that they would have had."""
    grid = ("-m", "dataset=digits", "arch=logistic", "steps=5", "init=zero,default", "seed=range(4)")
    if not undisturbed:
        assert zeroinit(*grid, "sweep=alone").code == 0
        undisturbed |= by_config("alone")
    Path("mortal.py").write_text(MORTAL)
    Path("deaths").mkdir()
    mortal = ("tracker._target_=mortal.Mortal", f"+tracker.ends={ends}", f"+tracker.deaths={deaths}")
    ended = zeroinit(*grid, *mortal, TWO)
    retries = [line for line in ended.err.splitlines() if line.startswith("tried once more:")]
    finished = [run for run in runs() if run.info.status == "FINISHED"]
    others = sorted(run.info.status for run in runs() if run.info.status != "FINISHED")
    assert len({run.data.tags["identity"] for run in finished}) == len(finished)
    if ends == 4:  # nothing was left to do
        assert (ended.code, retries, len(finished), others) == (0, [], 8, [])
    elif deaths == 1:
        assert ended.code == 0, ended.err
        assert (len(finished), others) == (8, ["KILLED"] * (4 - ends))
        more = f" and {3 - ends} more" if ends < 3 else ""
        ending = f"{more}: its worker died (killed by SIGKILL); {ends} of its runs had ended and are kept"
        assert [line.endswith(ending) for line in retries] == [True]
        assert f"{4 - ends} left of 4 together, of 256 at most" in {run.data.tags["stack_reason"] for run in finished}
    else:  # what had ended before the second death is kept, too
        assert ended.code == 1
        assert (len(finished), others) == (6, ["FAILED"] * 2 + ["KILLED"] * 5)
        failed = [line for line in ended.err.splitlines() if line.startswith("failed:")]
        assert [line.endswith("its worker died (killed by SIGKILL)") for line in failed] == [True, True]
    table = [line.split()[3].rstrip("†‡") for line in ended.out.splitlines() if line.startswith("logistic")]
    assert sum(map(int, table)) == len(finished)
    for run in finished:
        assert histories(run) == undisturbed[run.data.tags["config_hash"]]


def test_a_member_that_fails_costs_no_other_of_its_stack(zeroinit: Command) -> None:
    """One whose init raises when it is drawn in the worker, one that diverges, one that is fine."""
    Path("moody.py").write_text(
        "import os\n"
        "def weight(tensor, value):\n"
        "    if value == 2 and os.getsid(0) == os.getpid():\n"
        "        raise ArithmeticError('two is too much')\n"
        "    tensor.fill_(value)\n"
    )
    rule = ("init.weight._target_=moody.weight", "+init.weight.value=1,2,3")
    ended = zeroinit("-m", "dataset=digits", "arch=logistic", "steps=20", *rule, TWO)
    assert ended.code == 1
    [line] = [line for line in ended.err.splitlines() if line.startswith("failed:")]
    assert (
        "moody.weight cannot fill output.weight (10, 64): ArithmeticError: two is too much (moody.py, line 4) (" in line
    )
    assert "in weight" in Path(re.search(r"traceback in (.*)\)", line)[1]).read_text()
    assert sorted(run.info.status for run in runs()) == ["FAILED", "FINISHED", "FINISHED"]
    [bad] = [run for run in runs() if run.info.status == "FAILED"]
    assert "in weight" in (Path(bad.info.artifact_uri.removeprefix("file://")) / "traceback.txt").read_text()


def test_without_a_tracker_the_table_is_of_the_workers_records(database: Path, zeroinit: Command) -> None:
    database.unlink()
    ended = zeroinit(*GRID, TWO, "tracker=off")
    assert ended.code == 0, ended.err
    assert len([line for line in ended.out.splitlines() if line.startswith("fnn")]) == 4
    assert not database.exists()


def test_an_interruption_ends_the_command_soon() -> None:
    """Its runs are KILLED, and no process is left."""
    long = ("-m", "dataset=digits", "arch.hidden=[20]", "steps=10000000", "seed=0,1,2,3")
    command = [sys.executable, "-m", "zeroinit", *long, TWO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240  # it takes 10 s on a quiet machine
        while rows_of_runs() < 4 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        workers = {process_of_tags(run.data.tags) for run in runs()}
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "zeroinit: interrupted; what is finished is kept, and the same command goes on"
    assert "Traceback" not in err
    assert [run.info.status for run in runs()] == ["KILLED"] * 4
    assert len(workers) == 2
    assert not any(map(is_alive, workers))


def test_workers_end_with_their_launcher_and_the_next_command_marks_their_runs(zeroinit: Command) -> None:
    """Of a launcher that was killed with SIGKILL, which could tell nobody."""
    long = ("-m", "dataset=digits", "arch.hidden=[20]", "steps=10000000", "seed=0,1,2,3")
    command = [sys.executable, "-m", "zeroinit", *long, TWO]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sweep:
        deadline = time.monotonic() + 240  # it takes 10 s on a quiet machine
        while rows_of_runs() < 4 and time.monotonic() < deadline:
            time.sleep(0.5)
        workers = {process_of_tags(run.data.tags) for run in runs()}
        assert len(workers) == 2
        assert all(map(is_alive, workers))
        sweep.kill()
    deadline = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_alive, workers))
    assert [run.info.status for run in runs()] == ["RUNNING"] * 4
    ended = zeroinit(*long, "mode=plan")
    assert ended.code == 0
    assert "zeroinit: 4 runs were marked RUNNING without a process that trains; now KILLED" in ended.err
    assert [run.info.status for run in runs()] == ["KILLED"] * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("hydra.launcher.workers=0", "hydra.launcher.workers=0: give a whole number from 1, or null"),
        ("hydra.launcher.workers=many", "hydra.launcher.workers=many: give a whole number from 1, or null"),
        (
            "hydra.launcher.memory=lots",
            "hydra.launcher.memory=lots: give a number of bytes above 0, a text such as 8GB or 512MiB, or null",
        ),
        ("hydra.job.chdir=true", "hydra.job.chdir=true: runs of a sweep train together, in one folder; give false"),
    ],
)
def test_bad_input_is_one_line(words: str, message: str, zeroinit: Command) -> None:
    ended = zeroinit(*GRID, words)
    assert (ended.code, ended.err) == (2, f"zeroinit: {message}\n")


def test_two_processes_write_to_one_database(zeroinit: Command) -> None:
    """Many runs that end at the same time: none is lost to a database that is locked."""
    ended = zeroinit("-m", "dataset=xor", "arch.hidden=[2]", "steps=20", "seed=range(30)", TWO)
    assert ended.code == 0, ended.err
    assert [run.info.status for run in runs()] == ["FINISHED"] * 30
