"""Every init's moments against its formula, golden files, and who fills which parameter."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from zeroinit import CONF, bias_scale, build
from zeroinit.arch import FNN, resnet50
from zeroinit.config import Job
from zeroinit.config.init import Rules
from zeroinit.dataset import Data
from zeroinit.errors import BadInput
from zeroinit.init import default_, initialize
from zeroinit.layers import weight_layers
from zeroinit.rng import stream

INITS = sorted(path.stem for path in (CONF / "init").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"
FAN_IN, FAN_OUT = 300, 400

# {init: (weight variance, bias mean, bias variance)}; weights have mean zero where their variance is not
RANDOM = {
    "default": (1 / (3 * FAN_IN), 0, 1 / (3 * FAN_IN)),
    "lecun_normal": (1 / FAN_IN, 0, 0),
    "lecun_uniform": (1 / FAN_IN, 0, 0),
    "xavier_normal": (2 / (FAN_IN + FAN_OUT), 0, 0),
    "xavier_uniform": (2 / (FAN_IN + FAN_OUT), 0, 0),
    "kaiming_normal": (2 / FAN_IN, 0, 0),
    "kaiming_uniform": (2 / FAN_IN, 0, 0),
    "small_normal": (0.01**2, 0, 0),
    "orthogonal": (1 / FAN_OUT, 0, 0),
    "zero_normal": (0, 0, 1),
    "zero_uniform": (0, 1 / 2, 1 / 12),
    "zero_uniform_matched": (0, 0, 1),
}
CONSTANT = {"zero": 0, "constant": 0.01, "ones": 1}


def toy_data(features: int) -> Data:
    split = torch.zeros(4, features), torch.arange(4) % 2
    return Data(split, split, split, num_classes=2)


@pytest.fixture
def build_net(job_of: Callable[..., Job]) -> Callable[..., nn.Module]:
    """A net of two hidden layers, FAN_IN inputs and FAN_OUT units in the second, after an init."""

    def model(*overrides: str) -> nn.Module:
        job = job_of("dataset=planar", f"arch.hidden=[{FAN_IN},{FAN_OUT}]", *overrides)
        return build.build(job.config, toy_data(5))[0]

    return model


def close(values: torch.Tensor, mean: float, variance: float) -> bool:
    """Whether mean and variance are within five standard errors, those of a normal (a uniform's are smaller)."""
    n = values.numel()
    return abs(values.mean() - mean) <= 5 * math.sqrt(variance / n) and abs(
        values.var() - variance
    ) <= 5 * variance * math.sqrt(2 / n)


def test_the_tables_above_are_all_inits() -> None:
    assert {*RANDOM, *CONSTANT, "layer_constant", "row_constant", "zero_log_uniform", "keep"} == set(INITS)


@pytest.mark.parametrize("name", RANDOM)
def test_moments(name: str, build_net: Callable[..., nn.Module]) -> None:
    weight_variance, bias_mean, bias_variance = RANDOM[name]
    layer = build_net(f"init={name}").get_submodule("hidden2")
    assert close(layer.weight, 0, weight_variance)
    assert close(layer.bias, bias_mean, bias_variance)


@pytest.mark.parametrize("name", ["default", "lecun_uniform", "xavier_uniform", "kaiming_uniform"])
def test_uniform_bounds(name: str, build_net: Callable[..., nn.Module]) -> None:
    layer = build_net(f"init={name}").get_submodule("hidden2")
    bound = math.sqrt(3 * RANDOM[name][0])
    assert 0.999 * bound < layer.weight.abs().max() <= bound * (1 + 1e-6)


def test_uniform_biases(build_net: Callable[..., nn.Module]) -> None:
    drawn = build_net("init=zero_uniform").get_submodule("hidden2").bias
    assert 0 <= drawn.min() < 0.05
    assert 0.95 < drawn.max() < 1
    matched = build_net("init=zero_uniform_matched").get_submodule("hidden2").bias
    assert 0.95 * math.sqrt(3) < matched.abs().max() < math.sqrt(3)


@pytest.mark.parametrize("name", CONSTANT)
def test_constants_are_exact(name: str, build_net: Callable[..., nn.Module]) -> None:
    for parameter, tensor in build_net(f"init={name}").named_parameters():
        value = 0 if parameter.endswith("bias") else CONSTANT[name]
        assert (tensor == torch.tensor(value, dtype=torch.float32)).all()


def test_layer_constant(build_net: Callable[..., nn.Module]) -> None:
    model = build_net("init=layer_constant")
    for depth, name in enumerate(["hidden1", "hidden2", "output"], start=1):
        assert (model.get_submodule(name).weight == torch.tensor(0.01 * depth)).all()


def test_row_constant_has_one_random_row(build_net: Callable[..., nn.Module]) -> None:
    weight = build_net("init=row_constant").get_submodule("hidden2").weight
    assert (weight == weight[0]).all()
    assert close(weight[0], 0, 1 / FAN_IN)


def test_log_uniform_biases(build_net: Callable[..., nn.Module]) -> None:
    """The logarithm of their size is uniform over the range, whatever their sign."""
    layer = build_net("init=zero_log_uniform").get_submodule("hidden2")
    assert not layer.weight.any()
    least, most = math.log(1e-37), math.log(3)
    sizes = layer.bias.abs().double().log()
    assert least <= sizes.min() < least + 1
    assert most - 1 < sizes.max() <= most
    assert close(sizes, (least + most) / 2, (most - least) ** 2 / 12)
    assert close(layer.bias.sign(), 0, 1)
    assert close(sizes * layer.bias.sign(), 0, sizes.square().mean().item())


def test_a_range_of_sizes_starts_above_zero(job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput, match=r"least=0 and most=3\.0 are no range above 0"):
        build.build(job_of("init=zero_log_uniform", "init.bias.least=0").config, toy_data(5))


def test_orthogonal_columns(build_net: Callable[..., nn.Module]) -> None:
    weight = build_net("init=orthogonal").get_submodule("hidden2").weight
    assert torch.allclose(weight.T @ weight, torch.eye(FAN_IN), atol=1e-5)


def test_default_has_torchs_bounds() -> None:
    """Torch's own constructor draws from kaiming_uniform_(a=sqrt(5)); the same generator gives the same numbers."""
    ours = default_(torch.empty(FAN_OUT, FAN_IN), FAN_IN, torch.Generator().manual_seed(3))
    theirs = nn.init.kaiming_uniform_(
        torch.empty(FAN_OUT, FAN_IN), a=math.sqrt(5), generator=torch.Generator().manual_seed(3)
    )
    assert torch.allclose(ours, theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("rule", ["constant", "fan_in"])
def test_bias_scale_multiplies_the_draw(rule: str, build_net: Callable[..., nn.Module]) -> None:
    plain = build_net("init=zero_normal")
    scaled = build_net("init=zero_normal", f"bias_scale={rule}", "bias_scale.value=3")
    for name, fan_in in (("hidden1", 5), ("hidden2", FAN_IN), ("output", FAN_OUT)):
        factor = 3 / math.sqrt(fan_in) if rule == "fan_in" else 3
        assert torch.allclose(scaled.get_submodule(name).bias, plain.get_submodule(name).bias * factor)


@pytest.mark.parametrize("name", sorted({*RANDOM, "row_constant"}))
def test_the_seed_is_the_draw(name: str, build_net: Callable[..., nn.Module]) -> None:
    torch.manual_seed(1)
    first = [tensor.clone() for tensor in build_net(f"init={name}").parameters()]
    torch.manual_seed(2)  # the global generator has no say
    again = list(build_net(f"init={name}").parameters())
    other = list(build_net(f"init={name}", "seeds.init=1").parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


SHOWN = ["default", "kaiming_normal", "layer_constant", "zero", "zero_normal", "zero_uniform"]


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        *((arch, name) for arch in ("logistic", "fnn", "mnist_cnn", "cifar_fnn", "cifar_cnn") for name in SHOWN),
        ("resnet50", "zero_normal"),
    ],
)
def test_golden(arch: str, name: str, job_of: Callable[..., Job], pytestconfig: pytest.Config) -> None:
    """A line a parameter, so that a change of any init shows in review; --update-golden writes them anew."""
    job = job_of("dataset=digits", f"arch={arch}", f"init={name}", "bias_scale.value=0.1")
    data = build.load(job.config, torch.device("cpu"))
    lines = [
        f"{line.parameter} {line.shape} {line.rule} mean={line.mean:.4g} std={line.std:.4g} zeros={line.zeros:.4g}"
        for line in build.build(job.config, data)[1]
    ]
    path = GOLDEN / f"{arch}-{name}.txt"
    if pytestconfig.getoption("--update-golden"):
        path.write_text("\n".join(lines) + "\n")
    assert lines == path.read_text().splitlines()


def zero_normal(model: nn.Module) -> None:
    initialize(
        model,
        stream("init", 0),
        Rules(partial(nn.init.zeros_), partial(nn.init.normal_)),
        bias_scale=partial(bias_scale.constant, value=1.0),
    )


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm1d(7), nn.LayerNorm(7), nn.GroupNorm(1, 7), nn.RMSNorm(7), nn.InstanceNorm1d(7, affine=True)]
)
def test_normalisation_layers_keep_torchs_values(norm: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(5, 7), norm, nn.Linear(7, 2))
    zero_normal(model)
    assert (norm.weight == 1).all()
    assert getattr(norm, "bias", None) is None or (norm.bias == 0).all()
    assert all((layer.weight == 0).all() for layer in model if isinstance(layer, nn.Linear))


def test_every_layer_at_any_depth_is_filled() -> None:
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.Sequential(nn.ConvTranspose2d(4, 4, 3))))
    model = nn.ModuleDict({"a": block, "b": nn.ModuleList([nn.Linear(4, 4, bias=False)])})
    zero_normal(model)
    assert all((parameter == 0).all() for name, parameter in model.named_parameters() if name.endswith("weight"))
    assert all((parameter != 0).all() for name, parameter in model.named_parameters() if name.endswith("bias"))


def test_a_parameter_without_a_rule_is_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("token", nn.Parameter(torch.zeros(3)))
    with pytest.raises(
        BadInput, match=r"^init: the parameter token \(3,\) of Sequential has no rule: its role is other; "
    ):
        zero_normal(model)


def test_a_rule_that_cannot_fill_is_an_error() -> None:
    with pytest.raises(BadInput, match=r"torch\.nn\.init\.xavier_normal_ cannot fill output\.bias \(3,\)"):
        initialize(
            FNN((2,), 3, [], "elu"),
            stream("init", 0),
            Rules(partial(nn.init.zeros_), partial(nn.init.xavier_normal_)),
            bias_scale=partial(bias_scale.constant, value=1.0),
        )


def test_an_init_for_some_layers_only(job_of: Callable[..., Job]) -> None:
    """Those that the pattern names have it, bias scale and all; the others have what init.rest says, unscaled."""
    words = ["dataset=digits", "arch=cifar_cnn", "bias_scale.value=100", "init=zero_normal"]
    data = build.load(job_of(*words).config, torch.device("cpu"))
    some, _, _ = build.build(job_of(*words, "init.layers=[conv*,output]").config, data)
    for name, layer in weight_layers(some):
        fan_in = layer.weight[0].numel()
        if name.startswith("conv") or name == "output":
            assert (layer.weight == 0).all()
            assert layer.bias.abs().max() > 10
        else:
            assert 0 < layer.weight.abs().max() <= 1 / math.sqrt(fan_in)
            assert 0 < layer.bias.abs().max() <= 1 / math.sqrt(fan_in)
    other, filled, _ = build.build(job_of(*words, "init.layers=output", "init@init.rest=small_normal").config, data)
    assert close(other.get_submodule("hidden1").weight, 0, 0.01**2)
    assert (other.get_submodule("hidden1").bias == 0).all()
    rules = {line.parameter: line.rule for line in filled}
    assert rules["hidden1.weight"] == "normal_(std=0.01)"
    assert rules["output.bias"] == "normal_() * 100"
    assert rules["norm1.weight"] == "torch's own"


def test_all_layers_named_is_all_layers(job_of: Callable[..., Job]) -> None:
    job, same = job_of("dataset=digits", "init=default"), job_of("dataset=digits", "init=default", "init.layers='*'")
    data = build.load(job.config, torch.device("cpu"))
    ours, theirs = (build.build(each_job.config, data)[0].parameters() for each_job in (job, same))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_two_of_a_resnets_layers_as_published() -> None:
    """The published code zeroed the stem and the last layer alone; a pattern says so, and init.csv shows it."""
    model = resnet50((1, 8, 8), 10, "elu")
    filled = initialize(
        model,
        stream("init", 0),
        Rules(partial(nn.init.zeros_), partial(nn.init.normal_)),
        partial(bias_scale.constant, value=1.0),
        layers=["conv1", "fc"],
        rest=Rules(partial(default_), partial(default_)),
    )
    zeroed = [line.parameter for line in filled if line.parameter.endswith("weight") and line.zeros == 1]
    assert zeroed == ["conv1.weight", "fc.weight"]


def test_every_layer_of_a_resnet_is_zeroed() -> None:
    model = resnet50((1, 8, 8), 10, "elu")
    zero_normal(model)
    layers = dict(weight_layers(model))
    assert len(layers) == 54
    assert not any(layer.weight.any() for layer in layers.values())
    assert all((layer.bias != 0).all() for layer in layers.values())
