"""Composes the jobs of a sweep: Hydra's own composition once for each choice of groups, values applied to a copy."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.zeroinit.job_hooks import with_callbacks

if TYPE_CHECKING:  # it imports torch, which listing the plugins must not
    from zeroinit.config import Job

MIN_TRACKED = 100  # jobs that take more than a second to compose


class Composer:
    """Composes what `loader.load_sweep_config(master, overrides)` would, in milliseconds if only values change."""

    def __init__(self, loader: ConfigLoader, master: DictConfig) -> None:
        assert isinstance(loader, ConfigLoaderImpl)
        self.loader, self.master = loader, master
        self.parser = OverridesParser.create()

    def jobs(self, grid: Sequence[Sequence[str]], callbacks: Callbacks, first: int = 0) -> list[Job]:
        """Compose the jobs with these overrides, numbered from `first`. Raises BadInput."""
        from zeroinit.config.compose import job_of  # it imports torch, which listing the plugins must not

        return [with_callbacks(job_of(cfg), cfg, callbacks) for cfg in self.configs(grid, first)]

    def configs(self, grid: Sequence[Sequence[str]], first: int = 0) -> Iterator[DictConfig]:
        """Yield the config of each job; HydraConfig has its node meanwhile."""
        from zeroinit.progress import track  # listing the plugins must not import zeroinit

        lines = track(grid, f"composing {len(grid)} runs") if len(grid) > MIN_TRACKED else grid
        for index, overrides in enumerate(lines, start=first):
            cfg = self.job(index, overrides)
            _use(cfg)
            yield cfg

    def job(self, index: int, overrides: Sequence[str]) -> DictConfig:
        """Compose the config of the job `index`, as Hydra's basic launcher numbers it."""
        cfg = self.compose(overrides)
        with open_dict(cfg):
            cfg.hydra.job.id = str(index)
            cfg.hydra.job.num = index
        return cfg

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Compose the config of one job, equal to Hydra's own."""
        parsed = [_parse_once(self.parser, override) for override in overrides]
        self.loader.validate_sweep_overrides_legal(parsed, run_mode=RunMode.RUN, from_shell=True)
        hydra_overrides = OmegaConf.to_container(self.master.hydra.overrides.hydra)
        assert isinstance(hydra_overrides, list)
        choices = [override for override in parsed if self._chooses_option(override)]
        values = [override for override in parsed if override not in choices]

        name = self.master.hydra.job.config_name
        lines = (*hydra_overrides, *(str(override.input_line) for override in choices))
        cfg: DictConfig = pickle.loads(_compose_by_hydra(self.loader, name, lines))
        ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
        cfg.hydra.overrides.task = [override.input_line for override in parsed]
        naming = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            overrides=parsed, kv_sep=naming.kv_sep, item_sep=naming.item_sep, exclude_keys=naming.exclude_keys
        )
        OmegaConf.copy_cache(from_config=self.master, to_config=cfg)  # one time stamp a sweep
        return cfg

    def _chooses_option(self, override: Override) -> bool:
        """Whether the override names an option of a group, which only Hydra can compose, and not a value."""
        return self.loader.repository.group_exists(override.key_or_group) and not isinstance(override.value(), dict)


def _use(cfg: DictConfig) -> None:
    """Have HydraConfig return the node of this config; its own set_config makes a copy, which takes 5 ms a job."""
    HydraConfig.instance().cfg = cfg  # type: ignore[assignment]


@cache
def _parse_once(parser: OverridesParser, override: str) -> Override:
    """Cached: most jobs of a sweep have most overrides in common, and each takes a millisecond to parse."""
    return parser.parse_overrides([override])[0]


@cache
def _compose_by_hydra(loader: ConfigLoaderImpl, config_name: str, overrides: tuple[str, ...]) -> bytes:
    """Return the config pickled, because a copy by pickle takes a quarter of the time of a deep copy."""
    return pickle.dumps(loader.load_configuration(config_name, list(overrides), run_mode=RunMode.RUN))
