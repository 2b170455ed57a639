"""The sweeper: the product of the axes, every job checked before the first one trains, a table at the end."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.zeroinit.axes import expand_grid
from hydra_plugins.zeroinit.compose import Composer
from hydra_plugins.zeroinit.launcher import SweepLauncher

if TYPE_CHECKING:  # it imports torch, which listing the plugins must not
    from zeroinit.sweep.command import Command


class GridSweeper(Sweeper):
    """The product of axes, less the combinations that `skip_if` leaves out.

    Args:
        params: Maps each axis to its values, as one types them; an axis on the command line replaces it.
        skip_if: Rules; a combination that has all values of a rule is left out.
        paired: Lists of axes that move together.
        max_jobs: The most runs of a grid.
    """

    def __init__(self, params: dict[str, Any] | None, skip_if: Any, paired: Any, max_jobs: Any) -> None:
        self.params, self.skip_if, self.paired, self.max_jobs = params or {}, skip_if, paired, max_jobs
        self.skipped = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.folder = Path(config.hydra.sweep.dir)  # resolved before the jobs, so that all have one time stamp
        self.composer = Composer(hydra_context.config_loader, config)
        self.callbacks = hydra_context.callbacks
        self.grid_launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Sweep in the environment that says where the runs are stored."""
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.config.variables import check_one_store, environment_of_store
        from zeroinit.errors import BadInput, Ended
        from zeroinit.sweep.grid import run_grid

        launcher = self.grid_launcher
        try:
            with environment_of_store(self.composer.master.hydra):
                grid = self.expand(arguments)
                jobs = self.composer.jobs(grid, self.callbacks)
                check_one_store(job.variables for job in jobs)

                def train(indices: list[int]) -> bool:
                    if isinstance(launcher, SweepLauncher):
                        launcher.train([jobs[index] for index in indices])
                        return True
                    returned = launcher.launch([grid[index] for index in indices], initial_job_idx=0)
                    return all(job.status != JobStatus.FAILED for job in returned)

                pool = launcher.pool if isinstance(launcher, SweepLauncher) else None
                run_grid(jobs, self.describe_command(arguments), train, pool)
        except BadInput as error:
            cli.exit_with_bad_input(error)
        except Ended as end:
            sys.exit(end.code)

    def expand(self, arguments: list[str]) -> list[list[str]]:
        """Return the overrides of each job. Raises BadInput."""
        # they import torch, which listing the plugins must not
        from zeroinit.config.grid_keys import GridKeys
        from zeroinit.config.overrides import keys_of

        lines: Any = OmegaConf.to_container(self.composer.master.hydra.overrides.hydra)  # not resolved
        typed = keys_of(lines)
        keys = GridKeys(self.skip_if, self.paired, self.max_jobs, keys_of(arguments), typed)
        combinations = expand_grid(self.params, arguments, keys, self.composer.loader)
        self.skipped = combinations.skipped
        return list(combinations)

    def describe_command(self, arguments: list[str]) -> Command:
        """Return what the command says beside its jobs."""
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.config.overrides import keys_of
        from zeroinit.config.saved import without_secrets

        choices = HydraConfig.get().runtime.choices
        options = self.composer.loader.get_group_options
        return replace(
            cli.describe_command(self.composer.master.reference),
            folder=self.folder,
            skipped=self.skipped,
            config_yaml=OmegaConf.to_yaml(without_secrets(self.composer.master)),
            changed_keys=keys_of(arguments),
            find_options=lambda group: options(group) if group in choices else [],
        )
