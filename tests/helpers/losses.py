"""Data, members and a loss of each kind, beside torch's own criterion."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit import loss as losses
from zeroinit.arch import FNN
from zeroinit.dataset import Data
from zeroinit.loss import Loss
from zeroinit.rng import stream
from zeroinit.training.cohort import Member


def make_data(classes: int | None, targets: int = 2, features: int = 5, examples: int = 70) -> Data:
    """Random inputs with labels, or with real targets that depend on them."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(features, targets, generator=generator)

    def split() -> tuple[Tensor, Tensor]:
        inputs = torch.randn(examples, features, generator=generator)
        if classes:
            return inputs, torch.randint(classes, (examples,), generator=generator)
        return inputs, inputs @ matrix + torch.sin(3 * inputs[:, :targets])

    return Data(split(), split(), split(), num_classes=classes)


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.huber_loss(outputs, targets, reduction="none").mean(1)


def focal(outputs: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    cross_entropy = F.cross_entropy(outputs, labels, reduction="none")
    return (1 - (-cross_entropy).exp()) ** gamma * cross_entropy


THREE, TWO, REAL = make_data(3), make_data(2), make_data(None)
WEIGHTS = [0.5, 2.0, 1.0]
# {name: (data, loss, torch's own criterion of outputs and targets, one value for each example)}
LOSSES: dict[str, tuple[Data, Loss, Callable[[Tensor, Tensor], Tensor]]] = {
    "cross_entropy": (THREE, losses.cross_entropy(THREE, 0, None), nn.CrossEntropyLoss(reduction="none")),
    "smoothed": (
        THREE,
        losses.cross_entropy(THREE, 0.2, None),
        nn.CrossEntropyLoss(label_smoothing=0.2, reduction="none"),
    ),
    "weighted": (
        THREE,
        losses.cross_entropy(THREE, 0, WEIGHTS),
        nn.CrossEntropyLoss(torch.tensor(WEIGHTS), reduction="none"),
    ),
    "bce": (
        TWO,
        losses.binary_cross_entropy(TWO),
        lambda outputs, labels: F.binary_cross_entropy(outputs[:, 0].sigmoid(), labels.float(), reduction="none"),
    ),
    "mse": (REAL, losses.mean_squared_error(REAL), lambda outputs, targets: ((outputs - targets) ** 2).mean(1)),
    "focal": (THREE, losses.from_function(THREE, focal, "classification"), focal),
    "huber": (REAL, losses.from_function(REAL, huber, "regression"), huber),
}


def make_members(data: Data, loss: Loss, count: int, steps: int = 30, rate: float = 0.1) -> list[Member]:
    members = []
    for seed in range(count):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = FNN(data.input_shape, loss.outputs, [7], "tanh")
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        members.append(Member(model, optimizer, stream("order", 0), stream("augment", 0), steps))
    return members
