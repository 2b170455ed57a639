"""Checks of the first batch: units, signals and gradients of one forward and one backward pass.

Each check returns its findings, one sentence each. Its docstring names what was published (Schicho 2023) that it would
have caught.
"""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zeroinit.diagnostics.construction import abbreviate
from zeroinit.layers import is_activation, weight_layers
from zeroinit.loss import Loss
from zeroinit.probes.measures import slopes as slopes_of
from zeroinit.tracker.scores import R2

MAX_GRADIENT_RATIO = 1e6  # to the gradients of the output layer's outputs; beyond it they explode
# e^-x is no normal number beyond this, so that softmax and sigmoid saturate, and ELU is flat
MAX_SIGNAL = {torch.float32: 87.0, torch.float64: 708.0}
# for 7 or 16 significant digits: a number that is smaller in relation to another one is as small as its rounding error
ROUNDING = {torch.float32: 1e-6, torch.float64: 2e-15}


class Signal(NamedTuple):
    """The outputs of a layer of weights for the first batch, and their gradients.

    Attributes:
        layer: its name.
        cut: whether all its weights are zero, so that nothing passes in either direction.
        size: root mean square of the outputs.
        spread: standard deviation of the outputs over examples.
        slope: root mean square of the gradients of the outputs.
    """

    layer: str
    cut: bool
    size: float
    spread: float
    slope: float


@dataclass
class FirstPass:
    """What one forward and one backward pass over a batch measured. Layers are in the order of their calls.

    Attributes:
        spread: standard deviation of the inputs over examples.
        dtype: of the parameters.
        is_regression: whether the outputs of the net are real numbers, which may be large, and no logits.
        signals: one entry for each call of a layer of weights.
        units: (activation, number of dead units, number of units), one entry for each call of an activation.
        unused: the parameters that no gradient reaches.
    """

    spread: float
    dtype: torch.dtype
    is_regression: bool = False
    signals: list[Signal] = field(default_factory=list)
    units: list[tuple[str, int, int]] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def run_first_pass(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss, reduction: str) -> FirstPass:
    """Run a copy of the model forward and backward, in train mode, and return what was measured."""
    copy = deepcopy(model).train()
    copy.zero_grad()
    is_double = next(copy.parameters()).dtype == torch.float64
    first_pass = FirstPass(_spread(inputs), torch.float64 if is_double else torch.float32, loss.score == R2)
    slopes: dict[int, float] = {}
    calls: Counter[str] = Counter()  # of each activation

    def add_signal(name: str, layer: nn.Module, _: Any, output: Tensor) -> None:
        index, weight = len(first_pass.signals), layer.weight
        assert isinstance(weight, Tensor)
        size = _rms(output.detach())
        first_pass.signals.append(Signal(name, not weight.any(), size, _spread(output.detach()), 0.0))
        if output.requires_grad:  # it does not after layers that are frozen
            output.register_hook(partial(set_slope, index))  # type: ignore[no-untyped-call]

    def set_slope(index: int, gradient: Tensor) -> None:
        slopes[index] = _rms(gradient)

    def add_units(name: str, activation: nn.Module, positional: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        slope = slopes_of(activation.forward, (*positional, *named.values())[0])  # forward itself calls no hook
        live = slope.transpose(0, 1).flatten(1).any(1)
        calls[name] += 1
        call = f"{name}, call {calls[name]}" if calls[name] > 1 else name  # a block may use its activation twice
        first_pass.units.append((call, len(live) - int(live.sum()), len(live)))

    for name, layer in weight_layers(copy):
        layer.register_forward_hook(partial(add_signal, name))
    for name, module in copy.named_modules():
        if is_activation(module):
            module.register_forward_pre_hook(partial(add_units, name), with_kwargs=True)
    loss.total(copy(inputs), targets, reduction).backward()  # type: ignore[no-untyped-call]
    first_pass.signals = [
        signal._replace(slope=slopes.get(index, 0.0)) for index, signal in enumerate(first_pass.signals)
    ]
    first_pass.unused = [
        name for name, parameter in copy.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    return first_pass


def _rms(values: Tensor) -> float:
    """Return the root mean square."""
    return values.square().mean().sqrt().item()


def _spread(values: Tensor) -> float:
    """Return the standard deviation over examples; the variances of the units are averaged."""
    real = values if values.is_floating_point() else values.float()  # of tokens
    return real.var(0, correction=0).mean().sqrt().item()


def check_unused(first_pass: FirstPass) -> list[str]:
    """Return a finding unless a gradient, possibly zero, reaches each parameter.

    Published: no such fault. It is what training the parameters of a copy looks like to the optimizer.
    """
    return [f"no gradient reaches {abbreviate(first_pass.unused)}"] * bool(first_pass.unused)


def check_dead_units(first_pass: FirstPass) -> list[str]:
    """Return a finding for each activation with too many dead units: their slope is zero for each input of the batch.

    With a symmetric init and inputs that are alike, half of the units of a ReLU are dead. So a finding needs three
    standard deviations of a coin's more than half, or all units.

    Published: biases a hundred times as large, which saturate a sigmoid.
    """
    return [
        f"{name}: {dead} of {units} units are dead, their slope being zero for each input of the batch"
        for name, dead, units in first_pass.units
        if dead == units or dead > units / 2 + 1.5 * units**0.5
    ]


def check_forward_signals(first_pass: FirstPass) -> list[str]:
    """Return findings if outputs of layers explode or vanish.

    They explode if their root mean square exceeds MAX_SIGNAL, except for the outputs of a regression. They vanish if
    they differ between examples by less than ROUNDING of the outputs, or of the inputs. A layer whose weights are all
    zero cuts the signal by design, so from there on only the size is checked.

    Published: biases x 100, with which the MNIST CNN does not learn.
    """
    limit, rounding, signals = MAX_SIGNAL[first_pass.dtype], ROUNDING[first_pass.dtype], first_pass.signals
    limited = signals[:-1] if first_pass.is_regression else signals
    large = {signal.layer: signal.size for signal in limited if signal.size > limit or not signal.size < float("inf")}
    first_cut = next((index for index, signal in enumerate(signals) if signal.cut), len(signals))
    vanished = {
        signal.layer: signal.spread
        for signal in signals[:first_cut]
        if signal.spread <= rounding * max(signal.size, first_pass.spread) and first_pass.spread
    }
    findings = []
    if large:
        findings.append(
            f"{abbreviate(list(large))}: outputs of {max(large.values()):.2g} (root mean square); beyond {limit:.0f} a "
            f"softmax or sigmoid is all or nothing in {str(first_pass.dtype).removeprefix('torch.')}"
        )
    if vanished:
        findings.append(
            f"{abbreviate(list(vanished))}: outputs differ by {min(vanished.values()):.2g} between examples, "
            f"inputs by {first_pass.spread:.2g}"
        )
    return findings


def check_backward_signals(first_pass: FirstPass) -> list[str]:
    """Return findings if gradients explode or vanish, in relation to those of the output layer's outputs.

    They explode above MAX_GRADIENT_RATIO. Below ROUNDING a gradient is the rounding error of a sum that is zero: the
    softmax minus the label sums to zero over classes, so weights that are equal in each class pass none back. Layers
    below one whose weights are all zero get no gradient, by design, and are not checked.

    Published: Figure 12 shows the edges of bins for gradients, from which their magnitudes cannot be read.
    """
    last_cut = max((index for index, signal in enumerate(first_pass.signals) if signal.cut), default=0)
    signals = first_pass.signals[last_cut:]
    if not signals or not signals[-1].slope:
        return []
    output = signals[-1]
    ratios = {signal.layer: signal.slope / output.slope for signal in signals}
    small = {layer: ratio for layer, ratio in ratios.items() if ratio < ROUNDING[first_pass.dtype]}
    large = {layer: ratio for layer, ratio in ratios.items() if not ratio <= MAX_GRADIENT_RATIO}
    findings = []
    if small:
        findings.append(
            f"{abbreviate(list(small))}: gradients {max(small.values()):.1g} times those of {output.layer}: rounding"
        )
    if large:
        findings.append(f"{abbreviate(list(large))}: gradients {max(large.values()):.1g} times those of {output.layer}")
    return findings
