"""Models of torchvision and timm by name: fitted to the data, or refused in one sentence."""

import sys
from collections.abc import Callable

import pytest
import torch
from torch import nn

from zeroinit import build
from zeroinit.arch import timm_model, torchvision_model
from zeroinit.build import limits
from zeroinit.config import Job
from zeroinit.errors import BadInput

Make = Callable[..., nn.Module]


@pytest.mark.parametrize(
    ("make", "model", "shape"),
    [
        (torchvision_model, "resnet18", (1, 8, 8)),
        (torchvision_model, "squeezenet1_1", (2, 20, 30)),
        (torchvision_model, "mobilenet_v3_small", (3, 28, 28)),
        (torchvision_model, "googlenet", (1, 28, 28)),  # without its auxiliary outputs
        (torchvision_model, "regnet_y_400mf", (1, 28, 28)),  # it cannot be made on the meta device
        (timm_model, "resnet10t", (1, 28, 28)),
        (timm_model, "test_vit", (1, 48, 32)),
        (timm_model, "test_efficientnet", (4, 28, 28)),
    ],
)
def test_it_is_fitted(make: Make, model: str, shape: tuple[int, ...]) -> None:
    """And the trial on the meta device draws no number."""
    state = torch.get_rng_state()
    net = make(shape, 7, model)
    assert net(torch.zeros(2, *shape)).shape == (2, 7)
    torch.set_rng_state(state)
    again = make(shape, 7, model)  # the trial is not repeated
    for parameter, other in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(parameter, other)


def test_only_the_first_convolution_is_replaced() -> None:
    grey, colour = (dict(torchvision_model((c, 16, 16), 10, "resnet18").named_parameters()) for c in (1, 3))
    assert {name for name in grey if grey[name].shape != colour[name].shape} == {"conv1.weight"}
    assert grey["conv1.weight"].shape == (64, 1, 7, 7)
    assert list(grey) == list(colour)


def test_options_reach_the_model() -> None:
    net = timm_model((1, 28, 28), 10, "vit_tiny_patch16_224", patch_size=4, depth=2, embed_dim=24)
    assert len(net.blocks) == 2
    assert net.patch_embed.proj.weight.shape == (24, 1, 4, 4)


TOO_SMALL = r"it does not accept images of shape \(1, 28, 28\) \(.+\); set dataset"


@pytest.mark.parametrize(
    ("make", "model", "options", "message"),
    [
        (torchvision_model, "vgg11", {}, rf"arch.model=vgg11: {TOO_SMALL}.resize=32$"),
        (torchvision_model, "vit_b_16", {}, rf"arch.model=vit_b_16: {TOO_SMALL}.resize=32$"),
        (torchvision_model, "maxvit_t", {}, rf"arch.model=maxvit_t: {TOO_SMALL}.resize=224$"),
        (timm_model, "test_vit", {}, rf"arch.model=test_vit: {TOO_SMALL}.resize=32$"),
        (timm_model, "vit_tiny_patch16_224", {}, r"\(its patches of 16 pixels do not divide images of 28\); .*=32$"),
        (
            torchvision_model,
            "resnet81",
            {},
            r"=resnet81: torchvision has no such model; the nearest names are resnet18,",
        ),
        (timm_model, "resnet18.a1_in1k", {}, r"timm has no such model; the nearest names are resnet18,"),
        (torchvision_model, 18, {}, r"arch.model=18: torchvision has no such model; the nearest names are "),
        (torchvision_model, "fcn_resnet50", {}, r"has it for segmentation, .* the nearest are resnet50, "),
        (torchvision_model, "ssd300_vgg16", {}, r"arch.model=ssd300_vgg16: torchvision has it for detection, "),
        (timm_model, "qwen3_vit_88m_enc", {}, r"it is no classifier: it returns a Tensor with shape \(2, 1, 1024\)"),
        (torchvision_model, "resnet18", {"foo": 3}, r"arch.model=resnet18: .* unexpected keyword argument 'foo'"),
        (torchvision_model, "resnet18", {"weights": "DEFAULT"}, r"arch.weights=DEFAULT: zeroinit never loads weights"),
        (timm_model, "resnet18", {"pretrained": True}, r"arch.pretrained=True: zeroinit never loads weights"),
        (timm_model, "resnet18", {"in_chans": 3}, r"arch.in_chans=3: the data decide it; leave it out"),
    ],
)
def test_it_is_refused(make: Make, model: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make((1, 28, 28), 10, model, **options)


def test_points_are_no_images() -> None:
    for make, name in ((torchvision_model, "torchvision"), (timm_model, "timm")):
        with pytest.raises(BadInput, match=rf"arch={name} needs images .*; the data have shape \(2,\)"):
            make((2,), 2, "resnet18")


def test_without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        BadInput, match=r"^arch=timm: the package timm is not installed; pip install 'zeroinit\[timm\]'$"
    ):
        timm_model((1, 28, 28), 10, "resnet18")


@pytest.mark.parametrize(
    ("overrides", "option"),
    [
        (["arch._target_=torchvision.models.resnet18"], "arch=torchvision arch.model=resnet18"),
        (["arch._target_=torchvision.models.ResNet"], "arch=torchvision arch.model=resnet"),
        (["arch._target_=timm.create_model", "+arch.model_name=resnet26"], "arch=timm arch.model=resnet26"),
    ],
)
def test_a_function_of_the_library_as_target(overrides: list[str], option: str, job_of: Callable[..., Job]) -> None:
    with pytest.raises(BadInput, match=rf"calls a network as NAME\(input_shape, num_classes\); .* {option}"):
        build.check([job_of("dataset=digits", "arch=logistic", *overrides)])


def test_a_model_that_the_meta_device_cannot_hold_has_no_check_of_memory(job_of: Callable[..., Job]) -> None:
    config = job_of("dataset=digits", "arch=torchvision", "arch.model=regnet_y_400mf").config
    limits.check_memory(config, build.load(config, torch.device("cpu")), "torchvision")
    assert torchvision_model((1, 8, 8), 10, "regnet_y_400mf").fc.out_features == 10
