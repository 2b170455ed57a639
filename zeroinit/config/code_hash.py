"""A hash of the user's code that a config names: a part of the identity of a run."""

import hashlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any

from zeroinit.config.read import Values
from zeroinit.kernels import are_portable, is_native, kernel_settings


def hash_code(values: Values) -> str:
    """Return a hash of the user's files whose functions the config names, and of kernels that are not portable.

    It is empty if the config names only functions of zeroinit and torch, and the kernels are portable.
    """
    targets = user_targets(values)
    files = hash_of_files(targets) if targets else ""
    if are_portable():
        return files
    kernels = "native" if is_native() else kernel_settings()
    return hashlib.sha256(f"{files} {kernels} kernels".encode()).hexdigest()[:16]


def user_targets(node: Any) -> tuple[str, ...]:
    """Return each `_target_` in the node that is neither ours nor torch's."""
    packages = ("zeroinit", "torch", "torchvision")
    return tuple(sorted(target for target in targets_of(node) if target.partition(".")[0] not in packages))


@cache
def hash_of_files(targets: tuple[str, ...]) -> str:
    """Return a hash of the files of these functions.

    Files are read once, because they are imported once: a sweep does not train what is changed while it runs.
    """
    from hydra.utils import get_object  # only here: shipped options need no Hydra

    digest = hashlib.sha256()
    for target in targets:
        try:
            source = inspect.getsourcefile(inspect.unwrap(get_object(target)))
        except TypeError:  # an object, or a function that is not written in Python
            source = getattr(get_object(target.rpartition(".")[0]), "__file__", None)
        digest.update(Path(source).read_bytes() if source else target.encode())
    return digest.hexdigest()[:16]


def targets_of(node: Any) -> set[str]:
    """Return each `_target_` in the node."""
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    target = {node["_target_"]} if isinstance(node, dict) and "_target_" in node else set()
    return target.union(*map(targets_of, parts))
