"""What every sweep begins and ends with, whichever sweeper and launcher are Hydra's choice."""

import sys
import time
import traceback
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.zeroinit.search import adapt_optuna

OURS = "hydra_plugins.zeroinit.sweeper.GridSweeper"
IN_PROCESS = (  # launchers whose records come to the process that ends the sweep
    "hydra_plugins.zeroinit.launcher.SweepLauncher",
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
)


class SweepCallback(Callback):
    """Refuses what another plugin would silently do wrong; ends the sweep of another sweeper with a table like ours."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Stop a single run that Hydra would end with a traceback before the job starts."""
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.config.variables import variables_of
        from zeroinit.errors import BadInput
        from zeroinit.sweep.job_folder import check_folder

        HydraConfig.instance().set_config(config)
        try:
            variables = variables_of(config.hydra)
            check_folder("hydra.run.dir", Path(config.hydra.run.dir, config.hydra.output_subdir or ""))
        except BadInput as error:
            cli.exit_with_bad_input(error)
        with read_write(config.hydra), open_dict(config.hydra):
            config.hydra.job.env_set = variables  # Hydra cannot resolve those that refer to other keys

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Take the secrets out of the file that Hydra has just written."""
        # they import torch, which listing the plugins must not
        from zeroinit.config.saved import has_secrets, without_secrets

        path = Path(config.hydra.runtime.output_dir, config.hydra.output_subdir or "", "hydra.yaml")
        if has_secrets(config.hydra) and path.is_file():
            OmegaConf.save(OmegaConf.masked_copy(without_secrets(config), "hydra"), path)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """End a single run that raised Ended with its exit code; Hydra would print a traceback."""
        from zeroinit.errors import Ended  # listing the plugins must not import zeroinit

        error = kwargs["job_return"]._return_value
        if isinstance(error, Ended):
            sys.exit(error.code)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep whose plugins do not fit each other."""
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.config import composition
        from zeroinit.config.overrides import check_plugins
        from zeroinit.errors import BadInput

        self.started = time.time()
        try:
            check_plugins(config.hydra)
            adapt_optuna(config)
            check_combination(config)
        except BadInput as error:
            cli.exit_with_bad_input(error)
        except OmegaConfBaseException as error:  # Hydra would turn it into a warning
            if refused := composition.explain(error):
                cli.exit_with_bad_input(refused)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print and keep the table of the runs of another sweeper. Exits 1 if a run failed."""
        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.config.variables import environment_of_store
        from zeroinit.errors import BadInput
        from zeroinit.tracker import without_password

        if config.hydra.sweeper._target_ == OURS:
            return  # it has printed its own
        try:
            with environment_of_store(config.hydra):
                have_all_finished = self._conclude(config)
        except BadInput as error:
            error.exit_code = 1
            cli.exit_with_bad_input(error)
        except Exception:  # Hydra would turn it into a warning and the exit code 0
            sys.stderr.write(without_password(traceback.format_exc()))
            have_all_finished = False
        if not have_all_finished:
            sys.exit(1)

    def _conclude(self, config: DictConfig) -> bool:
        # they import torch, which listing the plugins must not
        from zeroinit import build, cli
        from zeroinit.config.claims import parse_claims
        from zeroinit.config.compose import is_search, sweep_name
        from zeroinit.config.target import Target
        from zeroinit.sweep.search import conclude_search

        HydraConfig.instance().set_config(config)
        node: Any = OmegaConf.to_container(config.tracker, resolve=True)
        tracker = build.open_cached(Target.read({"tracker": node}, "tracker"), config.sweep or sweep_name())
        claims = parse_claims(OmegaConf.to_container(config.claims, resolve=True))
        command, notes = cli.describe_command(config.reference), notes_of_search(config)
        return conclude_search(command, tracker, claims, self.started, notes, is_search(config.hydra))


def check_combination(config: DictConfig) -> None:
    """Raise BadInput for a tracker, a mode or a direction that the sweeper or the launcher cannot have."""
    # they import torch, which listing the plugins must not
    from zeroinit.config.overrides import check_repeated
    from zeroinit.errors import BadInput

    choices, sweeper = config.hydra.runtime.choices, config.hydra.sweeper
    if choices.tracker == "off" and config.hydra.launcher._target_ not in IN_PROCESS:
        raise BadInput(
            "tracker=off: its runs are known only in the process that trains them, and "
            f"hydra/launcher={choices['hydra/launcher']} trains in others; set one of them otherwise"
        )
    if config.mode != "train" and sweeper._target_ != OURS:
        raise BadInput(
            f"mode={config.mode}: hydra/sweeper={choices['hydra/sweeper']} chooses runs by the results of earlier "
            "ones; give mode=train, or leave the sweeper out"
        )
    if sweeper._target_ != OURS:
        for override in OverridesParser.create().parse_overrides(list(config.hydra.overrides.task)):
            check_repeated(override)
    direction = sweeper.get("direction", "maximize")
    direction = getattr(direction, "name", direction)
    if direction != "maximize":
        raise BadInput(
            f"hydra.sweeper.direction={direction}: the value of a run is its best validation accuracy; "
            "give hydra.sweeper.direction=maximize"
        )


def notes_of_search(config: DictConfig) -> list[str]:
    """Return what a reader must know to repeat a search: a sampler without a seed draws other trials each time."""
    sampler = config.hydra.sweeper.get("sampler") or {}
    if "seed" not in sampler or sampler["seed"] is not None:
        return []
    return ["hydra.sweeper.sampler.seed=null: the command draws other trials; give a seed to repeat them."]
