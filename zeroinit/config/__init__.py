"""A run to be made, after its config was composed and before anything is built from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroinit.config.check import Values

if TYPE_CHECKING:  # it needs OmegaConf, without which jobs that are resolved already train: benchmarks/gpu.py
    from zeroinit.config.saved import Saved


@dataclass(frozen=True)
class Job:
    """One run to be made: its name for a person, what was typed for it, its folder (of Hydra), its resolved config, its
    params, the hashes of config and cell, the environment variables of its process, what a sweep writes to its folder,
    and, pickled, what is called in its process at its start and end (zeroinit.sweep.hooks.JobHooks).
    """

    name: str
    overrides: list[str]
    folder: str
    values: Values
    params: dict[str, str]
    config_hash: str
    cell_hash: str
    variables: dict[str, str] = field(default_factory=dict)
    saved: Saved | None = None
    hooks: bytes = b""
