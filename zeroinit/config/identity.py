"""What makes two runs the same: their config, their data, and the version of the code that trains."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from zeroinit.config.check import Values, device, ramped
from zeroinit.config.keys import NO_NUMBER, PLACES
from zeroinit.dataset import Data
from zeroinit.dataset.folder import root_of, state
from zeroinit.dataset.listing import has_validation_folder
from zeroinit.environment import KEY, changing_numbers

# Of all that turns a config and its data into numbers: raise it with each change after which a run may have others.
# tests/test_resume.py holds the losses of some runs to it. 2: AVX2 kernels on every processor that has them
VERSION = 2


def identity(config_hash: str, data_hash: str, own_code: str) -> str:
    """What finished runs are known by: the same one means the same numbers, but for rounding in other company.

    `own_code` tells a person's own functions in the config from what they were before they were changed.
    """
    return "-".join(filter(None, (config_hash, data_hash, str(VERSION), own_code)))


def hash_of(data: Data) -> str:
    """Of the examples of each split as they are stored, their order and their labels."""
    found = hashlib.sha256(str(data.num_classes).encode())
    for split in (data.train, data.val, data.test):
        for tensor in split:
            found.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def hashes(values: Values, variables: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return (config_hash, cell_hash): config_hash covers all that can change a number, cell_hash leaves out the seeds.

    `variables` are those of the environment that the job sets.
    """
    kept = {key: value for key, value in values.items() if key not in NO_NUMBER}
    if numbers := changing_numbers(variables or {}):
        kept[KEY] = numbers
    data = {key: value for key, value in kept["dataset"].items() if key not in PLACES}
    if data["_target_"] == "zeroinit.dataset.image_folder":
        if has_validation_folder(root_of(data["folder"])):
            data.pop("held_out", None)  # nothing is held out
        data["folder"] = state(data["folder"])
    if data["limit"] is None:
        del data["limit"]  # so that runs from before there was one are known
    if isinstance(data["resize"], int):
        data["resize"] = [data["resize"]] * 2
    data["normalize"] = {key: one_for_all(constants) for key, constants in data["normalize"].items()}
    kept["dataset"] = data
    if kept["init"]["layers"] is None:
        kept["init"] = {key: value for key, value in kept["init"].items() if key != "rest"}
    elif isinstance(kept["init"]["layers"], str):
        kept["init"] = kept["init"] | {"layers": [kept["init"]["layers"]]}
    if not any(data["augment"].values()):
        kept["seeds"] = {key: value for key, value in kept["seeds"].items() if key != "augment"}
    if not ramped(values):
        del kept["ramp"]
    kept["device"] = device_type(values["device"])
    cell = {key: value for key, value in kept.items() if key != "seeds"}
    return digest(kept), digest(cell | {"version": VERSION})


def device_type(name: str) -> str:
    """Return `cpu` or `cuda`. A named one need not be there, so that jobs for another machine can be hashed."""
    return name.partition(":")[0] if name.startswith("cuda") else device(name).type


def one_for_all(constants: Any) -> Any:
    """The number, where a list repeats it for every channel."""
    return constants[0] if isinstance(constants, list) and len(set(constants)) == 1 else constants


def digest(values: Values) -> str:
    return hashlib.sha256(json.dumps(plain(values), sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """The value with every whole float as an int, so that `1` and `1.0` are one value."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value
