"""The launcher of a sweep: one job after another, in this process, under one progress bar."""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.zeroinit.callback import OURS
from hydra_plugins.zeroinit.compose import Composer


class SweepLauncher(Launcher):
    """A job that fails is told at once, in one line, and the others go on."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.composer = Composer(hydra_context.config_loader, config)
        self.checked = config.hydra.sweeper._target_ == OURS

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from zeroinit import train  # imports torch, which listing the plugins must not
        from zeroinit.progress import Bar

        setup_globals()
        if not self.checked:
            self.check(job_overrides)
        returned = []
        with Bar(len(job_overrides)) as bar:
            for index, overrides in enumerate(job_overrides, start=initial_job_idx):
                job = run_job(
                    hydra_context=self.hydra_context,
                    task_function=lambda cfg: train.best(train.run_config(cfg, bar)),
                    config=self.composer.job(index, overrides),
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
                bar.next()
                returned.append(job)
        return returned

    def check(self, job_overrides: Sequence[Sequence[str]]) -> None:
        """Stop at bad input before any of these jobs trains, as our own sweeper does."""
        from zeroinit import build, train
        from zeroinit.errors import BadInput

        try:
            for overrides in job_overrides:
                cfg = self.composer.compose(overrides)
                HydraConfig.instance().set_config(cfg)
                build.check([train.job_of(cfg)])
        except BadInput as error:
            train.stop(error)
