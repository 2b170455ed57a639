"""Each loss against torch's own criterion, and a stack against its members alone."""

import math

import pytest
import torch
from helpers.losses import LOSSES, THREE, make_members
from helpers.trainings import SOFTMAX, train_members

from zeroinit.loss import Loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_run_is_a_plain_loop_with_the_criterion_of_torch(name: str, reduction: str) -> None:
    data, loss, criterion = LOSSES[name]
    rate = 0.1 if reduction == "mean" else 0.001
    [member], [plain] = (make_members(data, loss, 1, rate=rate) for _ in range(2))
    [result] = train_members([member], data, batch_size=70, reduction=reduction, loss=loss)
    for step in range(30):
        plain.optimizer.zero_grad()
        values = criterion(plain.model(data.train[0]), data.train[1])
        assert result.losses[step].item() == pytest.approx(values.mean().item(), rel=1e-5)
        (values.mean() if reduction == "mean" else values.sum()).backward()
        plain.optimizer.step()
    for ours, theirs in zip(member.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    outputs = plain.model(data.test[0])
    last = result.metrics[-1].values
    assert last["test/loss"] == pytest.approx(criterion(outputs, data.test[1]).mean().item(), rel=1e-5)
    if name == "bce":
        score = ((outputs[:, 0].sigmoid() > 0.5) == data.test[1]).float().mean().item()
    elif data.num_classes:
        score = (outputs.argmax(1) == data.test[1]).float().mean().item()
    else:
        deviations = (data.test[1] - data.train[1].mean(0)) ** 2
        score = 1 - (((outputs - data.test[1]) ** 2).mean() / deviations.mean()).item()
    assert last[loss.score.test] == pytest.approx(score, rel=1e-5)
    assert set(last) == {f"{split}/{key}" for split in ("train", "val", "test") for key in ("loss", loss.score.name)}


@pytest.mark.parametrize("name", LOSSES)
def test_a_member_of_a_stack_is_the_run_that_it_would_be_alone(name: str) -> None:
    data, loss, _ = LOSSES[name]
    together, each = (make_members(data, loss, 3) for _ in range(2))
    with torch.no_grad():
        together[1].model.output.bias.fill_(math.nan)  # type: ignore[union-attr,operator]
    results = train_members(together, data, batch_size=16, loss=loss)
    for index in (0, 2):
        [alone] = train_members([each[index]], data, batch_size=16, loss=loss)
        torch.testing.assert_close(results[index].losses, alone.losses, rtol=1e-5, atol=1e-6)
        for ours, theirs in zip(together[index].model.parameters(), each[index].model.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
        assert results[index].metrics[-1].values == pytest.approx(alone.metrics[-1].values, rel=1e-4)
    assert results[1].diverged_at == 0


@pytest.mark.parametrize("name", LOSSES)
def test_the_slopes_of_a_stack_are_those_of_autograd(name: str) -> None:
    """With padding, in float64; the sum over the outputs is zero where a loss says so."""
    data, loss, _ = LOSSES[name]
    examples, targets = 20, data.train[1][:20]
    outputs = torch.randn(3, loss.outputs, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values, slopes = loss.slopes(outputs.clone(), targets.unsqueeze(0), "mean")
    for member in range(3):
        leaf = outputs[member, :, :examples].T.clone().requires_grad_()
        wanted = loss.per_example(leaf, targets).mean()
        wanted.backward()
        torch.testing.assert_close(values[member], wanted)
        torch.testing.assert_close(slopes[member, :, :examples], leaf.grad.T, rtol=1e-12, atol=1e-15)
    assert not slopes[..., examples:].any()
    assert slopes.sum(1).abs().max().item() < 1e-15 or not loss.slopes_sum_to_zero


def test_the_closed_form_of_the_softmax_agrees_with_autograd() -> None:
    outputs = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(1))
    targets = THREE.train[1][:32].unsqueeze(0)
    ours, generic = SOFTMAX.slopes(outputs, targets, "sum"), Loss.slopes(SOFTMAX, outputs, targets, "sum")
    for mine, other in zip(ours, generic, strict=True):
        torch.testing.assert_close(mine, other)
