"""What trains together: a pure function of configs and constants."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from zeroinit.config import Job
from zeroinit.sweep import stacking as planning
from zeroinit.sweep.stacking import Net, Training, cuts, net_of, plan

SMALL = Net(alone=None, most=16, most_alike=16, full_batch=False, multiplications=1000, steps_per_epoch=10)


@pytest.fixture(scope="module")
def grid(job_of: Callable[..., Job]) -> Callable[..., list[Job]]:
    """The jobs of XOR with so many seeds, and what else is asked for; `key=[a,b]` alternates."""
    job = job_of("dataset=digits", "arch=logistic", "steps=10")

    def jobs(count: int, /, **changes: object) -> list[Job]:
        found = []
        for seed in range(count):
            values = job.values | {"seeds": dict.fromkeys(job.values["seeds"], seed) | {"split": 0}}
            for key, of_each in changes.items():
                change = of_each[seed % len(of_each)] if isinstance(of_each, list) else of_each
                values[key] = values[key] | change if isinstance(change, dict) else change
            found.append(replace(job, values=values))
        return found

    return jobs


def sizes(trainings: list[Training]) -> list[int]:
    return [len(training.jobs) for training in trainings]


@pytest.mark.parametrize(
    ("seeds", "workers", "expected"),
    [
        (1, 2, [1]),
        (2, 2, [2]),  # no stack of one, which would have other bits
        (3, 2, [3]),
        (4, 2, [2, 2]),
        (16, 1, [16]),
        (16, 2, [8, 8]),
        (33, 1, [11, 11, 11]),
        (33, 2, [8, 8, 8, 9]),
    ],
)
def test_as_few_stacks_as_fit_and_so_many_that_all_workers_have_as_much(
    seeds: int, workers: int, expected: list[int], grid: Callable[..., list[Job]]
) -> None:
    found = plan(grid(seeds), workers, lambda job, workers: SMALL)
    assert sorted(sizes(found)) == sorted(expected)
    assert sorted(place for training in found for place in training.jobs) == list(range(seeds))
    assert plan(grid(seeds), workers, lambda job, workers: SMALL) == found


def test_what_members_may_differ_in(grid: Callable[..., list[Job]]) -> None:
    jobs = grid(6, optimizer=[{"lr": 0.1}, {"lr": 0.01}], steps=[5, 7, 9], bias_scale=[{"value": 0.1}, {"value": 2}])
    [training] = plan(jobs, 1, lambda job, workers: SMALL)
    assert [jobs[place].values["optimizer"]["lr"] for place in training.jobs] == [0.01] * 3 + [0.1] * 3
    assert training.why == "6 together, of 16 at most"


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": [{"_target_": "zeroinit.arch.Logistic"}, {"_target_": "mine.Net"}]},
        {"dataset": [{"batch_size": 64}, {"batch_size": 32}]},
        {"optimizer": [{"_target_": "torch.optim.SGD"}, {"_target_": "torch.optim.Adam"}]},
        {"dataset": [{"shuffle": True}, {"shuffle": False}]},
        {"loss": [{"reduction": "mean"}, {"reduction": "sum"}]},
        {"deterministic": [True, False]},
        {"arithmetic": ["native", "tied"]},
        {"dtype": ["float32", "float64"]},
    ],
)
def test_what_they_must_have_in_common(changes: dict[str, list[object]], grid: Callable[..., list[Job]]) -> None:
    assert [sorted(one.jobs) for one in plan(grid(6, **changes), 1, lambda job, workers: SMALL)] == [
        [0, 2, 4],
        [1, 3, 5],
    ]


def test_what_cannot_be_stacked_trains_alone_with_the_reason(grid: Callable[..., list[Job]]) -> None:
    found = plan(grid(3), 2, lambda job, workers: replace(SMALL, alone="Net has a forward of its own"))
    assert found == [Training([place], "alone: Net has a forward of its own") for place in range(3)]
    [single] = plan(grid(1), 2, lambda job, workers: SMALL)
    assert single.why == "alone: no other run of the sweep has its data, arch and optimizer"


def test_the_longest_come_first(grid: Callable[..., list[Job]]) -> None:
    jobs = grid(4, steps=[10, 40, 20, 30], deterministic=True)
    found = plan(jobs, 2, lambda job, workers: replace(SMALL, alone="so"))
    assert [training.jobs for training in found] == [[1], [3], [2], [0]]


@pytest.mark.parametrize(
    ("changes", "net", "expected", "most"),
    [
        ({}, {"most": 4}, [[0, 2, 4, 6], [1, 3, 5, 7]], 16),
        ({}, {"most": 2, "most_alike": 4}, [[0, 2, 4, 6], [1, 3, 5, 7]], 4),
        ({}, {}, [[0, 2, 4, 6, 1, 3, 5, 7]], 16),  # one stack where each has its own is better than two
        ({}, {"most": 2, "full_batch": True}, [[*range(8)]], 16),
        ({"dataset": {"shuffle": False}}, {"most": 2}, [[*range(8)]], 16),
        (
            {"dataset": {"shuffle": False, "augment": {"crop": 1, "flip": False}}},
            {"most": 2},
            [[0, 1], [2, 3], [4, 5], [6, 7]],
            2,
        ),
    ],
)
def test_the_same_batches_stand_together_where_that_makes_fewer_stacks(
    changes: dict[str, object],
    net: dict[str, int],
    expected: list[list[int]],
    most: int,
    grid: Callable[..., list[Job]],
) -> None:
    jobs = grid(8, **changes)
    for index, job in enumerate(jobs):
        job.values["seeds"]["order"] = index % 2
    found = plan(jobs, 1, lambda job, workers: replace(SMALL, **net))
    assert [training.jobs for training in found] == expected
    assert {training.why for training in found} == {f"{len(expected[0])} together, of {most} at most"}


@pytest.mark.parametrize(
    ("words", "alone", "most", "most_alike"),
    [
        (("dataset=xor", "arch.hidden=[2]"), None, planning.MOST, planning.MOST),
        (("dataset=mnist5k",), None, planning.FEWEST, planning.FEWEST),
        (("dataset=mnist5k", "arch=logistic"), None, 31, 123),
        (("dataset=digits", "arch=mnist_cnn"), "convolutions gain nothing together on a CPU", 1, 1),
        (("dataset=digits", "arch.hidden=[1000,1000]"), "its 1076010 parameters gain less than a fifth", 1, 1),
    ],
)
def test_what_the_plan_finds_in_a_net(
    words: tuple[str, ...], alone: str | None, most: int, most_alike: int, job_of: Callable[..., Job]
) -> None:
    net = net_of(job_of(*words, "device=cpu"), 1)
    assert net.alone == alone or (alone and net.alone and net.alone.startswith(alone))
    assert (net.most, net.most_alike) == (most, most_alike)


@pytest.mark.parametrize(
    ("words", "alone", "most"),
    [
        (("arch=fnn",), None, 256),
        (("arch=mnist_cnn",), None, 15),
        (("arch=mnist_cnn", "dataset.batch_size=512"), "convolutions of this size lose time together on CUDA", 1),
        (("arch=cifar_cnn",), "convolutions of this size lose time together on CUDA", 1),
        (("arch=fnn", "arch.hidden=[3000,3000]"), None, 205),  # in half of 80 GB
    ],
)
def test_what_the_plan_finds_in_a_net_on_cuda(
    words: tuple[str, ...], alone: str | None, most: int, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of an H100: stacks of `mnist_cnn` gain, those of `cifar_cnn` lose. No device is needed to plan."""
    load = planning.load
    monkeypatch.setattr(planning, "set_up_torch", lambda values: torch.device("cuda"))
    monkeypatch.setattr(planning, "load", lambda values, device: load(values, torch.device("cpu")))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80_000_000_000, 80_000_000_000))
    net = net_of(job_of("dataset=mnist5k", *words, "device=cpu"), 1)
    assert (net.alone, net.most_alike) == (alone, most)


def test_one_run_with_other_batches_does_not_part_those_that_share_theirs(grid: Callable[..., list[Job]]) -> None:
    jobs = grid(9)
    for job in jobs[1:]:
        job.values["seeds"]["order"] = 1
    together, alone = plan(jobs, 1, lambda job, workers: replace(SMALL, most=4))
    assert together == Training([*range(1, 9)], "8 together, of 16 at most")
    assert alone == Training([0], "alone: left over from stacks, of 16 at most")


def test_cuts_are_as_equal_as_can_be() -> None:
    for length in range(1, 40):
        for parts in range(1, length + 1):
            found = cuts(length, parts)
            widths = [last - first for first, last in pairwise(found)]
            assert (sum(widths), len(widths)) == (length, parts)
            assert max(widths) - min(widths) <= 1
