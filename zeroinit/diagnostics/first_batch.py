"""What the first batch shows: units, signals and gradients of one pass through the net, forward and backward.

The docstring of each rule names what was published (Schicho 2023) that it would have caught.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.diagnostics.construction import listed
from zeroinit.layers import is_activation, weight_layers
from zeroinit.probes.measures import slopes as slopes_of

LARGE = 1e6  # times the output's gradients: they explode
# e^-x is no normal number beyond, so that softmax and sigmoid are all or nothing, and ELU is flat
FLAT = {torch.float32: 87.0, torch.float64: 708.0}
# of seven digits, or sixteen: what is smaller beside another number is of the size of its error
ROUNDING = {torch.float32: 1e-6, torch.float64: 2e-15}


class Signal(NamedTuple):
    """What a layer of weights gives in the first batch, and what gradient its outputs have.

    `size` and `slope` are root mean squares, `spread` the standard deviation over examples; `cut` says that all its
    weights are zero, so that nothing goes through it in either direction.
    """

    layer: str
    cut: bool
    size: float
    spread: float
    slope: float


@dataclass
class Pass:
    """What was seen of one forward and one backward pass over a batch; layers in the order in which they acted."""

    spread: float  # of the inputs
    dtype: torch.dtype
    signals: list[Signal] = field(default_factory=list)
    units: list[tuple[str, int, int]] = field(default_factory=list)  # activation, dead ones, all
    unused: list[str] = field(default_factory=list)


def look(model: nn.Module, inputs: Tensor, labels: Tensor, reduction: str) -> Pass:
    """One forward and one backward pass of a copy of the model, in train mode."""
    copy = deepcopy(model).train()
    copy.zero_grad()
    double = next(copy.parameters()).dtype == torch.float64
    seen = Pass(spread_of(inputs), torch.float64 if double else torch.float32)
    slopes: dict[int, float] = {}

    def weights(name: str, layer: nn.Module, given: Any, output: Tensor) -> None:
        place, weight = len(seen.signals), layer.weight
        assert isinstance(weight, Tensor)
        size = rms(output.detach())
        seen.signals.append(Signal(name, not weight.any(), size, spread_of(output.detach()), 0.0))
        if output.requires_grad:  # not behind layers that are frozen
            output.register_hook(partial(remember, place))  # type: ignore[no-untyped-call]

    def remember(place: int, gradient: Tensor) -> None:
        slopes[place] = rms(gradient)

    def units(name: str, activation: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        slope = slopes_of(activation.forward, (*given, *named.values())[0])  # past this hook
        live = slope.transpose(0, 1).flatten(1).any(1)
        seen.units.append((name, len(live) - int(live.sum()), len(live)))

    for name, layer in weight_layers(copy):
        layer.register_forward_hook(partial(weights, name))
    for name, module in copy.named_modules():
        if is_activation(module):
            module.register_forward_pre_hook(partial(units, name), with_kwargs=True)
    F.cross_entropy(copy(inputs), labels, reduction=reduction).backward()  # type: ignore[no-untyped-call]
    seen.signals = [signal._replace(slope=slopes.get(place, 0.0)) for place, signal in enumerate(seen.signals)]
    seen.unused = [name for name, one in copy.named_parameters() if one.requires_grad and one.grad is None]
    return seen


def rms(values: Tensor) -> float:
    return values.square().mean().sqrt().item()


def spread_of(values: Tensor) -> float:
    """The standard deviation over examples, of units with their variances averaged."""
    return values.var(0, correction=0).mean().sqrt().item()


def unused(seen: Pass) -> list[str]:
    """A gradient reaches each parameter, be it zero.

    Published: no such fault; it is what training a copy's parameters looks like from the optimiser's side.
    """
    return [f"no gradient reaches {listed(seen.unused)}"] * bool(seen.unused)


def dead(seen: Pass) -> list[str]:
    """Some input of the first batch moves each hidden unit: the slope of its activation is not zero for all of them.

    A symmetric draw has half of the units of a ReLU dead at worst, where all inputs are alike; so it is told of layers
    that have more, by three standard deviations of a coin's, and of those without a live one. Published: biases a
    hundred times as large, which saturate a sigmoid.
    """
    found = []
    for name, dead, units in seen.units:
        if dead == units or dead > units / 2 + 1.5 * units**0.5:
            found.append(
                f"{name}: {dead} of {units} units are dead, their slope being zero for each input of the batch"
            )
    return found


def forward(seen: Pass) -> list[str]:
    """Signals neither explode nor vanish on their way to the output.

    Too large: a root mean square beyond FLAT. Gone: what differs between examples is less than ROUNDING of the layer's
    own outputs, or of the inputs. Layers without a weight that is not zero cut the signal by design, so that only its
    size is told behind them. Published: biases x 100, of which the MNIST CNN does not learn.
    """
    flat, rounding = FLAT[seen.dtype], ROUNDING[seen.dtype]
    large = {one.layer: one.size for one in seen.signals if one.size > flat or not one.size < float("inf")}
    cut = next((place for place, one in enumerate(seen.signals) if one.cut), len(seen.signals))
    gone = {
        one.layer: one.spread
        for one in seen.signals[:cut]
        if one.spread <= rounding * max(one.size, seen.spread) and seen.spread
    }
    found = []
    if large:
        found.append(
            f"{listed(list(large))}: outputs of {max(large.values()):.2g} (root mean square); beyond {flat:.0f} a "
            f"softmax or sigmoid is all or nothing in {str(seen.dtype).removeprefix('torch.')}"
        )
    if gone:
        found.append(
            f"{listed(list(gone))}: outputs differ by {min(gone.values()):.2g} between examples, "
            f"inputs by {seen.spread:.2g}"
        )
    return found


def backward(seen: Pass) -> list[str]:
    """Gradients neither explode nor vanish on their way to the input, beside those of the output layer's outputs.

    Told beyond LARGE and below ROUNDING, which is then the rounding of a sum that is zero: softmax less the
    label adds up to zero over classes, so that weights alike in each class hand back none. Layers below one whose
    weights are all zero are given nothing, by design. Published: Figure 12 shows the edges of bins for gradients,
    from which their magnitudes cannot be read.
    """
    last = max((place for place, one in enumerate(seen.signals) if one.cut), default=0)
    behind = seen.signals[last:]
    if not behind or not behind[-1].slope:
        return []
    shares = {one.layer: one.slope / behind[-1].slope for one in behind}
    small = {layer: share for layer, share in shares.items() if share < ROUNDING[seen.dtype]}
    large = {layer: share for layer, share in shares.items() if not share <= LARGE}
    found = []
    if small:
        found.append(
            f"{listed(list(small))}: gradients {max(small.values()):.1g} times those of {behind[-1].layer}: rounding"
        )
    if large:
        found.append(f"{listed(list(large))}: gradients {max(large.values()):.1g} times those of {behind[-1].layer}")
    return found
