"""Training in float64: from the same numbers as in float32, and all of it in float64 from there."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from helpers.observers import make_observer
from helpers.trainings import SOFTMAX, train_members
from torch import Tensor, nn

from zeroinit import build
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.diagnostics import symmetry
from zeroinit.diagnostics.lint import findings
from zeroinit.layers import weight_layers
from zeroinit.probes import inspection, outcome
from zeroinit.rng import stream
from zeroinit.sweep import runner, session
from zeroinit.sweep.stacking import plan_stacks
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off
from zeroinit.tracker.scores import ACCURACY
from zeroinit.training.cohort import Member

Jobs = Callable[..., Job]
DTYPES = ("float32", "float64")
INITS = ("default", "zero_normal", "zero_uniform", "orthogonal", "row_constant", "constant", "kaiming_normal")


def build_job(job: Job) -> tuple[Data, nn.Module, torch.optim.Optimizer]:
    data = build.load(job.config, build.set_up_torch(job.config))
    model, _, optimizer = build.build(job.config, data)
    return data, model, optimizer


def train_jobs(jobs: list[Job], probes: list[str] | None = None) -> tuple[list[nn.Module], list[Record]]:
    """As the runs of these jobs, together; with their records."""
    data = build_job(jobs[0])[0]
    members = []
    for job in jobs:
        _, model, optimizer = build_job(job)
        seeds = job.config.seeds
        streams = stream("order", seeds.order), stream("augment", seeds.augment)
        members.append(Member(model, optimizer, *streams, job.config.duration.steps))
    records = [Record("", {}, {}) for _ in jobs]
    steps = max(member.steps for member in members)
    batch = data.to_inputs(data.train[0][:20]).unsqueeze(0), data.train[1][:20].unsqueeze(0)
    hidden = [name for name, _ in weight_layers(members[0].model)][:-1]
    observer = make_observer(records, steps, probes or [], hidden, batch, [0, 2])
    config = jobs[0].config
    train_members(
        members,
        data,
        batch_size=build.batch_size_of(config, data),
        shuffle=True,
        augment=config.dataset.augment,
        reduction="mean",
        tied=config.arithmetic == "tied",
        observe=observer,
    )
    return [member.model for member in members], records


@pytest.mark.parametrize("init", INITS)
def test_both_start_from_the_same_numbers(init: str, job_of: Jobs) -> None:
    """Parameters and inputs, normalised or not: float64 has those of float32, to the bit."""
    words = ["dataset=mnist5k", "arch.hidden=[9]", f"init={init}", "bias_scale.value=0.3"]
    for normalize in ([], ["dataset.normalize.mean=0.13", "dataset.normalize.std=0.3"]):
        (data, model, _), (wide, twin, _) = (
            build_job(job_of(*words, *normalize, f"dtype={dtype}")) for dtype in DTYPES
        )
        for first, second in zip(model.parameters(), twin.parameters(), strict=True):
            assert (first.dtype, second.dtype) == (torch.float32, torch.float64)
            assert torch.equal(first.double(), second)
        inputs, others = (each.to_inputs(each.train[0][:100]) for each in (data, wide))
        assert (inputs.dtype, others.dtype, wide.train[0].dtype) == (torch.float32, torch.float64, torch.uint8)
        assert torch.equal(inputs.double(), others)


def test_what_there_is_to_be_learnt_is_the_same(job_of: Jobs) -> None:
    single, double = (build_job(job_of("dataset=digits", f"dtype={dtype}"))[0] for dtype in DTYPES)
    assert outcome.find_baselines(single, ACCURACY) == outcome.find_baselines(double, ACCURACY)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_run_is_a_plain_loop_in_float64(optimizer: str, job_of: Jobs) -> None:
    """To the bit, losses included; a run in float32 from the same numbers ends elsewhere."""
    words = ["dataset=digits", "arch.hidden=[20]", "init=zero_normal", f"optimizer={optimizer}", "steps=30"]
    job = job_of(*words, "dtype=float64", "seed=3")
    [record] = runner.run_jobs([job], Off(), lambda share, accuracy: None)
    [model], _ = train_jobs([job])

    data = build.load(job_of(*words).config, torch.device("cpu"))
    start = build_job(job_of(*words, "seed=3"))[1]
    w1, b1, w2, b2 = (parameter.detach().double().requires_grad_() for parameter in start.parameters())

    def logits(inputs: Tensor) -> Tensor:
        return F.linear(F.elu(F.linear(inputs.flatten(1), w1, b1)), w2, b2)

    steps = {
        "sgd": torch.optim.SGD([w1, b1, w2, b2], lr=0.1, fused=True),
        "adam": torch.optim.Adam([w1, b1, w2, b2], lr=0.001, fused=True),
    }[optimizer]
    inputs, labels = data.train[0].double(), data.train[1]
    order, taken, losses = stream("order", 3), 0, []
    while taken < 30:
        losses = []
        for batch in torch.randperm(len(labels), generator=order).split(128):
            if taken < 30:
                steps.zero_grad()
                loss = F.cross_entropy(logits(inputs[batch]), labels[batch])
                loss.backward()
                steps.step()
                losses.append((loss.item(), len(batch)))
                taken += 1
    for first, parameter in zip((w1, b1, w2, b2), model.parameters(), strict=True):
        assert torch.equal(first, parameter)
    mean = sum(loss * size for loss, size in losses) / sum(size for _, size in losses)
    with torch.no_grad():
        test = F.cross_entropy(logits(data.test[0].double()), data.test[1]).item()
    assert record.last("train/loss") == pytest.approx(mean, rel=1e-14)
    assert record.last("test/loss") == pytest.approx(test, rel=1e-14)
    [single] = runner.run_jobs([job_of(*words, "seed=3")], Off(), lambda share, accuracy: None)
    assert 1e-12 < abs(single.last("test/loss") - test) < 1e-3


def test_a_stack_is_each_alone(job_of: Jobs) -> None:
    """In float64 to 1e-11, and what is measured, too; runs of different dtypes share no stack."""
    words = ("dataset=digits", "arch.hidden=[10,7]", "optimizer=sgd", "dtype=float64", "steps=40")
    jobs = [job_of(*words, f"seed={seed}", f"optimizer.lr=0.0{seed + 1}") for seed in range(3)]
    probes = ["gradient", "first_gradient", "symmetry", "pairs", "weight", "activation", "curvature"]
    together, records = train_jobs(jobs, probes)
    for job, model, record in zip(jobs, together, records, strict=True):
        [alone], [single] = train_jobs([job], probes)
        for first, parameter in zip(model.parameters(), alone.parameters(), strict=True):
            assert first.dtype == torch.float64
            assert torch.allclose(first, parameter, rtol=0, atol=1e-11)
        assert "skipped_probes" not in record.tags
        assert [point[::2] for point in record.metrics] == [point[::2] for point in single.metrics]
        for (name, value, _), (_, twin, _) in zip(record.metrics, single.metrics, strict=True):
            rel = 1e-3 if "curvature" in name else 1e-6
            assert value == pytest.approx(twin, rel=rel, abs=1e-8), name
    mixed = [job_of("dataset=digits", f"seed={seed}", f"dtype={dtype}") for seed in (0, 1) for dtype in DTYPES]
    assert sorted(sorted(stack.jobs) for stack in plan_stacks(mixed, 1)) == [[0, 2], [1, 3]]


@pytest.mark.parametrize("arithmetic", ["tied", "quotient"])
@pytest.mark.parametrize("init", ["constant", "row_constant"])
def test_ties_and_quotients(init: str, arithmetic: str, job_of: Jobs) -> None:
    words = ["dataset=digits", "arch.hidden=[12]", f"init={init}", "optimizer=sgd", "steps=30", "dtype=float64"]
    [native], _ = train_jobs([job_of(*words)])
    [model], _ = train_jobs([job_of(*words, f"arithmetic={arithmetic}")])
    assert all(parameter.dtype == torch.float64 for parameter in model.parameters())
    if arithmetic == "quotient":
        assert len(model.hidden1.weight) == 1
    for row in model.hidden1.weight:
        assert torch.equal(row, model.hidden1.weight[0])
        assert torch.allclose(row, native.hidden1.weight, rtol=0, atol=1e-12)


def test_rounding_is_no_first_gradient_in_float64_either(job_of: Jobs) -> None:
    """Behind constant weights a first gradient is zero but for rounding, which float32 has much more of."""
    for dtype in DTYPES:
        words = ["dataset=digits", "init=row_constant", "arch.hidden=[33]", "optimizer=sgd", "steps=3"]
        _, [record] = train_jobs([job_of(*words, f"dtype={dtype}")], ["gradient", "first_gradient"])
        assert record.history("grad/hidden1/norm")[1] > 0
        assert record.history("first_gradient/hidden1") == {2: 2}
        assert record.history("first_gradient/output") == {1: 1}


def test_the_lint_has_the_limits_of_each(job_of: Jobs) -> None:
    def forward_findings(dtype: str, scale: int) -> list[str]:
        job = job_of("dataset=digits", "init=zero_normal", f"bias_scale.value={scale}", f"dtype={dtype}")
        return [finding.text for finding in findings(job.config, *build_job(job)) if finding.rule == "forward"]

    assert forward_findings("float32", 300)[0].endswith("beyond 87 a softmax or sigmoid is all or nothing in float32")
    assert forward_findings("float64", 300) == []
    assert forward_findings("float64", 3000)[0].endswith("beyond 708 a softmax or sigmoid is all or nothing in float64")
    texts_by_run = [
        [finding.text for finding in findings(job.config, *build_job(job)) if finding.rule == "backward"]
        for job in (job_of("dataset=digits", "init=constant", f"dtype={dtype}") for dtype in DTYPES)
    ]
    assert all(texts and texts[0].endswith("times those of output: rounding") for texts in texts_by_run)


def test_the_audit_knows_the_draws_and_the_rounding_of_float64(job_of: Jobs) -> None:
    single, double = (
        symmetry.audit(job.config, build.load(job.config, torch.device("cpu")))
        for job in (
            job_of("dataset=digits", "init=row_constant", "arch.hidden=[129]", "probe.first_steps=5", f"dtype={dtype}")
            for dtype in DTYPES
        )
    )
    assert single.drawn == double.drawn
    assert double.notes[-1].startswith("The symmetry is broken by rounding alone (hidden1 after step ")


def test_weights_outcomes_and_quantiles_are_of_float64(job_of: Jobs) -> None:
    """A gradient of 1e-60, which float32 has not, is one."""
    job = job_of("dataset=digits", "arch.hidden=[5]", "arch.activation=tanh", "init=zero", "dtype=float64")
    data, model, _ = build_job(job)
    with torch.no_grad():
        for layer, following in pairwise(layer for _, layer in weight_layers(model)):
            nn.init.constant_(layer.weight, 0.01)
            following.weight[0] = 1e-60
    looked = inspection.inspect_model(model, (data.to_inputs(data.train[0][:50]), data.train[1][:50]), SOFTMAX, float)
    gradient = looked.layers[0].gradient
    assert gradient is not None
    assert 0 < gradient < 1e-55
    assert math.isfinite(gradient)
    assert session.state_dict_bytes(model) != session.state_dict_bytes(model.float())
