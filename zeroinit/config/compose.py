"""From the config that Hydra composed to a job."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zeroinit.config import Job, rerun, resolve
from zeroinit.config.identity import hashes
from zeroinit.config.saved import to_save
from zeroinit.config.variables import params_of_variables, variables_of
from zeroinit.environment import environment


def job_of(cfg: DictConfig) -> Job:
    """Return the job of a composed config, which has Hydra's node, or HydraConfig is set. Raise BadInput."""
    hydra_config = HydraConfig.get()
    variables = variables_of(hydra_config)
    with environment(variables):
        values = resolve.resolve(cfg, hydra_config)
        overrides = override_lines(hydra_config.overrides.task)
    params = resolve.make_params(values, resolve.find_options(hydra_config.runtime.choices, values))
    params |= params_of_variables(variables)
    folder = Path(hydra_config.sweep.dir, hydra_config.sweep.subdir) if is_multirun() else hydra_config.run.dir
    name = resolve.make_name(params, overrides)
    saved = to_save(cfg, hydra_config, values, sweep_name()) if is_multirun() else None
    return Job(name, overrides, str(folder), values, params, *hashes(values, variables), variables, saved)


def override_lines(task: Any) -> list[str]:
    """Return the overrides as they were typed, with `${key}` resolved if possible."""
    try:
        return list(task)
    except OmegaConfBaseException:  # a key that is relative to the node for which it was typed
        return [str(line) for line in OmegaConf.to_container(task) or ()]


def is_multirun() -> bool:
    """Return whether Hydra runs a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def is_search(hydra_node: Any) -> bool:
    """Return whether an optimising sweeper chooses the runs by the values of earlier ones."""
    return "direction" in hydra_node.sweeper


def sweep_name() -> str:
    """Return the name of the sweep file; `sweep` for a grid of the command line; `zeroinit` for single runs."""
    if not is_multirun():
        return "zeroinit"
    name = str(HydraConfig.get().job.config_name)
    return "sweep" if name in ("config", rerun.NAME) else name
