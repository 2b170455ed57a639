"""Devices without a GPU: the meta device and fake CUDA tensors refuse mixed devices, and to give values back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from helpers.trainings import SOFTMAX, train_members
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from zeroinit import dataset
from zeroinit.arch import FNN, CifarCNN, Logistic, MnistCNN, resnet50
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.data import set_normalization
from zeroinit.dataset.images import reshape_images
from zeroinit.probes import measures
from zeroinit.rng import stream
from zeroinit.training.cohort import Member
from zeroinit.training.single import SingleModel
from zeroinit.training.stack import ModelStack

META = torch.device("meta")
ARCHS: dict[str, Callable[..., nn.Module]] = {
    "logistic": Logistic,
    "fnn": partial(FNN, hidden=[20, 10], activation="elu"),
    "mnist_cnn": partial(MnistCNN, activation="tanh"),
    "cifar_cnn": partial(CifarCNN, activation="relu"),
    "resnet50": partial(resnet50, activation="elu"),
}
OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, fused=False, foreach=True),
    "adamw": partial(torch.optim.AdamW, fused=False, foreach=False),
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=False, foreach=True),
    "rmsprop": partial(torch.optim.RMSprop, foreach=True),
}
SHIFTED = Augment(padding=2, flip=True)
# what these read is values, so that they are tested on CUDA alone (tests/cuda): a count's size, whether a search has
# ended, an activation's steepest slope. So do the ties, which look for equal neurons
ON_CUDA_ALONE = {"bit_counts", "pairs", "steepest"}


@pytest.fixture(scope="module")
def images() -> Data:
    """8x8 digits in three channels, standardised, on the CPU."""
    return set_normalization(reshape_images(dataset.digits(stream("split", 0)), None, 3), [0.3, 0.3, 0.3], 0.5)


def evaluate_nothing(predict: object, data: Data, losses: Tensor, *other: object) -> tuple[dict[str, Any], list[None]]:
    """Stand in for an evaluation, which reads values."""
    return {}, [None] * losses.shape[1]


def train(arch: str, optimizer: str, members: int, data: Data, augment: Augment = SHIFTED) -> None:
    """Take three steps where the data are, each of which is observed."""
    with torch.device(data.train[0].device):
        models = [ARCHS[arch](data.input_shape, data.num_classes).to(data.dtype) for _ in range(members)]
    train_members(
        [
            Member(model, OPTIMIZERS[optimizer](model.parameters()), stream("order", i), stream("augment", i), 3)
            for i, model in enumerate(models)
        ],
        data,
        batch_size=100,
        shuffle=True,
        augment=augment,
        reduction="mean",
        tied=False,
        evaluate=evaluate_nothing,
    )


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("members", [1, 3])
def test_a_step_mixes_no_devices_and_reads_nothing_back(arch: str, members: int, images: Data) -> None:
    if arch == "resnet50" and members > 1:
        pytest.skip("it has no stack")
    train(arch, "adam", members, images.to(META))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("members", [1, 3])
def test_no_optimizer_mixes_devices(optimizer: str, members: int, images: Data) -> None:
    train("fnn", optimizer, members, images.to(META))


@pytest.mark.parametrize("members", [1, 3])
def test_float64_mixes_no_devices(members: int, images: Data) -> None:
    train("cifar_cnn", "adam", members, replace(images.to(META), dtype=torch.float64))


@pytest.mark.parametrize("members", [1, 3])
def test_a_constant_on_the_wrong_device_is_caught(members: int, images: Data) -> None:
    """As where Data.to forgot what batches are normalised by."""
    data = replace(images.to(META), normalize=images.normalize)
    with pytest.raises(RuntimeError, match="device"):
        train("fnn", "adam", members, data)


@pytest.mark.parametrize("kind", [SingleModel, ModelStack])
def test_a_value_that_a_step_reads_is_caught(kind: type, images: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    backward = kind.backward

    def reading(self: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        losses, hits = backward(self, *arguments)
        losses.sum().item()
        return losses, hits

    monkeypatch.setattr(kind, "backward", reading)
    with pytest.raises(RuntimeError, match="meta"):
        train("fnn", "adam", 1 if kind is SingleModel else 3, images.to(META))


@pytest.fixture
def _fake_cuda() -> Iterator[None]:
    """Tensors are fakes, on a CUDA device that need not be there."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        yield


PROBES: dict[str, Callable[[Tensor], Any]] = {
    "bit_counts": measures.bit_counts,
    "distinct": measures.count_distinct,
    "pairs": measures.pairs,
    "steepest": lambda values: measures.steepest_slope(nn.Tanh()),
    "norm": measures.norm,
    "mean_cosine": measures.mean_cosine,
    "effective_rank": lambda values: measures.effective_rank(measures.gram(values[0])),
    "relative_update": lambda values: measures.relative_update(values, 2 * values),
    "angle": lambda values: measures.angle(values, 2 * values),
    "dead": measures.dead_share,
    "saturated": lambda values: measures.saturated_share(values, 1.0),
    "neurons": lambda values: measures.neurons(values, values[:, :, 0]),
}


@pytest.mark.usefixtures("_fake_cuda")
@pytest.mark.parametrize("name", PROBES)
def test_probes_stay_on_the_device(name: str) -> None:
    """Those that do not are the ones that are known to read values."""
    values = torch.empty(3, 8, 6, device="cuda")
    try:
        result = PROBES[name](values)
    except Exception:
        assert name in ON_CUDA_ALONE
    else:
        assert name not in ON_CUDA_ALONE
        assert result.device.type == "cuda"


@pytest.mark.usefixtures("_fake_cuda")
@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch != "resnet50"])
def test_a_stack_predicts_on_the_device(arch: str) -> None:
    with torch.device("cuda"):
        models = [ARCHS[arch]((3, 8, 8), 10) for _ in range(3)]
        stack = ModelStack([(model, torch.optim.SGD(model.parameters())) for model in models], SOFTMAX)
        logits = stack.predict(torch.empty(1, 100, 3, 8, 8))
        activations = stack.activations(torch.empty(1, 100, 3, 8, 8))
    assert logits.shape == (3, 10, 100)
    assert {logits.device.type, *(values.device.type for values, _ in activations.values())} == {"cuda"}


@pytest.mark.usefixtures("_fake_cuda")
def test_a_fake_device_refuses_another() -> None:
    with pytest.raises(Exception, match="device"):
        measures.relative_update(torch.empty(3, 8, device="cuda"), torch.empty(3, 8, device="cpu"))
