"""A training that was killed and goes on from its checkpoint, against the same training unbroken, bit for bit."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.sweep import checkpoint
from zeroinit.sweep.resumption import plan_all, plan_resumption
from zeroinit.sweep.runner import run_jobs
from zeroinit.sweep.saved_training import SECONDS_VARIABLE, SavedTraining
from zeroinit.tracker import Record, Status
from zeroinit.tracker.memory import Off
from zeroinit.tracker.tags import Tag

JobOf = Callable[..., Job]
TIMES = (Tag.TRAIN_SECONDS, Tag.SAMPLES_PER_SECOND, Tag.TRACKING_SECONDS, Tag.RESUMED_AT)
STATELESS = "activation,symmetry,curvature"
WITH_STATE = "gradient,weight,pairs,first_gradient,noise_scale"
SMALL = ("dataset=digits", "dataset.max_examples=150", "dataset.batch_size=50", "save=true")
DENSE = (*SMALL, "arch.hidden=[9,7]")
FOLDER = Path("mlruns/checkpoints")


class Memory(Off):
    """Keeps records as a store does, but in this process."""

    is_persistent = True


class Killed(KeyboardInterrupt):
    """The end of a process, at a step."""


def train(jobs: Sequence[Job], stacked: bool, kill_at: float = 2) -> dict[str, Record]:
    """Train jobs until this share of the steps is done. Return {config hash: record} of those that ended."""

    def report(share: float, score: object) -> None:
        if share >= kill_at:
            raise Killed

    tracker = Memory()
    tracker.open("test")
    with suppress(Killed):
        run_jobs(jobs, tracker, report, stacked=stacked, keep=tracker.write)
    ended = [record for record in tracker.records() if record.status in (Status.FINISHED, Status.FAILED)]
    return {record.tags[Tag.CONFIG_HASH]: record for record in ended}


def content(record: Record) -> dict[str, Any]:
    tags = {name: value for name, value in record.tags.items() if name not in TIMES}
    return {"status": record.status, "tags": tags, "metrics": record.metrics, "files": record.files}


def check_resumed(jobs: Sequence[Job], monkeypatch: pytest.MonkeyPatch, kills: Sequence[float]) -> list[Record]:
    """Kill a training of the jobs several times, and compare it with the unbroken one. Return the records."""
    is_stack = len(jobs) > 1
    unbroken = train(jobs, is_stack)
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    ended: dict[str, Record] = {}
    for kill_at in (*kills, 2):
        left = [job for job in jobs if job.config_hash not in ended]
        resumption = plan_resumption(left)
        order = resumption.stacks[0].jobs if resumption.stacks else resumption.others
        assert len(order) == len(left)
        ended |= train([left[index] for index in order], is_stack, kill_at)
    for key, record in unbroken.items():
        assert content(ended[key]) == content(record)
    assert not any(FOLDER.iterdir())
    return [ended[job.config_hash] for job in jobs]


def test_net_with_convolutions_dropout_and_augmentation(job_of: JobOf, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("arch=mnist_cnn", "steps=16", f"probe.measure=[{WITH_STATE}]", "schedule=one_cycle")
    job = job_of(*SMALL, *words, "dataset.augment.padding=1", "dataset.augment.flip=true")
    [record] = check_resumed([job], monkeypatch, [0.3, 0.75])
    assert record.tags[Tag.RESUMED_AT] == "11"


@pytest.fixture
def _sparse_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written after every 15th step, so that members end between a checkpoint and a kill."""
    after_step = SavedTraining.after_step
    monkeypatch.setattr(
        SavedTraining, "after_step", lambda self, step, cohort: step % 15 or after_step(self, step, cohort)
    )


@pytest.mark.usefixtures("_sparse_checkpoints")
def test_stack(job_of: JobOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members of several lengths, rates and schedules, with ties; one stops early, and one diverges."""
    # in a BatchNorm, the bits of a member depend on the number of members
    words = (*DENSE, "arch.norm=batch", "arithmetic=tied", "optimizer=momentum", "early_stop=true")
    words = (*words, f"probe.measure=[{WITH_STATE},{STATELESS},snapshot]", "probe.curvature=[0,20]")
    jobs = [
        job_of(*words, *changes.split())
        for changes in (
            "steps=40 init=layer_constant schedule=cosine",
            "steps=40 init=zero",
            "steps=24 seed=1",
            "steps=40 optimizer.lr=1e36",
            "steps=50 seed=2 optimizer.lr=0.01 schedule=multi_step schedule.milestones=[10,30]",
        )
    ]
    records = check_resumed(jobs, monkeypatch, [0.2, 0.38, 0.58, 0.7, 0.86])
    assert [record.tags.get(Tag.STOPPED_AT) for record in records] == [None, "25", None, None, None]
    assert [record.status for record in records] == ["FINISHED"] * 3 + ["FAILED", "FINISHED"]
    assert records[4].tags[Tag.STACK_SIZE] == "5"
    assert records[4].tags[Tag.RESUMED_AT] == "30"


@pytest.fixture
def killed(job_of: JobOf, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Three jobs, whose stack was killed in step 6 of 8."""
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    jobs = [job_of(*DENSE, "probe=none", "steps=8", f"seed={seed}") for seed in range(3)]
    assert not train(jobs, True, 0.75)
    return jobs


def resumed_at(jobs: Sequence[Job]) -> set[str | None]:
    return {record.tags.get(Tag.RESUMED_AT) for record in train(jobs, True).values()}


def test_a_damaged_file_is_replaced_by_the_one_before(killed: list[Job]) -> None:
    older, newer = sorted(FOLDER.glob("*/*"))
    content = bytearray(newer.read_bytes())
    content[len(content) // 2] ^= 1
    newer.write_bytes(content)
    assert resumed_at(killed[:2]) == {"4"}
    newest = max(FOLDER.glob("*/*.checkpoint"))  # the third run still has its checkpoints
    older.write_bytes(older.read_bytes()[:-100])
    newest.write_bytes(b"")
    records = train(killed[2:], True)
    assert records[killed[2].config_hash].status == Status.FINISHED


def test_another_machine_starts_again(killed: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    capability = torch.backends.cpu.get_cpu_capability()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "SVE")
    checkpoint.provenance.cache_clear()
    stacks, others, [line] = plan_resumption(killed)
    assert (stacks, others) == ([], [0, 1, 2])
    assert line.endswith(f"seed=0 and 2 more: the checkpoint is of processor {capability}, not SVE")
    assert resumed_at(killed) == {None}


def test_a_stack_keeps_its_members(killed: list[Job], job_of: JobOf) -> None:
    other = job_of(*DENSE, "probe=none", "steps=8", "seed=3")
    measured_more = job_of(*DENSE, "probe=default", "steps=8", "seed=0")
    stacks, [line] = plan_all([other, measured_more, killed[2], killed[1]], 4)
    assert (stacks[0].jobs, stacks[0].is_stack) == ([3, 2], True)
    assert sorted(stack.jobs for stack in stacks[1:]) == [[0], [1]]
    assert line == f"resumed from step 5 of 8: {' '.join(killed[1].overrides)} and 1 more"
    checkpoint.discard([identity_of(killed[0])])
    [stack] = plan_resumption(killed).stacks
    assert stack.jobs == [1, 2]
    checkpoint.discard(map(identity_of, killed[1:]))
    assert not any(FOLDER.iterdir())


def test_jobs_of_another_release_start_again(killed: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that has ended would train once more, but its saved config has parts that are unknown here."""
    checkpoint.discard([identity_of(killed[0])])
    read_part = checkpoint.read_part

    def read_other_jobs(source: checkpoint.Checkpoint, name: str) -> bytes:
        return b'[{"later": 1}, {}, {}]' if name == checkpoint.JOBS else read_part(source, name)

    monkeypatch.setattr(checkpoint, "read_part", read_other_jobs)
    records = train(killed[1:], True).values()
    assert [record.status for record in records] == ["FINISHED"] * 2
    for record in records:
        assert Tag.RESUMED_AT not in record.tags
        assert "has other jobs than this release" in record.tags[Tag.CHECKPOINT]


def test_resume_false_removes_it(killed: list[Job], job_of: JobOf) -> None:
    again = [job_of(*job.overrides, "resume=false") for job in killed]
    assert [job.config_hash for job in again] == [job.config_hash for job in killed]
    assert plan_resumption(again[:1]).stacks == []
    assert plan_resumption(killed).stacks[0].jobs == [1, 2]
    assert plan_resumption(again).stacks == []
    assert not any(FOLDER.iterdir())


class Stubborn(StepLR):
    """A schedule that a checkpoint cannot restore."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Secret(StepLR):
    """A schedule that a checkpoint cannot hold."""

    def state_dict(self) -> dict[str, Any]:
        return {"secret": object()}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Stubborn", "it starts again, as its checkpoint cannot be used: the network, the optimizer or the schedule"),
        ("Secret", "no checkpoint: state.cohort.net.scheduler.scheduler.secret is a object"),
    ],
)
def test_what_a_class_of_the_user_does_not_give_back(
    name: str, sentence: str, job_of: JobOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a run starts again, says so, and has the numbers of an unbroken one."""
    schedule = (f"schedule._target_=test_checkpoint.{name}", "+schedule.step_size=3")
    job = job_of(*DENSE, "probe=default", "steps=12", *schedule)
    [unbroken] = train([job], False).values()
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    assert not train([job], False, 0.6)
    [record] = train([job], False).values()
    assert record.tags.pop(Tag.CHECKPOINT).startswith(sentence)
    assert Tag.RESUMED_AT not in record.tags
    assert content(record) == content(unbroken)
