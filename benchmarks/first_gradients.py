"""When each layer had its first gradient, and which parameters did not move: an arch from zero weights, random biases.

    python benchmarks/first_gradients.py --folder FOLDER [--arch resnet50] [--steps 60]

FOLDER holds train/<class>/ and test/<class>/. Adam, learning rate 0.001, biases N(0, 1), no normalisation of inputs.
"""

import argparse
import resource
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from zeroinit.kernels import pin_kernels

pin_kernels()  # before torch is imported, as the command does

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from zeroinit import arch, bias_scale
from zeroinit.config.init import Rules
from zeroinit.dataset import Data, image_folder
from zeroinit.dataset.batches import Augment
from zeroinit.init import initialize
from zeroinit.layers import weight_layers
from zeroinit.loss import CrossEntropy
from zeroinit.progress import Bar
from zeroinit.rng import stream
from zeroinit.training import loop
from zeroinit.training.cohort import Member, Recipe
from zeroinit.training.events import Event, Step

ARCHS = {"cifar_cnn": arch.CifarCNN, "mnist_cnn": arch.MnistCNN, "resnet50": arch.resnet50}


class Wave:
    """Each parameter's first step with a gradient not exactly zero, its largest entry there and at the last step."""

    def __init__(self, model: nn.Module, steps: int, bar: Bar) -> None:
        self.model, self.steps, self.bar = model, steps, bar
        self.first: dict[str, tuple[int, float]] = {}
        self.last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Step):
            for name, parameter in self.model.named_parameters():
                gradient = parameter.grad
                assert gradient is not None
                self.last[name] = gradient.abs().max().item()
                if self.last[name]:
                    self.first.setdefault(name, (event.step, self.last[name]))
            self.bar.advance(event.step / self.steps, None)


def before_norm(model: nn.Module, inputs: Tensor) -> set[str]:
    """Biases whose layer's output goes straight into a BatchNorm, which subtracts them again."""
    outputs: dict[int, str] = {}
    found = set()

    def note(module: nn.Module, given: tuple[Tensor], output: Tensor, name: str) -> None:
        if isinstance(module, nn.BatchNorm2d) and id(given[0]) in outputs:
            found.add(f"{outputs[id(given[0])]}.bias")
        if isinstance(module, nn.Conv2d):
            outputs[id(output)] = name
            kept.append(output)  # so that no other tensor is given its id

    kept: list[Tensor] = []
    hooks = [module.register_forward_hook(partial(note, name=name)) for name, module in model.named_modules()]
    with torch.no_grad():
        model(inputs)
    for hook in hooks:
        hook.remove()
    return found


def tell(
    layers: list[str],
    first: dict[str, tuple[int, float]],
    last: dict[str, float],
    moved: dict[str, bool],
    subtracted: set[str],
    steps: int,
) -> None:
    table = Table(
        "layer", "first weight gradient", "largest there", f"at step {steps}", "first bias gradient", box=None
    )
    for layer in layers:
        step, size = first.get(f"{layer}.weight", ("none", 0.0))
        of_bias, _ = first.get(f"{layer}.bias", ("none", 0.0))
        table.add_row(layer, f"step {step}", f"{size:.0e}", f"{last[f'{layer}.weight']:.0e}", f"step {of_bias}")
    Console(width=110).print(table)
    for name in (name for name in moved if not moved[name]):
        why = "a BatchNorm subtracts it" if name in subtracted else "no gradient has arrived"
        print(f"not moved: {name}: {why}")
    print(f"{sum(moved.values())} of {len(moved)} parameters have moved")
    if subtracted:
        largest = max(last[name] for name in subtracted)
        by_rounding = sum(moved[name] for name in subtracted)
        print(
            f"of the {len(subtracted)} biases that a BatchNorm subtracts, whose gradient is zero in mathematics, "
            f"{by_rounding} have moved: at step {steps} their largest gradient is {largest:.0e}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--cache", default=str(Path("~/.cache/zeroinit").expanduser()))
    parser.add_argument("--arch", choices=sorted(ARCHS), default="resnet50")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)

    data: Data = image_folder(stream("split", 0), asked.folder, asked.cache, 0.14, None, None)
    some = (data.val[0][:100], data.val[1][:100])
    data = replace(data, val=some, test=some)  # accuracy is not what is asked here
    model = ARCHS[asked.arch](data.input_shape, data.num_classes, "elu")
    initialize(
        model,
        stream("init", 0),
        Rules(partial(nn.init.zeros_), partial(nn.init.normal_)),
        bias_scale=partial(bias_scale.constant, value=1.0),
    )
    layers = [name for name, _ in weight_layers(model)]
    subtracted = before_norm(model.eval(), data.to_inputs(some[0][:2]))
    at_start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert all(not at_start[f"{name}.weight"].any() for name in layers)
    optimizer = torch.optim.Adam(model.train().parameters(), lr=0.001, fused=True)

    started = time.perf_counter()
    with Bar(1) as bar:
        wave = Wave(model, asked.steps, bar)
        member = Member(model, optimizer, stream("order", 0), stream("augment", 0), asked.steps)
        recipe = Recipe(CrossEntropy(10), asked.batch_size, True, Augment(0, False), "mean", False)
        loop.train([member], data, recipe, loop.Hooks(observe=wave))
    seconds = time.perf_counter() - started

    moved = {name: (parameter.detach() != at_start[name]).any().item() for name, parameter in model.named_parameters()}
    tell(layers, wave.first, wave.last, moved, subtracted, asked.steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{asked.arch}, {asked.steps} steps of {asked.batch_size}: {seconds:.0f} s, peak memory {peak:.1f} GiB, "
        f"{asked.threads} thread(s), torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
