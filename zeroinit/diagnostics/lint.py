"""What is wrong with a run before it trains, as far as one batch and two draws of its init can tell.

Each rule is a function that returns its findings, a sentence each.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from zeroinit.build import batch_size_of, build
from zeroinit.config.check import Values
from zeroinit.config.code_hash import user_targets
from zeroinit.dataset.batches import Augment, Batches
from zeroinit.dataset.data import Data, Split
from zeroinit.diagnostics.construction import covered, drawn_anew, evaluation, find_unseeded, held, order
from zeroinit.diagnostics.first_batch import backward, dead, forward, look, unused
from zeroinit.diagnostics.random_ops import Draw, Draws, filling
from zeroinit.environment import active_variables
from zeroinit.rng import ForeignStates, restore_generators, stream

WORK = 1 << 26  # parameters x examples of the batch that is looked at: some 0.1 s of a dense net

RULES = {
    "init": "each parameter is filled by one rule",
    "optimizer": "it holds the model's own parameters, each once",
    "seed": "it decides every draw",
    "evaluation": "it leaves the buffers as they are",
    "unused": "a gradient reaches each parameter",
    "dead units": "some input moves them",
    "forward": "signals neither explode nor vanish",
    "backward": "nor do gradients",
}


class Finding(NamedTuple):
    """What a rule, by its name in RULES, has found."""

    rule: str
    text: str


known: dict[str, list[Finding]] = {}  # what does not depend on a run's seeds, so that a sweep finds it once


def findings(values: Values, data: Data, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Finding]:
    """What the rules find in a run that was built and has not trained; its numbers stay as they would be.

    A net that trains and cannot be looked at, as one that cannot be copied, is no error: that is the finding.
    """
    try:
        return looked_at(values, data, model, optimizer)
    except Exception as error:
        return [Finding("lint", f"not looked at: {type(error).__name__}: {' '.join(str(error).split())[:200]}")]


def looked_at(values: Values, data: Data, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Finding]:
    size = batch_size_of(values, data)
    inputs, labels = first_batch(values, data, min(size, max(2, WORK // max(1, numbers(model)))))
    parts = json.dumps([values[group] for group in ("dataset", "arch", "init", "bias_scale")], sort_keys=True)
    parts += json.dumps(active_variables())
    with restore_generators(inputs.device):
        if parts not in known:
            known[parts] = [
                *of_init(values, data),
                *named("seed", order(values["dataset"]["shuffle"], size, len(data.train[1]))),
                *named("evaluation", evaluation(model, inputs)),
            ]
        before = ForeignStates()
        seen = look(model, inputs, labels, values["loss"]["reduction"])
        moved = before.name_moved()
    noise = [f"the forward pass draws from {' and '.join(moved)}, which no seed sets; draw by torch"] * bool(moved)
    return [
        *known[parts],
        *named("seed", noise),
        *named("optimizer", held(model, optimizer)),
        *named("unused", unused(seen)),
        *named("dead units", dead(seen)),
        *named("forward", forward(seen)),
        *named("backward", backward(seen)),
    ]


def told(params: dict[str, str], found: Iterable[Finding]) -> str:
    """A line for each finding."""
    scale = [f"x{params['bias_scale.value']}"] if "bias_scale.value" in params else []
    cell = " ".join([params["arch"], params["init"], *scale])
    return "\n".join(f"{cell}, {rule}: {text}" for rule, text in found)


def named(rule: str, texts: Iterable[str]) -> list[Finding]:
    return [Finding(rule, text) for text in texts]


def of_init(values: Values, data: Data) -> list[Finding]:
    """The findings of two inits that differ in their seed, and where code is the user's own, of one more."""
    values = values | {"arithmetic": "native"}  # a quotient has other parameters than the init fills
    seed, before = values["seeds"]["init"], ForeignStates()
    model, draws, fills = build_and_watch(values, data, seed)
    moved = before.name_moved()
    other, other_draws, _ = build_and_watch(values, data, seed + 1)
    has_user_code = user_targets({group: values[group] for group in ("arch", "init", "bias_scale")})
    again = build_and_watch(values, data, seed)[0] if has_user_code else None
    return [
        *named("init", covered(model, fills)),
        *named("seed", drawn_anew((model, draws_of_rules(draws)), (other, draws_of_rules(other_draws)))),
        *named("seed", find_unseeded(model, draws, moved, again)),
    ]


def build_and_watch(values: Values, data: Data, seed: int) -> tuple[nn.Module, Draws, list[Tensor]]:
    """Build the model of an init seed; return it, the draws made for it, and the tensors that rules filled."""
    fills: list[Tensor] = []
    torch.default_generator.manual_seed(0)  # from which an arch may draw what no rule fills
    with Draws() as draws:
        model, _, _ = build(values | {"seeds": values["seeds"] | {"init": seed}}, data, filling(draws, fills))
    return model, draws, fills


def draws_of_rules(draws: Draws) -> list[Draw]:
    """The draws that rules have made; the others are the arch's own."""
    return [draw for draw in draws.seen if draw.where]


def numbers(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def first_batch(values: Values, data: Data, examples: int) -> Split:
    """The first of so many examples that the run will train on, less any augmentation; at least two."""
    batches = Batches(
        data,
        max(2, examples),
        values["dataset"]["shuffle"] and batch_size_of(values, data) < len(data.train[1]),
        Augment(crop=0, flip=False),
        [(stream("order", values["seeds"]["order"]), torch.Generator())],
    )
    inputs, labels = next(batches)
    return inputs[0], labels[0]
