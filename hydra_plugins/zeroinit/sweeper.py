"""The sweeper: the product of the axes, every job checked before the first one trains, a table at the end."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.zeroinit.compose import Composer, use
from hydra_plugins.zeroinit.job_hooks import with_callbacks
from hydra_plugins.zeroinit.launcher import SweepLauncher

if TYPE_CHECKING:  # it imports torch, which listing the plugins must not
    from zeroinit.config import Job

MANY = 100  # runs whose configs take a second or two


class GridSweeper(Sweeper):
    """`params` maps each axis to its values, as one types them; an axis on the command line takes its place."""

    def __init__(self, params: dict[str, Any] | None) -> None:
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.folder = Path(config.hydra.sweep.dir)
        self.composer = Composer(hydra_context.config_loader, config)
        self.callbacks = hydra_context.callbacks
        self.grid_launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Sweep in the environment that says where the runs are kept."""
        from zeroinit import cli
        from zeroinit.config.variables import environment_of_store
        from zeroinit.errors import BadInput

        try:
            with environment_of_store(self.composer.master.hydra):
                return self.sweep_grid(arguments)
        except BadInput as error:
            cli.stop(error)

    def sweep_grid(self, arguments: list[str]) -> Sequence[JobReturn]:
        """Expand, check and launch the grid, then print its table. Exits 1 where a run failed, 130 if interrupted."""
        # they import torch, which listing the plugins must not
        from zeroinit import build, cli
        from zeroinit.config.compose import job_of, sweep_name
        from zeroinit.config.variables import check_one_store
        from zeroinit.errors import BadInput
        from zeroinit.report import announce, conclude
        from zeroinit.sweep import dry_run, resume, runner
        from zeroinit.sweep.job_folder import check_folder
        from zeroinit.tracker import stale
        from zeroinit.user_code import explain_exits

        try:
            grid = self.grid(arguments)
            jobs = [with_callbacks(job_of(cfg), cfg, self.callbacks) for cfg in self.configs(grid)]
            check_one_store(job.variables for job in jobs)
            distinct: dict[str, list[str]] = {}
            for job, overrides in zip(jobs, grid, strict=True):
                if job.config_hash in distinct:
                    same = f"{' '.join(distinct[job.config_hash])} and {' '.join(overrides)}"
                    raise BadInput(f"{same}: the two would be one and the same run; drop the axis that changes nothing")
                distinct[job.config_hash] = overrides
            claims = jobs[0].values["claims"]
            cli.check_jobs(jobs)
            self.check_claims(jobs, arguments)
            identities = [build.identity_of(job) for job in jobs]
            checks = {job.values["check"] for job in jobs}
            if "audit" in checks:
                raise BadInput("check=audit: it replays one run; leave out -m, or give check=only")
            if "only" in checks:
                with explain_exits("check=only"):
                    findings = dry_run.only(jobs, a_sweep=True)
                sys.exit(findings)
            tracker = build.open_tracker(jobs[0], sweep_name())
            stale.tell_dead_runs(tracker)
            ours = self.grid_launcher if isinstance(self.grid_launcher, SweepLauncher) else None
            if any(job.values["plan"] for job in jobs):
                dry_run.planned(jobs, tracker, ours.workers if ours else 1)
                sys.exit()
            done = resume.finished(jobs, tracker)
            runs_planned = zip(identities, jobs, strict=True)
            planned = [(identity, job.cell_hash, job.params) for identity, job in runs_planned]
            asked = cli.asked(planned, claims, runner.size_of(jobs[0]))
            check_folder("hydra.sweep.dir", self.folder)
            announce(asked, tracker)
        except BadInput as error:
            cli.stop(error)
        try:
            OmegaConf.save(self.composer.master, self.folder / "multirun.yaml")
        except OSError as error:
            cli.stop(BadInput(f"hydra.sweep.dir={self.folder}: {error.strerror}; name a folder that can be written"))

        started, code = time.time(), 0

        rest = [place for place, identity in enumerate(identities) if identity not in done]
        if done:
            print(f"{len(done)} of {len(jobs)} runs were trained before; rerun=true trains them again")
        if ours:
            ours.jobs = [jobs[place] for place in rest]

        returned: Sequence[JobReturn] = []
        try:
            if rest:
                returned = self.grid_launcher.launch([grid[place] for place in rest], initial_job_idx=0)
        except KeyboardInterrupt:
            sys.stderr.write("zeroinit: interrupted; what is done is kept\n")
            code = 130
        try:
            stale.kill_dead_runs(tracker, trains_here=False)  # an interrupted process may not have come to say so
            pool = ours.pool if ours and not code else None
            each = {"map_function": pool.map} if pool else {}
            records = conclude(asked, tracker, since=started, **each)
        except BadInput as error:
            cli.stop(error, code=code or 1)
        fine = {one.identity for one in records if one.started >= started and one.status == "FINISHED"}
        failed = not {identities[place] for place in rest} <= fine
        code = code or int(failed or any(job.status == JobStatus.FAILED for job in returned))
        if code:
            sys.exit(code)
        return returned

    def grid(self, arguments: list[str]) -> list[list[str]]:
        """The overrides of each job. Raises BadInput for an axis that is none, or too many runs."""
        from zeroinit.config.overrides import check_overrides, check_size
        from zeroinit.errors import BadInput

        axes = [f"{key}={typed(values)}" for key, values in self.params.items()]
        empty = next((axis for axis in axes if axis.endswith("=")), None)
        if empty:
            raise BadInput(f"{empty}: the axis has no values; give at least one")
        overrides = OverridesParser.create(self.composer.loader).parse_overrides([*axes, *arguments])
        check_overrides(overrides)
        interval = next((one for one in overrides if one.is_sweep_override() and not one.is_discrete_sweep()), None)
        if interval:
            raise BadInput(
                f"{interval.input_line}: an interval is for optimising sweepers; give values, such as 0.1,1,10"
            )
        sizes = next((one for one in overrides if one.is_sweep_override() and one.key_or_group == "size"), None)
        if sizes:
            raise BadInput(f"{sizes.input_line}: the axes are made of it, so that it cannot be one; give one size")
        check_size(overrides)
        # the seeds change slowest, so that a sweep cut short has seen every cell
        overrides.sort(key=lambda override: not override.key_or_group.startswith("seed"))
        return BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]

    def check_claims(self, jobs: Sequence[Job], arguments: Sequence[str]) -> None:
        """Raise BadInput for a claim about a key, an option, a cell or a layer that the sweep does not have."""
        from hydra.core.hydra_config import HydraConfig

        from zeroinit.config.claims import check_meant
        from zeroinit.config.overrides import keys_of
        from zeroinit.sweep import runner
        from zeroinit.sweep.claim_cells import check_cells

        claims, chosen = jobs[0].values["claims"], HydraConfig.get().runtime.choices
        options = self.composer.loader.get_group_options
        check_meant(claims, [job.params for job in jobs], lambda group: options(group) if group in chosen else [])
        check_cells(claims, jobs, runner.size_of(jobs[0]) or chosen.get("size", ""), keys_of(arguments))

    def configs(self, grid: list[list[str]]) -> Iterator[DictConfig]:
        from zeroinit.progress import counted

        for index, overrides in enumerate(counted(grid, f"composing {len(grid)} runs") if len(grid) > MANY else grid):
            cfg = self.composer.job(index, overrides)
            use(cfg)
            yield cfg


def typed(values: Any) -> str:
    """The values of an axis in a sweep file as one types them: `0.01,1,100`, `range(3)`, or a list of them."""
    values = OmegaConf.to_container(values) if OmegaConf.is_config(values) else values
    if isinstance(values, list):
        return ",".join(literal(value) for value in values)
    return "" if values is None else str(values)


def literal(value: Any) -> str:
    """One value in Hydra's grammar for overrides."""
    if isinstance(value, list):
        return f"[{','.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and not re.fullmatch(r"[\w.+-]+", value):
        return QuotedString(value, Quote.single).with_quotes()
    return "null" if value is None else str(value)
