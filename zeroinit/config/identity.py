"""The identity of a run: hashes of its config and its data, and the version of the code that trains."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from zeroinit.config.read import Values, resolve_device
from zeroinit.dataset import Data
from zeroinit.dataset.folder import folder_fingerprint, root_of
from zeroinit.dataset.listing import has_validation_folder
from zeroinit.environment import ENV_SET, result_variables
from zeroinit.schedule import is_ramp_active
from zeroinit.tracker.renamed import CONSTANT, IMAGE_FOLDER, RAMP, renamed_keys

# Raise it with each change of the code that may change the numbers of a run; tests/sweep/test_resume.py pins the losses
# of some runs to it. 2: AVX2 kernels on every processor that has them
VERSION = 2

# only other keys of a sweep file, and its report, refer to them
SWEEP_ONLY_KEYS = ("size", "published", "claims", "reference")
# keys that cannot change a number of a run; `seed` acts only through `seeds`
LIMIT_KEYS = ("fail_fast", "time_limit")  # keys that may end a run or a sweep early; they are no params
KEYS_WITHOUT_EFFECT = (
    "tracker",
    "probe",
    "metrics",
    "sweep",
    "save",
    "mode",
    "rerun",
    "resume",
    "seed",
    *LIMIT_KEYS,
    *SWEEP_ONLY_KEYS,
)
PATH_KEYS = ("root", "cache")  # keys of a data set that say where files are
# {key: default} of the keys that came after the first stored runs: at its default, a key is left out of the hash, so
# that those runs keep theirs. The default is what a version without the key did
ADDED_KEYS: dict[str, Any] = {
    "dataset.max_examples": None,
    "arch.norm": None,
    "arch.residual": False,
    "schedule": {"_target_": CONSTANT},
    "clip": {"norm": None, "value": None},
    "autocast": None,
    "loss._target_": "zeroinit.loss.cross_entropy",
    "loss.label_smoothing": 0,
    "loss.class_weights": None,
    **{
        f"{node}.{role}": default
        for node in ("init", "init.rest")
        for role, default in (
            ("embedding", {"_target_": "torch.nn.init.normal_"}),
            ("recurrent", None),
            ("scale", "keep"),
            ("shift", "keep"),
            ("other", None),
        )
    },
    "optimizer.groups": [],
}


@dataclass(frozen=True)
class Identity:
    """What decides the numbers of a run: runs with equal identities differ only by rounding in a stack.

    Its text, the parts joined by dashes, is stored with the run.

    Attributes:
        config_hash: of all keys that can change a number.
        data_hash: of the data.
        version: of the code that trains; 0 for runs from before there was one.
        code_hash: of the files of the user's functions; empty if the config names none.
    """

    config_hash: str
    data_hash: str = ""
    version: int = VERSION
    code_hash: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.config_hash, self.data_hash, self.code)))

    @property
    def code(self) -> str:
        """The version and the hash of the user's code, as text."""
        return "-".join(filter(None, (str(self.version or ""), self.code_hash)))

    @property
    def data_and_code(self) -> tuple[str, str]:
        """All but the config."""
        return self.data_hash, self.code

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the identity that a run was stored with."""
        config_hash, data_hash, version, code_hash = (text.split("-", 3) + [""] * 3)[:4]
        return cls(config_hash, data_hash, int(version) if version.isdigit() else 0, code_hash)


def hash_data(data: Data) -> str:
    """Return a hash of the examples of each split as they are stored, of their order and of their labels."""
    sha = hashlib.sha256(str(data.num_classes).encode())
    for split in (data.train, data.val, data.test):
        for tensor in split:
            sha.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            sha.update(tensor.contiguous().cpu().numpy().tobytes())
    return sha.hexdigest()[:16]


def hashes(values: Values, variables: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Return (config_hash, cell_hash).

    config_hash covers every key that can change a number. cell_hash leaves out the seeds.

    Args:
        values: the resolved config.
        variables: the environment variables that the job sets.
    """
    hashed = _without_added({key: value for key, value in values.items() if key not in KEYS_WITHOUT_EFFECT})
    if not values["arch"]["_target_"].startswith("zeroinit."):
        hashed["arch"] = values["arch"]  # its keys are the user's, whatever their names
    if effective := result_variables(variables or {}):
        hashed[ENV_SET] = effective
    data = {key: value for key, value in hashed["dataset"].items() if key not in PATH_KEYS}
    if data["_target_"] == IMAGE_FOLDER:
        if has_validation_folder(root_of(data["folder"])):
            data.pop("val_fraction", None)  # nothing is held out
        data["folder"] = folder_fingerprint(data["folder"])
    if isinstance(data["resize"], int):
        data["resize"] = [data["resize"]] * 2
    data["normalize"] = {key: _collapse_equal(constants) for key, constants in data["normalize"].items()}
    is_augmented = any(data["augment"].values())
    hashed["dataset"] = _hashed_names(data, "dataset", renamed_keys(data["_target_"] == IMAGE_FOLDER))
    if hashed["init"]["layers"] is None:
        hashed["init"] = {key: value for key, value in hashed["init"].items() if key != "rest"}
    elif isinstance(hashed["init"]["layers"], str):
        hashed["init"] = hashed["init"] | {"layers": [hashed["init"]["layers"]]}
    if not is_augmented:
        hashed["seeds"] = {key: value for key, value in hashed["seeds"].items() if key != "augment"}
    if isinstance(hashed.get("schedule"), dict) and hashed["schedule"]["_target_"] == RAMP:
        hashed |= _hashed_ramp(hashed.pop("schedule"))
    hashed["device"] = _device_type(values["device"])
    cell = {key: value for key, value in hashed.items() if key != "seeds"}
    return _digest(hashed), _digest(cell | {"version": VERSION})


def _without_added(node: Values, path: str = "") -> Values:
    """Return the node without the keys of ADDED_KEYS that have their default."""
    remaining = {}
    for key, value in node.items():
        full = f"{path}{key}"
        if full not in ADDED_KEYS or canonical(value) != canonical(ADDED_KEYS[full]):
            remaining[key] = _without_added(value, f"{full}.") if isinstance(value, dict) else value
    return remaining


def _hashed_names(node: Values, path: str, renamed: Mapping[str, str]) -> Values:
    """Return the node with the names under which its keys are hashed: those from before 0.2.0, so that hashes stay."""
    old_names = {new: old.rpartition(".")[2] for old, new in renamed.items()}
    hashed = {}
    for key, value in node.items():
        full = f"{path}.{key}"
        hashed[old_names.get(full, key)] = _hashed_names(value, full, renamed) if isinstance(value, dict) else value
    return hashed


def _hashed_ramp(schedule: Values) -> Values:
    """Return the key under which a ramp is hashed, as before there was `schedule`; none for one that does nothing."""
    arguments = {key: value for key, value in schedule.items() if key != "_target_"}
    return {"ramp": arguments} if is_ramp_active(arguments["steps"], arguments["factor"]) else {}


def _device_type(name: str) -> str:
    """Return `cpu` or `cuda`. A named device need not exist, so that jobs for another machine can be hashed."""
    return name.partition(":")[0] if name.startswith("cuda") else resolve_device(name).type


def _collapse_equal(constants: Any) -> Any:
    """Return the number if a list repeats it for every channel."""
    return constants[0] if isinstance(constants, list) and len(set(constants)) == 1 else constants


def _digest(values: Values) -> str:
    return hashlib.sha256(json.dumps(canonical(values), sort_keys=True).encode()).hexdigest()[:16]


def canonical(value: Any) -> Any:
    """Return the value with every whole float as an int, so that `1` and `1.0` are the same value."""
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if is_whole else value
