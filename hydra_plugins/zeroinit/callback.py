"""What every sweep begins and ends with, whichever sweeper and launcher are Hydra's choice."""

import json
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from hydra_plugins.zeroinit.search import adapt_optuna

OURS = "hydra_plugins.zeroinit.sweeper.GridSweeper"
IN_PROCESS = (  # launchers whose records come to the process that ends the sweep
    "hydra_plugins.zeroinit.launcher.SweepLauncher",
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
)


class SweepCallback(Callback):
    """Stops what another plugin would do silently wrong; ends the sweep of another sweeper with a table like ours."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Stop a single run where Hydra would end in a traceback before the job starts."""
        from zeroinit import cli
        from zeroinit.config.variables import variables_of
        from zeroinit.errors import BadInput
        from zeroinit.sweep.job_folder import check_folder

        HydraConfig.instance().set_config(config)
        try:
            variables = variables_of(config.hydra)
            check_folder("hydra.run.dir", Path(config.hydra.run.dir, config.hydra.output_subdir or ""))
        except BadInput as error:
            cli.stop(error)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.env_set = variables  # Hydra cannot resolve those that refer to other keys

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Give a single run that has told why it ends its exit code, in the place of Hydra's traceback."""
        from zeroinit.errors import Ended

        error = kwargs["job_return"]._return_value
        if isinstance(error, Ended):
            sys.exit(error.code)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        from zeroinit import cli  # imports torch, which listing the plugins must not
        from zeroinit.config.overrides import check_plugins
        from zeroinit.errors import BadInput

        self.started = time.time()
        try:
            check_plugins(config.hydra)
        except BadInput as error:
            cli.stop(error)
        adapt_optuna(config)
        launcher = config.hydra.runtime.choices["hydra/launcher"]
        direction = config.hydra.sweeper.get("direction", "maximize")
        direction = getattr(direction, "name", direction)
        if config.hydra.runtime.choices.tracker == "off" and config.hydra.launcher._target_ not in IN_PROCESS:
            cli.stop(
                BadInput(
                    f"tracker=off: its runs are known in the process that trains them alone, and "
                    f"hydra/launcher={launcher} trains in others; set one of them otherwise"
                )
            )
        for key, usual in (("check", "start"), ("plan", False)):
            if config[key] != usual and config.hydra.sweeper._target_ != OURS:
                sweeper = config.hydra.runtime.choices["hydra/sweeper"]
                asked, instead = f"{key}={config[key]}", f"{key}={str(usual).lower()}"
                cli.stop(
                    BadInput(
                        f"{asked}: hydra/sweeper={sweeper} chooses runs by what earlier ones became; give {instead}, "
                        "or leave the sweeper out"
                    )
                )
        if direction != "maximize":
            cli.stop(
                BadInput(
                    f"hydra.sweeper.direction={direction}: the value of a run is its best validation accuracy; "
                    "give hydra.sweeper.direction=maximize"
                )
            )

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from zeroinit import cli
        from zeroinit.config.variables import environment_of_store
        from zeroinit.errors import BadInput
        from zeroinit.tracker import without_password

        if config.hydra.sweeper._target_ == OURS:
            return  # it has concluded itself
        try:
            with environment_of_store(config.hydra):
                failed = self.conclude(config)
        except BadInput as error:
            cli.stop(error, code=1)
        except Exception:  # of which Hydra would make a warning and the exit code 0
            sys.stderr.write(without_password(traceback.format_exc()))
            failed = True
        if failed:
            sys.exit(1)

    def conclude(self, config: DictConfig) -> bool:
        """Print and keep the table of the runs since the start; whether one of them failed."""
        from zeroinit import build, cli
        from zeroinit.config.compose import is_search, sweep_name
        from zeroinit.report import conclude
        from zeroinit.report.manifest import manifest_of
        from zeroinit.tracker import TRACEBACK, readable, stale

        HydraConfig.instance().set_config(config)
        tracker = build.open_cached(json.dumps(dict(config.tracker)), config.sweep or sweep_name())
        stale.kill_dead_runs(tracker, trains_here=False)
        since = [record for record in tracker.records() if record.started >= self.started]
        new, _ = readable(since)  # the table names the others
        if new:
            claims: Any = OmegaConf.to_container(config.claims, resolve=True)
            asked = cli.asked(manifest_of(new).planned, claims, new[0].tags.get("size", ""))
            conclude(replace(asked, notes=notes_of_search(config)), tracker)
        found = Path(config.hydra.sweep.dir) / "optimization_results.yaml"
        if found.is_file():
            best = OmegaConf.load(found)
            chosen = " ".join(f"{key}={value}" for key, value in best.best_params.items())
            print(f"Best validation accuracy: {best.best_value:.1%}, with {chosen} ({found})")
        elif is_search(config.hydra):
            print("No trial finished, so that there is no best one.")
        fine = {record.identity for record in new if record.status == "FINISHED"}
        if any(record.identity and record.identity not in fine for record in since):
            return True
        # a run that could not even begin is not in the store; its traceback is in its job's folder (train.failed)
        tracebacks = Path(config.hydra.sweep.dir).rglob(TRACEBACK)
        return any(path.stat().st_mtime >= self.started for path in tracebacks)


def notes_of_search(config: DictConfig) -> list[str]:
    """What a reader must know to repeat a search: a sampler without a seed draws other trials each time."""
    sampler = config.hydra.sweeper.get("sampler") or {}
    if "seed" not in sampler or sampler["seed"] is not None:
        return []
    return ["hydra.sweeper.sampler.seed=null: the command draws other trials; give a seed to repeat them."]
