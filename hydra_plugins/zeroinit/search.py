"""Optuna's sweeper, with its numbers checked, and without a traceback where no trial of a search finished."""

import logging
import sys
from contextlib import suppress
from functools import partial
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, flag_override

PLUGIN = "hydra_plugins.hydra_optuna_sweeper"
OPTUNA = f"{PLUGIN}.optuna_sweeper.OptunaSweeper"
NO_BEST = "No trials are completed yet"  # Optuna's message if there is no trial to choose the best from


class SearchSweeper(Sweeper):
    """Hands everything to `hydra-optuna-sweeper`; a table at the end shows the results of its trials."""

    def __init__(self, **arguments: Any) -> None:
        # not installed everywhere
        from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

        # they import torch, which listing the plugins must not
        from zeroinit import cli
        from zeroinit.errors import BadInput

        try:
            check_search(arguments)
        except BadInput as error:
            cli.exit_with_bad_input(error)
        logging.getLogger(PLUGIN).setLevel(logging.CRITICAL)  # the launcher prints why each run failed
        self.optuna_sweeper = OptunaSweeper(**arguments | {"sampler": _tolerate_last_failure(arguments["sampler"])})

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.optuna_sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Search. Trials whose run failed or diverged are FAILED in the study, and never the best."""
        from zeroinit.errors import RunFailed  # listing the plugins must not import zeroinit

        try:
            self.optuna_sweeper.sweep(arguments)
        except RunFailed:
            rate = self.optuna_sweeper.sweeper.max_failure_rate
            sys.stderr.write(f"The search ends: more trials failed than hydra.sweeper.max_failure_rate={rate:g}\n")
        except ValueError as error:
            if NO_BEST not in str(error):
                raise


def check_search(arguments: dict[str, Any]) -> None:
    """Raise BadInput for numbers that no search can use."""
    from zeroinit.errors import BadInput  # listing the plugins must not import zeroinit

    for key in ("n_trials", "n_jobs"):
        if arguments[key] < 1:
            raise BadInput(f"hydra.sweeper.{key}={arguments[key]}: give a whole number from 1")
    rate = arguments["max_failure_rate"]
    if not 0 <= rate <= 1:
        raise BadInput(f"hydra.sweeper.max_failure_rate={rate}: give a number from 0 to 1")


def _tolerate_last_failure(sampler: Any) -> Any:
    """Return a sampler with which a grid whose last trial fails ends as any other.

    Optuna's grid raises RuntimeError there, because it stops a loop that the plugin does not have. The plugin makes the
    grid from a partial of exactly Optuna's class, and ignores that error where the last trial has a value.
    """
    from optuna.samplers import GridSampler  # not installed everywhere

    class TolerantGrid(GridSampler):
        def after_trial(self, *arguments: Any) -> None:
            with suppress(RuntimeError):
                super().after_trial(*arguments)

    class MakesTolerantGrid(partial):  # type: ignore[type-arg]
        def __call__(self, search_space: Any) -> GridSampler:
            return TolerantGrid(search_space)

    is_grid = isinstance(sampler, partial) and sampler.func is GridSampler
    return MakesTolerantGrid(GridSampler) if is_grid else sampler


def adapt_optuna(config: DictConfig) -> None:
    """Have a search by Optuna run under SearchSweeper, and go on after failed trials unless the command says otherwise.

    A file `conf/hydra/sweeper/optuna.yaml` cannot do it: Hydra checks a file of that name against the plugin's schema,
    and refuses a schema that has a defaults list.
    """
    sweeper = config.hydra.sweeper
    if sweeper._target_ != OPTUNA:
        return
    is_typed = any("hydra.sweeper.max_failure_rate=" in override for override in config.hydra.overrides.hydra)
    with flag_override(config.hydra, "readonly", False):
        sweeper._target_ = f"{SearchSweeper.__module__}.{SearchSweeper.__name__}"
        if not is_typed:
            sweeper.max_failure_rate = 1.0
