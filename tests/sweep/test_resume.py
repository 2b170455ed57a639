"""What makes two runs the same, and what of a sweep is not trained again."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.stored_runs import end

from zeroinit import build
from zeroinit.config import Job, code_hash, identity
from zeroinit.report.cells import group_cells
from zeroinit.sweep import resume, runner
from zeroinit.tracker import Record, mlflow_sql
from zeroinit.tracker.memory import Off
from zeroinit.tracker.mlflow import Mlflow

GOLDEN = Path(__file__).parents[1] / "golden" / "numbers.json"
QUICK = ("dataset=digits", "arch=logistic", "steps=30", "probe=none")
FEW = ("dataset=digits", "device=cpu", "dtype=float64")
SMALL = (*FEW, "arch.hidden=[6,5]", "steps=12")
# of each part that turns a config into numbers: inits, archs, optimizers, batches, losses, ties, stacks
TRAINED = {
    "default": [SMALL],
    "zero_normal in a stack of 3": [(*SMALL, "init=zero_normal", f"seed={seed}") for seed in range(3)],
    "a scale of fan_in": [(*SMALL, "init=zero_uniform", "bias_scale=fan_in", "bias_scale.value=2")],
    "convolutions": [(*FEW, "arch=mnist_cnn", "init=zero_normal", "steps=3")],
    "BatchNorm, cropped and flipped": [(*FEW, "arch=cifar_cnn", "dataset.augment={padding:1,flip:true}", "steps=2")],
    "stochastic gradient descent on a sum": [(*SMALL, "optimizer=sgd", "loss.reduction=sum", "optimizer.lr=0.001")],
    "momentum, not shuffled": [(*SMALL, "optimizer=momentum", "dataset.shuffle=false")],
    "tied": [(*SMALL, "init=constant", "arithmetic=tied")],
    "quotient": [(*SMALL, "init=constant", "arithmetic=quotient")],
    "some layers": [
        (*SMALL, "init=orthogonal", "init.layers=hidden*", "init@init.rest=row_constant", "optimizer=rmsprop")
    ],
    "points": [("dataset=planar", *SMALL[1:], "arch.activation=tanh", "optimizer=adamw")],
}


def numbers(jobs: list[Job]) -> dict[str, Any]:
    """What a golden file has of jobs that train together: config hashes, the data's hash, losses at the end."""
    records = runner.run_jobs(jobs, Off(), lambda share, accuracy: None)
    return {
        "config_hash": [job.config_hash for job in jobs],
        "data_hash": build.identity_of(jobs[0]).split("-")[1],
        "losses": [[record.last(f"{split}/loss") for split in ("train", "val", "test")] for record in records],
    }


@pytest.mark.parametrize("name", TRAINED)
def test_the_version_is_raised_when_numbers_change(
    name: str, job_of: Callable[..., Job], pytestconfig: pytest.Config
) -> None:
    """Finished runs of the same config, data and version are taken as they are, so these losses must stay theirs.

    In float64; what another processor makes of it, and of orthogonal weights, which are drawn in float32 (2e-9), is far
    below what a change of the code would do.
    """
    result = numbers([job_of(*overrides) for overrides in TRAINED[name]])
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    frozen = golden.get(name)
    if pytestconfig.getoption("--update-golden"):
        same = frozen and frozen["version"] != identity.VERSION
        assert frozen is None or same or frozen["losses"] == result["losses"], "other losses: raise VERSION first"
        golden[name] = result | {"version": identity.VERSION}
        GOLDEN.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
        return
    assert frozen["version"] == identity.VERSION, "a new version: write the numbers anew with --update-golden"
    assert result["config_hash"] == frozen["config_hash"], "runs that are kept would no longer be found"
    assert result["data_hash"] == frozen["data_hash"]
    for now, then in zip(result["losses"], frozen["losses"], strict=True):
        assert now == pytest.approx(then, rel=1e-7), "other losses: raise VERSION in config/identity.py"


def test_the_data_are_part_of_the_identity(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(*QUICK)
    before = build.identity_of(job)
    data = build.data.load_cached(build.data.data_source(job.config), torch.device("cpu"))
    inputs, labels = data.test
    changed = inputs.clone()
    changed[3, 0, 0, 0] += 1
    for other in (replace(data, test=(changed, labels)), replace(data, test=(inputs, labels.flip(0)))):
        monkeypatch.setattr(build.data, "load_cached", lambda *args, other=other: other)
        build.data.data_hash.cache_clear()
        assert build.identity_of(job) != before
    monkeypatch.undo()
    build.data.data_hash.cache_clear()
    assert build.identity_of(job) == before


def test_own_code_is_part_of_the_identity(job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a function of a person's own does may change while the config does not."""
    monkeypatch.syspath_prepend(Path.cwd())
    Path("mine_to_change.py").write_text("def half(tensor):\n    tensor.fill_(0.5)\n")
    job = job_of(*QUICK, "init.weight._target_=mine_to_change.half")
    assert code_hash.hash_code(job_of(*QUICK).values) == ""
    before = build.identity_of(job)
    Path("mine_to_change.py").write_text("def half(tensor):\n    tensor.fill_(-0.5)\n")
    assert build.identity_of(job) == before  # a process that has imported it trains what it was
    code_hash.hash_of_files.cache_clear()
    assert build.identity_of(job) != before


def record(cell: str, identity: str, split: str = "0", status: str = "FINISHED") -> Record:
    tags = {"identity": identity, "config_hash": identity.split("-")[0], "cell_hash": cell}
    return Record("", {"seeds.init": identity, "seeds.split": split}, tags, status)


def test_runs_on_other_data_are_none_of_the_cell() -> None:
    """Seeds of earlier sweeps count, and another split has other data; but not what was there before a change."""
    planned = [("a-data-1", "cell", {"seeds.split": "0"})]
    others = ["b-data-1", "a-data-1", "a-changed-1", "b-changed-1", "a-data-1-code"]
    [cell] = group_cells(planned, [*(record("cell", name) for name in others), record("cell", "c-split-1", split="7")])
    assert sorted(run.identity for run in cell.finished) == ["a-data-1", "b-data-1", "c-split-1"]


def test_of_two_splits_that_were_planned_each_has_its_own_data() -> None:
    planned = [
        (f"{name}-data{split}-1-new", "cell", {"seeds.split": split}) for name, split in (("a", "0"), ("b", "1"))
    ]
    there = [record("cell", f"b-{made}", split="1") for made in ("data1-1-new", "data1-1-old", "changed-1-new")]
    [cell] = group_cells(planned, [*there, record("cell", "c-data7-1-old", split="7")])
    assert [run.identity for run in cell.finished] == ["b-data1-1-new"]


def test_a_run_that_was_watched_stands_for_a_newer_one_that_was_not() -> None:
    watched, newer = record("cell", "a-data-1"), record("cell", "a-data-1")
    watched.params["probe.measure"], newer.params["probe.measure"] = '["weight", "first_gradient"]', "[]"
    [cell] = group_cells([("a-data-1", "cell", {"seeds.split": "0"})], [newer, watched])
    assert cell.finished == [watched]


@pytest.fixture
def trained(database: Path) -> Iterator[list[int]]:
    """How many runs each training has had."""
    counts: list[int] = []
    real = runner.run_jobs

    def count(jobs: list[Job], *rest: Any, **named: Any) -> list[Record]:
        counts.append(len(jobs))
        return real(jobs, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zeroinit.sweep.runner.run_jobs", count)
        patch.setattr("zeroinit.sweep.alone.run_jobs", count)
        yield counts


def test_a_finished_run_is_not_run_again(zeroinit: Callable[..., Any], trained: list[int]) -> None:
    first = zeroinit(*QUICK)
    again = zeroinit(*QUICK)
    assert trained == [1]
    assert again.code == 0
    assert again.out.splitlines()[0] == first.out.splitlines()[0]
    assert "It was trained before; rerun=true trains it again." in again.out
    assert zeroinit(*QUICK, "rerun=true").code == 0
    assert sum(trained) == 2


def test_the_same_command_finishes_a_sweep(
    zeroinit: Callable[..., Any], trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one query, whatever the number of runs; those that failed are run again."""
    assert zeroinit("-m", *QUICK, "init=zero,default", "seed=0,1", "optimizer.lr=0.01,1e38").code == 1  # it diverges
    queries = []
    real = mlflow_sql.records
    monkeypatch.setattr(mlflow_sql, "records", lambda *args: queries.append(args[2:]) or real(*args))
    del trained[:]
    ended = zeroinit("-m", *QUICK, "init=zero,default", "seed=range(3)", "optimizer.lr=0.01")
    assert ended.code == 0
    assert "4 of 6 runs were trained before; rerun=true trains them again" in ended.out
    assert sum(trained) == 2
    assert len([query for query in queries if query[1] is not None]) == 1
    assert [line.split()[3:4] for line in ended.out.splitlines() if line.startswith("logistic")] == [["3†"], ["3"]]
    del trained[:]
    assert zeroinit("-m", *QUICK, "init=zero,default", "seed=0,1", "optimizer.lr=0.01,1e38").code == 1
    assert sum(trained) == 4
    del trained[:]
    again = zeroinit("-m", *QUICK, "init=zero,default", "seed=range(3)", "optimizer.lr=0.01")
    assert (again.code, trained) == (0, [])  # the table and the page are made all the same
    assert "6 of 6 runs were trained before" in again.out
    assert "Report:  file://" in again.out


def test_probes_and_weights_that_a_run_lacks_are_a_reason(zeroinit: Callable[..., Any], trained: list[int]) -> None:
    words = ("dataset=digits", "arch.hidden=[4]", "steps=5")
    zeroinit(*words, "probe.measure=[gradient,first_gradient]")
    for more, runs_more in (
        (["probe=none"], 0),
        (["probe.measure=[first_gradient]"], 0),
        (["probe.measure=[first_gradient]", "probe.curvature=[7]"], 0),  # where curvature would be looked at
        (["probe.measure=[weight]"], 1),
        (["probe.measure=[weight]", "probe.first_steps=3"], 1),
        (["probe=none", "save=true"], 1),
        (["probe=none", "save=true"], 0),
    ):
        del trained[:]
        zeroinit(*words, *more)
        assert (more, sum(trained)) == (more, runs_more)


def test_an_optimising_sweeper_is_given_what_was_found(job_of: Callable[..., Job]) -> None:
    """The best validation accuracy over its course, of which the store's list has the last value alone."""
    from zeroinit.sweep.messages import best_val_score

    tracker = Mlflow(None)
    tracker.open("sweep")
    job = job_of(*QUICK)
    stored = Record("", job.params, {"identity": build.identity_of(job), "config_hash": "", "cell_hash": ""})
    tracker.claim([stored])
    stored.metrics = [("val/accuracy", 0.9, 1), ("val/accuracy", 0.4, 2)]
    stored.status = "FINISHED"
    end(tracker, stored)
    [result] = resume.find_finished([job], tracker).values()
    assert best_val_score(result) == 0.4
    tracker.load_histories([result], ["val/accuracy"])
    assert best_val_score(result) == 0.9


def test_plan_tells_what_is_done_and_what_the_rest_will_take(zeroinit: Callable[..., Any], trained: list[int]) -> None:
    unknown = zeroinit("-m", *QUICK, "init=zero,default", "seed=0,1", "mode=plan")
    assert (unknown.code, trained) == (0, [])
    assert "0 of 4 runs are done, 4 are not: no such run has finished yet." in unknown.out
    zeroinit("-m", *QUICK, "init=zero", "seed=0,1", "optimizer.lr=0.01,1e38", "sweep=other")
    del trained[:]
    planned = zeroinit("-m", *QUICK, "init=zero", "seed=range(3)", "optimizer.lr=0.01,1e38", "sweep=other", "mode=plan")
    assert (planned.code, trained) == (0, [])
    lines = [line.split() for line in planned.out.splitlines() if line.startswith("logistic")]
    assert [line[4:7] for line in lines] == [["2", "0", "1"], ["0", "2", "1"]]
    assert "2 of 6 runs are done, 4 are not: about" in planned.out
    assert "about" in zeroinit(*QUICK, "init=ones", "mode=plan").out  # as other inits of this net took
    zeroinit("-m", *QUICK, "init=zero", "seed=0,1", "optimizer.lr=0.01", "sweep=other")
    done = zeroinit("-m", *QUICK, "init=zero", "seed=0,1", "optimizer.lr=0.01", "sweep=other", "mode=plan")
    assert "All 2 runs are done; rerun=true trains them again." in done.out


def test_seconds_needed_by_hand(job_of: Callable[..., Job]) -> None:
    """The median a step of its own cell, else of runs with the same net, data and batch; a stack's time is shared."""

    def took(job: Job, seconds: float, stack: int, steps: int) -> Record:
        tags = {
            "cell_hash": job.cell_hash,
            "train_seconds": str(seconds),
            "stack_size": str(stack),
            "device": "cpu (x86_64)",
        }
        return Record("", job.params, tags, "FINISHED", [("test/accuracy", 0.5, steps)])

    job, other = job_of(*QUICK, "device=cpu"), job_of(*QUICK, "device=cpu", "init=zero", "steps=300")
    known = [took(job, 6, 2, 30), took(job, 8, 1, 80), took(job, 90, 1, 30)]  # 0.1, 0.1 and 3 s a step
    assert resume.seconds_needed([job, other], known) == pytest.approx([3, 30])
    assert resume.seconds_needed([job, other], [*known, took(other, 300, 1, 300)]) == pytest.approx([3, 300])
    assert resume.seconds_needed([job_of("dataset=digits", "device=cpu")], known) == [None]
    for record in known:  # of a version that trained each run alone
        del record.tags["stack_size"]
    assert resume.seconds_needed([job], known)[0] is not None
