"""Metrics of the user: on whole splits, for each member of a stack, and without effect on the training."""

import json
from collections.abc import Callable
from functools import partial

import pytest
import torch
from helpers.trainings import build_member, train_members
from torch import Tensor, nn

from zeroinit import build, dataset
from zeroinit.build.user_metrics import check_user_metrics
from zeroinit.config import Job
from zeroinit.config.schema import RunConfig
from zeroinit.dataset import Data
from zeroinit.errors import BadInput
from zeroinit.probes.metrics import find_metric
from zeroinit.rng import stream
from zeroinit.sweep.resume import _has_all
from zeroinit.tracker import Record
from zeroinit.training.evaluation import evaluate_members
from zeroinit.training.user_metrics import UserMetric

BRIER = "+metrics.brier._target_=test_user_metrics.brier"


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def brier(outputs: Tensor, targets: Tensor, power: int = 2) -> Tensor:
    """It draws numbers, and changes what it is given."""
    torch.randn(3)
    truth = nn.functional.one_hot(targets, 10)
    targets.zero_()
    return outputs.softmax(1).sub_(truth).abs().pow(power).sum(1).mean()


class Stateful:
    """As the classes of torchmetrics: what was given before counts until `reset`."""

    def __init__(self, scale: float) -> None:
        self.scale, self.sum = scale, 0.0

    def __call__(self, outputs: Tensor, targets: Tensor) -> float:
        self.sum += self.scale * brier(outputs, targets.clone()).item()
        return self.sum

    def reset(self) -> None:
        self.sum = 0.0


def fails(outputs: Tensor, targets: Tensor) -> float:
    raise KeyError("gain")


def many(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs[:, 0]


def nothing(outputs: Tensor, targets: Tensor) -> None:
    return None


@pytest.fixture(scope="module")
def jobs(job_of: Callable[..., Job]) -> list[Job]:
    return [job_of("dataset=digits", "arch.hidden=[8]", "steps=5", f"seed={seed}") for seed in range(3)]


@pytest.mark.parametrize("target", [BRIER, "+metrics.brier._target_=test_user_metrics.Stateful"])
def test_each_member_has_its_values_on_whole_splits(
    target: str, jobs: list[Job], job_of: Callable[..., Job], digits: Data
) -> None:
    words = (target, *["+metrics.brier.scale=1"][: "Stateful" in target])
    config = job_of("dataset=digits", *words).config
    check_user_metrics(config, digits)
    evaluate = partial(evaluate_members, user_metrics=build.make_user_metrics(config))
    together, others = ([build_member(job, digits) for job in jobs] for _ in range(2))
    before = torch.get_rng_state()
    results = train_members(together, digits, batch_size=32, evaluate=evaluate)
    assert torch.get_rng_state().equal(before)
    plain_results = train_members(others, digits, batch_size=32)
    for measured, other, result, plain in zip(together, others, results, plain_results, strict=True):
        for (_, trained), (_, untouched) in zip(
            measured.model.named_parameters(), other.model.named_parameters(), strict=True
        ):
            assert trained.equal(untouched)
        for split in ("val", "test"):
            inputs, targets = getattr(digits, split)
            with torch.no_grad():
                expected = brier(measured.model(digits.to_inputs(inputs)), targets.clone())
            assert result.metrics[-1].values[f"{split}/brier"] == pytest.approx(expected.item(), abs=1e-6)
        assert {name for name in result.metrics[0].values} == {*plain.metrics[0].values, "val/brier", "test/brier"}
        assert result.metrics[0].values.items() >= plain.metrics[0].values.items()


def test_a_value_that_is_not_finite_is_left_out_and_ends_no_run(jobs: list[Job], digits: Data) -> None:
    metrics = {"bad": UserMetric("metrics.bad", lambda outputs, targets: torch.tensor(torch.nan))}
    evaluate = partial(evaluate_members, user_metrics=metrics)
    [result] = train_members([build_member(jobs[0], digits)], digits, batch_size=32, evaluate=evaluate)
    assert result.diverged_at is None
    assert len(result.metrics) > 1
    assert all("val/bad" not in metrics.values and "val/loss" in metrics.values for metrics in result.metrics)


REFUSED = {
    ("+metrics.loss._target_=test_user_metrics.brier",): "metrics.loss: each run has a metric of this name",
    ("+metrics.f1=3",): "metrics.f1=3: give the keys of a function, its name under _target_",
    ("metrics=3",): "metrics=3: give names, each with a function under _target_, or {}",
    ("+metrics.x._target_=test_user_metrics.fails",): "metrics.x._target_=test_user_metrics.fails: KeyError: 'gain' (",
    ("+metrics.x._target_=test_user_metrics.many",): "metrics.x._target_=test_user_metrics.many: it returned a tensor ",
    ("+metrics.x._target_=test_user_metrics.nothing",): "metrics.x._target_=test_user_metrics.nothing: it returned a ",
    (BRIER, "+metrics.brier.other=1"): "metrics.brier._target_=test_user_metrics.brier: got an unexpected keyword",
    ("+metrics.x._target_=nowhere.f1",): "metrics.x._target_=nowhere.f1: ",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_no_metric_is_refused_before_training(
    words: tuple[str, ...], job_of: Callable[..., Job], digits: Data
) -> None:
    with pytest.raises(BadInput) as raised:
        check_user_metrics(job_of("dataset=digits", *words).config, digits)
    assert str(raised.value).startswith(REFUSED[words])


def test_a_name_that_no_store_takes_is_refused(job_of: Callable[..., Job]) -> None:
    """Hydra cannot read it on a command line, but in a file."""
    values = job_of().values | {"metrics": {"a/b": {"_target_": "test_user_metrics.brier"}}}
    with pytest.raises(BadInput, match=r"^metrics\.a/b: give a name of letters, digits and underscores"):
        RunConfig.parse(values)


def test_a_metric_is_no_part_of_the_identity_but_a_finished_run_must_have_it(job_of: Callable[..., Job]) -> None:
    plain, measured, other = (
        job_of("dataset=xor", *words) for words in ((), (BRIER,), (BRIER, "+metrics.brier.power=3"))
    )
    assert build.identity_of(plain) == build.identity_of(measured) == build.identity_of(other)
    assert json.loads(measured.params["metrics"]) == {"brier": {"_target_": "test_user_metrics.brier"}}
    records = [Record(job.name, job.params, {}) for job in (plain, measured)]
    assert [_has_all(records[0], job) for job in (plain, measured)] == [True, False]
    assert [_has_all(records[1], job) for job in (plain, measured, other)] == [True, True, False]
    assert measured.name == plain.name


def test_the_report_knows_a_metric_of_the_user() -> None:
    shown = find_metric("test/brier")
    assert shown
    assert (shown.description, shown.has_curve) == ("test brier", True)
    assert find_metric("brier") is None
