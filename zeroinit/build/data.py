"""The data of a config: loaded once for all configs with the same source, and prepared for training."""

from dataclasses import asdict, dataclass, replace
from functools import cache, lru_cache

import torch

from zeroinit.config.dataset import Resize, as_in_yaml
from zeroinit.config.identity import hash_data
from zeroinit.config.schema import RunConfig
from zeroinit.config.target import Target, parameters_of
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.check import check_data, describe_fault
from zeroinit.dataset.data import Data, set_normalization, subsample
from zeroinit.dataset.images import reshape_images
from zeroinit.environment import active_variables
from zeroinit.errors import BadInput
from zeroinit.rng import stream


@dataclass(frozen=True)
class DataSource:
    """All that decides the loaded data."""

    target: Target
    resize: Resize
    channels: int | None
    max_examples: int | None
    split_seed: int
    variables: tuple[tuple[str, str], ...]  # that the job sets


def load(config: RunConfig, device: torch.device) -> Data:
    """Return the data of a config, on the device. The data of the last four sources are cached.

    Raises:
        BadInput: The data do not fit the config.
    """
    data = load_cached(data_source(config), device)
    _check_augment(config.dataset.augment, data.input_shape)
    if data.train[0].dtype == torch.float64 and config.dtype == torch.float32:
        raise BadInput("dtype=float32: the inputs of the data are torch.float64; give inputs.float(), or dtype=float64")
    dtype = torch.float64 if config.dtype == torch.float64 else None  # in float32, data and nets are as they are made
    return replace(set_normalization(data, config.dataset.mean, config.dataset.std), dtype=dtype)


def data_source(config: RunConfig) -> DataSource:
    """Return what decides the loaded data of a config."""
    dataset = config.dataset
    return DataSource(
        dataset.source,
        dataset.resize,
        dataset.channels,
        dataset.max_examples,
        config.seeds.split,
        active_variables(),
    )


@lru_cache(maxsize=4)
def load_cached(source: DataSource, device: torch.device) -> Data:
    """Return the data of a source, on the device."""
    resize = as_in_yaml(source.resize)
    accepted = parameters_of(source.target.resolve().func)  # a loader may resize as it decodes
    shape = {key: value for key, value in (("resize", resize), ("channels", source.channels)) if key in accepted}
    data = source.target.with_arguments(shape).instantiate(stream("split", source.split_seed))
    data = check_data(data, str(source.target))
    if source.max_examples is not None:
        data = subsample(data, source.max_examples)
        if fault := describe_fault(data):  # such as real targets that are all equal
            raise BadInput(f"dataset.max_examples={source.max_examples}: {fault}")
    return reshape_images(data, resize, source.channels).to(device)


@cache
def data_hash(source: DataSource, device: torch.device) -> str:
    """Return the hash of the data of a source."""
    return hash_data(load_cached(source, device))


def _check_augment(augment: Augment, input_shape: tuple[int, ...]) -> None:
    """Raise BadInput if inputs of this shape cannot be cropped or flipped so."""
    if augment and len(input_shape) != 3:
        raise BadInput(
            f"dataset.augment={asdict(augment)}: the data have shape {input_shape} and are no images; "
            "give padding 0 and flip false"
        )
    if augment.padding and augment.padding >= min(input_shape[1:]):
        raise BadInput(
            f"dataset.augment.padding={augment.padding}: the images have {input_shape[1]}x{input_shape[2]} pixels; "
            f"give 0 to {min(input_shape[1:]) - 1}"
        )
