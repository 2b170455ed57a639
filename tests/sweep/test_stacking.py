"""What trains together: a pure function of configs and constants."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from zeroinit.config import Job
from zeroinit.sweep import stacking
from zeroinit.sweep.stacking import StackLimits, StackPlan, find_limits, plan_stacks, split_evenly

SMALL = StackLimits(
    alone_reason=None, max_members=16, max_sharing=16, is_full_batch=False, multiplications=1000, steps_per_epoch=10
)


@pytest.fixture(scope="module")
def grid(job_of: Callable[..., Job]) -> Callable[..., list[Job]]:
    """The jobs of XOR with this number of seeds and these overrides; `key=[a,b]` alternates."""
    job = job_of("dataset=digits", "arch=logistic", "steps=10")

    def make(count: int, /, **changes: object) -> list[Job]:
        jobs = []
        for seed in range(count):
            values = job.values | {"seeds": dict.fromkeys(job.values["seeds"], seed) | {"split": 0}}
            for key, of_each in changes.items():
                change = of_each[seed % len(of_each)] if isinstance(of_each, list) else of_each
                values[key] = values[key] | change if isinstance(change, dict) else change
            jobs.append(replace(job, values=values))
        return jobs

    return make


def sizes(stacks: list[StackPlan]) -> list[int]:
    return [len(stack.jobs) for stack in stacks]


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
    stacks = plan_stacks(grid(seeds), workers, lambda job, workers: SMALL)
    assert sorted(sizes(stacks)) == sorted(expected)
    assert sorted(index for stack in stacks for index in stack.jobs) == list(range(seeds))
    assert plan_stacks(grid(seeds), workers, lambda job, workers: SMALL) == stacks


def test_what_members_may_differ_in(grid: Callable[..., list[Job]]) -> None:
    jobs = grid(6, optimizer=[{"lr": 0.1}, {"lr": 0.01}], steps=[5, 7, 9], bias_scale=[{"value": 0.1}, {"value": 2}])
    [stack] = plan_stacks(jobs, 1, lambda job, workers: SMALL)
    assert [jobs[index].config.optimizer.arguments["lr"] for index in stack.jobs] == [0.01] * 3 + [0.1] * 3
    assert stack.reason == "6 together, of 16 at most"


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
    assert [sorted(stack.jobs) for stack in plan_stacks(grid(6, **changes), 1, lambda job, workers: SMALL)] == [
        [0, 2, 4],
        [1, 3, 5],
    ]


def test_what_cannot_be_stacked_trains_alone_with_the_reason(grid: Callable[..., list[Job]]) -> None:
    stacks = plan_stacks(grid(3), 2, lambda job, workers: replace(SMALL, alone_reason="Net has a forward of its own"))
    assert stacks == [StackPlan([index], "alone: Net has a forward of its own") for index in range(3)]
    [single] = plan_stacks(grid(1), 2, lambda job, workers: SMALL)
    assert single.reason == "alone: no other run of the sweep has its data, arch and optimizer"


def test_the_longest_come_first(grid: Callable[..., list[Job]]) -> None:
    jobs = grid(4, steps=[10, 40, 20, 30], deterministic=True)
    stacks = plan_stacks(jobs, 2, lambda job, workers: replace(SMALL, alone_reason="so"))
    assert [stack.jobs for stack in stacks] == [[1], [3], [2], [0]]


@pytest.mark.parametrize(
    ("changes", "net", "expected", "most"),
    [
        ({}, {"max_members": 4}, [[0, 2, 4, 6], [1, 3, 5, 7]], 16),
        ({}, {"max_members": 2, "max_sharing": 4}, [[0, 2, 4, 6], [1, 3, 5, 7]], 4),
        ({}, {}, [[0, 2, 4, 6, 1, 3, 5, 7]], 16),  # one stack where each has its own is better than two
        ({}, {"max_members": 2, "is_full_batch": True}, [[*range(8)]], 16),
        ({"dataset": {"shuffle": False}}, {"max_members": 2}, [[*range(8)]], 16),
        (
            {"dataset": {"shuffle": False, "augment": {"padding": 1, "flip": False}}},
            {"max_members": 2},
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
    stacks = plan_stacks(jobs, 1, lambda job, workers: replace(SMALL, **net))
    assert [stack.jobs for stack in stacks] == expected
    assert {stack.reason for stack in stacks} == {f"{len(expected[0])} together, of {most} at most"}


@pytest.mark.parametrize(
    ("words", "alone", "most", "most_alike"),
    [
        (("dataset=xor", "arch.hidden=[2]"), None, stacking.MAX_STACK_MEMBERS, stacking.MAX_STACK_MEMBERS),
        (("dataset=mnist5k",), None, stacking.MIN_CPU_LIMIT, stacking.MIN_CPU_LIMIT),
        (("dataset=mnist5k", "arch=logistic"), None, 31, 123),
        (("dataset=digits", "arch=mnist_cnn"), "convolutions gain nothing together on a CPU", 1, 1),
        (("dataset=digits", "arch.hidden=[1000,1000]"), "its 1076010 parameters gain less than a fifth", 1, 1),
    ],
)
def test_what_the_plan_finds_in_a_net(
    words: tuple[str, ...], alone: str | None, most: int, most_alike: int, job_of: Callable[..., Job]
) -> None:
    limits = find_limits(job_of(*words, "device=cpu"), 1)
    assert limits.alone_reason == alone or (alone and limits.alone_reason and limits.alone_reason.startswith(alone))
    assert (limits.max_members, limits.max_sharing) == (most, most_alike)


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
    load = stacking.load
    monkeypatch.setattr(stacking, "set_up_torch", lambda values: torch.device("cuda"))
    monkeypatch.setattr(stacking, "load", lambda values, device: load(values, torch.device("cpu")))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80_000_000_000, 80_000_000_000))
    limits = find_limits(job_of("dataset=mnist5k", *words, "device=cpu"), 1)
    assert (limits.alone_reason, limits.max_sharing) == (alone, most)


def test_one_run_with_other_batches_does_not_part_those_that_share_theirs(grid: Callable[..., list[Job]]) -> None:
    jobs = grid(9)
    for job in jobs[1:]:
        job.values["seeds"]["order"] = 1
    together, alone = plan_stacks(jobs, 1, lambda job, workers: replace(SMALL, max_members=4))
    assert together == StackPlan([*range(1, 9)], "8 together, of 16 at most")
    assert alone == StackPlan([0], "alone: left over from stacks, of 16 at most")


def test_cuts_are_as_equal_as_can_be() -> None:
    for length in range(1, 40):
        for parts in range(1, length + 1):
            cuts = split_evenly(length, parts)
            widths = [last - first for first, last in pairwise(cuts)]
            assert (sum(widths), len(widths)) == (length, parts)
            assert max(widths) - min(widths) <= 1


def leaf_keys(node: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from leaf_keys(value, f"{path}{key}.")
        else:
            yield f"{path}{key}"


def change(job: Job, key: str, value: object) -> Job:
    """The job with another value of a key, which may be new."""
    values = copy.deepcopy(job.values)
    *parents, last = key.split(".")
    node = values
    for parent in parents:
        node = node[parent]
    node[last] = value
    changed = replace(job, values=values)
    vars(changed)["config"] = job.config  # the value need not be a valid one
    return changed


def may_differ(key: str) -> bool:
    """What MAY_DIFFER says of a key, written down once more by hand."""
    parents = [key[:end] for end in range(len(key) + 1) if end == len(key) or key[end] == "."]
    is_argument = key.startswith("optimizer.") and key != "optimizer._target_"
    return bool({*parents} & {*stacking.MAY_DIFFER}) or is_argument


@pytest.mark.parametrize("config_name", ["config", "figure3"])
def test_members_differ_in_no_key_but_those_that_are_listed(config_name: str, job_of: Callable[..., Job]) -> None:
    """Each key of a config, and those of a sweep with sizes and claims."""
    job = job_of("hydra.mode=RUN", config_name=config_name)
    keys = list(leaf_keys(job.values))
    assert len(keys) > 50
    for key in keys:
        pair = [job, change(job, key, 77)]
        assert (stacking.shared_config(pair[0]) == stacking.shared_config(pair[1])) == may_differ(key), key
        stacks = plan_stacks(pair, 1, lambda job, workers: replace(SMALL, is_full_batch=True))
        assert (len(stacks) == 1) == may_differ(key), key


@pytest.mark.parametrize(
    "group", ["", "dataset.", "dataset.augment.", "arch.", "loss.", "seeds.", "probe.", "tracker."]
)
def test_members_do_not_differ_in_a_new_key(group: str, job_of: Callable[..., Job]) -> None:
    """A new key in which they may differ must be listed; without that it costs a stack, but changes no number."""
    job = job_of()
    for other in (change(job, f"{group}made_up", 1), change(job, f"{group}made_up", {"deep": 1})):
        assert len(plan_stacks([job, other], 1, lambda job, workers: SMALL)) == 2


def test_members_do_not_differ_in_their_variables(job_of: Callable[..., Job]) -> None:
    job = job_of()
    assert len(plan_stacks([job, replace(job, variables={"X": "1"})], 1, lambda job, workers: SMALL)) == 2


def test_each_key_that_is_listed_is_one_of_the_config(job_of: Callable[..., Job]) -> None:
    values = job_of("hydra.mode=RUN", config_name="figure3").values
    for key in stacking.MAY_DIFFER:
        node: Any = values
        for part in key.removesuffix(".*").split("."):
            node = node[part]
