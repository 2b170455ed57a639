"""A job: a run before it is built, with its resolved config."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from zeroinit.config.read import Values
from zeroinit.config.schema import RunConfig

if TYPE_CHECKING:  # it imports OmegaConf; jobs that are resolved train without it (benchmarks/gpu.py)
    from zeroinit.config.saved import Saved


@dataclass(frozen=True)
class Job:
    """One run before it is built.

    Attributes:
        name: for the user.
        overrides: as they were typed.
        folder: Hydra's folder of the run.
        values: the resolved config as plain values, which are hashed, compared and saved; all else reads `config`.
        params: what identifies the run for the user.
        config_hash: of every key that can change a number.
        cell_hash: of the same keys without the seeds.
        variables: the environment variables that are set in its process.
        saved: what a sweep writes to the folder.
        hooks: a pickled zeroinit.sweep.hooks.JobHooks, which is called at the start and end of the run.
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

    @cached_property
    def config(self) -> RunConfig:
        """The typed config."""
        return RunConfig.parse(self.values)
