"""The role of each parameter, the rule of each role, and what a rule may request."""

from functools import partial

import pytest
import torch
from helpers.roles import NORMAL, ZEROS, Requests, Residual, collect_requests, fill, recorder, rules
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from zeroinit.call_order import record_call_order
from zeroinit.errors import BadInput
from zeroinit.roles import value_of


class Holder(nn.Module):
    """Holds parameters of these shapes."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.ones(shape)))


class RmsNorm(Holder):
    """A normalisation that does not inherit from torch's; so are those below that end in Norm."""


class OwnLayerNorm2d(Holder):
    pass


class NormHead(Holder):
    pass


MODULES = {  # {module: {parameter: role}}
    "norm": (nn.BatchNorm2d(3), {"weight": "scale", "bias": "shift"}),
    "own norm": (RmsNorm(weight=(3,)), {"weight": "scale"}),
    "own norm of images": (OwnLayerNorm2d(weight=(3,), bias=(3,)), {"weight": "scale", "bias": "shift"}),
    "norm of other names": (RmsNorm(weight=(3,), v=(3,)), {"weight": "other", "v": "other"}),
    "norm of a matrix": (RmsNorm(weight=(3, 3)), {"weight": "other"}),
    "no norm": (NormHead(weight=(3,)), {"weight": "other"}),
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
    blocks = collect_requests(model)
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
    blocks = collect_requests(model)
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
    assert collect_requests(nn.Sequential(nn.Conv2d(2, 5, 3)))["0.weight"]["fan_out"] == 45


def test_the_config_may_give_a_rule_its_own_value_of_an_argument() -> None:
    def fill_with_name_(tensor: Tensor, name: float) -> Tensor:
        return tensor.fill_(name)

    model = nn.Sequential(nn.Linear(2, 2))
    fill(model, rules(partial(fill_with_name_, name=3.0)))
    assert model[0].weight.eq(3).all()
