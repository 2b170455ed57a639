"""On a CUDA device: the losses of the CPU, and no waiting for the device inside an epoch."""

from functools import partial

import pytest
import torch
from torch import nn

from zeroinit import bias_scale, build, dataset, loop
from zeroinit.arch import FNN, CifarCNN, MnistCNN
from zeroinit.batches import Augment
from zeroinit.dataset.images import reshaped
from zeroinit.init import default_, initialize
from zeroinit.rng import stream

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]
ARCHS = [
    partial(FNN, hidden=[500], activation="elu"),
    partial(MnistCNN, activation="elu"),
    partial(CifarCNN, activation="elu"),
]


def trained(arch: partial[nn.Module], device: str, steps: int, waiting_is_an_error: bool = False) -> loop.Trained:
    build.set_up_torch({"threads": 1, "deterministic": True, "device": device})
    data = reshaped(dataset.mnist5k(stream("split", 0)), 32, 3).to(torch.device(device))
    model = arch(data.input_shape, data.num_classes)
    initialize(
        model,
        stream("init", 0),
        weight=partial(default_),  # from zero weights, a BatchNorm leaves rounding alone, which differs
        bias=partial(default_),
        bias_scale=partial(bias_scale.constant, value=1.0),
    )
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)

    def observe(event: loop.Event) -> None:
        """From the first step, before which an epoch's order is sent, to the one whose end is evaluated."""
        if waiting_is_an_error and isinstance(event, loop.Step):
            torch.cuda.set_sync_debug_mode("error" if event.step < steps - 1 else "default")

    [end] = loop.train(
        [loop.Member(model, optimizer, stream("order", 0), stream("augment", 0), steps)],
        data,
        batch_size=128,
        shuffle=True,
        augment=Augment(crop=4, flip=True),
        reduction="mean",
        tied=False,
        observe=observe,
    )
    return end


@pytest.mark.parametrize("arch", ARCHS)
def test_the_losses_are_those_of_the_cpu(arch: partial[nn.Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-3 over ten steps: other kernels add up in another order, and Adam divides small gradients by their size."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    there, here = trained(arch, "cuda", 10).losses.cpu(), trained(arch, "cpu", 10).losses
    assert torch.allclose(there, here, rtol=1e-3)


@pytest.mark.parametrize("arch", ARCHS)
def test_no_step_waits_for_the_device(arch: partial[nn.Module]) -> None:
    try:
        trained(arch, "cuda", 27, waiting_is_an_error=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
