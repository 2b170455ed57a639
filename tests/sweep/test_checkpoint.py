"""A training that was killed and goes on from its checkpoint, against the same training unbroken, bit for bit."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from zeroinit.config import Job
from zeroinit.sweep.runner import run_jobs
from zeroinit.sweep.saved_training import SECONDS_VARIABLE
from zeroinit.tracker import Record, Status
from zeroinit.tracker.memory import Off
from zeroinit.tracker.tags import Tag

JobOf = Callable[..., Job]
TIMES = (Tag.TRAIN_SECONDS, Tag.SAMPLES_PER_SECOND, Tag.RESUMED_AT)
PROBES = "probe.measure=[gradient,weight,symmetry,pairs,activation,first_gradient,curvature,noise_scale,snapshot]"


class Memory(Off):
    """Keeps the records of this process, as a store does."""

    is_persistent = True


class Killed(KeyboardInterrupt):
    """The end of a process, at a step."""


def train(jobs: Sequence[Job], kill_at: float = 2, stacked: bool = False) -> list[Record]:
    """Train jobs until this share of the steps is done; return the records of those that ended."""

    def report(share: float, score: object) -> None:
        if share >= kill_at:
            raise Killed

    tracker = Memory()
    tracker.open("test")
    with contextlib.suppress(Killed):
        run_jobs(jobs, tracker, report, stacked=stacked)
    return [record for record in tracker._records if record.status in (Status.FINISHED, Status.FAILED)]


def content(record: Record) -> object:
    tags = {name: value for name, value in record.tags.items() if name not in TIMES}
    return record.status, record.params, tags, record.metrics, record.files


def check_equal(first: Sequence[Record], second: Sequence[Record]) -> None:
    assert [record.identity for record in first] == [record.identity for record in second]
    for one, other in zip(first, second, strict=True):
        for part, twin in zip(content(one), content(other), strict=True):
            assert part == twin


def check_resumed(jobs: Sequence[Job], monkeypatch: pytest.MonkeyPatch, kills: Sequence[float]) -> list[Record]:
    """Kill a training of the jobs several times, and compare with the unbroken one. Return the records."""
    stacked = len(jobs) > 1
    unbroken = {record.identity: record for record in train(jobs)}
    assert all(record.status == Status.FINISHED for record in unbroken.values())
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    ended: dict[str, Record] = {}
    left = list(jobs)
    for kill_at in kills:
        ended |= {record.identity: record for record in train(left, kill_at, stacked)}
        left = [job for job in left if job.config_hash not in {r.tags[Tag.CONFIG_HASH] for r in ended.values()}]
        assert left or kill_at > 1
    assert Tag.CHECKPOINT not in next(iter(ended.values())).tags
    order = list(unbroken)
    check_equal([unbroken[key] for key in order], [ended[key] for key in order])
    assert not list(Path("mlruns/checkpoints").iterdir())
    return [ended[key] for key in order]


def test_single_net_with_convolutions_dropout_and_augmentation(job_of: JobOf, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("dataset=digits", "arch=mnist_cnn", "steps=20", "dataset.batch_size=50", "dataset.max_examples=150", PROBES, "save=true")
    job = job_of(*words, "dataset.augment.padding=1", "dataset.augment.flip=true", "schedule=cosine")
    [record] = check_resumed([job], monkeypatch, [0.3, 0.7, 2])
    assert record.tags[Tag.RESUMED_AT] == "13"


def test_stack(job_of: JobOf, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("dataset=digits", "arch.hidden=[9,7]", "dataset.batch_size=200", PROBES, "save=true")
    jobs = [job_of(*words, "steps=20", f"seed={seed}") for seed in range(3)] + [
        job_of(*words, "steps=40", "seed=5", "init=zero")
    ]
    check_resumed(jobs, monkeypatch, [0.3, 0.7, 2])
