"""The role of each parameter, the rule of each role, and what a rule may request."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from torchvision.models import resnet18

from zeroinit import build
from zeroinit.call_order import record_call_order
from zeroinit.config import Job
from zeroinit.config.init import KEEP, Rules
from zeroinit.dataset import Data
from zeroinit.diagnostics import lint
from zeroinit.diagnostics.symmetry import summarize_draws
from zeroinit.errors import BadInput
from zeroinit.init import Filled, initialize
from zeroinit.rng import stream
from zeroinit.roles import value_of

NORMAL, ZEROS = partial(nn.init.normal_), partial(nn.init.zeros_)
Requests = list[dict[str, Any]]


def fill(model: nn.Module, rules: Rules) -> dict[str, Filled]:
    lines = initialize(model, stream("init", 0), rules, lambda fan_in: 2.0)
    assert [line.parameter for line in lines] == [name for name, _ in model.named_parameters()]
    return {line.parameter: line for line in lines}


def rules(weight: Any = NORMAL, bias: Any = ZEROS, **others: Any) -> Rules:
    return Rules(weight, bias, **({"embedding": NORMAL, "other": KEEP} | others))


def recorder(requests: Requests) -> Callable[..., Tensor]:
    """A rule that notes what it gets."""

    def note_(
        tensor: Tensor,
        fan_in: int,
        fan_out: int,
        depth: int,
        num_layers: int,
        name: str,
        role: str,
        residual: bool,
    ) -> Tensor:
        requests.append({**locals(), "shape": tuple(tensor.shape)})
        return tensor.fill_(0.5)

    return note_


def requested(model: nn.Module) -> dict[str, dict[str, Any]]:
    """What a rule gets for each block of the model."""
    requests: Requests = []
    rule = partial(recorder(requests))
    initialize(model, stream("init", 0), Rules(*[rule] * 7), lambda fan_in: 1.0)
    return {request["name"]: request for request in requests}


class Residual(nn.Module):
    """A user's own residual branch, and a token of its own."""

    def __init__(self, input_shape: tuple[int, ...] = (64,), num_classes: int = 10, draw: bool = False) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(8) if draw else torch.zeros(8))
        self.first = nn.Linear(64, 8)
        self.norm = nn.LayerNorm(8)
        self.branch = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8), nn.BatchNorm1d(8))
        self.out = nn.Linear(8, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs.flatten(1)) + self.token
        logits: Tensor = self.out(self.norm(hidden + self.branch(hidden)))
        return logits


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


MODULES = {  # {module: {parameter: role}}
    "norm": (nn.BatchNorm2d(3), {"weight": "scale", "bias": "shift"}),
    "embedding": (nn.Embedding(5, 3), {"weight": "embedding"}),
    "bag": (nn.EmbeddingBag(5, 3), {"weight": "embedding"}),
    "bilinear": (nn.Bilinear(2, 3, 4), {"weight": "weight", "bias": "bias"}),
    "slope": (nn.PReLU(), {"weight": "other"}),
    "lstm": (
        nn.LSTM(3, 4, proj_size=2),
        {
            "weight_ih_l0": "weight",
            "weight_hh_l0": "recurrent",
            "bias_ih_l0": "bias",
            "bias_hh_l0": "bias",
            "weight_hr_l0": "weight",
        },
    ),
    "cell": (
        nn.GRUCell(3, 4),
        {"weight_ih": "weight", "weight_hh": "recurrent", "bias_ih": "bias", "bias_hh": "bias"},
    ),
    "attention": (
        nn.MultiheadAttention(4, 2, kdim=3, vdim=5, add_bias_kv=True),
        {
            "q_proj_weight": "weight",
            "k_proj_weight": "weight",
            "v_proj_weight": "weight",
            "in_proj_bias": "bias",
            "bias_k": "bias",
            "bias_v": "bias",
            "out_proj.weight": "weight",
            "out_proj.bias": "bias",
        },
    ),
    "weight_norm": (
        weight_norm(nn.Linear(2, 3)),
        {"bias": "bias", "parametrizations.weight.original0": "weight", "parametrizations.weight.original1": "weight"},
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_the_module_decides_the_role(name: str) -> None:
    module, roles = MODULES[name]
    lines = fill(nn.Sequential(module), rules())
    assert {parameter.removeprefix("0."): line.role for parameter, line in lines.items()} == roles


def test_queries_keys_values_and_gates_are_filled_one_by_one() -> None:
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(6, 2), "lstm": nn.LSTM(5, 4, 2)})
    orthogonal = partial(nn.init.orthogonal_)
    lines = fill(model, rules(orthogonal, NORMAL, recurrent=orthogonal))
    for block in model["attention"].in_proj_weight.split(6):
        assert torch.allclose(block @ block.T, torch.eye(6), atol=1e-5)
    for block in model["lstm"].weight_hh_l1.split(4):
        assert torch.allclose(block @ block.T, torch.eye(4), atol=1e-5)
    assert lines["attention.in_proj_weight"].rule == "orthogonal_() for each of query, key, value"
    assert lines["lstm.bias_hh_l0"].rule == "normal_() * 2 for each of input, forget, cell, output"
    blocks = requested(model)
    assert len(blocks) == 3 + 3 + 2 + 2 * 4 * 4
    forget = blocks["lstm.weight_ih_l1.forget"]
    assert (forget["shape"], forget["fan_in"], forget["fan_out"], forget["role"]) == ((4, 4), 4, 4, "weight")
    assert (forget["depth"], forget["num_layers"]) == (4, 4)
    assert blocks["lstm.weight_ih_l0.cell"]["fan_in"] == 5


def test_a_recurrent_weight_has_the_rule_of_weights_unless_it_has_one() -> None:
    lstm = nn.LSTM(5, 4)
    fill(nn.ModuleList([lstm]), rules(ZEROS))
    assert not lstm.weight_hh_l0.any()
    fill(nn.ModuleList([lstm]), rules(ZEROS, recurrent=NORMAL))
    assert lstm.weight_hh_l0.all()
    assert not lstm.weight_ih_l0.any()


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_the_row_of_the_padding_stays_zero(kind: type[nn.Module]) -> None:
    embedding = kind(5, 3, padding_idx=2)
    fill(nn.ModuleList([embedding]), rules())
    assert embedding.weight.any(1).tolist() == [True, True, False, True, True]


def test_a_tied_weight_is_filled_once_as_a_weight() -> None:
    model = nn.ModuleDict({"embedding": nn.Embedding(7, 3), "out": nn.Linear(3, 7, bias=False)})
    model["out"].weight = model["embedding"].weight
    requests: Requests = []
    [line] = fill(model, rules(partial(recorder(requests)), embedding=partial(recorder(requests)))).values()
    assert (line.parameter, line.role, line.mean) == ("embedding.weight", "weight", 0.5)
    assert [(request["fan_in"], request["fan_out"]) for request in requests] == [(3, 7)]


def test_a_rule_fills_the_effective_weight_of_a_parametrised_layer() -> None:
    model = nn.Sequential(weight_norm(nn.Linear(4, 3)), spectral_norm(nn.Linear(3, 3)))
    lines = fill(model, rules(partial(nn.init.constant_, val=0.5)))
    assert torch.allclose(model[0].weight, torch.full((3, 4), 0.5))
    model.eval()
    assert torch.allclose(torch.linalg.matrix_norm(model[1].weight, 2), torch.ones(()))
    assert lines["0.parametrizations.weight.original1"].rule == "constant_(val=0.5) through WeightNorm"
    with pytest.raises(BadInput, match=r"^init\.weight: 0\.weight is not finite, because WeightNorm divides by a norm"):
        fill(model, rules(ZEROS))


def test_reading_a_parametrised_weight_changes_no_buffer() -> None:
    layer = spectral_norm(nn.Linear(4, 3)).train()
    [vector, _] = [buffer for buffer in layer.buffers()]
    vector.copy_(nn.functional.normalize(torch.tensor([1.0, 2.0, 3.0]), dim=0))
    before = vector.clone()
    assert value_of(layer, "weight").shape == (3, 4)
    assert vector.equal(before)
    assert all(module.training for module in layer.modules())


def test_the_arguments_that_a_rule_may_request() -> None:
    model = Residual()
    record_call_order(model, torch.randn(2, 64))
    blocks = requested(model)
    assert {name: block["depth"] for name, block in blocks.items() if name.endswith("weight")} == {
        "first.weight": 1,
        "branch.0.weight": 2,
        "branch.2.weight": 3,
        "branch.3.weight": 3,
        "norm.weight": 3,
        "out.weight": 4,
    }
    assert blocks["token"] == {
        **{"name": "token", "role": "other", "depth": 1, "num_layers": 4, "residual": False},
        **{"fan_in": 1, "fan_out": 1, "shape": (8,), "requests": blocks["token"]["requests"]},
        "tensor": blocks["token"]["tensor"],
    }
    assert blocks["branch.0.weight"]["fan_out"] == 16
    assert requested(nn.Sequential(nn.Conv2d(2, 5, 3)))["0.weight"]["fan_out"] == 45


def test_the_config_may_give_a_rule_its_own_value_of_an_argument() -> None:
    def named_(tensor: Tensor, name: float) -> Tensor:
        return tensor.fill_(name)

    model = nn.Sequential(nn.Linear(2, 2))
    fill(model, rules(partial(named_, name=3.0)))
    assert model[0].weight.eq(3).all()


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
    "mask": (Masked(), (5, 4), ["values.weight"]),
}


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_last_weight_of_a_residual_branch(name: str) -> None:
    model, shape, residual = RESIDUAL[name]
    record_call_order(model, torch.randn(2, *shape))
    blocks = requested(model)
    roles = ("weight", "recurrent", "embedding")
    shown = [block for block, request in blocks.items() if request["residual"] and request["role"] in roles]
    assert sorted(shown) == sorted(residual)
    behind = {block for block, request in blocks.items() if request["residual"] and request["role"] == "scale"}
    if name == "resnet18":
        assert behind == {weight.replace("conv2", "bn2") for weight in residual}
    assert behind == ({"branch.3.weight"} if name == "own" else behind if name == "resnet18" else set())


def toy_data() -> Data:
    split = torch.rand(20, 64, generator=stream("split", 0)), torch.arange(20) % 10
    return Data(split, split, split, num_classes=10)


@pytest.fixture
def residual_job(job_of: Callable[..., Job]) -> Callable[..., Job]:
    def job(*overrides: str) -> Job:
        return job_of(
            "dataset=digits", "dataset.batch_size=all", "arch=logistic", "arch._target_=test_roles.Residual", *overrides
        )

    return job


def test_a_parameter_of_an_unknown_role_needs_a_rule(residual_job: Callable[..., Job]) -> None:
    with pytest.raises(BadInput) as refused:
        build.build(residual_job().config, toy_data())
    assert str(refused.value) == (
        "init: the parameter token (8,) of Residual has no rule: its role is other; set init.other=keep, or give "
        "init.other a rule"
    )
    job = residual_job("init.other={_target_: torch.nn.init.ones_}", "init.scale={_target_: torch.nn.init.zeros_}")
    model, filled, _ = build.build(job.config, toy_data())
    assert model.token.eq(1).all()
    assert not model.norm.weight.any()
    assert {line.parameter: line.rule for line in filled}["norm.bias"] == "torch's own"
    assert job.params["init"] == "default"
    names = "zeros_", "ones_"
    assert [job.params[f"init.{role}"] for role in ("scale", "other")] == [f"torch.nn.init.{name}" for name in names]


def test_init_layers_narrows_each_role(residual_job: Callable[..., Job]) -> None:
    words = ("init.layers=[norm,branch.*]", "init.other=keep", "init.scale={_target_: torch.nn.init.zeros_}")
    model, _, _ = build.build(residual_job(*words, "init=zero", "init@init.rest=ones").config, toy_data())
    assert not model.norm.weight.any()
    assert not model.branch[3].weight.any()
    assert model.first.weight.eq(1).all()


def test_values_that_are_kept_are_draws_of_the_init(residual_job: Callable[..., Job]) -> None:
    """The constructor draws from the stream `init`, and neither another seed nor the global generator matters."""
    words = ("init=keep", "+arch.draw=true")
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, filled, _ = build.build(residual_job(*words).config, toy_data())
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(2)
    again = build.build(residual_job(*words, "seeds.forward=5").config, toy_data())[0]
    other = build.build(residual_job(*words, "seeds.init=1").config, toy_data())[0]
    with torch.random.fork_rng():
        torch.set_rng_state(stream("init", 0).get_state())
        plain = Residual(draw=True)
    for name, parameter in first.named_parameters():
        assert parameter.equal(again.get_parameter(name))
        assert parameter.equal(plain.get_parameter(name))
    assert not first.token.equal(other.token)
    assert {line.rule for line in filled} == {"the constructor's own", "torch's own"}
    config = residual_job(*words).config
    assert [finding for finding in lint.check_init(config, toy_data()) if finding.rule in ("init", "seed")] == []
    assert {draws.source for draws in summarize_draws(config, toy_data())[0]} == {"the stream init"}


def test_what_a_rule_draws_follows_what_the_constructor_drew(residual_job: Callable[..., Job]) -> None:
    words = ("init=kaiming_normal", "init.other=keep", "+arch.draw=true")
    model = build.build(residual_job(*words).config, toy_data())[0]
    alone = build.build(residual_job("init=kaiming_normal", "init.other={_target_: torch.nn.init.zeros_}").config,
                        toy_data())[0]  # fmt: skip
    assert not model.first.weight.equal(alone.first.weight)
