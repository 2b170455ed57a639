"""The launcher of a sweep: one job after another, in this process, under one progress bar."""

import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from hydra_plugins.zeroinit.compose import Composer


class SweepLauncher(Launcher):
    """A job that fails is told at once, in one line, and the others go on."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.composer = Composer(hydra_context.config_loader, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from zeroinit import train  # imports torch, which listing the plugins must not
        from zeroinit.progress import Bar

        setup_globals()
        returned = []
        with Bar(len(job_overrides)) as bar:

            def task(cfg: DictConfig) -> float:
                record = train.run_config(cfg, bar.at)
                if record.status != "FINISHED":
                    tell(record.tags["error"])
                return train.best(record)

            def tell(error: str) -> None:
                bar.tell(f"failed: {' '.join(filter_overrides(overrides))}: {error}")

            for index, overrides in enumerate(job_overrides, start=initial_job_idx):
                job = run_job(
                    hydra_context=self.hydra_context,
                    task_function=task,
                    config=self.composer.job(index, overrides),
                    job_dir_key="hydra.sweep.dir",
                    job_subdir_key="hydra.sweep.subdir",
                )
                if job.status == JobStatus.FAILED:
                    tell(keep_traceback(job))
                bar.next()
                returned.append(job)
        return returned


def keep_traceback(job: JobReturn) -> str:
    """Write the traceback of a failed job to its folder; returns the error in one line, with where to read on."""
    error = job._return_value
    path = Path(job.hydra_cfg.hydra.runtime.output_dir) / "traceback.txt"  # type: ignore[union-attr]
    path.write_text("".join(traceback.format_exception(error)))
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first} (traceback in {path})"
