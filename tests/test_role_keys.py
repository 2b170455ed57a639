"""The keys of the roles in a run: what they fill, what is refused, and which stream the constructor draws from."""

from collections.abc import Callable

import pytest
import torch
from helpers.roles import Residual

from zeroinit import build
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.diagnostics import lint
from zeroinit.diagnostics.symmetry import summarize_draws
from zeroinit.errors import BadInput
from zeroinit.rng import stream


def toy_data() -> Data:
    split = torch.rand(20, 64, generator=stream("split", 0)), torch.arange(20) % 10
    return Data(split, split, split, num_classes=10)


@pytest.fixture
def residual_job(job_of: Callable[..., Job]) -> Callable[..., Job]:
    def job(*overrides: str) -> Job:
        return job_of(
            "dataset=digits",
            "dataset.batch_size=all",
            "arch=logistic",
            "arch._target_=helpers.roles.Residual",
            *overrides,
        )

    return job


def test_a_parameter_of_an_unknown_role_needs_a_rule(residual_job: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as refused:
        build.build(residual_job().config, toy_data())
    assert str(refused.value) == (
        "init: the parameter token (8,) of Residual has no rule: its role is other; set init.other=keep, or give "
        "init.other a rule"
    )
    job = residual_job("init.other={_target_: torch.nn.init.ones_}", "init.scale={_target_: torch.nn.init.zeros_}")
    model, filled, _ = build.build(job.config, toy_data())
    assert model.token.eq(1).all()
    assert not model.norm.weight.any()
    assert {line.parameter: line.rule for line in filled}["norm.bias"] == "torch's own"
    assert job.params["init"] == "default"
    names = "zeros_", "ones_"
    assert [job.params[f"init.{role}"] for role in ("scale", "other")] == [f"torch.nn.init.{name}" for name in names]


def test_init_layers_narrows_each_role(residual_job: Callable[..., Job]) -> None:
    words = ("init.layers=[norm,branch.*]", "init.other=keep", "init.scale={_target_: torch.nn.init.zeros_}")
    model, _, _ = build.build(residual_job(*words, "init=zero", "init@init.rest=ones").config, toy_data())
    assert not model.norm.weight.any()
    assert not model.branch[3].weight.any()
    assert model.first.weight.eq(1).all()


def test_values_that_are_kept_are_draws_of_the_init(residual_job: Callable[..., Job]) -> None:
    """The constructor draws from the stream `init`, and neither another seed nor the global generator matters."""
    words = ("init=keep", "+arch.draw=true")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, filled, _ = build.build(residual_job(*words).config, toy_data())
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(2)
    again = build.build(residual_job(*words, "seeds.forward=5").config, toy_data())[0]
    other = build.build(residual_job(*words, "seeds.init=1").config, toy_data())[0]
    with torch.random.fork_rng():
        torch.set_rng_state(stream("init", 0).get_state())
        plain = Residual(draw=True)
    for name, parameter in first.named_parameters():
        assert parameter.equal(again.get_parameter(name))
        assert parameter.equal(plain.get_parameter(name))
    assert not first.token.equal(other.token)
    assert {line.rule for line in filled} == {"the constructor's own", "torch's own"}
    config = residual_job(*words).config
    assert [finding for finding in lint.check_init(config, toy_data()) if finding.rule in ("init", "seed")] == []
    assert {draws.source for draws in summarize_draws(config, toy_data())[0]} == {"the stream init"}


def test_what_a_rule_draws_follows_what_the_constructor_drew(residual_job: Callable[..., Job]) -> None:
    words = ("init=kaiming_normal", "init.other=keep", "+arch.draw=true")
    model = build.build(residual_job(*words).config, toy_data())[0]
    alone = build.build(residual_job("init=kaiming_normal", "init.other={_target_: torch.nn.init.zeros_}").config,
                        toy_data())[0]  # fmt: skip
    assert not model.first.weight.equal(alone.first.weight)
