"""The lower bound on the time of a step: its matrix products alone, on random data, layer by layer."""

from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn

from gpu_parts.device import Net, set_tf32, timed
from gpu_parts.files import Row
from zeroinit.build import batch_size_of
from zeroinit.layers import weight_layers


def measure_products(net: Net, members: int, tf32: bool) -> Row:
    """Time the products of one step of K members, layer by layer."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda layer, inputs, output: shapes.update({name: tuple(inputs[0].shape)})

    model = deepcopy(net.model)
    for name, layer in weight_layers(model):
        layer.register_forward_hook(note(name))
    batch = batch_size_of(net.job.config, net.data)
    with torch.no_grad():
        model(net.data.to_inputs(net.data.train[0][:batch]))
    set_tf32(tf32)
    seconds = {}
    for index, (name, layer) in enumerate(weight_layers(model)):
        product = products_of(layer, shapes[name], members, net.device, is_first=index == 0)
        seconds[name] = timed(net.device, product, 2 if net.blocks == 2 else 7)
    set_tf32(False)
    total = sum(seconds.values())
    layers = {name: round(1e3 * value, 4) for name, value in seconds.items()} if len(seconds) < 12 else {}
    return {
        "kind": "products",
        "members": members,
        "arithmetic": "TF32" if tf32 else "float32",
        "step_ms": 1e3 * total,
        "layers_ms": layers,
    }


def products_of(
    layer: nn.Module, shape: tuple[int, ...], members: int, device: torch.device, is_first: bool
) -> Callable[[], object]:
    """Return what computes a layer's products of one step: outputs, weight gradients and, but for the first, deltas."""
    if isinstance(layer, nn.Linear):
        hidden = torch.randn(members, shape[1], shape[0], device=device)
        weight = torch.randn(members, layer.out_features, layer.in_features, device=device)
        delta = torch.randn(members, layer.out_features, shape[0], device=device)

        def dense() -> None:
            torch.bmm(weight, hidden)
            torch.bmm(delta, hidden.transpose(1, 2))
            if not is_first:
                torch.bmm(weight.transpose(1, 2), delta)

        return dense
    assert isinstance(layer, nn.Conv2d)
    inputs = torch.randn(shape, device=device, requires_grad=not is_first)
    kernel = layer.weight.detach().requires_grad_()
    outputs = F.conv2d(inputs, kernel, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    slope, wanted = torch.randn_like(outputs), [kernel] if is_first else [kernel, inputs]

    def convolution() -> None:
        found = F.conv2d(inputs, kernel, None, layer.stride, layer.padding, layer.dilation, layer.groups)
        torch.autograd.grad(found, wanted, slope)

    return convolution
