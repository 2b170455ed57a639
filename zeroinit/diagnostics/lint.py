"""The lint: faults of a run that one batch and two draws of its init show before it trains.

Each check is a function that returns its findings, one sentence each.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zeroinit.build import batch_size_of, build, make_loss
from zeroinit.config.code_hash import user_targets
from zeroinit.config.schema import RunConfig
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.dataset.data import Data, Split
from zeroinit.diagnostics.construction import (
    check_coverage,
    check_eval_mode,
    check_optimizer,
    check_seeding,
    check_shuffling,
    find_unseeded,
)
from zeroinit.diagnostics.first_batch import (
    check_backward_signals,
    check_dead_units,
    check_forward_signals,
    check_unused,
    run_first_pass,
)
from zeroinit.diagnostics.random_ops import Draw, Draws, record_fills
from zeroinit.environment import active_variables
from zeroinit.rng import ForeignStates, restore_generators, stream

MAX_WORK = 1 << 26  # parameters x examples of the batch that is checked; about 0.1 s of a dense net

RULES = {
    "init": "exactly one rule fills each parameter",
    "optimizer": "it holds the model's parameters, each one once",
    "seed": "it decides every draw",
    "evaluation": "it changes no buffer",
    "unused": "a gradient reaches each parameter",
    "dead units": "each unit has a slope for some input",
    "forward": "signals neither explode nor vanish",
    "backward": "gradients neither explode nor vanish",
}


class Finding(NamedTuple):
    """A fault, and the name in RULES of the rule that is broken."""

    rule: str
    text: str


known: dict[tuple[object, ...], list[Finding]] = {}  # they do not depend on seeds, so that a sweep checks them once


def findings(config: RunConfig, data: Data, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Finding]:
    """Return the findings for a run that was built and has not trained. They change no number of the run.

    A net that trains but cannot be checked, such as one that cannot be copied, is no error; that is the finding.
    """
    try:
        return _check_run(config, data, model, optimizer)
    except Exception as error:
        return [Finding("lint", f"not checked: {type(error).__name__}: {' '.join(str(error).split())[:200]}")]


def _check_run(config: RunConfig, data: Data, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Finding]:
    size = batch_size_of(config, data)
    inputs, targets = first_batch(config, data, min(size, max(2, MAX_WORK // max(1, parameter_count(model)))))
    parts = config.dataset, config.loss, config.arch, config.init, config.bias_scale, active_variables()
    with restore_generators(inputs.device):
        if parts not in known:
            known[parts] = [
                *check_init(config, data),
                *as_findings("seed", check_shuffling(config.dataset.shuffle, size, len(data.train[1]))),
                *as_findings("evaluation", check_eval_mode(model, inputs)),
            ]
        before = ForeignStates()
        first_pass = run_first_pass(model, inputs, targets, make_loss(config, data), config.reduction)
        moved = before.name_moved()
    noise = [f"the forward pass draws from {' and '.join(moved)}, which no seed sets; draw by torch"] * bool(moved)
    return [
        *known[parts],
        *as_findings("seed", noise),
        *as_findings("optimizer", check_optimizer(model, optimizer)),
        *as_findings("unused", check_unused(first_pass)),
        *as_findings("dead units", check_dead_units(first_pass)),
        *as_findings("forward", check_forward_signals(first_pass)),
        *as_findings("backward", check_backward_signals(first_pass)),
    ]


def format_findings(params: dict[str, str], run_findings: Iterable[Finding]) -> str:
    """Return one line for each finding, which starts with the cell of the run."""
    scale = [f"x{params['bias_scale.value']}"] if "bias_scale.value" in params else []
    cell = " ".join([params["arch"], params["init"], *scale])
    return "\n".join(f"{cell}, {rule}: {text}" for rule, text in run_findings)


def as_findings(rule: str, texts: Iterable[str]) -> list[Finding]:
    """Return the texts as findings of the rule."""
    return [Finding(rule, text) for text in texts]


def check_init(config: RunConfig, data: Data) -> list[Finding]:
    """Return the findings of two builds with different init seeds, and of a third one if it has code of the user."""
    config = replace(config, arithmetic="native")  # a quotient has other parameters than the init fills
    seed, before = config.seeds.init, ForeignStates()
    model, draws, fills, unchanged = _build_and_record(config, data, seed)
    moved = before.name_moved()
    second, second_draws, *_ = _build_and_record(config, data, seed + 1)
    has_user_code = user_targets([target.node for target in (config.arch, *config.init.targets, config.bias_scale)])
    twin = _build_and_record(config, data, seed)[0] if has_user_code else None
    return [
        *as_findings("init", check_coverage(model, fills, unchanged)),
        *as_findings("seed", check_seeding((model, _rule_draws(draws)), (second, _rule_draws(second_draws)))),
        *as_findings("seed", find_unseeded(model, draws, moved, twin)),
    ]


def _build_and_record(config: RunConfig, data: Data, seed: int) -> tuple[nn.Module, Draws, list[Tensor], list[str]]:
    """Build the model of an init seed.

    Returns:
        The model, the draws made for it, the tensors that rules filled, and the names of the parameters that it kept.
    """
    fills: list[Tensor] = []
    seeded = replace(config, seeds=replace(config.seeds, init=seed))
    torch.default_generator.manual_seed(0)  # from which an arch may draw what no rule fills
    with Draws() as draws:
        model, filled, _ = build(seeded, data, record_fills(draws, fills))
    return model, draws, fills, [line.parameter for line in filled if line.has_constructor_values]


def _rule_draws(draws: Draws) -> list[Draw]:
    """Return the draws of rules, without those of the arch."""
    return [draw for draw in draws.records if draw.where]


def parameter_count(model: nn.Module) -> int:
    """Return the number of entries of all parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def first_batch(config: RunConfig, data: Data, examples: int) -> Split:
    """Return the first `examples` (at least two) of the run's first batch, without augmentation."""
    batches = Batches(
        data,
        max(2, examples),
        config.dataset.shuffle and batch_size_of(config, data) < len(data.train[1]),
        Augment(padding=0, flip=False),
        [(stream("order", config.seeds.order), torch.Generator())],
    )
    inputs, targets = next(batches)
    return inputs[0], targets[0]
