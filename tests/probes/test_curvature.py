"""Curvature against whole Hessians, and the two kinds of saddle that all-zero weights stand on."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from helpers.trainings import SOFTMAX
from torch import Tensor, nn

from zeroinit import dataset
from zeroinit.arch import FNN, MnistCNN
from zeroinit.dataset import Data
from zeroinit.probes.lanczos import Parameters, hessian_ends, lanczos
from zeroinit.rng import stream
from zeroinit.training.single import SingleModel
from zeroinit.training.stack import ModelStack


@pytest.fixture(scope="module")
def digits() -> Data:
    return dataset.digits(stream("split", 0))


def batch(data: Data) -> tuple[Tensor, Tensor]:
    return data.to_inputs(data.train[0][:100]).unsqueeze(0), data.train[1][:100].unsqueeze(0)


def alone(model: nn.Module) -> SingleModel:
    return SingleModel(model, torch.optim.SGD(model.parameters(), lr=0.1), SOFTMAX)


def hessian(model: nn.Module, inputs: Tensor, labels: Tensor, block: list[str]) -> tuple[Tensor, Tensor]:
    """The gradient and the whole Hessian of the mean loss in the parameters of the block, entry by entry."""
    parameters = dict(model.named_parameters())

    def loss(flat: Tensor) -> Tensor:
        parts = flat.split([parameters[name].numel() for name in block])
        values_of = {name: part.view_as(parameters[name]) for name, part in zip(block, parts, strict=True)}
        return F.cross_entropy(torch.func.functional_call(model, {**parameters, **values_of}, inputs[0]), labels[0])

    flat = torch.cat([parameters[name].detach().flatten() for name in block])
    return torch.autograd.functional.jacobian(loss, flat), torch.autograd.functional.hessian(loss, flat)


@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_a_small_net_has_the_ends_of_its_whole_hessian(activation: str) -> None:
    generator = torch.Generator().manual_seed(0)
    models = [FNN((2,), 2, [3], activation) for _ in range(3)]
    inputs, labels = torch.randn(1, 20, 2, generator=generator), torch.randint(2, (1, 20), generator=generator)
    nets = [
        alone(models[0]),
        ModelStack([(model, torch.optim.SGD(model.parameters(), lr=0.1)) for model in models], SOFTMAX),
    ]
    for net in nets:
        parameters = net.tensors()
        for block in (list(parameters), [name for name in parameters if name.endswith("weight")]):
            ends = hessian_ends(lambda values_of, net=net: net.losses(values_of, inputs, labels), parameters, block)
            for member in range(len(ends.largest)):
                slope, whole = hessian(models[member], inputs, labels, block)
                values = torch.linalg.eigvalsh(whole)
                assert ends.gradient[member].item() == pytest.approx(slope.norm().item(), rel=1e-5)
                assert ends.largest[member].item() == pytest.approx(values[-1].item(), rel=1e-4)
                assert ends.smallest[member].item() == pytest.approx(values[0].item(), rel=1e-3, abs=1e-5)


class Attention(nn.Module):
    """One head, by torch's fused kernel, or written out."""

    def __init__(self, is_fused: bool) -> None:
        super().__init__()
        self.is_fused, self.query, self.output = is_fused, nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        query = self.query(tokens)
        if self.is_fused:
            mixed = F.scaled_dot_product_attention(query, tokens, tokens)
        else:
            mixed = (query @ tokens.transpose(1, 2) / 2**0.5).softmax(-1) @ tokens
        return self.output(mixed.mean(1))  # type: ignore[no-any-return]


def test_fused_attention_has_curvature() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(1, 20, 3, 2, generator=generator), torch.randint(2, (1, 20), generator=generator)
    fused, written = Attention(True), Attention(False)
    fused.load_state_dict(written.state_dict())
    net = alone(fused)
    names = list(net.tensors())
    ends = hessian_ends(lambda values_of: net.losses(values_of, inputs, labels), net.tensors(), names)
    values = torch.linalg.eigvalsh(hessian(written, inputs, labels, names)[1])
    assert ends.largest.item() == pytest.approx(values[-1].item(), rel=1e-4)
    assert ends.smallest.item() == pytest.approx(values[0].item(), rel=1e-3, abs=1e-5)


def ends(model: nn.Module, data: Data, block: Callable[[str], bool]) -> tuple[float, float]:
    net, (inputs, labels) = alone(model), batch(data)
    parameters = net.tensors()
    names = [name for name in parameters if block(name)]
    ends = hessian_ends(lambda values_of: net.losses(values_of, inputs, labels), parameters, names)
    return ends.smallest.item(), ends.largest.item()


@pytest.mark.parametrize("activation", ["tanh", "elu"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_all_zero_is_a_strict_saddle_with_one_hidden_layer_and_a_flat_one_with_more(
    activation: str, depth: int, digits: Data
) -> None:
    model = FNN(digits.input_shape, digits.num_classes, [16] * depth, activation)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    shares = batch(digits)[1].flatten().bincount(minlength=10) / 100
    model.get_parameter("output.bias").data.copy_(shares.log())  # which alone has a gradient until it is there
    smallest, largest = ends(model, digits, lambda name: name.endswith("weight"))
    if depth == 1:
        # d2 loss / dW1 dW2 alone is not zero: its spectrum is symmetric about zero
        assert smallest < -0.01
        assert largest == pytest.approx(-smallest, rel=1e-3)
        assert ends(model, digits, lambda name: True)[0] < -0.01
    else:
        assert (smallest, largest) == (0, 0)
        assert ends(model, digits, lambda name: True)[0] == pytest.approx(0, abs=1e-7)


def test_a_convolution_has_curvature(digits: Data) -> None:
    smallest, largest = ends(MnistCNN(digits.input_shape, digits.num_classes, "elu"), digits, lambda name: True)
    assert smallest < 0 < largest


def products(matrices: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda vector: torch.einsum("kij,kj->ki", matrices, vector)


def test_lanczos_stays_within_the_spectrum_and_finds_its_ends() -> None:
    generator = torch.Generator().manual_seed(1)
    raw = torch.randn(4, 60, 60, generator=generator, dtype=torch.float64)
    matrices = raw + raw.transpose(1, 2)
    matrices[1] = 0
    matrices[2] = torch.eye(60, dtype=torch.float64) * 3  # exhausted at once, with no eigenvalue of zero
    matrices[3] = torch.diag(torch.tensor([-1.0] + [0.0] * 57 + [2.0, 5.0], dtype=torch.float64))
    start = torch.randn(60, generator=generator, dtype=torch.float64).expand(4, -1)
    exact = torch.linalg.eigvalsh(matrices)[:, [0, -1]]
    assert torch.allclose(lanczos(products(matrices), start, 60), exact, atol=1e-9)
    few = lanczos(products(matrices), start, 20)
    assert (few[:, 0] >= exact[:, 0] - 1e-9).all()
    assert (few[:, 1] <= exact[:, 1] + 1e-9).all()
    assert torch.allclose(few, exact, rtol=0.02)


def test_a_member_that_is_not_finite_spoils_no_other() -> None:
    matrices = torch.eye(5).repeat(2, 1, 1)
    matrices[1, 0, 0] = torch.nan
    ends = lanczos(products(matrices), torch.ones(2, 5), 5)
    assert ends[0].tolist() == pytest.approx([1, 1])
    assert ends[1].isnan().all()


def test_what_the_loss_does_not_depend_on_has_no_curvature() -> None:
    parameters: Parameters = {"used": torch.ones(1, 3), "unused": torch.ones(1, 2)}
    ends = hessian_ends(lambda values_of: values_of["used"].square().sum(1), parameters, ["unused"])
    assert (ends.gradient.item(), ends.smallest.item(), ends.largest.item()) == (0, 0, 0)
