"""What is wrong with a run before it trains, as far as one batch and two draws of its init can tell.

Each rule is a function that returns its findings, a sentence each.
"""

import json
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from zeroinit.batches import Augment, Batches
from zeroinit.build import batch_size_of, build
from zeroinit.config.check import Values
from zeroinit.dataset.split import Data, Split
from zeroinit.draws import Draws, filling
from zeroinit.lint.batch import backward, dead, forward, look, unused
from zeroinit.lint.made import covered, drawn_anew, evaluation, held, order
from zeroinit.rng import stream

WORK = 1 << 26  # parameters x examples of the batch that is looked at: some 0.1 s of a dense net

RULES = {
    "init": "each parameter is filled by one rule",
    "optimizer": "it holds the model's own parameters, each once",
    "seed": "another one gives other draws",
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
    with apart(inputs.device):
        if parts not in known:
            known[parts] = [
                *of_init(values, data),
                *named("seed", order(values["dataset"]["shuffle"], size, len(data.train[1]))),
                *named("evaluation", evaluation(model, inputs)),
            ]
        seen = look(model, inputs, labels, values["loss"]["reduction"])
    return [
        *known[parts],
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
    """The findings of two inits that differ in their seed."""
    drawn = []
    values = values | {"arithmetic": "native"}  # a quotient has other parameters than the init fills
    for seed in (values["seeds"]["init"], values["seeds"]["init"] + 1):
        fills: list[Tensor] = []
        draws = Draws()
        with draws:
            model, _, _ = build(values | {"seeds": values["seeds"] | {"init": seed}}, data, filling(draws, fills))
        drawn.append((model, [draw for draw in draws.seen if draw.where]))  # the others are the arch's own
        if len(drawn) == 1:
            covered_by = covered(model, fills)
    return [*named("init", covered_by), *named("seed", drawn_anew(*drawn))]


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


@contextmanager
def apart(device: torch.device) -> Iterator[None]:
    """Leave the global generators of torch, from which dropout draws, of numpy and of Python as they were."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)
