"""Inits that differ in scale as well as in shape: by the moments of their rules, and never by chance."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Ended
from torch import Tensor, nn

from zeroinit import init
from zeroinit.config import Job
from zeroinit.diagnostics import moments
from zeroinit.report.confounding import Line, read_init_csv, round_to_error, warn_of_scale
from zeroinit.rng import stream

START = "Warning: these inits also differ in scale, so a difference may be due to that. Rules of "
HEADER = "parameter,shape,rule,mean,std,zeros"
RULE = "rule_mean,rule_std,rule_mean_error,rule_std_error"


def moments_of(rule: partial[Tensor], *shape: int, scale: float = 1.0) -> moments.Moments:
    facts = {"fan_in": 16, "depth": 1}
    result = moments.moments_of(rule, shape, facts, scale)
    assert result
    return result


@pytest.mark.parametrize(
    ("rule", "mean", "std"),
    [
        (partial(nn.init.normal_), 0, 1),
        (partial(nn.init.normal_, mean=3.0, std=0.5), 3, 0.5),
        (partial(nn.init.uniform_), 0.5, math.sqrt(1 / 12)),
        (partial(init.default_), 0, 0.25 / math.sqrt(3)),
        (partial(init.lecun_normal_), 0, 0.25),
    ],
)
@pytest.mark.parametrize("shape", [(6,), (10,), (300,)])
def test_moments_are_those_of_the_rule_and_not_of_six_draws(
    rule: partial[Tensor], mean: float, std: float, shape: tuple[int, ...]
) -> None:
    """Within four standard errors, which are a few hundredths of the standard deviation."""
    result = moments_of(rule, *shape)
    assert abs(result.rule_mean - mean) < 4 * result.rule_mean_error < 0.1 * std
    assert abs(result.rule_std - std) < 4 * result.rule_std_error < 0.1 * std
    scaled = moments_of(rule, *shape, scale=-10.0)
    assert (scaled.rule_mean, scaled.rule_std) == pytest.approx((-10 * result.rule_mean, 10 * result.rule_std))


def test_two_equal_fills_are_no_proof_that_a_rule_draws_nothing() -> None:
    """A coin for a single bias: of any two fills, every second pair is equal."""

    def coin_(tensor: Tensor, generator: torch.Generator) -> Tensor:
        return tensor.bernoulli_(generator=generator)

    result = moments_of(partial(coin_), 1)
    assert abs(result.rule_mean - 0.5) < 4 * result.rule_mean_error
    assert result.rule_std == pytest.approx(0.5, abs=0.02)


def test_the_error_of_a_rule_whose_entries_depend_on_each_other_is_larger() -> None:
    """Each row repeats: 8 x 200 entries are 200 draws."""
    rows, alone = moments_of(partial(init.row_constant_), 8, 200), moments_of(partial(init.lecun_normal_), 8, 200)
    assert rows.rule_mean_error > 2 * alone.rule_mean_error
    assert abs(rows.rule_mean) < 4 * rows.rule_mean_error


def test_a_rule_that_draws_nothing_has_no_error() -> None:
    result = moments_of(partial(nn.init.constant_, val=2.0), 6)
    assert result == moments.Moments(2.0, 0.0, 0.0, 0.0)
    eye = moments_of(partial(nn.init.eye_), 4, 4)
    assert (eye.rule_mean, eye.rule_std, eye.rule_mean_error) == (0.25, pytest.approx(math.sqrt(3 / 16)), 0)


def wild_(tensor: Tensor) -> Tensor:
    """A rule that draws from every global generator."""
    return tensor.normal_().add_(float(np.random.normal()))


def test_no_generator_is_moved_and_a_rule_that_raises_has_no_moments() -> None:
    states = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].tolist()  # type: ignore[index,call-overload]
    moments_of(partial(wild_), 5)
    assert torch.get_rng_state().equal(states[0])
    assert np.random.get_state(legacy=False)["state"]["key"].tolist() == states[1]  # type: ignore[index,call-overload]
    left = [True]

    def once_(tensor: Tensor) -> Tensor:
        left.pop()
        return tensor.zero_()

    facts = {"fan_in": 16, "depth": 1}
    assert moments.moments_of(partial(once_), (3,), facts, 1.0) is None


def test_a_rule_is_not_heard_and_a_slow_one_not_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loud_(tensor: Tensor) -> Tensor:
        print("filling")
        return tensor.normal_()

    moments_of(partial(loud_), 5)
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(moments, "MAX_SECONDS", 0)
    facts = {"fan_in": 16, "depth": 1}
    assert moments.moments_of(partial(loud_), (7,), facts, 1.0) is None


def line_of(rule: partial[Tensor], seed: int, entries: int) -> Line:
    """The line of a bias of so few entries, drawn by a seed."""
    bias = torch.empty(entries)
    rule(bias, generator=stream("init", seed))
    result = moments_of(rule, entries)
    values = [result.rule_mean, result.rule_std, result.rule_mean_error, result.rule_std_error]
    name = rule.func.__name__
    text = f"l.bias,{entries},{name}(),{bias.mean()},{bias.std()},0,{','.join(map(repr, values))}"
    return read_init_csv(f"{HEADER},{RULE}\n{text}\n".encode())[0]


def compare(line: Line, other: Line) -> list[str]:
    return warn_of_scale(
        [({"init": "a", "arch": "x"}, [line]), ({"init": "b", "arch": "x"}, [other])], ["arch", "init"]
    )


def test_six_draws_of_equal_moments_are_never_reported_and_of_others_always() -> None:
    """Means of six draws differ by 0.6 in the mean; the rules' own do not."""
    normal, same = partial(nn.init.normal_), partial(nn.init.uniform_, a=-math.sqrt(3), b=math.sqrt(3))
    other = partial(nn.init.uniform_)
    for seed in range(200):
        assert compare(line_of(normal, seed, 6), line_of(same, seed + 1000, 6)) == []
    for seed in range(20):
        [said] = compare(line_of(normal, seed, 6), line_of(other, seed, 6))
        assert (
            said == f"{START}l.bias (arch=x): a: mean 0, standard deviation 1.0; b: mean 0.5, standard deviation 0.29."
        )


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [(0.98, 0.015, "1.0"), (0.499, 0.005, "0.50"), (0.04, 0.01, "0"), (1234.0, 30.0, "1200"), (0.5, 0.0, "0.5")],
)
def test_no_digit_is_shown_that_chance_may_change(value: float, error: float, shown: str) -> None:
    assert round_to_error(value, error) == shown


def test_runs_from_before_the_moments_are_compared_if_they_have_many_entries() -> None:
    def old(shape: int, mean: float, rule: str) -> Line:
        return read_init_csv(f"{HEADER}\nl.bias,{shape},{rule}(),{mean},1,0\n".encode())[0]

    assert compare(old(100, 0, "normal_"), old(100, 0.7, "uniform_")) == []  # 5 x sqrt(2 / 100) = 0.707
    assert len(compare(old(100, 0, "normal_"), old(100, 0.71, "uniform_"))) == 1
    assert compare(old(6, 0, "normal_"), old(6, 9, "uniform_")) == []  # nobody knows


def test_inits_are_compared_where_nothing_else_differs() -> None:
    lines_of = {"a": [line_of(partial(nn.init.normal_), 0, 6)], "b": [line_of(partial(nn.init.uniform_), 0, 6)]}
    cells: list[tuple[dict[str, str], Any]] = [
        ({"init": name, "arch": name}, lines) for name, lines in lines_of.items()
    ]
    assert warn_of_scale(cells, ["arch", "init"]) == []
    assert len(warn_of_scale(cells, ["init"])) == 1


def test_normal_against_uniform_differs_in_scale_too(zeroinit: Callable[..., Ended]) -> None:
    """Published as a question of shape: N(0, 1) against U[0, 1). The matched one is that question."""
    sweep = ("-m", "dataset=digits", "arch.hidden=[6]", "tracker=off", "steps=2", "probe=none")
    ended = zeroinit(*sweep, "init=zero_normal,zero_uniform,zero_uniform_matched,zero")
    [line] = [line for line in ended.out.splitlines() if line.startswith("Warning: these inits")]
    assert line == (
        f"{START}output.bias (arch=fnn bias_scale.value=1): zero_normal: mean 0, standard deviation 1.0; "
        "zero_uniform: mean 0.50, standard deviation 0.29."
    )
    # the last two differ in weights and biases, which is no question of shape
    for inits in ("zero_normal,zero_uniform_matched", "kaiming_normal,xavier_normal,zero", "default,zero_normal"):
        assert "Warning: these inits" not in zeroinit(*sweep, f"init={inits}").out
    assert "Warning: these inits" not in zeroinit(*sweep, "init=zero_normal", "bias_scale.value=1,2").out


def test_each_seed_of_a_rule_has_the_same_moments(job_of: Callable[..., Job]) -> None:
    """They are drawn by a generator that is no run's; a quotient has parameters that no rule fills."""
    from zeroinit import build

    lines_of_seeds = []
    for seed in (0, 1):
        job = job_of("dataset=digits", "arch.hidden=[6]", f"seed={seed}")
        data = build.load(job.config, build.set_up_torch(job.config))
        _, filled, _ = build.build(job.config, data)
        lines_of_seeds.append(moments.with_moments(job.config, filled))
    columns = RULE.split(",")
    assert [[line[name] for name in columns] for line in lines_of_seeds[0]] == [
        [line[name] for name in columns] for line in lines_of_seeds[1]
    ]
    assert lines_of_seeds[0][1]["mean"] != lines_of_seeds[1][1]["mean"]
    quotient = moments.with_moments(replace(job.config, arithmetic="quotient"), filled)
    assert {line["rule_mean"] for line in quotient} == {""}
