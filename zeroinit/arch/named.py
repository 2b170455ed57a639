"""Models by name, of torchvision and timm: fitted to the data, without pretrained weights.

Whether a model fits is tried on torch's meta device, which computes shapes and takes no memory.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from zeroinit.arch.parts import image_shape
from zeroinit.errors import BadInput
from zeroinit.rng import restore_generators
from zeroinit.user_code import describe_error

SIDES = (16, 28, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 299, 384, 448, 512)  # of images, in pixels
COLOURS = 3
PRETRAINED = ("pretrained", "weights", "checkpoint")  # starts of options that would load weights
FROM_DATA = ("in_chans", "img_size", "image_size", "input_size")  # options that the data decide

Make = Callable[[str, tuple[int, int, int], int, Mapping[str, Any]], nn.Module]


def torchvision_model(input_shape: Sequence[int], num_classes: int, model: str, **options: Any) -> nn.Module:
    """An image classifier of torchvision: (N, channels, height, width) -> logits (N, num_classes).

    For images that are not of 3 channels, the first convolution is replaced by one of that many input channels.
    Models with a fixed image size are built for that of the data.

    Args:
        input_shape: (channels, height, width) of the images.
        num_classes: the number of outputs.
        model: a name of `torchvision.models.list_models`.
        options: more arguments of the model, such as `dropout`.

    Raises:
        BadInput: torchvision has no such classifier, or it does not accept such images or such an option.
    """
    from torchvision import models  # only here: the import takes seconds

    shape = image_shape("torchvision", input_shape)
    classifiers = models.list_models(module=models)
    if model in models.list_models() and model not in classifiers:
        kind = models.get_model_builder(model).__module__.split(".")[2].replace("_", " ")
        raise BadInput(
            f"arch.model={model}: torchvision has it for {kind}, and zeroinit trains image classifiers; the nearest "
            f"are {_nearest_names(model, classifiers)}"
        )
    return _make_fitted(_make_torchvision, "torchvision", classifiers, model, shape, num_classes, options)


def timm_model(input_shape: Sequence[int], num_classes: int, model: str, **options: Any) -> nn.Module:
    """An image classifier of timm: (N, channels, height, width) -> logits (N, num_classes).

    Models with a fixed image size are built for that of the data.

    Args:
        input_shape: (channels, height, width) of the images.
        num_classes: the number of outputs.
        model: a name of `timm.list_models`.
        options: more arguments of the model, such as `drop_rate`, or `patch_size` and `depth` of a `vit`.

    Raises:
        BadInput: timm is not installed or has no such model, or the model does not accept such images or such an
            option.
    """
    shape = image_shape("timm", input_shape)
    return _make_fitted(_make_timm, "timm", _import_timm().list_models(), model, shape, num_classes, options)


def suggest_option(target: str, arguments: Mapping[str, Any]) -> str:
    """Return the overrides to give instead of a function of torchvision or timm; empty for one of other packages.

    Args:
        target: the dotted name of the function, such as `torchvision.models.resnet18`.
        arguments: its arguments by name.
    """
    library = target.partition(".")[0]
    if library == "torchvision":
        from torchvision import models

        names = models.list_models(module=models)
    elif library == "timm":
        names = _import_timm().list_models()
    else:
        return ""
    name = str(arguments.get("model_name", arguments.get("name", target.rpartition(".")[2])))
    return f"arch={library} arch.model={get_close_matches(name.lower(), names, 1, 0)[0]}"


def find_model(name: str) -> str:
    """Return the overrides that choose the model of that name of torchvision or timm; empty if neither has it."""
    from torchvision import models

    if name in models.list_models(module=models):
        return f"arch=torchvision arch.model={name}"
    try:
        names = _import_timm().list_models()
    except BadInput:  # it is not installed
        return ""
    return f"arch=timm arch.model={name}" if name in names else ""


def _import_timm() -> Any:
    try:
        import timm  # only here: the package is optional
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise BadInput("arch=timm: the package timm is not installed; pip install 'zeroinit[timm]'") from error
    return timm


def _make_torchvision(model: str, shape: tuple[int, int, int], outputs: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the model for images of this shape. Raise ValueError if it cannot be built for them."""
    from torchvision import models

    channels, height, width = shape
    family = models.get_model_builder(model).__module__.rpartition(".")[2]
    fixed: dict[str, Any] = {}
    if family == "vision_transformer":
        if height != width:
            raise ValueError("it needs square images")
        fixed = {"image_size": height}
    elif family == "maxvit":
        fixed = {"input_size": (height, width)}
    elif family in ("googlenet", "inception"):  # the auxiliary outputs would be logits as well
        fixed = {"aux_logits": False, "init_weights": True}
    net: nn.Module = models.get_model(model, weights=None, num_classes=outputs, **fixed, **options)
    if channels != COLOURS:
        _replace_stem(net, channels)
    return net


def _replace_stem(net: nn.Module, channels: int) -> None:
    """Give the first convolution another number of input channels; its values are torch's default."""
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d):
            stem = nn.Conv2d(
                channels,
                layer.out_channels,
                layer.kernel_size,  # type: ignore[arg-type]
                layer.stride,  # type: ignore[arg-type]
                layer.padding,  # type: ignore[arg-type]
                bias=layer.bias is not None,
            )
            net.set_submodule(name, stem)
            return


def _make_timm(model: str, shape: tuple[int, int, int], outputs: int, options: Mapping[str, Any]) -> nn.Module:
    """Return the model for images of this shape. Raise ValueError if its patches would leave out a part of them."""
    import timm
    from timm.layers import PatchEmbed

    channels, *size = shape
    config = timm.models.get_pretrained_cfg(model)
    fixed = {"img_size": tuple(size)} if config and config.fixed_input_size else {}
    net: nn.Module = timm.create_model(
        model, pretrained=False, num_classes=outputs, in_chans=channels, **fixed, **options
    )
    for module in net.modules():
        if isinstance(module, PatchEmbed) and not module.dynamic_img_pad:
            for side, patch in zip(module.img_size or (), module.patch_size, strict=False):
                if side % patch:
                    raise ValueError(f"its patches of {patch} pixels do not divide images of {side}")
    return net


def _make_fitted(
    make: Make,
    library: str,
    names: Collection[str],
    model: str,
    shape: tuple[int, int, int],
    outputs: int,
    options: Mapping[str, Any],
) -> nn.Module:
    """Return the model that `make` makes. Raise BadInput if the name, an option or the images do not fit."""
    if model not in names:
        raise BadInput(
            f"arch.model={model}: {library} has no such model; the nearest names are {_nearest_names(model, names)}"
        )
    for name, value in options.items():
        if name.startswith(PRETRAINED):
            raise BadInput(f"arch.{name}={value}: zeroinit never loads weights, an init fills them; leave it out")
        if name in FROM_DATA:
            raise BadInput(f"arch.{name}={value}: the data decide it; leave it out")
    if misfit := _describe_misfit(make, model, shape, outputs, json.dumps(options)):
        raise BadInput(f"arch.model={model}: {misfit}")
    return make(model, shape, outputs, options)


def _nearest_names(name: object, names: Collection[str]) -> str:
    """Return the three names that are most similar."""
    return ", ".join(get_close_matches(str(name).lower(), names, 3, 0))


@cache
def _describe_misfit(make: Make, model: str, shape: tuple[int, int, int], outputs: int, options: str) -> str:
    """Return why the model cannot train on images of this shape, and what to set; empty if it can, or if unclear."""
    arguments = json.loads(options)
    fault = _try_shape(make, model, shape, outputs, arguments)
    if not isinstance(fault, ValueError):  # it fits, or no shape would help
        return "" if fault is None else str(fault)
    for other in _other_shapes(shape):
        other_fault = _try_shape(make, model, other, outputs, arguments)
        if other_fault is None:
            keys = {"channels": other[0] != shape[0] and other[0], "resize": other[1:] != shape[1:] and other[1]}
            wanted = " ".join(f"dataset.{key}={value}" for key, value in keys.items() if value)
            return f"it does not accept images of shape {shape} ({fault}); set {wanted}"
        if not isinstance(other_fault, ValueError):
            return str(other_fault)
    return ""


def _other_shapes(shape: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """Yield shapes of images to try, in order of preference: larger ones, then smaller ones; then those in colour."""
    channels, height, width = shape
    sides = sorted(SIDES, key=lambda side: (side < max(height, width), abs(side - max(height, width))))
    for colours, side in product(dict.fromkeys((channels, COLOURS)), (None, *sides)):
        yield (colours, height, width) if side is None else (colours, side, side)


def _try_shape(
    make: Make, model: str, shape: tuple[int, int, int], outputs: int, options: Mapping[str, Any]
) -> Exception | None:
    """Return the fault of the model for images of this shape: a ValueError if others may fit; None if it has none."""
    with restore_generators(torch.device("cpu")), torch.device("meta"), torch.no_grad():
        try:
            net = make(model, shape, outputs, options)
        except TypeError as error:
            return error  # about an option
        except NotImplementedError:
            return None  # its constructor computes with numbers, which the meta device lacks
        except Exception as error:
            return ValueError(describe_error(error).rstrip("."))
        try:
            logits = net(torch.empty(2, *shape))
        except Exception as error:
            return ValueError(describe_error(error).rstrip("."))
    if isinstance(logits, Tensor) and logits.shape == (2, outputs):
        return None
    returned = f"with shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else ""
    return TypeError(f"it is no classifier: it returns a {type(logits).__name__} {returned}".rstrip())
