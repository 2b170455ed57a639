"""The sweeper: the product of the axes, every job checked before the first one trains, a table at the end."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.zeroinit.compose import compose, number


class GridSweeper(Sweeper):
    """`params` maps each axis to its values, as one types them; an axis on the command line takes its place."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        from zeroinit import train  # imports torch, which listing the plugins must not
        from zeroinit.errors import BadInput
        from zeroinit.report import conclude

        try:
            grid = self.grid(arguments)
            jobs = [train.job_of(cfg) for cfg in self.configs(grid)]
            name = train.sweep_name()
            train.check(jobs)
            tracker = train.open_tracker(jobs[0], name)
        except BadInput as error:
            train.stop(error)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")

        returned: Sequence[JobReturn] = []
        started, code = time.time(), 0
        try:
            returned = self.launcher.launch(grid, initial_job_idx=0)
        except KeyboardInterrupt:
            sys.stderr.write("zeroinit: interrupted; what is done is kept\n")
            code = 130
        records = conclude([(job.config_hash, job.cell_hash, job.params) for job in jobs], tracker)
        failed = [job for job in returned if job.status == JobStatus.FAILED]
        failed_here = [record for record in records if record.started >= started and record.status == "FAILED"]
        code = code or int(bool(failed or failed_here))
        if code:
            sys.exit(code)
        return returned

    def grid(self, arguments: list[str]) -> list[list[str]]:
        """The overrides of each job. Raises BadInput for an axis without values, or with a value twice."""
        from zeroinit import train
        from zeroinit.errors import BadInput

        axes = [f"{key}={values}" for key, values in self.params.items()]
        overrides = OverridesParser.create(self.hydra_context.config_loader).parse_overrides([*axes, *arguments])
        train.reject_numbers(overrides)
        for override in overrides:
            if override.is_discrete_sweep():
                values = list(override.sweep_iterator())
                twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
                if not values:
                    raise BadInput(f"{override.input_line}: the axis has no values; give at least one")
                if twice is not None:
                    raise BadInput(f"{override.input_line}: the axis has the value {twice} twice; give each value once")
        return BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]

    def configs(self, grid: list[list[str]]) -> Iterator[DictConfig]:
        for index, overrides in enumerate(grid):
            cfg = number(compose(self.hydra_context.config_loader, self.config, overrides), index)
            HydraConfig.instance().set_config(cfg)
            yield cfg
