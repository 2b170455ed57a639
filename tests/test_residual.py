"""The weights at the ends of residual branches."""

from collections.abc import Callable

import pytest
import torch
from helpers.roles import Residual, collect_requests
from torch import Tensor, nn
from torchvision.models import resnet18

from zeroinit import forward_graph
from zeroinit.call_order import record_call_order


class Recurrence(nn.Module):
    """A recurrent net by hand: the state is added to the input, and this is no residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.states, self.out = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, sequence: Tensor) -> Tensor:
        steps = self.inputs(sequence)
        state = torch.tanh(steps[:, 0])
        for index in range(1, steps.shape[1]):
            state = torch.tanh(steps[:, index] + self.states(state))
        logits: Tensor = self.out(state)
        return logits


class Cells(nn.Module):
    """Two steps of torch's own cell."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.out = nn.LSTMCell(4, 4), nn.Linear(4, 2)

    def forward(self, sequence: Tensor) -> Tensor:
        state = self.cell(sequence[:, 0])
        logits: Tensor = self.out(self.cell(sequence[:, 1], state)[0])
        return logits


class Masked(nn.Module):
    """Attention by hand, in which a mask of other shape is added to the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.values = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        scores = self.queries(tokens) @ tokens.transpose(1, 2) + tokens.sum(2).unsqueeze(1)
        mixed: Tensor = tokens + scores.softmax(2) @ self.values(tokens)
        return mixed


class Decoder(nn.Module):
    """A recurrent cell that begins from an encoder's state: it adds its input to it, and this is no residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.encoder = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.Linear(4, 4)
        self.cell = nn.RNNCell(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        state: Tensor = self.cell(self.inputs(inputs), self.encoder(inputs))
        return state


class Padded(nn.Module):
    """A transformer that ignores the last token, for which torch has a fused path of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)

    def forward(self, tokens: Tensor) -> Tensor:
        is_padding = torch.zeros(tokens.shape[:2], dtype=torch.bool)
        is_padding[:, -1] = True
        encoded: Tensor = self.encoder(tokens, src_key_padding_mask=is_padding)
        return encoded


class Sum(nn.Module):
    """A sum of branches, which `add` builds from the input."""

    def __init__(self, add: Callable[[nn.ModuleList, Tensor], Tensor], size: int = 4) -> None:
        super().__init__()
        self.add, self.parts = add, nn.ModuleList(nn.Linear(4, 4) for _ in range(size))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.add(self.parts, inputs)


def repeat_block(parts: nn.ModuleList, inputs: Tensor) -> Tensor:
    for _ in range(2):
        inputs = inputs + parts[0](inputs)
    return inputs


def add_all(parts: nn.ModuleList, inputs: Tensor) -> Tensor:
    total = torch.zeros_like(inputs)
    for part in parts:
        total = total + part(inputs)
    return total + inputs


RESIDUAL: dict[str, tuple[nn.Module, tuple[int, ...], list[str]]] = {
    "resnet18": (
        resnet18(num_classes=2),
        (3, 32, 32),
        [f"layer{stage}.{block}.conv2.weight" for stage in (1, 2, 3, 4) for block in (0, 1)],
    ),
    "transformer": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        (5, 8),
        ["self_attn.out_proj.weight", "linear2.weight"],
    ),
    "pre-norm transformer": (
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True),
        (5, 8),
        ["self_attn.out_proj.weight", "linear2.weight"],
    ),
    "own": (Residual(), (64,), ["branch.2.weight"]),
    "recurrence": (Recurrence(), (6, 4), []),
    "cell": (Cells(), (2, 4), []),
    "decoder": (Decoder(), (4,), []),
    "padded": (
        Padded(),
        (5, 8),
        ["encoder.layers.0.self_attn.out_proj.weight", "encoder.layers.0.linear2.weight"],
    ),
    "mask": (Masked(), (5, 4), ["values.weight"]),
}


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_last_weight_of_a_residual_branch(name: str) -> None:
    model, shape, residual = RESIDUAL[name]
    record_call_order(model, torch.randn(2, *shape))
    blocks = collect_requests(model)
    roles = ("weight", "recurrent", "embedding")
    shown = [block for block, request in blocks.items() if request["residual"] and request["role"] in roles]
    assert sorted(shown) == sorted(residual)
    behind = {block for block, request in blocks.items() if request["residual"] and request["role"] == "scale"}
    if name == "resnet18":
        assert behind == {weight.replace("conv2", "bn2") for weight in residual}
    assert behind == ({"branch.3.weight"} if name == "own" else behind if name == "resnet18" else set())


@pytest.mark.parametrize(
    ("add", "residual"),
    [
        (lambda parts, inputs: inputs + parts[0](inputs) + parts[2](parts[1](inputs)), [0, 2]),
        (lambda parts, inputs: parts[0](inputs) + parts[2](parts[1](inputs)) + inputs, [0, 2]),
        (lambda parts, inputs: parts[0](inputs) + (inputs + parts[2](parts[1](inputs))), [0, 2]),
        (lambda parts, inputs: parts[0](inputs) + parts[2](parts[1](inputs)), [2]),
        (lambda parts, inputs: parts[2](parts[1](inputs)) + parts[0](inputs) + parts[3](inputs), [2]),
        (lambda parts, inputs: parts[1](parts[0](inputs) + parts[2](inputs)) + inputs, [1]),
        (repeat_block, [0]),
    ],
)
def test_the_order_of_a_sum_does_not_matter(
    add: Callable[[nn.ModuleList, Tensor], Tensor], residual: list[int]
) -> None:
    model = Sum(add)
    record_call_order(model, torch.randn(2, 4))
    requests = collect_requests(model)
    shown = [index for index in range(4) if requests[f"parts.{index}.weight"]["residual"]]
    assert shown == residual


def test_the_terms_of_a_long_sum_are_compared_with_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    walk = forward_graph.ForwardGraph._parameters_in
    monkeypatch.setattr(
        forward_graph.ForwardGraph,
        "_parameters_in",
        lambda graph, activations: compared.append(activations) or walk(graph, activations),
    )
    size = 2 * forward_graph.MAX_TERMS
    model = Sum(add_all, size)
    record_call_order(model, torch.randn(2, 4))
    assert len(compared) == 2 * (size + 1)
    assert all(request["residual"] for name, request in collect_requests(model).items() if name.endswith("weight"))
