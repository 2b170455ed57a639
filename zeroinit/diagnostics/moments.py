"""Mean and standard deviation of a rule's entries, from many fills: a bias of six entries says little of its rule."""

import io
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import torch

from zeroinit.assignment import select_facts
from zeroinit.config.init import Rule
from zeroinit.config.schema import RunConfig
from zeroinit.config.target import parameters_of
from zeroinit.environment import active_variables
from zeroinit.init import Filled
from zeroinit.rng import restore_generators, stream, stream_seed

MIN_ENTRIES = 4_000  # to draw, so that standard errors are a few hundredths of the standard deviation
MIN_FILLS, MAX_FILLS = 32, 400
MAX_SECONDS = 5
MAX_NUMEL = 1 << 16  # entries of the largest parameters whose rules are measured; their fills take 0.02 s


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of a rule's entries, with their standard errors: the last columns of init.csv."""

    rule_mean: float
    rule_std: float
    rule_mean_error: float
    rule_std_error: float


COLUMNS = ("parameter", "shape", "rule", "mean", "std", "zeros")  # then moments, and the role, which came last
UNKNOWN = dict.fromkeys(Moments.__annotations__, "")  # for parameters whose rules are not measured

known: dict[tuple[object, ...], Moments | None] = {}  # they depend on no seed, so that a sweep measures a rule once


def with_moments(config: RunConfig, filled: Sequence[Filled]) -> list[dict[str, object]]:
    """Return the lines of init.csv: what filled each parameter, and the moments of its rule.

    A quotient has other parameters than the init filled, so its rules are not measured.
    """
    lines: list[dict[str, object]] = []
    for line in filled:
        assignment, moments = line.assignment, None
        rule, shape = assignment.rule, assignment.shape
        # a rule fills other numbers than a parametrised parameter has
        is_measurable = config.arithmetic != "quotient" and not assignment.block.is_parametrised
        if rule and is_measurable and math.prod(shape) <= MAX_NUMEL:
            moments = moments_of(rule, shape, assignment.facts, assignment.scale)
        columns = {name: getattr(line, name) for name in COLUMNS}
        lines.append(columns | (vars(moments) if moments else UNKNOWN) | {"role": line.role})
    return lines


def moments_of(rule: Rule, shape: tuple[int, ...], facts: Mapping[str, Any], scale: float) -> Moments | None:
    """Return the moments of the rule's entries, times the scale; None if the rule cannot be called so often.

    Args:
        rule: the rule.
        shape: of what it fills.
        facts: the arguments that it may request.
        scale: the factor on its values.
    """
    arguments = select_facts(rule, facts)
    key = rule.func, repr(rule.args), repr(rule.keywords), shape, repr(arguments), active_variables()
    if key not in known:
        silence = io.StringIO()  # a user wants to read what a rule prints once: when it fills the model
        try:
            with redirect_stdout(silence), redirect_stderr(silence):
                known[key] = draw_moments(rule, shape, arguments)
        except (Exception, SystemExit):  # such as a rule that may be called once; the run needs no moments
            known[key] = None
    moments = known[key]
    if moments is None:
        return None
    errors = abs(scale) * moments.rule_mean_error, abs(scale) * moments.rule_std_error
    return Moments(scale * moments.rule_mean, abs(scale) * moments.rule_std, *errors)


@torch.no_grad()
def draw_moments(rule: Rule, shape: tuple[int, ...], arguments: Mapping[str, Any]) -> Moments | None:
    """Fill tensors of this shape by the rule, from a generator that no run uses, and return the moments.

    Standard errors are those of the means of the fills, because the entries of a fill may depend on each other. Return
    None if the rule takes longer than MAX_SECONDS.
    """
    count = min(max(MIN_FILLS, math.ceil(MIN_ENTRIES / math.prod(shape))), MAX_FILLS)
    fills = torch.full((count, *shape), math.nan)
    deadline = time.monotonic() + MAX_SECONDS
    with restore_generators(fills.device):
        torch.manual_seed(stream_seed("moments", 0))
        takes_generator = "generator" in parameters_of(rule.func)
        generator = {"generator": stream("moments", 0)} if takes_generator else {}
        for index, tensor in enumerate(fills):
            rule(tensor, **arguments, **generator)
            if index + 1 == MIN_FILLS and fills[:MIN_FILLS].eq(fills[0]).all():  # it draws nothing
                fills = fills[:MIN_FILLS]
                break
            if time.monotonic() > deadline:
                return None
    values = fills.flatten(1).double()
    means, mean = values.mean(1), values.mean()
    variances = (values - mean).square().mean(1)
    std = math.sqrt(variances.mean())
    errors = [part.std().item() / math.sqrt(len(values)) for part in (means, variances)]
    return Moments(mean.item(), std, errors[0], errors[1] / (2 * std) if std else 0.0)
