"""The data of a config: loaded once for all configs with the same source, and prepared for training."""

import json
from dataclasses import replace
from functools import cache, lru_cache

import torch

from zeroinit.config.check import Values
from zeroinit.config.identity import hash_data
from zeroinit.config.target import instantiate, parameters_of, resolve_target
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.check import check_data
from zeroinit.dataset.data import Data, set_normalization, subsample
from zeroinit.dataset.images import reshape_images
from zeroinit.environment import active_variables
from zeroinit.errors import BadInput
from zeroinit.rng import stream

TRAINING_KEYS = ("batch_size", "shuffle", "normalize", "augment")  # keys of a data set that do not change its source

# all that decides the loaded data: the node `dataset` as JSON, the seed of the split, the variables that the job sets
DataSource = tuple[str, int, tuple[tuple[str, str], ...]]


def load(values: Values, device: torch.device) -> Data:
    """Return the data of a config, on the device. The data of the last four sources are cached.

    Raises:
        BadInput: The data do not fit the config.
    """
    data = load_cached(*data_source(values), device)
    _check_augment(values["dataset"]["augment"], data.input_shape)
    if data.train[0].dtype == torch.float64 and values["dtype"] == "float32":
        raise BadInput("dtype=float32: the inputs of the data are torch.float64; give inputs.float(), or dtype=float64")
    dtype = torch.float64 if values["dtype"] == "float64" else None  # in float32, data and nets are as they are made
    return replace(set_normalization(data, **values["dataset"]["normalize"]), dtype=dtype)


def data_source(values: Values) -> DataSource:
    """Return what decides the loaded data of a config."""
    node = {key: value for key, value in values["dataset"].items() if key not in TRAINING_KEYS}
    return json.dumps(node, sort_keys=True), values["seeds"]["split"], active_variables()


@lru_cache(maxsize=4)
def load_cached(node: str, split_seed: int, variables: tuple[tuple[str, str], ...], device: torch.device) -> Data:
    """Return the data of a source, in the size and number that the node asks for, on the device."""
    keys = json.loads(node)
    shape = {key: keys.pop(key) for key in ("resize", "channels")}
    max_examples = keys.pop("max_examples")
    accepted = parameters_of(resolve_target("dataset", keys).func)  # a loader may resize as it decodes
    data = instantiate(
        "dataset", keys | {key: shape[key] for key in shape if key in accepted}, stream("split", split_seed)
    )
    data = check_data(data, f"dataset._target_={keys['_target_']}")
    return reshape_images(data if max_examples is None else subsample(data, max_examples), **shape).to(device)


@cache
def data_hash(source: DataSource, device: torch.device) -> str:
    """Return the hash of the data of a source."""
    return hash_data(load_cached(*source, device))


def _check_augment(keys: Values, input_shape: tuple[int, ...]) -> None:
    """Raise BadInput if inputs of this shape cannot be cropped or flipped so."""
    if Augment(**keys) and len(input_shape) != 3:
        raise BadInput(
            f"dataset.augment={keys}: the data have shape {input_shape} and are no images; give padding 0 and flip "
            "false"
        )
    if keys["padding"] and keys["padding"] >= min(input_shape[1:]):
        raise BadInput(
            f"dataset.augment.padding={keys['padding']}: the images have {input_shape[1]}x{input_shape[2]} pixels; "
            f"give 0 to {min(input_shape[1:]) - 1}"
        )
